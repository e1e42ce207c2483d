// SPDX-License-Identifier: Apache-2.0
// Which audit rows are meant (v1.AuditFilter), but for their time.
#ifndef DUMPWARDEN_SERVER_STORE_AUDIT_FILTER_H_
#define DUMPWARDEN_SERVER_STORE_AUDIT_FILTER_H_

#include "absl/strings/string_view.h"
#include "dumpwarden/v1/admin.pb.h"

namespace dumpwarden {

bool MatchesAudit(const v1::AuditFilter& filter, absl::string_view actor, absl::string_view action,
                  absl::string_view object);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_AUDIT_FILTER_H_
