// SPDX-License-Identifier: Apache-2.0
// Wakes those who follow drift.  It carries nothing: what happened is in the
// store, and a follower that was slow reads it there.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_FLEET_DRIFT_FEED_H_
#define DUMPWARDEN_SERVER_FLEET_DRIFT_FEED_H_

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "absl/time/time.h"

namespace dumpwarden {

class DriftFeed {
 public:
  // Drift was committed.
  void Wake() {
    std::lock_guard lock(mutex_);
    ++generation_;
    changed_.notify_all();
  }
  // Nobody waits any more: the server stops.
  void Close() {
    std::lock_guard lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }
  // To be taken before the store is read, so that no wake is missed.
  std::uint64_t Generation() const {
    std::lock_guard lock(mutex_);
    return generation_;
  }
  // Until a later generation, Close, or the end of `time`.  False once closed.
  bool Wait(std::uint64_t generation, absl::Duration time) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, absl::ToChronoMilliseconds(time),
                      [&] { return closed_ || generation_ > generation; });
    return !closed_;
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t generation_ = 0;
  bool closed_ = false;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_DRIFT_FEED_H_
