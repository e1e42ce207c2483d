// SPDX-License-Identifier: Apache-2.0
// Whether a clock that says that much time has passed is to be believed: what
// is deleted by a clock that was wrong does not come back.
#ifndef DUMPWARDEN_SERVER_CLOCK_TRUST_H_
#define DUMPWARDEN_SERVER_CLOCK_TRUST_H_

#include <optional>

#include "absl/time/time.h"

namespace dumpwarden {

// Both clocks at one moment.
struct ClockReading {
  absl::Time wall;
  absl::Duration monotonic;
};

struct ClockTrust {
  ClockReading believed;
  std::optional<ClockReading> doubted;  // since when; none: it is believed
};

inline constexpr absl::Duration kMostAhead = absl::Hours(24);
inline constexpr absl::Duration kDoubtFor = absl::Hours(24);

// A clock that is more than kMostAhead further than it may be is doubted, until it is not any more,
// or has gone on for kDoubtFor without another jump.  To go back is no danger.
ClockTrust Judge(const ClockTrust& before, const ClockReading& now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_CLOCK_TRUST_H_
