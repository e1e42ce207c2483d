// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_TESTS_SUPPORT_FAKE_CLOCK_H_
#define DUMPWARDEN_TESTS_SUPPORT_FAKE_CLOCK_H_

#include <mutex>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace dumpwarden {

// FakeClock stands still until it is moved.  Starts at 2026-11-22T17:00:00Z.
class FakeClock : public Clock {
 public:
  absl::Time Now() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }
  absl::Duration Monotonic() const override {
    std::lock_guard<std::mutex> lock(mutex_);
    return monotonic_;
  }
  // Both clocks go on.
  void Advance(absl::Duration by) {
    std::lock_guard<std::mutex> lock(mutex_);
    now_ += by;
    monotonic_ += by;
  }
  // The wall clock steps, either way; the monotonic one does not.
  void SetWall(absl::Time now) {
    std::lock_guard<std::mutex> lock(mutex_);
    now_ = now;
  }

 private:
  mutable std::mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1795366800);
  absl::Duration monotonic_ = absl::Seconds(1000);
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_FAKE_CLOCK_H_
