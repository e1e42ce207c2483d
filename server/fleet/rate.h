// SPDX-License-Identifier: Apache-2.0
// How much one host may send: so much a second, and ten seconds' worth at
// once.  A host that is over it is not read until it is under it again, so
// that nothing of an honest one is lost.
#ifndef DUMPWARDEN_SERVER_FLEET_RATE_H_
#define DUMPWARDEN_SERVER_FLEET_RATE_H_

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace dumpwarden {

// Ten reports of 1,000 events, as large as they may be, are 170 messages: a backlog of the longest
// kind passes at once.
inline constexpr absl::Duration kRateBurst = absl::Seconds(10);
// A new stream is work too: a certificate to look at, a host to find.
inline constexpr int kOpeningCost = 5;

// What a message counts: its bytes are work as well.
constexpr int CostOf(std::size_t bytes) { return 1 + static_cast<int>(bytes / (64 * 1024)); }

// Spending is a token bucket, kept as the moment at which it is full again.  A message is counted
// when it was read, so the bucket may owe a little.  All times are monotonic.
class Spending {
 public:
  void Add(int cost, int per_second, absl::Duration now) {
    full_at_ = std::max(full_at_, now) + cost * (absl::Seconds(1) / per_second);
  }
  // May more be read?
  bool MayGoOn(absl::Duration now) const { return full_at_ - now < kRateBurst; }
  // As if nothing had ever been sent.
  bool IsForgotten(absl::Duration now) const { return full_at_ <= now; }

 private:
  absl::Duration full_at_ = -absl::InfiniteDuration();
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_RATE_H_
