// SPDX-License-Identifier: Apache-2.0
// When something that failed is tried again: after 1 s, 2 s, 4 s ... 60 s.
#ifndef DUMPWARDEN_AGENT_BACKOFF_H_
#define DUMPWARDEN_AGENT_BACKOFF_H_

#include <algorithm>

#include "absl/time/time.h"

namespace dumpwarden {

inline constexpr absl::Duration kFirstRetry = absl::Seconds(1);
inline constexpr absl::Duration kSlowestRetry = absl::Minutes(1);

// All times are monotonic.
class Backoff {
 public:
  void Failed(absl::Duration now) {
    delay_ = failing() ? std::min(delay_ * 2, kSlowestRetry) : kFirstRetry;
    at_ = now + delay_;
  }
  void Succeeded() { *this = Backoff(); }
  // The next attempt need not wait; the one after it waits as long as it would have.
  void TryNow() { at_ = absl::ZeroDuration(); }
  bool failing() const { return delay_ != absl::ZeroDuration(); }
  absl::Duration at() const { return at_; }  // infinite when nothing failed

 private:
  absl::Duration delay_;
  absl::Duration at_ = absl::InfiniteDuration();
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_BACKOFF_H_
