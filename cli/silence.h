// SPDX-License-Identifier: Apache-2.0
// An end for a call that may last, but not be silent.
#ifndef DUMPWARDEN_CLI_SILENCE_H_
#define DUMPWARDEN_CLI_SILENCE_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace dumpwarden {

// Silence calls `cancel`, on a thread of its own, once nothing was heard for so long.
class Silence {
 public:
  Silence(std::function<void()> cancel, absl::Duration longest)
      : cancel_(std::move(cancel)),
        longest_(longest),
        heard_(absl::Now()),
        watch_([this] { Watch(); }) {}
  ~Silence() { End(); }
  Silence(const Silence&) = delete;
  Silence& operator=(const Silence&) = delete;

  void Heard() {
    const std::lock_guard lock(mutex_);
    heard_ = absl::Now();
  }
  // True when it was too long.
  bool End() {
    {
      const std::lock_guard lock(mutex_);
      ended_ = true;
    }
    wake_.notify_all();
    if (watch_.joinable()) watch_.join();
    return cancelled_;
  }

 private:
  void Watch() {
    std::unique_lock lock(mutex_);
    while (!ended_) {
      const absl::Duration left = heard_ + longest_ - absl::Now();
      if (left <= absl::ZeroDuration()) {
        cancelled_ = true;
        return cancel_();
      }
      wake_.wait_for(lock, absl::ToChronoNanoseconds(left));
    }
  }

  const std::function<void()> cancel_;
  const absl::Duration longest_;
  std::mutex mutex_;
  std::condition_variable wake_;
  absl::Time heard_;
  bool ended_ = false;
  bool cancelled_ = false;
  std::thread watch_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_SILENCE_H_
