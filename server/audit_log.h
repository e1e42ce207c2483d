// SPDX-License-Identifier: Apache-2.0
// What operators are told of the audit log: a part of it, or all.
#ifndef DUMPWARDEN_SERVER_AUDIT_LOG_H_
#define DUMPWARDEN_SERVER_AUDIT_LOG_H_

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dumpwarden/v1/admin.pb.h"
#include "server/fleet/policies.h"
#include "server/store/store.h"

namespace dumpwarden {

// At most 10,000 rows; of a filter at most 16 words a kind.
absl::StatusOr<v1::ListAuditResponse> ListAudit(Store& store, v1::ListAuditRequest request);

// Says first, in the log, who exports it: the last row that is written.  The log goes to `write` in
// pieces, so that neither its length nor a slow reader costs memory, and the store goes on.
// kAborted when retention let go of rows that had not been written yet.
absl::Status ExportAudit(Store& store, const Actor& actor,
                         absl::FunctionRef<absl::Status(const v1::ExportAuditResponse&)> write);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_AUDIT_LOG_H_
