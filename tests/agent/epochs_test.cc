// SPDX-License-Identifier: Apache-2.0
// What drifts while the server or this host is set back to a copy: the epoch
// that begins then tells it, once, as it was told before, and that it is open.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/agent_rig.h"
#include "tests/support/faults.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// The server says that it took the number of the report in flight with other content.
void BeginEpoch(AgentRig& rig) {
  const std::string epoch = rig.state->epoch();
  rig.Disconnect();
  rig.TakeReports();
  rig.Connect(/*want_full=*/true);
  for (const v1::Report& report : rig.TakeReports()) rig.Acknowledge(report, /*want_full=*/true);
  ASSERT_NE(rig.state->epoch(), epoch);
  rig.Pass(absl::Seconds(2));
}

// The only report, acknowledged.
v1::Report TakeReport(AgentRig& rig) {
  const std::vector<v1::Report> reports = rig.TakeReports();
  EXPECT_THAT(reports, SizeIs(1));
  if (reports.empty()) return {};
  rig.Acknowledge(reports.back());
  return reports.back();
}

// Opens a drift that nobody writes back.
v1::DriftEvent Drift(AgentRig& rig) {
  Settle(rig, {Reboot(1, "on", "audit")});
  rig.TakeReports();
  rig.Change("AutoReboot", 0);
  const std::vector<v1::DriftEvent> events = rig.Events();
  EXPECT_THAT(Kinds(events), ElementsAre(kDrifted));
  rig.Pass(absl::Minutes(1));
  return events.empty() ? v1::DriftEvent() : events[0];
}

void ExpectTellsAgain(const v1::Report& report, const v1::DriftEvent& first) {
  ASSERT_EQ(report.events_size(), 1);
  EXPECT_EQ(report.events(0).DebugString(), first.DebugString())
      << "when it began, from what, to what";
  ASSERT_EQ(report.open_drifts().drifts_size(), 1);
  const v1::OpenDrifts::Drift& open = report.open_drifts().drifts(0);
  EXPECT_EQ(open.sequence(), first.sequence());
  EXPECT_EQ(open.setting(), first.setting());
  EXPECT_EQ(open.mode(), first.mode());
}

void ExpectEnds(AgentRig& rig, const v1::Report& told) {
  ASSERT_EQ(told.events_size(), 1);
  rig.Change("AutoReboot", 1);
  rig.Pass(absl::Seconds(1));
  const v1::Report report = TakeReport(rig);
  ASSERT_EQ(report.events_size(), 1);
  EXPECT_EQ(report.events(0).kind(), kResolved);
  EXPECT_EQ(report.events(0).drift_sequence(), told.events(0).sequence());
}

// The finding said `drifted`, and no list of drifts showed it.
TEST(Epochs, AnOpenDriftIsToldToAServerThatWasRestoredFromABackupOfBeforeIt) {
  for (const bool restarted : {false, true}) {
    SCOPED_TRACE(restarted);
    AgentRig rig;
    const v1::DriftEvent first = Drift(rig);
    TakeReport(rig);
    ASSERT_THAT(rig.Events(), IsEmpty()) << "the lost server has it";
    BeginEpoch(rig);
    if (restarted) {
      rig.Restart();
      rig.Connect(/*want_full=*/true);
      rig.Pass(absl::Seconds(2));
    }
    const v1::Report report = TakeReport(rig);
    EXPECT_TRUE(report.full());
    ExpectTellsAgain(report, first);
    EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_DRIFTED);
    rig.Pass(absl::Seconds(30));
    EXPECT_THAT(rig.TakeReports(), IsEmpty()) << "once";
    ExpectEnds(rig, report);
  }
}

// Such a server names no report at all, and takes the full one for the first of a new host.
TEST(Epochs, AnOpenDriftIsToldToAServerThatNeverHeardOfThisHostsReports) {
  AgentRig rig;
  const v1::DriftEvent first = Drift(rig);
  TakeReport(rig);
  const std::string epoch = rig.state->epoch();
  rig.Disconnect();
  rig.Connect(/*want_full=*/true, v1::Welcome());
  rig.Pass(absl::Seconds(2));
  ExpectTellsAgain(TakeReport(rig), first);
  EXPECT_NE(rig.state->epoch(), epoch);
}

// The server may have it for over: the host was set back.
TEST(Epochs, ADriftThatWaitsIsToldOnceAndThatItIsOpen) {
  AgentRig rig;
  const v1::DriftEvent first = Drift(rig);
  rig.TakeReports();
  ASSERT_THAT(rig.Events(), SizeIs(1)) << "not acknowledged";
  BeginEpoch(rig);
  EXPECT_THAT(rig.Events(), SizeIs(1));
  const v1::Report report = TakeReport(rig);
  ExpectTellsAgain(report, first);
  ExpectEnds(rig, report);
}

TEST(Epochs, ADriftThatIsOverIsNotToldAsOpen) {
  AgentRig rig;
  const v1::DriftEvent first = Drift(rig);
  rig.Change("AutoReboot", 1);
  const std::vector<v1::DriftEvent> before = rig.Events();
  ASSERT_THAT(Kinds(before), ElementsAre(kDrifted, kResolved));
  rig.TakeReports();
  BeginEpoch(rig);
  const v1::Report report = TakeReport(rig);
  ASSERT_EQ(report.events_size(), 2);
  EXPECT_EQ(report.events(0).sequence(), first.sequence());
  EXPECT_TRUE(report.has_open_drifts()) << "that there is none is said, too";
  EXPECT_EQ(report.open_drifts().drifts_size(), 0);
  EXPECT_EQ(report.events(1).drift_sequence(), first.sequence());
}

// The write waits for the retry; then the drift that was told again is the one that it ends.
TEST(Epochs, ADriftThatCouldNotBeWrittenBackIsToldAgainAndCorrected) {
  Faults faults;
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.vfs.UseFaults(faults);
  faults.FailFrom(1);
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Milliseconds(300));
  const std::vector<v1::DriftEvent> drifted = rig.Events();
  ASSERT_THAT(Kinds(drifted), ElementsAre(kDrifted));
  TakeReport(rig);
  BeginEpoch(rig);
  const v1::Report told = TakeReport(rig);
  ASSERT_NO_FATAL_FAILURE(ExpectTellsAgain(told, drifted[0]));
  faults.Clear();
  rig.Pass(absl::Minutes(2));
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  const v1::Report corrected = TakeReport(rig);
  ASSERT_EQ(corrected.events_size(), 1);
  EXPECT_EQ(corrected.events(0).kind(), kCorrected);
  EXPECT_EQ(corrected.events(0).drift_sequence(), told.events(0).sequence());
}

// An agent of 0.1.0 kept no start: each epoch told another, and one drift was many.
TEST(Epochs, ADriftWhoseBeginningIsNotKnownIsOneDriftInEachEpoch) {
  for (const bool restarted : {false, true}) {
    SCOPED_TRACE(restarted);
    AgentRig rig;
    Drift(rig);
    TakeReport(rig);
    TrackedSettings tracked = rig.state->Tracked().value();
    for (auto& [key, setting] : tracked) setting.start.reset();
    ASSERT_THAT(rig.state->Record(tracked, {}), IsOk());
    rig.Restart();
    rig.Connect();
    rig.Pass(absl::Seconds(2));
    rig.TakeReports();
    BeginEpoch(rig);
    const v1::Report first = TakeReport(rig);
    ASSERT_EQ(first.events_size(), 1);
    if (restarted) {
      rig.Restart();
      rig.Connect();
    }
    rig.Pass(absl::Minutes(1));
    BeginEpoch(rig);
    ExpectTellsAgain(TakeReport(rig), first.events(0));
  }
}

// A server that asks for epoch after epoch makes the queue no longer than it may be.
TEST(Epochs, ManyEpochsTellOneDrift) {
  AgentRig rig;
  const v1::DriftEvent first = Drift(rig);
  for (int i = 0; i < 20; ++i) BeginEpoch(rig);
  EXPECT_THAT(rig.Events(), SizeIs(1));
  ExpectTellsAgain(TakeReport(rig), first);
}

}  // namespace
}  // namespace dumpwarden
