// SPDX-License-Identifier: Apache-2.0
// What is kept for a time only: tokens that are over, policy versions that were
// replaced.  Drift and audit rows are never deleted.
#ifndef DUMPWARDEN_SERVER_STORE_RETENTION_H_
#define DUMPWARDEN_SERVER_STORE_RETENTION_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// Rows of one kind that were over before `over_before` go.
struct Expiry {
  const char* kind;  // for the audit row
  absl::StatusOr<std::int64_t> (*delete_some)(Database& db, absl::Time over_before);
  absl::Time over_before;
};
std::vector<Expiry> ExpiriesOf(const Retention& retention, absl::Time now);

// At most kExpiryBatch rows, and the audit row when there were any.  Inside a transaction.
inline constexpr std::int64_t kExpiryBatch = 200;
absl::StatusOr<std::int64_t> DeleteBatch(Database& db, const Expiry& expiry, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_RETENTION_H_
