// SPDX-License-Identifier: Apache-2.0
// What is kept for a time only: tokens that are over, policy versions that were
// replaced, drifts that have ended, old audit rows.  By default all is kept.
#ifndef DUMPWARDEN_SERVER_STORE_RETENTION_H_
#define DUMPWARDEN_SERVER_STORE_RETENTION_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

inline constexpr std::int64_t kExpiryBatch = 200;

// A step of a run, at most kExpiryBatch rows (audit rows: more, they are cheap).  Inside a
// transaction, which is to be undone, and `expiry` with it, when it fails.
absl::Status DeleteStep(Database& db, Expiry& expiry, absl::Time now);

// The row that says that they went.  `before`: a digest of them, where there is one.
absl::Status SayDeleted(Database& db, const Expiry& expiry, absl::Time now, const std::string& what,
                        const std::string& before = "");

// Of Store.
absl::Status UpdateClock(Database& db, const KeptClock& clock);
absl::StatusOr<KeptClock> SelectClock(Database& db);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_RETENTION_H_
