// SPDX-License-Identifier: Apache-2.0
// What is kept for a time only: tokens that are over, policy versions that were
// replaced, drifts that have ended, old audit rows.  By default all is kept.
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
  // At most kExpiryBatch of them, and the audit row when anything went.  Inside a transaction.  How
  // many; sets `more`, and `after` to where the next batch begins.
  absl::StatusOr<std::int64_t> (*delete_batch)(Database& db, Expiry& expiry, absl::Time now);
  absl::Time over_before;
  std::int64_t after = 0;
  bool more = true;  // false: nothing is left
};
std::vector<Expiry> ExpiriesOf(const Retention& retention, absl::Time now);

inline constexpr std::int64_t kExpiryBatch = 200;

// The row that says that they went.  `before`: a digest of them, where there is one.
absl::Status SayDeleted(Database& db, const Expiry& expiry, absl::Time now, const std::string& what,
                        const std::string& before = "");

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_RETENTION_H_
