// SPDX-License-Identifier: Apache-2.0
#include "agent/reconnect.h"

#include <algorithm>

namespace dumpwarden {
namespace {

constexpr int kMaxDoublings = 20;  // far beyond the cap; keeps the shift defined

}  // namespace

Reconnect::Reconnect(Random& random, absl::Duration window) : random_(random) { SetWindow(window); }

void Reconnect::SetWindow(absl::Duration window) {
  window_ = std::clamp(window, absl::Milliseconds(1), kMaxReconnectWindow);
}

absl::Duration Reconnect::Bound() const {
  if (failures_ == 0) return window_;
  const absl::Duration base = std::max(window_, kDefaultReconnectWindow);
  const absl::Duration doubled = base * (1 << std::min(failures_, kMaxDoublings));
  return std::min(doubled, std::max(kReconnectCap, window_));
}

absl::Duration Reconnect::NextDelay() {
  const absl::Duration delay = Bound() * random_.Fraction();
  ++failures_;
  return delay;
}

absl::Duration Reconnect::About(absl::Duration pause) {
  return pause * (0.8 + 0.4 * random_.Fraction());
}

}  // namespace dumpwarden
