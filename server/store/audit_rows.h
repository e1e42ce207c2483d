// SPDX-License-Identifier: Apache-2.0
// Audit rows.  Written inside the transaction of what they tell: when the row
// cannot be written, what it tells does not happen.
#ifndef DUMPWARDEN_SERVER_STORE_AUDIT_ROWS_H_
#define DUMPWARDEN_SERVER_STORE_AUDIT_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

absl::StatusOr<std::uint64_t> InsertAudit(Database& db, const Audit& audit, absl::Time at);
absl::StatusOr<std::vector<v1::AuditEntry>> SelectAudit(Database& db,
                                                        const v1::ListAuditRequest& query);
absl::StatusOr<std::vector<v1::AuditEntry>> SelectOldestAudit(Database& db, std::int64_t limit);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_AUDIT_ROWS_H_
