// SPDX-License-Identifier: Apache-2.0
#include "core/base/timestamp.h"

#include <gtest/gtest.h>

namespace dumpwarden {
namespace {

TEST(Timestamp, ComesBackAsItWas) {
  const struct {
    absl::Time time;
    const char* why;
  } cases[] = {
      {absl::UnixEpoch(), "zero"},
      {absl::FromUnixNanos(1'763'800'000'123'456'789), "every digit"},
      {absl::FromUnixNanos(-1), "before 1970 the nanoseconds stay positive"},
      {absl::FromUnixSeconds(253'402'300'799), "the end of the year 9999"},
  };
  for (const auto& [time, why] : cases) {
    const auto timestamp = ToTimestamp(time);
    EXPECT_EQ(FromTimestamp(timestamp), time) << why;
    EXPECT_GE(timestamp.nanos(), 0) << why;
  }
}

TEST(Timestamp, HasNoWordForNever) {
  EXPECT_EQ(ToTimestamp(absl::InfinitePast()).seconds(), 0);
  EXPECT_EQ(ToTimestamp(absl::InfiniteFuture()).seconds(), 0);
}

}  // namespace
}  // namespace dumpwarden
