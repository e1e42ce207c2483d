// SPDX-License-Identifier: Apache-2.0
// What the agent does to its host: drift, correction, failure, and what is told of it.
#include "agent/reconciler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "platform/sqlite.h"
#include "tests/support/agent_rig.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Agent, CorrectsDriftOnceAndTellsOldAndNew) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  ASSERT_THAT(rig.Events(), IsEmpty());

  rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  const std::vector<v1::DriftEvent> events = rig.Events();
  ASSERT_THAT(Kinds(events), ElementsAre(kDrifted, kCorrected));
  EXPECT_EQ(events[0].old_value(), "on");
  EXPECT_EQ(events[0].new_value(), "off");
  EXPECT_EQ(events[0].desired(), "on");
  EXPECT_EQ(events[0].policy(), "base");
  EXPECT_EQ(events[1].drift_sequence(), events[0].sequence());
  EXPECT_EQ(events[1].old_value(), "off");
  EXPECT_EQ(events[1].new_value(), "on");
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_CORRECTED);

  // Our own write wakes the watch: nothing more happens.
  rig.core->OnRegistryChanged();
  rig.Pass(absl::Seconds(1));
  EXPECT_THAT(rig.Events(), SizeIs(2));
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_CORRECTED);
  rig.Pass(absl::Minutes(6));
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_COMPLIANT);
}

TEST(Agent, WritesNothingOnAHostThatMatches) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  const int changes = rig.vfs.changes();
  rig.Pass(absl::Hours(1));
  EXPECT_THAT(rig.registry.log(), IsEmpty());
  EXPECT_EQ(rig.vfs.changes(), changes);
}

TEST(Agent, ReportsDriftWithinTwoSeconds) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
  rig.core->OnRegistryChanged();
  rig.Pass(absl::Milliseconds(300));
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_FALSE(reports[0].full());
  EXPECT_EQ(reports[0].events_size(), 2);
}

TEST(Agent, FirstPolicyFindsDriftThatItNeverSawBefore) {
  AgentRig rig;
  rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
  Settle(rig, {});
  rig.Push({Reboot(1, "on")});
  const std::vector<v1::DriftEvent> events = rig.Events();
  ASSERT_THAT(Kinds(events), ElementsAre(kDrifted, kCorrected));
  EXPECT_EQ(events[0].old_value(), "");
  EXPECT_EQ(events[0].new_value(), "off");
}

TEST(Agent, AuditLeavesTheValueAndTellsEachFurtherChange) {
  AgentRig rig;
  Settle(rig, {{"base", 1, PolicyYaml("base", "dump.type", "kernel", "audit")}});
  rig.Change("CrashDumpEnabled", 3);
  EXPECT_EQ(rig.Cell("CrashDumpEnabled"), 3u);
  EXPECT_EQ(rig.FindingOf("dump.type").status(), v1::STATUS_DRIFTED);
  rig.Pass(absl::Minutes(11));
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted));
  rig.Change("CrashDumpEnabled", 7);
  // One drift is over and another begins: no drift stays open for ever.
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kResolved, kDrifted));
  EXPECT_EQ(rig.Events()[1].drift_sequence(), rig.Events()[0].sequence());
  EXPECT_EQ(rig.Events()[2].old_value(), "small");
  EXPECT_EQ(rig.Events()[2].new_value(), "automatic");
  rig.Change("CrashDumpEnabled", 2);
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kResolved, kDrifted, kResolved));
  EXPECT_EQ(rig.Events()[3].drift_sequence(), rig.Events()[2].sequence());
  EXPECT_THAT(rig.registry.log(), IsEmpty());
}

TEST(Agent, DriftOfASettingThatNobodyManagesAnyMoreIsOver) {
  AgentRig rig;
  Settle(rig, {{"base", 1, PolicyYaml("base", "dump.type", "kernel", "audit")}});
  rig.Change("CrashDumpEnabled", 3);
  rig.Push({Reboot(2, "on")});
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kResolved));
  EXPECT_EQ(rig.Events()[1].drift_sequence(), rig.Events()[0].sequence());
}

TEST(Agent, WhatNeedsARestartIsPendingUntilTheBootChanges) {
  AgentRig rig;
  Settle(rig, {DumpType(1, "small")});
  EXPECT_EQ(rig.Cell("CrashDumpEnabled"), 3u);
  EXPECT_EQ(rig.FindingOf("dump.type").status(), v1::STATUS_PENDING_REBOOT);
  rig.Restart();  // the process, not the host
  EXPECT_EQ(rig.FindingOf("dump.type").status(), v1::STATUS_PENDING_REBOOT);
  rig.facts.mutable_boot()->set_id("boot-2");
  rig.Restart();
  EXPECT_EQ(rig.FindingOf("dump.type").status(), v1::STATUS_COMPLIANT);
}

TEST(Agent, ABootThatTheFactsTellWhileItRunsCountsToo) {
  AgentRig rig;
  Settle(rig, {DumpType(1, "small")});
  rig.facts.mutable_boot()->set_id("boot-2");
  rig.core->OnFactsChanged(rig.facts);
  EXPECT_EQ(rig.FindingOf("dump.type").status(), v1::STATUS_COMPLIANT);
}

// Two policies of equal priority want different values: nothing is written.
Document Against() { return {"against", 1, PolicyYaml("against", "dump.auto-reboot", "off")}; }

// It was never told, and the event that came when nothing blocked any more read "off -> off".
TEST(Agent, AChangeOfABlockedSettingIsDriftWithTheValueThatLastAgreed) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.Push({Reboot(1, "on"), Against()});
  ASSERT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_BLOCKED);
  EXPECT_THAT(rig.Events(), IsEmpty());
  rig.Change("AutoReboot", 0);
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted));
  EXPECT_EQ(rig.Events()[0].old_value(), "on");
  EXPECT_EQ(rig.Events()[0].new_value(), "off");
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_BLOCKED);
  rig.Change("AutoReboot", 1);
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kResolved));
  rig.Restart();
  rig.Change("AutoReboot", 0);
  rig.Connect();
  rig.Push({Reboot(1, "on")});
  const std::vector<v1::DriftEvent> events = rig.Events();
  ASSERT_THAT(Kinds(events), ElementsAre(kDrifted, kResolved, kDrifted, kCorrected));
  EXPECT_EQ(events[2].old_value(), "on");
  EXPECT_EQ(events[3].drift_sequence(), events[2].sequence());
}

TEST(Agent, APolicyThatIsBlockedFromItsFirstMomentIsNoDrift) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on"), Against()});
  rig.Change("AutoReboot", 0);
  EXPECT_THAT(rig.Events(), IsEmpty());
}

TEST(Agent, AMomentInWhichNothingCouldBeReadLosesNoOldValue) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  Faults faults;
  rig.registry.UseFaults(faults);
  faults.FailFrom(1);
  rig.Change("AutoReboot", 0);
  ASSERT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  faults.Clear();
  rig.Change("AutoReboot", 0);
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kCorrected));
  EXPECT_EQ(rig.Events()[0].old_value(), "on");
}

// As a state that the first version of the schema made.
TEST(Agent, AStateOfAnEarlierAgentKnowsWhatLastAgreed) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.core.reset();
  rig.state.reset();
  {
    ASSERT_OK_AND_ASSIGN(const auto db,
                         Database::Open(rig.folder.File("state.db"), Database::Durability::kFull));
    ASSERT_THAT(db->Execute("ALTER TABLE tracked DROP COLUMN agreed; "
                            "ALTER TABLE tracked DROP COLUMN start; PRAGMA user_version=1"),
                IsOk());
  }
  Faults faults;
  rig.registry.UseFaults(faults);
  faults.FailFrom(1);
  rig.Restart();
  ASSERT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  faults.Clear();
  rig.Change("AutoReboot", 0);
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kCorrected));
  EXPECT_EQ(rig.Events()[0].old_value(), "on");
}

TEST(Agent, AKillBetweenRecordAndWriteNeitherLosesNorDoublesTheDrift) {
  Faults faults;
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
  // Nothing after the record succeeds: as if killed there.
  rig.vfs.UseFaults(faults);
  faults.FailFrom(1);
  rig.core->OnRegistryChanged();
  rig.Pass(absl::Milliseconds(100));
  ASSERT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted));
  faults.Clear();
  rig.Restart();
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  EXPECT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kCorrected));
}

TEST(Agent, AKillBetweenWriteAndEventIsACorrectionAllTheSame) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  TrackedSettings tracked = *rig.state->Tracked();
  TrackedSetting& setting = tracked["enforce dump.auto-reboot"];
  v1::DriftEvent drifted;
  drifted.set_sequence(rig.state->next_event());
  drifted.set_kind(kDrifted);
  drifted.set_setting("dump.auto-reboot");
  drifted.set_mode(v1::MODE_ENFORCE);
  setting.drift = drifted.sequence();
  setting.drifted_value = "off";
  setting.correcting = true;
  ASSERT_THAT(rig.state->Record(tracked, {drifted}), IsOk());
  rig.Restart();
  EXPECT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kCorrected));
}

// Each was read under the lock and told after the write that ended it, or, when a further one came
// in its place, not at all: a kill in between lost it.
TEST(Agent, WhatIsReadFirstUnderTheLockIsOnRecordBeforeItIsWrittenBack) {
  AgentRig rig;
  Settle(rig, {DumpType(1, "kernel")});
  std::vector<std::uint32_t> others = {9, 8};
  std::vector<std::vector<std::string>> told;  // at each write
  rig.registry.Interfere([&](FakeRegistry& registry) {
    told.emplace_back();
    for (const v1::DriftEvent& event : rig.Events()) {
      if (event.kind() == kDrifted) told.back().push_back(event.new_value());
    }
    if (others.empty()) return;
    registry.SetElsewhere(kCrashKey, "CrashDumpEnabled", DwordValue(others.back()));
    others.pop_back();
  });
  rig.Change("CrashDumpEnabled", 3);
  EXPECT_EQ(rig.Cell("CrashDumpEnabled"), 2u);
  EXPECT_THAT(told, ElementsAre(ElementsAre("small"), ElementsAre("small", "custom (0x8)"),
                                ElementsAre("small", "custom (0x8)", "custom (0x9)")));
  EXPECT_THAT(Kinds(rig.Events()),
              ElementsAre(kDrifted, kResolved, kDrifted, kResolved, kDrifted, kCorrected));
}

// The number of writes that were tried.
int Tries(const AgentRig& rig) {
  int tries = 0;
  for (const std::string& line : rig.registry.log()) tries += absl::StartsWith(line, "set ");
  return tries;
}

TEST(Agent, AFailedWriteIsAnErrorAndTriedAgainSoonerAtFirstThanLater) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.registry.IgnoreWritesOf(kCrashKey, "AutoReboot");
  rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  EXPECT_NE(rig.FindingOf("dump.auto-reboot").reason(), "");
  EXPECT_EQ(Tries(rig), 1);
  for (int i = 0; i < 20; ++i) {
    rig.core->OnRegistryChanged();
    rig.Pass(absl::Seconds(1));
    EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  }
  EXPECT_EQ(Tries(rig), 5) << "at once, then after 1, 2, 4 and 8 s: a hot loop";
  rig.Pass(absl::Minutes(20));
  const int before = Tries(rig);
  rig.Pass(absl::Minutes(4));
  EXPECT_THAT(Tries(rig) - before, testing::AllOf(testing::Ge(3), testing::Le(5)));
  rig.registry.IgnoreWritesOf(kCrashKey, "nothing");
  rig.Pass(absl::Seconds(61));
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_CORRECTED);
  EXPECT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kCorrected));
}

// It left a later drift alone until the next full check, five minutes on.
TEST(Agent, OneLostRaceDoesNotEndEnforcement) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.registry.RefuseWrites(absl::AbortedError("lost a race"));
  rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  rig.registry.RefuseWrites(absl::OkStatus());
  rig.Change("AutoReboot", 1);  // another hand puts it right
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_COMPLIANT);
  rig.Change("AutoReboot", 0);  // and a later drift is another matter
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_CORRECTED);
}

TEST(Agent, AnotherValueThanTheOneThatCouldNotBeWrittenIsTriedAtOnce) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.registry.RefuseWrites(absl::UnavailableError("busy"));
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Minutes(4));
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  rig.registry.RefuseWrites(absl::OkStatus());
  rig.Change("AutoReboot", 9);
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
}

TEST(Agent, ARegistryThatCouldNotBeReadIsReadAgainSoon) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  Faults faults;
  rig.registry.UseFaults(faults);
  faults.FailFrom(1);
  rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  faults.Clear();
  rig.Pass(absl::Seconds(1));
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
}

TEST(Agent, DoesNotWearOutTheDiskAgainstAnotherWriter) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  for (int i = 0; i < 30; ++i) rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.Cell("AutoReboot"), 0u);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_DRIFTED);
  EXPECT_THAT(rig.FindingOf("dump.auto-reboot").reason(), HasSubstr("full check"));
  int corrections = 0;
  for (const v1::DriftEvent& event : rig.Events()) corrections += event.kind() == kCorrected;
  EXPECT_EQ(corrections, 10);
  rig.Pass(absl::Minutes(5));
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
}

// It took its own work for another's after ten policies in a minute.
TEST(Agent, FollowsPoliciesHoweverFastTheyCome) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  for (std::uint64_t version = 2; version < 30; ++version) {
    const bool on = version % 2 == 0;
    rig.Push({Reboot(version, on ? "on" : "off")});
    rig.Pass(absl::Milliseconds(300));
    EXPECT_EQ(rig.Cell("AutoReboot"), on ? 1u : 0u) << "version " << version;
  }
}

TEST(Agent, AloneItGoesOnEnforcingTheLastGoodPolicies) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.Disconnect();
  rig.Restart();
  rig.Change("AutoReboot", 0);
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  EXPECT_THAT(rig.Events(), SizeIs(2));
  rig.Connect();
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].events_size(), 2);
}

TEST(Agent, AnUnreadableRegistryIsAFindingAndNoDrift) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  Faults faults;
  rig.registry.UseFaults(faults);
  faults.FailFrom(1);
  rig.core->OnRegistryChanged();
  rig.Pass(absl::Seconds(1));
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_ERROR);
  faults.Clear();
  rig.core->OnRegistryChanged();
  rig.Pass(absl::Seconds(1));
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_COMPLIANT);
  EXPECT_THAT(rig.Events(), IsEmpty());
}

// One such byte in a message of the system: no server could read the report, and no agent of the
// next start its own state.
TEST(Agent, BytesThatAreNotUtf8ReachNeitherReportNorState) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.registry.AddWarning("dirty \xff");
  rig.registry.RefuseWrites(absl::UnavailableError("disk \xfe on fire"));
  rig.facts.mutable_boot()->set_id("boot-2");  // a snapshot of what stands there
  rig.core->OnFactsChanged(rig.facts);
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Seconds(1));
  EXPECT_THAT(rig.FindingOf("dump.auto-reboot").reason(), HasSubstr("disk \\xfe on fire"));
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  v1::Report arrived;
  EXPECT_TRUE(arrived.ParseFromString(reports[0].SerializeAsString()));
  rig.Restart();
  ASSERT_THAT(rig.start_status, IsOk());
  EXPECT_THAT(rig.state->BootSnapshot("boot-2")->value().warnings(), Contains("dirty \\xff"));
}

// Whoever rewrote the file without a change made the agent send and reconcile each time.
TEST(Agent, FactsThatAreWhatTheyWereAreNoNews) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
  rig.link.sent.clear();
  rig.core->OnFactsChanged(rig.facts);
  EXPECT_THAT(rig.link.sent, IsEmpty());
  EXPECT_EQ(rig.Cell("AutoReboot"), 0u) << "it reconciled";
}

}  // namespace
}  // namespace dumpwarden
