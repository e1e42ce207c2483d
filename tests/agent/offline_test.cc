// SPDX-License-Identifier: Apache-2.0
// An agent without its server, for long and with a wrong clock, through its
// edges: what it writes, what it sends when the server is back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "agent/agent.h"
#include "core/base/timestamp.h"
#include "tests/support/agent_rig.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

Document Reboot(std::uint64_t version, const std::string& value) {
  return {"base", version, PolicyYaml("base", "dump.auto-reboot", value)};
}

// Policies in force, and everything told so far is acknowledged.
void Settle(AgentRig& rig) {
  rig.Connect();
  rig.Push({Reboot(1, "on")});
  rig.Pass(absl::Seconds(1));
  for (const v1::Report& report : rig.TakeReports()) rig.Acknowledge(report);
  rig.Pass(absl::Seconds(1));
  for (const v1::Report& report : rig.TakeReports()) rig.Acknowledge(report);
}

// What a server would keep.
std::vector<v1::DriftEvent> TakeAllEvents(AgentRig& rig) {
  std::vector<v1::DriftEvent> events;
  for (int i = 0; i < 30; ++i) {
    rig.Pass(absl::Seconds(1));
    for (const v1::Report& report : rig.TakeReports()) {
      events.insert(events.end(), report.events().begin(), report.events().end());
      rig.Acknowledge(report);
    }
  }
  return events;
}

// A week of somebody who sets the value back, on a queue that is nearly full.
TEST(Offline, AQueueThatOverflowsTellsFirstLastAndCountWhenTheServerIsBack) {
  AgentRig rig;
  Settle(rig);
  rig.Disconnect();
  const std::uint64_t first = rig.state->next_event();
  rig.Change("AutoReboot", 0);
  const std::vector<v1::DriftEvent> real = rig.Events();
  ASSERT_EQ(real.size(), 2u);
  std::vector<v1::DriftEvent> more;
  for (std::uint64_t i = 0; i + 4 < kMaxQueuedEvents; ++i) {
    v1::DriftEvent& event = more.emplace_back(real[i % 2]);
    event.set_sequence(rig.state->next_event() + i);
    if (i % 2 == 1) event.set_drift_sequence(event.sequence() - 1);
  }
  ASSERT_THAT(rig.state->Record(*rig.state->Tracked(), more), IsOk());
  for (int i = 0; i < 6; ++i) {
    rig.Pass(absl::Hours(24));
    rig.Change("AutoReboot", 0);
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    EXPECT_LE(rig.Events().size(), kMaxQueuedEvents);
  }
  const std::uint64_t last = rig.state->next_event() - 1;
  rig.dialled = rig.link.connects;  // what nobody answered
  rig.Restart();
  rig.Connect();
  const std::vector<v1::DriftEvent> told = TakeAllEvents(rig);
  ASSERT_GT(told.size(), 2u);
  ASSERT_LT(told.size(), 100u);
  EXPECT_EQ(told.front().sequence(), first);
  EXPECT_EQ(told.front().kind(), v1::DriftEvent::KIND_DRIFTED);
  EXPECT_EQ(told.back().sequence(), last);
  EXPECT_EQ(told.back().kind(), v1::DriftEvent::KIND_CORRECTED);
  std::uint64_t count = 0;
  for (const v1::DriftEvent& event : told) {
    const bool compacted = event.kind() == v1::DriftEvent::KIND_COMPACTED;
    EXPECT_EQ(event.count() > 0, compacted);
    count += compacted ? event.count() : 1;
  }
  EXPECT_EQ(count, last - first + 1);
  EXPECT_TRUE(rig.Events().empty());
}

// A week alone, from a start without a server on: it goes on dialling, and never in a hurry.
TEST(Offline, AWeekAfterAStartWithoutAServerItEnforcesWhatIsOnItsDisk) {
  AgentRig rig;
  Settle(rig);
  rig.Restart();
  const int before = rig.link.connects;
  for (int day = 0; day < 7; ++day) {
    rig.Change("AutoReboot", 0);
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u) << "day " << day;
    for (int dial = 0; dial < 144; ++dial) {
      rig.Pass(absl::Minutes(10));
      if (rig.link.connects > rig.dialled) {
        rig.dialled = rig.link.connects;
        rig.core->OnDisconnected(absl::UnavailableError("no route"));
      }
    }
  }
  EXPECT_GT(rig.link.connects - before, 7 * 24) << "it has not given up";
  EXPECT_LT(rig.link.connects - before, 7 * 24 * 60);
  rig.Connect();
  EXPECT_EQ(TakeAllEvents(rig).size(), 14u) << "each once";
}

TEST(Offline, AClockADayOffDelaysNeitherEnforcementNorReportNorDial) {
  for (const absl::Duration wrong : {absl::Hours(24), -absl::Hours(24)}) {
    AgentRig rig;
    Settle(rig);
    rig.Disconnect();
    rig.clock.SetWall(rig.clock.Now() + wrong);
    const absl::Time at = rig.clock.Now();
    rig.Change("AutoReboot", 0);
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    rig.Pass(absl::Seconds(1));
    EXPECT_EQ(rig.link.connects, rig.dialled + 1);
    rig.Connect();
    const std::vector<v1::DriftEvent> told = TakeAllEvents(rig);
    ASSERT_EQ(told.size(), 2u);
    for (const v1::DriftEvent& event : told) {
      EXPECT_LT(absl::AbsDuration(FromTimestamp(event.at()) - at), absl::Minutes(1))
          << "as the host's clock says";
    }
    rig.clock.SetWall(rig.clock.Now() - wrong);  // and right again
    rig.Change("AutoReboot", 0);
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    EXPECT_EQ(TakeAllEvents(rig).size(), 2u);
  }
}

}  // namespace
}  // namespace dumpwarden
