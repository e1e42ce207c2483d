// SPDX-License-Identifier: Apache-2.0
// How often enrolment may fail: at each limit, one above it, and a hundred
// times.
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/identity/enrollment.h"
#include "tests/support/fake_clock.h"

namespace dumpwarden {
namespace {

TEST(FailureLimit, LetsAnAddressFailFiveTimesAMinute) {
  FakeClock clock;
  FailureLimit limit(clock);
  int failed = 0;
  for (int i = 0; i < 500; ++i) {
    if (limit.IsOver("one")) continue;
    limit.Count("one");
    ++failed;
  }
  EXPECT_EQ(failed, 5);
  EXPECT_FALSE(limit.IsOver("another"));
  clock.Advance(absl::Seconds(59));
  EXPECT_TRUE(limit.IsOver("one"));
  clock.Advance(absl::Seconds(2));
  EXPECT_FALSE(limit.IsOver("one"));
}

// Each attempt went through the whole table.
TEST(FailureLimit, CountsTenThousandAddressesAndRefusesFurtherStrangers) {
  FakeClock clock;
  FailureLimit limit(clock);
  int known = 0;
  for (int i = 0; i < 1'000'000; ++i) {
    const std::string address = absl::StrCat(i);
    if (limit.IsOver(address)) continue;
    limit.Count(address);
    ++known;
  }
  EXPECT_EQ(known, 10'000);
  EXPECT_FALSE(limit.IsOver("0")) << "it failed only once";
  EXPECT_TRUE(limit.IsOver("10000"));
  clock.Advance(absl::Seconds(61));
  EXPECT_FALSE(limit.IsOver("10000"));
}

}  // namespace
}  // namespace dumpwarden
