// SPDX-License-Identifier: Apache-2.0
#include "server/identity/refusals.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/support/fake_clock.h"

namespace dumpwarden {
namespace {

class RefusalsTest : public testing::Test {
 protected:
  void Refuse(const std::string& reason) {
    refusals_.Count({"handshake.refused", reason, "ipv4:192.0.2.1:5", "detail", 0});
  }
  FakeClock clock_;
  std::vector<Refusal> said_;
  Refusals refusals_{clock_, [this](const Refusal& refusal) { said_.push_back(refusal); }};
};

TEST_F(RefusalsTest, SaysTheFirstOfEachReasonAtOnce) {
  Refuse("expired");
  Refuse("other-ca");
  ASSERT_EQ(said_.size(), 2u);
  EXPECT_EQ(said_[0].reason, "expired");
  EXPECT_EQ(said_[0].count, 1u);
  EXPECT_EQ(said_[0].source, "ipv4:192.0.2.1:5");
  EXPECT_EQ(said_[1].reason, "other-ca");
}

TEST_F(RefusalsTest, T35SaysAFloodOnceAMinuteWithItsCount) {
  for (int i = 0; i < 1000; ++i) Refuse("expired");
  EXPECT_EQ(said_.size(), 1u);
  clock_.Advance(absl::Seconds(59));
  refusals_.Tick();
  EXPECT_EQ(said_.size(), 1u);
  clock_.Advance(absl::Seconds(1));
  refusals_.Tick();
  ASSERT_EQ(said_.size(), 2u);
  EXPECT_EQ(said_[1].count, 999u) << "what was held back, not what was said already";
  EXPECT_EQ(refusals_.Total("handshake.refused", "expired"), 1000u);
}

// A server that was stopped in time for nobody lost up to a minute of them.
TEST_F(RefusalsTest, LosesNoCountWhenTheServerStops) {
  for (int i = 0; i < 7; ++i) Refuse("expired");
  refusals_.Flush();
  ASSERT_EQ(said_.size(), 2u);
  EXPECT_EQ(said_[1].count, 6u);
  refusals_.Flush();
  EXPECT_EQ(said_.size(), 2u) << "each is said once";
}

TEST_F(RefusalsTest, SaysNothingWhenNothingHappened) {
  Refuse("expired");
  clock_.Advance(absl::Hours(1));
  refusals_.Tick();
  EXPECT_EQ(said_.size(), 1u);
}

}  // namespace
}  // namespace dumpwarden
