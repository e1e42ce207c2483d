// SPDX-License-Identifier: Apache-2.0
// The core when its host's certificate is renewed, and while it is held.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/agent_rig.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

v1::ServerMessage Hold() {
  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason(v1::Goodbye::REASON_HOLD);
  goodbye.mutable_goodbye()->set_message("dumpctl host approve 1");
  goodbye.mutable_goodbye()->set_reconnect_window_ms(900'000);
  return goodbye;
}

TEST(AgentRenewal, EndsTheSessionAndDialsAtOnceWithoutAnError) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  const std::string before = rig.state->Connection()->last_error;
  rig.core->OnRenewed();
  EXPECT_EQ(rig.link.disconnects, 1);
  const int dialled = rig.link.connects;
  rig.Disconnect();
  EXPECT_EQ(rig.core->NextDeadline(), rig.clock.Monotonic());
  rig.Pass(absl::ZeroDuration());
  EXPECT_EQ(rig.link.connects, dialled + 1);
  EXPECT_EQ(rig.state->Connection()->last_error, before);
  rig.Connect();
  rig.Disconnect();
  EXPECT_GT(rig.core->NextDeadline(), rig.clock.Monotonic()) << "the next time as ever";
}

TEST(AgentRenewal, TellsAgainWhatWasNotAcknowledged) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Seconds(1));
  const std::vector<v1::Report> told = rig.TakeReports();
  ASSERT_THAT(told, SizeIs(1));
  ASSERT_EQ(told[0].events_size(), 2);
  rig.core->OnRenewed();  // the Ack is on its way
  rig.Acknowledge(told[0]);
  rig.Disconnect();
  rig.Connect();
  rig.Pass(absl::Seconds(2));
  const std::vector<v1::Report> again = rig.TakeReports();
  ASSERT_FALSE(again.empty());
  EXPECT_EQ(again[0].events_size(), 2);
  EXPECT_EQ(again[0].events(0).sequence(), told[0].events(0).sequence());
}

TEST(AgentRenewal, DialsAtOnceWhenThereIsNoSession) {
  AgentRig rig;
  Settle(rig, {});
  for (int i = 0; i < 8; ++i) {  // the pauses have become long
    rig.Disconnect();
    const int dialled = rig.link.connects;
    while (rig.link.connects == dialled) rig.Pass(absl::Seconds(1));
  }
  rig.Disconnect();
  rig.core->OnRenewed();
  EXPECT_EQ(rig.core->NextDeadline(), rig.clock.Monotonic());
}

TEST(AgentRenewal, AHeldHostSaysSoAsksEveryFewMinutesAndGoesOnEnforcing) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  const absl::Duration window = *rig.state->ReconnectWindow(absl::ZeroDuration());
  rig.core->OnMessage(Hold());
  rig.Disconnect();
  EXPECT_THAT(rig.state->Connection()->last_error, HasSubstr("dumpctl host approve"));
  const int dialled = rig.link.connects;
  rig.Pass(kHeldPause * 0.79);
  EXPECT_EQ(rig.link.connects, dialled);
  rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  rig.Pass(kHeldPause * 0.42);
  EXPECT_EQ(rig.link.connects, dialled + 1);
  EXPECT_EQ(*rig.state->ReconnectWindow(absl::ZeroDuration()), window)
      << "restarted, it asks soon: it may have been approved";
}

TEST(AgentRenewal, AHostThatWasHeldIsNotParkedAnyMoreWithItsNewCertificate) {
  AgentRig rig;
  Settle(rig, {});
  rig.core->OnMessage(Hold());
  rig.Disconnect();
  rig.core->OnRenewed();
  EXPECT_EQ(rig.core->NextDeadline(), rig.clock.Monotonic());
}

}  // namespace
}  // namespace dumpwarden
