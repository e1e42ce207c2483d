// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/state_digest.h"
#include "core/reconcile/undo.h"
#include "platform/sqlite.h"
#include "tests/support/agent_rig.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// --- Policies

TEST(Agent, AsksForWhatItLacksAndPutsTheWholeSetInForce) {
  AgentRig rig;
  Settle(rig, {});
  const Document one = Reboot(1, "off");
  const Document two{"more", 4, PolicyYaml("more", "dump.type", "small")};
  rig.link.sent.clear();
  rig.SendSet({one, two});
  ASSERT_THAT(rig.link.sent, SizeIs(1));
  EXPECT_EQ(rig.link.sent[0].policy_request().digests_size(), 2);
  rig.SendDocument(one);
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u) << "half a set is in force";
  rig.SendDocument(two);
  EXPECT_EQ(rig.Cell("AutoReboot"), 0u);
  EXPECT_EQ(rig.Cell("CrashDumpEnabled"), 3u);
}

TEST(Agent, RefusesWhatWouldTakePoliciesBack) {
  const struct {
    Document pushed;
    const char* problem;
    const char* why;
  } kCases[] = {
      {Reboot(4, "off"), "older than version 5", "a lower version"},
      {Reboot(5, "off"), "other content", "an equal version with other content"},
      {{"base", 6, "kind: Nonsense\n"}, "cannot be read", "unreadable"},
      {{"base", 6, PolicyYaml("other", "dump.auto-reboot", "off")},
       "calls itself",
       "another policy's document"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.why);
    AgentRig rig;
    Settle(rig, {Reboot(5, "on")});
    rig.Push({c.pushed});
    rig.Pass(absl::Seconds(1));
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    EXPECT_EQ(rig.FindingOf("dump.auto-reboot").policy_version(), 5u);
    EXPECT_THAT(*rig.state->PolicyProblems(), HasSubstr(c.problem));
    rig.Push({Reboot(7, "off")});
    EXPECT_EQ(rig.Cell("AutoReboot"), 0u) << "a good one is taken again";
  }
}

// Each invalid set and each document that nobody asked for grew memory and log.
TEST(Agent, AHostileServerFillsNeitherMemoryNorLog) {
  AgentRig rig;
  Settle(rig, {Reboot(5, "on")});
  const std::size_t before = rig.log.lines.size();
  for (int i = 0; i < 1000; ++i) rig.SendDocument({"x", 1, absl::StrCat("unasked ", i)});
  EXPECT_LE(rig.log.lines.size() - before, 20u);
  rig.Pass(absl::Minutes(1));
  rig.SendDocument({"x", 1, "one more"});
  EXPECT_THAT(rig.log.lines, Contains("more policies were refused 980"));
  v1::ServerMessage invalid;
  invalid.mutable_policy_set()->set_digest("none");
  const int disconnects = rig.link.disconnects;
  for (int i = 0; i < 3; ++i) rig.core->OnMessage(invalid);
  EXPECT_EQ(rig.link.disconnects, disconnects + 1);
  rig.Disconnect();
  rig.Connect();
  rig.Push({Reboot(7, "off")});
  EXPECT_EQ(rig.Cell("AutoReboot"), 0u);
  EXPECT_THAT(*rig.state->PolicyProblems(), IsEmpty());
  std::vector<Document> old;
  for (int i = 0; i < 100; ++i) old.push_back({absl::StrCat("p", i), 1, "kind: Nonsense\n"});
  rig.Push(old);
  const std::string problems = *rig.state->PolicyProblems();
  const std::vector<std::string> parts = absl::StrSplit(problems, "cannot be read");
  EXPECT_THAT(parts, SizeIs(21)) << "twenty problems, of a hundred";
}

TEST(Agent, RemembersVersionsOfPoliciesThatWereRemoved) {
  AgentRig rig;
  Settle(rig, {Reboot(5, "on")});
  rig.Push({});
  EXPECT_THAT(rig.core->current().findings, IsEmpty());
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u) << "un-managing leaves values as they are";
  rig.Push({Reboot(4, "off")});
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
}

TEST(Agent, IgnoresHostileSetsAndDocuments) {
  AgentRig rig;
  Settle(rig, {Reboot(5, "on")});
  const auto set_of = [](std::vector<v1::PolicyEntry> entries) {
    v1::ServerMessage message;
    *message.mutable_policy_set() = MakePolicySet(std::move(entries));
    return message;
  };
  v1::PolicyEntry entry = AgentRig::EntryOf(Reboot(6, "off"));
  v1::ServerMessage wrong_digest = set_of({entry});
  wrong_digest.mutable_policy_set()->set_digest("x");
  v1::PolicyEntry nameless = entry;
  nameless.clear_name();
  v1::PolicyEntry short_digest = entry;
  short_digest.set_digest("abc");
  v1::PolicyEntry huge_version = entry;
  huge_version.set_version(kMaxPolicyVersion + 1);
  std::vector<v1::PolicyEntry> many;
  for (int i = 0; i <= kMaxPolicies; ++i) {
    many.push_back(entry);
    many.back().set_name(absl::StrCat("p", i));
  }
  for (const v1::ServerMessage& message :
       {wrong_digest, set_of({nameless}), set_of({short_digest}), set_of({huge_version}),
        set_of({entry, entry}), set_of(many)}) {
    rig.link.sent.clear();
    rig.core->OnMessage(message);
    EXPECT_THAT(rig.link.sent, IsEmpty());
  }
  rig.SendDocument(Reboot(6, "off"));  // asked for by nobody
  rig.SendSet({Reboot(6, "off")});
  rig.SendDocument(Reboot(6, "on"));  // other bytes than the set's digest
  rig.SendDocument({"base", 6, std::string(kMaxPolicyBytes + 1, '#')});
  rig.core->OnMessage(v1::ServerMessage());
  rig.Pass(absl::Seconds(1));
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  EXPECT_EQ(rig.FindingOf("dump.auto-reboot").policy_version(), 5u);
}

// --- The session

TEST(Agent, HelloSaysWhatItHoldsAndEveryProcessIsAnother) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.Disconnect();
  rig.link.sent.clear();
  rig.Pass(absl::Minutes(1));
  rig.core->OnConnected();
  ASSERT_THAT(rig.link.sent, SizeIs(1));
  const v1::Hello hello = rig.link.sent[0].hello();
  EXPECT_EQ(hello.epoch(), rig.state->epoch());
  EXPECT_GT(hello.acknowledged(), 0u);
  EXPECT_EQ(hello.state_digest(), StateDigest(rig.core->current()));
  EXPECT_EQ(hello.boot().id(), "boot-1");
  rig.Restart();
  rig.Pass(absl::Minutes(1));
  rig.core->OnConnected();
  EXPECT_NE(rig.link.sent.back().hello().instance(), hello.instance());
}

TEST(Agent, SendsAReportAgainUnderANewNumberUntilItIsAcknowledged) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Milliseconds(200));
  const std::vector<v1::Report> lost = rig.TakeReports();
  ASSERT_THAT(lost, SizeIs(1));
  rig.Disconnect();
  rig.Connect();
  const std::vector<v1::Report> again = rig.TakeReports();
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_GT(again[0].sequence(), lost[0].sequence());
  ASSERT_EQ(again[0].events_size(), 2);
  EXPECT_EQ(again[0].events(0).sequence(), lost[0].events(0).sequence());
  rig.Acknowledge(again[0]);
  EXPECT_THAT(rig.Events(), IsEmpty());
  rig.Disconnect();
  rig.Connect();
  EXPECT_THAT(rig.TakeReports(), IsEmpty());
}

TEST(Agent, KeepsOneReportInFlightAndSendsTheRestAfterItsAck) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Milliseconds(200));
  const std::vector<v1::Report> first = rig.TakeReports();
  ASSERT_THAT(first, SizeIs(1));
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Seconds(5));
  EXPECT_THAT(rig.TakeReports(), IsEmpty());
  rig.Acknowledge(first[0]);
  rig.Pass(absl::Seconds(1));
  const std::vector<v1::Report> second = rig.TakeReports();
  ASSERT_THAT(second, SizeIs(1));
  EXPECT_EQ(second[0].events_size(), 2);
}

TEST(Agent, IgnoresAcksOfWhatItDidNotSend) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Milliseconds(200));
  v1::Report report = rig.TakeReports().at(0);
  v1::Report other = report;
  other.set_sequence(report.sequence() + 1000);
  rig.Acknowledge(other);
  other = report;
  other.set_epoch("another epoch...");
  rig.Acknowledge(other);
  EXPECT_THAT(rig.Events(), SizeIs(2));
}

TEST(Agent, SendsEverythingWhenTheServerAsks) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.Disconnect();
  rig.TakeReports();
  rig.Connect(/*want_full=*/true);
  std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_TRUE(reports[0].full());
  HostState state;
  ApplyReport(reports[0], state);
  EXPECT_EQ(StateDigest(state), reports[0].state_digest());
  EXPECT_EQ(StateDigest(state), StateDigest(rig.core->current()));
  rig.Acknowledge(reports[0], /*want_full=*/true);
  rig.Pass(absl::Seconds(2));
  reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_TRUE(reports[0].full());
}

// A VM that was set back gave used numbers again: its drift was acknowledged and in no row.
TEST(Agent, BeginsAnEpochWhenItsStateWasRestoredAndLosesNoEvent) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  const std::string copy = rig.folder.File("copy.db");
  rig.core.reset();
  rig.state.reset();
  std::filesystem::copy_file(rig.folder.File("state.db"), copy);
  rig.Restart();
  rig.Connect();
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Seconds(1));
  v1::Report last;
  for (const v1::Report& report : rig.TakeReports()) rig.Acknowledge(last = report);
  ASSERT_THAT(rig.Events(), IsEmpty());
  for (const bool same_number : {false, true}) {
    SCOPED_TRACE(same_number);
    rig.core.reset();
    rig.state.reset();
    for (const char* suffix : {"-wal", "-shm"}) {
      std::filesystem::remove(rig.folder.File("state.db") + suffix);
    }
    std::filesystem::copy_file(copy, rig.folder.File("state.db"),
                               std::filesystem::copy_options::overwrite_existing);
    rig.Restart();
    rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
    rig.core->OnRegistryChanged();
    rig.Pass(absl::Milliseconds(200));
    ASSERT_THAT(rig.Events(), SizeIs(2));
    rig.Connect(/*want_full=*/true);
    const v1::Report lost = rig.TakeReports().at(0);
    ASSERT_EQ(lost.epoch(), last.epoch());
    v1::Report kept = last;
    kept.set_sequence(same_number ? lost.sequence() : lost.sequence() + 7);
    rig.Acknowledge(kept, /*want_full=*/true);
    EXPECT_NE(rig.state->epoch(), last.epoch());
    EXPECT_EQ(rig.state->acknowledged(), 0u);
    rig.Pass(absl::Seconds(2));
    const std::vector<v1::Report> reports = rig.TakeReports();
    ASSERT_THAT(reports, SizeIs(1));
    EXPECT_TRUE(reports[0].full());
    EXPECT_EQ(reports[0].epoch(), rig.state->epoch());
    EXPECT_EQ(reports[0].events_size(), 2);
    rig.Acknowledge(reports[0]);
    EXPECT_THAT(rig.Events(), IsEmpty());
  }
}

// Seed 1010177 of the simulation: the reports of a VM that was set back were lost on their way
// until its number had passed the server's; the next was taken for a report like any other.
TEST(Agent, BeginsAnEpochAtAWelcomeThatSpeaksOfAReportItNeverGave) {
  for (const int ahead : {-1, 0, 5}) {
    SCOPED_TRACE(ahead);
    AgentRig rig;
    Settle(rig, {Reboot(1, "on")});
    const std::string epoch = rig.state->epoch();
    rig.Disconnect();
    v1::Welcome kept;
    kept.set_epoch(epoch);
    kept.set_sequence(rig.state->next_report() + static_cast<std::uint64_t>(ahead));
    rig.Connect(/*want_full=*/true, kept);
    rig.Pass(absl::Seconds(2));
    const std::vector<v1::Report> reports = rig.TakeReports();
    ASSERT_THAT(reports, SizeIs(1));
    EXPECT_TRUE(reports[0].full());
    EXPECT_EQ(reports[0].epoch(), rig.state->epoch());
    EXPECT_EQ(reports[0].epoch() == epoch, ahead < 0);
  }
}

// Seed 1001105: what the server kept of the epoch before, and the older state did not know, stayed
// open, because to the server this was an epoch that begins.
TEST(Agent, BeginsAnEpochAtAWelcomeOfAServerThatWentOnToAnother) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  const std::string old = rig.state->epoch();
  v1::Welcome kept;
  kept.set_epoch(std::string(16, 'f'));
  kept.set_sequence(1);
  std::string begun;
  for (const bool again : {false, true}) {
    rig.Disconnect();
    rig.TakeReports();
    rig.Connect(/*want_full=*/true, kept);
    rig.Pass(absl::Seconds(2));
    const std::vector<v1::Report> reports = rig.TakeReports();
    ASSERT_THAT(reports, SizeIs(1));
    EXPECT_TRUE(reports[0].full());
    EXPECT_NE(reports[0].epoch(), old);
    const bool same = reports[0].epoch() == begun;
    EXPECT_EQ(same, again) << "the report of it was lost on its way, and is told again";
    begun = reports[0].epoch();
  }
}

TEST(Agent, ARefusedDeltaIsFollowedByAFullReport) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Milliseconds(200));
  v1::Report delta = rig.TakeReports().at(0);
  delta.set_sequence(delta.sequence() - 1);  // the server names what it holds
  rig.Acknowledge(delta, /*want_full=*/true);
  rig.Pass(absl::Seconds(2));
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_TRUE(reports[0].full());
  EXPECT_EQ(reports[0].events_size(), 2);
}

TEST(Agent, SplitsManyEventsOverReportsAndLosesNone) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  std::vector<v1::DriftEvent> events;
  for (int i = 0; i < 2500; ++i) {
    v1::DriftEvent& event = events.emplace_back();
    event.set_sequence(rig.state->next_event() + static_cast<std::uint64_t>(i));
    event.set_kind(kDrifted);
    event.set_setting("dump.auto-reboot");
    event.set_new_value(std::string(600, 'x'));
  }
  ASSERT_THAT(rig.state->Record(*rig.state->Tracked(), events), IsOk());
  rig.Change("AutoReboot", 0);
  int seen = 0;
  for (int i = 0; i < 10; ++i) {
    rig.Pass(absl::Seconds(1));
    for (const v1::Report& report : rig.TakeReports()) {
      EXPECT_LE(report.events_size(), 1000);
      EXPECT_LT(report.ByteSizeLong(), kMaxLinkMessage);
      seen += report.events_size();
      rig.Acknowledge(report);
    }
  }
  EXPECT_EQ(seen, 2502);
}

void AnswerCheckIn(AgentRig& rig, const v1::CheckIn& check_in) {
  v1::Report stored;
  stored.set_epoch(rig.state->epoch());
  stored.set_sequence(check_in.sequence());
  rig.Acknowledge(stored);
}

TEST(Agent, ChecksInWithDigestsAndSpreadsTheTime) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  int count = 0;
  for (int i = 0; i < 20; ++i) {
    rig.link.sent.clear();
    rig.Pass(absl::Seconds(30));
    for (const v1::AgentMessage& message : rig.link.sent) {
      if (!message.has_check_in()) continue;
      ++count;
      EXPECT_EQ(message.check_in().sequence(), rig.state->acknowledged());
      EXPECT_EQ(message.check_in().state_digest(), StateDigest(rig.core->current()));
      AnswerCheckIn(rig, message.check_in());
    }
  }
  EXPECT_EQ(rig.link.disconnects, 0);
  EXPECT_GE(count, 8);
  EXPECT_LE(count, 12);
}

// The server held what it had for found under other policies until the next check-in.
TEST(Agent, SaysAtOnceThatNewPoliciesFindTheSame) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  rig.SendSet({Reboot(1, "on"), {"other", 1, PolicyYaml("other", "dump.auto-reboot", "on")}});
  rig.SendDocument({"other", 1, PolicyYaml("other", "dump.auto-reboot", "on")});
  rig.Pass(absl::Seconds(1));
  std::string told;
  for (const v1::AgentMessage& message : rig.link.sent) {
    if (message.has_report()) told = message.report().policy_digest();
    if (message.has_check_in()) told = message.check_in().policy_digest();
  }
  EXPECT_EQ(told, MakePolicySet({AgentRig::EntryOf(Reboot(1, "on")),
                                 AgentRig::EntryOf(
                                     {"other", 1, PolicyYaml("other", "dump.auto-reboot", "on")})})
                      .digest());
}

// A host was compliant with policies that it had received and never held its registry against.
TEST(Agent, SaysNothingOfPoliciesThatItCouldNotLookAt) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  const std::string before = MakePolicySet({AgentRig::EntryOf(Reboot(1, "on"))}).digest();
  {
    ASSERT_OK_AND_ASSIGN(const auto db,
                         Database::Open(rig.folder.File("state.db"), Database::Durability::kFull));
    ASSERT_THAT(db->Execute("CREATE TRIGGER full BEFORE INSERT ON tracked BEGIN "
                            "SELECT RAISE(ABORT, 'disk full'); END"),
                IsOk());
  }
  rig.TakeReports();
  rig.Push({Reboot(2, "off")});
  rig.Pass(absl::Minutes(2));
  ASSERT_THAT(rig.link.sent, Not(IsEmpty()));
  for (const v1::AgentMessage& message : rig.link.sent) {
    if (message.has_report()) {
      EXPECT_EQ(message.report().policy_digest(), before);
    } else if (message.has_check_in()) {
      EXPECT_EQ(message.check_in().policy_digest(), before);
    }
  }
}

TEST(Agent, AnswersAProbeWithItsInstance) {
  AgentRig rig;
  Settle(rig, {});
  rig.link.sent.clear();
  v1::ServerMessage probe;
  probe.mutable_probe()->set_nonce("nonce");
  rig.core->OnMessage(probe);
  ASSERT_THAT(rig.link.sent, SizeIs(1));
  EXPECT_EQ(rig.link.sent[0].probe_reply().nonce(), "nonce");
  EXPECT_THAT(rig.link.sent[0].probe_reply().instance(), SizeIs(16));
}

TEST(Agent, KeepsTheReconnectWindowOverARestart) {
  AgentRig rig;
  Settle(rig, {});
  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason(v1::Goodbye::REASON_DRAIN);
  goodbye.mutable_goodbye()->set_reconnect_window_ms(600000);
  rig.core->OnMessage(goodbye);
  EXPECT_EQ(rig.link.disconnects, 1);
  rig.Restart();
  EXPECT_EQ(*rig.state->ReconnectWindow(absl::ZeroDuration()), absl::Minutes(10));
  EXPECT_LE(rig.core->NextDeadline(), rig.clock.Monotonic() + absl::Minutes(10));
}

TEST(Agent, WhoWasTurnedAwayDialsRarelyAndGoesOnEnforcing) {
  for (const v1::Goodbye::Reason reason :
       {v1::Goodbye::REASON_QUARANTINED, v1::Goodbye::REASON_REVOKED}) {
    AgentRig rig;
    Settle(rig, {Reboot(1, "on")});
    v1::ServerMessage goodbye;
    goodbye.mutable_goodbye()->set_reason(reason);
    goodbye.mutable_goodbye()->set_message("two live hosts");
    rig.core->OnMessage(goodbye);
    rig.Disconnect();
    const int dialled = rig.link.connects;
    rig.Pass(absl::Minutes(7));
    EXPECT_EQ(rig.link.connects, dialled);
    rig.Change("AutoReboot", 0);
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    rig.Pass(absl::Minutes(6));
    EXPECT_EQ(rig.link.connects, dialled + 1);
    EXPECT_THAT(rig.state->Connection()->last_error, HasSubstr("two live hosts"));
  }
}

TEST(Agent, LogsWhatTheServerDoesNotTakeOnceASession) {
  AgentRig rig;
  Settle(rig, {});
  v1::ServerMessage notice;
  notice.mutable_notice()->set_message("facts are not kept\n" + std::string(5000, 'x'));
  rig.log.lines.clear();
  rig.core->OnMessage(notice);
  rig.core->OnMessage(notice);
  ASSERT_THAT(rig.log.lines, SizeIs(1));
  EXPECT_THAT(rig.log.lines[0], HasSubstr("facts are not kept"));
  EXPECT_LT(rig.log.lines[0].size(), 1200u);
  rig.Disconnect();
  rig.log.lines.clear();
  Settle(rig, {});
  rig.core->OnMessage(notice);
  EXPECT_THAT(rig.log.lines, testing::Contains(HasSubstr("facts are not kept")));
}

TEST(Agent, HangsUpOnAServerThatDoesNotAnswer) {
  AgentRig rig;
  while (rig.link.connects == 0) rig.Pass(absl::Seconds(1));
  rig.core->OnConnected();
  rig.Pass(absl::Seconds(29));
  EXPECT_EQ(rig.link.disconnects, 0);
  rig.Pass(absl::Seconds(2));
  EXPECT_EQ(rig.link.disconnects, 1);
}

// A server that had stopped to answer was taken for a quiet one for ever.
TEST(Agent, HangsUpOnAServerThatAnswersNoCheckIn) {
  AgentRig rig;
  Settle(rig, {Reboot(1, "on")});
  rig.Pass(absl::Seconds(47));
  EXPECT_EQ(rig.link.disconnects, 0);
  rig.Pass(absl::Minutes(2) + absl::Seconds(26));
  EXPECT_EQ(rig.link.disconnects, 1);
  rig.Disconnect();
  EXPECT_THAT(rig.state->Connection()->last_error, HasSubstr("does not answer"));
}

TEST(Agent, EnrolledAnewItComesAsAnotherHostAtOnce) {
  AgentRig rig;
  ASSERT_THAT(rig.state->ActAs("first", rig.random), IsOk());
  Settle(rig, {Reboot(1, "on")});
  rig.TakeReports();
  const std::string epoch = rig.state->epoch();
  rig.facts.mutable_labels()->insert({"role", "sql"});
  rig.core->OnEnrolledAnew("second", rig.facts);
  EXPECT_EQ(rig.link.disconnects, 1);
  EXPECT_NE(rig.state->epoch(), epoch);
  rig.SendSet({Reboot(2, "off")});
  rig.Change("AutoReboot", 0);
  rig.Pass(absl::Seconds(1));
  EXPECT_THAT(rig.link.sent, IsEmpty()) << "nothing of the second goes to the session of the first";
  EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
  rig.Disconnect();
  rig.Connect();
  EXPECT_EQ(rig.link.sent.front().hello().epoch(), rig.state->epoch());
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_TRUE(reports[0].full());
  EXPECT_EQ(reports[0].events_size(), 2);
}

// Its drifts were told of the first host only: the second's history did not begin.
TEST(Agent, EnrolledAnewItTellsWhatDriftsAsTheNewHosts) {
  AgentRig rig;
  ASSERT_THAT(rig.state->ActAs("first", rig.random), IsOk());
  Settle(rig, {{"audit", 1, PolicyYaml("audit", "dump.auto-reboot", "off", "audit")}});
  rig.TakeReports();
  rig.core->OnEnrolledAnew("second", rig.facts);
  rig.Disconnect();
  rig.Connect();
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  ASSERT_EQ(reports[0].events_size(), 1);
  EXPECT_EQ(reports[0].events(0).kind(), kDrifted);
  EXPECT_EQ(reports[0].events(0).new_value(), "on");
}

// It was held once more against what the labels of the first selected, and written.
TEST(Agent, EnrolledAnewItActsByTheNewLabelsOnly) {
  const auto for_sql = [](const std::string& name, const std::string& setting,
                          const std::string& value, const std::string& mode) {
    return Document{
        name, 1,
        absl::StrReplaceAll(PolicyYaml(name, setting, value, mode),
                            {{"spec:\n", "spec:\n  selector: { matchLabels: { role: sql } }\n"}})};
  };
  AgentRig rig;
  ASSERT_THAT(rig.state->ActAs("first", rig.random), IsOk());
  (*rig.facts.mutable_labels())["role"] = "sql";
  rig.core->OnFactsChanged(rig.facts);
  Settle(rig, {for_sql("reboot", "dump.auto-reboot", "off", "audit"),
               for_sql("type", "dump.type", "kernel", "enforce")});
  ASSERT_EQ(rig.FindingOf("dump.auto-reboot").status(), v1::STATUS_DRIFTED);
  rig.Disconnect();
  rig.registry.Set(kCrashKey, "CrashDumpEnabled", DwordValue(1));  // not seen yet
  (*rig.facts.mutable_labels())["role"] = "web";
  rig.core->OnEnrolledAnew("second", rig.facts);
  rig.Connect();
  const std::vector<v1::Report> reports = rig.TakeReports();
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].events_size(), 0);
  EXPECT_EQ(rig.Cell("CrashDumpEnabled"), 1u);
}

// They went without a word.
TEST(Agent, EnrolledAnewItSaysHowManyEventsAreDropped) {
  AgentRig rig;
  ASSERT_THAT(rig.state->ActAs("first", rig.random), IsOk());
  Settle(rig, {Reboot(1, "on")});
  rig.Disconnect();
  rig.core->OnEnrolledAnew("second", rig.facts);
  EXPECT_THAT(rig.log.lines, Not(Contains(HasSubstr("dropped")))) << "there is none";
  rig.Change("AutoReboot", 0);
  ASSERT_THAT(rig.Events(), SizeIs(2));
  rig.core->OnEnrolledAnew("third", rig.facts);
  EXPECT_THAT(rig.log.lines, Contains(AllOf(HasSubstr("dropped"), HasSubstr(" 2"))));
}

TEST(Agent, EnrolledAnewItDialsThoughTheFirstWasTurnedAway) {
  AgentRig rig;
  Settle(rig, {});
  v1::ServerMessage goodbye;
  goodbye.mutable_goodbye()->set_reason(v1::Goodbye::REASON_REVOKED);
  rig.core->OnMessage(goodbye);
  rig.Disconnect();
  const int dialled = rig.link.connects;
  rig.core->OnEnrolledAnew("second", rig.facts);
  rig.Pass(absl::Seconds(1));
  EXPECT_EQ(rig.link.connects, dialled + 1);
}

TEST(Agent, SendsFactsWithoutMountsWhenAskedAndWhenTheyChange) {
  AgentRig rig;
  v1::Facts::Volume& volume = *rig.facts.add_volumes();
  volume.set_path("C:\\");
  volume.set_mount("/mnt/c");
  Settle(rig, {});
  rig.link.sent.clear();
  rig.core->OnFactsChanged(rig.facts);
  ASSERT_THAT(rig.link.sent, SizeIs(1));
  EXPECT_EQ(rig.link.sent[0].facts().volumes(0).path(), "C:\\");
  EXPECT_EQ(rig.link.sent[0].facts().volumes(0).mount(), "");
}

TEST(Agent, WithoutAServerItNeverDials) {
  AgentRig rig;
  AgentOptions options;
  options.alone = true;
  AgentCore alone({rig.clock, rig.random, rig.registry, rig.folders, *rig.applier, *rig.state,
                   rig.link, rig.log},
                  options);
  ASSERT_THAT(alone.Start(rig.facts), IsOk());
  EXPECT_EQ(alone.NextDeadline(), rig.clock.Monotonic() + absl::Minutes(5));
}

// What cannot be read at first and can be under the lock of the apply is not written back there.
TEST(Agent, DriftIsOnDiskBeforeItIsWrittenBackWhicheverReadFails) {
  AgentRig rig;
  rig.Connect();
  rig.Push({{"type", 1, PolicyYaml("type", "dump.type", "kernel")},
            {"reboot", 1, PolicyYaml("reboot", "dump.auto-reboot", "on")}});
  Faults faults;
  rig.registry.UseFaults(faults);
  rig.registry.Interfere([&rig](FakeRegistry&) {
    const auto record = ParseUndo(rig.vfs.Get("/place/undo").value_or(""));
    const auto tracked = rig.state->Tracked();
    ASSERT_TRUE(record.ok() && tracked.ok());
    for (const v1::UndoRecord::Cell& cell : record->cells()) {
      const std::string setting(OwnerOfCell(cell.key(), cell.name())->id);
      EXPECT_NE(tracked->at("enforce " + setting).drift, 0u) << setting;
    }
  });
  for (int nth = 1; nth < 1000; ++nth) {
    SCOPED_TRACE(nth);
    rig.registry.Set(kCrashKey, "CrashDumpEnabled", DwordValue(3));
    rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
    faults.FailOnce(nth);
    rig.core->OnRegistryChanged();
    rig.Pass(absl::Milliseconds(100));
    const bool fired = faults.fired();
    faults.Clear();
    rig.Pass(absl::Minutes(6));
    if (!fired) return;
  }
}

}  // namespace
}  // namespace dumpwarden
