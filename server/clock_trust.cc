// SPDX-License-Identifier: Apache-2.0
#include "server/clock_trust.h"

namespace dumpwarden {
namespace {

bool GoesOn(const ClockReading& then, const ClockReading& now) {
  return now.wall - then.wall <= now.monotonic - then.monotonic + kMostAhead;
}

}  // namespace

ClockTrust Judge(const ClockTrust& before, const ClockReading& now) {
  if (GoesOn(before.believed, now)) return {now, std::nullopt};
  if (!before.doubted || !GoesOn(*before.doubted, now)) return {before.believed, now};
  if (now.monotonic - before.doubted->monotonic >= kDoubtFor) return {now, std::nullopt};
  return before;
}

}  // namespace dumpwarden
