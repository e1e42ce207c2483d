// SPDX-License-Identifier: Apache-2.0
// The store in one SQLite file: WAL, durable commits, one writer thread, readers
// beside it.
#ifndef DUMPWARDEN_SERVER_STORE_SQLITE_STORE_H_
#define DUMPWARDEN_SERVER_STORE_SQLITE_STORE_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "server/store/store.h"

namespace dumpwarden {

// Makes the file (0600) or brings it to the newest schema; checks its integrity, which reads all of
// it.  kDataLoss when it is damaged, kFailedPrecondition when a newer program made it.  `clock`
// must outlive the store; destroying the store commits what it was given.
absl::StatusOr<std::unique_ptr<Store>> MakeSqliteStore(const std::string& path, const Clock& clock);

// The same without a thread: what CommitReport and CommitFacts are given waits for `pump`, or for
// the next call that commits before it returns.  For a program of one thread.
struct PumpedStore {
  std::unique_ptr<Store> store;
  std::function<void()> pump;  // as long as the store
};
absl::StatusOr<PumpedStore> MakePumpedSqliteStore(const std::string& path, const Clock& clock);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_SQLITE_STORE_H_
