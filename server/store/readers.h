// SPDX-License-Identifier: Apache-2.0
// Connections that read while the writer writes: taken from a free list, opened
// when there is none.  Each read sees one moment of the database.
#ifndef DUMPWARDEN_SERVER_STORE_READERS_H_
#define DUMPWARDEN_SERVER_STORE_READERS_H_

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/status_macros.h"
#include "platform/sqlite.h"

namespace dumpwarden {

class Readers {
 public:
  explicit Readers(std::string path) : path_(std::move(path)) {}

  // `read`: Database& -> StatusOr<T>.  Thread-safe.
  template <typename Read>
  auto Run(const Read& read) -> decltype(read(std::declval<Database&>())) {
    ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Take());
    RETURN_IF_ERROR(db->Execute("BEGIN"));
    auto result = read(*db);
    // A connection that cannot end its read is not used again.
    if (db->Execute("ROLLBACK").ok()) Return(std::move(db));
    return result;
  }

  // So that the writer's is the last connection, whose end empties the WAL into the database.
  void CloseIdle() {
    const std::lock_guard<std::mutex> lock(mutex_);
    idle_.clear();
  }

 private:
  static constexpr std::size_t kMaxIdle = 8;

  absl::StatusOr<std::unique_ptr<Database>> Take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!idle_.empty()) {
        std::unique_ptr<Database> db = std::move(idle_.back());
        idle_.pop_back();
        return db;
      }
    }
    return Database::OpenReadOnly(path_);
  }

  void Return(std::unique_ptr<Database> db) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (idle_.size() < kMaxIdle) idle_.push_back(std::move(db));
  }

  const std::string path_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Database>> idle_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_READERS_H_
