// SPDX-License-Identifier: Apache-2.0
// When to dial next.  Full jitter from the first attempt on, and at the cap
// too, so that a fleet that lost its server at one moment does not come back at one.
#ifndef DUMPWARDEN_AGENT_RECONNECT_H_
#define DUMPWARDEN_AGENT_RECONNECT_H_

#include "absl/time/time.h"
#include "core/base/random.h"

namespace dumpwarden {

inline constexpr absl::Duration kDefaultReconnectWindow = absl::Seconds(1);
inline constexpr absl::Duration kMaxReconnectWindow = absl::Minutes(15);
inline constexpr absl::Duration kReconnectCap = absl::Minutes(10);  // also: turned away for good
inline constexpr absl::Duration kHeldPause = absl::Minutes(5);      // until an operator approves

// Reconnect gives the delay before each attempt: uniform in [0, bound], where
// the bound is the server's window at first and doubles with each failure up
// to ten minutes (or the window, when that is longer).
class Reconnect {
 public:
  // `random` must outlive this.
  Reconnect(Random& random, absl::Duration window);

  absl::Duration NextDelay();
  // For a host that the server turned away: `pause`, give or take a fifth.
  absl::Duration About(absl::Duration pause);
  // A session has stood long enough: count failures anew.
  void Succeeded() { failures_ = 0; }
  // What a server says is held to [1 ms, 15 min].
  void SetWindow(absl::Duration window);
  absl::Duration window() const { return window_; }

 private:
  absl::Duration Bound() const;
  Random& random_;
  absl::Duration window_;
  int failures_ = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_RECONNECT_H_
