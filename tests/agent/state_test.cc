// SPDX-License-Identifier: Apache-2.0
#include "agent/state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/event_queue.h"
#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

v1::DriftEvent Event(std::uint64_t sequence, const std::string& setting) {
  v1::DriftEvent event;
  event.set_sequence(sequence);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_setting(setting);
  event.set_mode(v1::MODE_ENFORCE);
  event.set_old_value(absl::StrCat("old", sequence));
  event.set_new_value(absl::StrCat("new", sequence));
  return event;
}

class State : public testing::Test {
 protected:
  State() { Reopen(); }
  void Reopen() {
    state.reset();
    auto opened = AgentState::Open(folder.File("state.db"), *random);
    ASSERT_THAT(opened, IsOk());
    state = *std::move(opened);
  }
  TempFolder folder;
  std::unique_ptr<Random> random = MakeSystemRandom();
  std::unique_ptr<AgentState> state;
};

TEST_F(State, KeepsItsEpochAndNeverGivesAReportNumberTwice) {
  const std::string epoch = state->epoch();
  EXPECT_THAT(epoch, SizeIs(16));
  ASSERT_OK_AND_ASSIGN(const std::uint64_t first, state->TakeReportSequence(0));
  Reopen();
  EXPECT_EQ(state->epoch(), epoch);
  ASSERT_OK_AND_ASSIGN(const std::uint64_t second, state->TakeReportSequence(0));
  EXPECT_GT(second, first);
  TempFolder other;
  ASSERT_OK_AND_ASSIGN(const auto anew, AgentState::Open(other.File("state.db"), *random));
  EXPECT_NE(anew->epoch(), epoch);
}

TEST_F(State, AnotherIdentityForgetsTheWindowAndBeginsAnEpoch) {
  ASSERT_THAT(state->ActAs("first", *random), IsOk());
  ASSERT_THAT(state->SetReconnectWindow(absl::Minutes(15)), IsOk());
  const std::string epoch = state->epoch();
  EXPECT_EQ(*state->ActAs("first", *random), std::nullopt) << "nothing changes";
  EXPECT_EQ(*state->ReconnectWindow(absl::Seconds(1)), absl::Minutes(15));
  EXPECT_EQ(state->epoch(), epoch);
  ASSERT_THAT(state->Record({}, {Event(1, "x"), Event(2, "y")}), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::optional<std::size_t> dropped, state->ActAs("second", *random));
  EXPECT_EQ(dropped, 2u);
  EXPECT_THAT(*state->Events(10), IsEmpty());
  Reopen();
  EXPECT_EQ(*state->ReconnectWindow(absl::Seconds(1)), absl::Seconds(1));
  EXPECT_NE(state->epoch(), epoch);
}

TEST_F(State, KeepsPoliciesAndTheHighestVersionEverSeen) {
  const StoredPolicy three{"a", 3, "digest3", "yaml3"};
  ASSERT_THAT(state->PutPolicies({three, {"b", 1, "d", "y"}}), IsOk());
  ASSERT_THAT(state->PutPolicies({}), IsOk());
  Reopen();
  EXPECT_THAT(*state->Policies(), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const auto seen, state->HighestSeen("a"));
  ASSERT_TRUE(seen.has_value());
  EXPECT_EQ(seen->version, 3u);
  EXPECT_EQ(seen->digest, "digest3");
  ASSERT_THAT(state->PutPolicies({{"a", 2, "digest2", "yaml2"}}), IsOk());
  EXPECT_EQ((*state->HighestSeen("a"))->version, 3u);
  EXPECT_FALSE(state->HighestSeen("never")->has_value());
}

TEST_F(State, KeepsWhatIsTrackedAndEventsUntilTheyAreAcknowledged) {
  TrackedSettings tracked;
  tracked["enforce x"].finding.set_setting("x");
  tracked["enforce x"].drift = 1;
  tracked["enforce x"].drifted_value = "v";
  tracked["enforce x"].correcting = true;
  ASSERT_THAT(state->Record(tracked, {Event(1, "x"), Event(2, "x"), Event(3, "y")}), IsOk());
  Reopen();
  EXPECT_EQ(state->next_event(), 4u);
  ASSERT_OK_AND_ASSIGN(const TrackedSettings kept, state->Tracked());
  ASSERT_THAT(kept, SizeIs(1));
  EXPECT_EQ(kept.at("enforce x").drifted_value, "v");
  EXPECT_TRUE(kept.at("enforce x").correcting);
  EXPECT_THAT(*state->Events(2), SizeIs(2));
  HostState held;
  held.findings.emplace_back().set_setting("x");
  ASSERT_THAT(state->Acknowledge(9, held, 2, absl::FromUnixSeconds(5)), IsOk());
  Reopen();
  EXPECT_EQ(state->acknowledged(), 9u);
  ASSERT_TRUE(state->acknowledged_state().has_value());
  EXPECT_EQ(StateDigest(*state->acknowledged_state()), StateDigest(held));
  ASSERT_THAT(*state->Events(10), SizeIs(1));
  EXPECT_EQ(state->Events(10)->front().sequence(), 3u);
  EXPECT_EQ(state->next_event(), 4u);
}

constexpr char kFirstSchema[] = R"sql(
  CREATE TABLE fact(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE policy(name TEXT PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL,
                      yaml BLOB NOT NULL);
  CREATE TABLE policy_seen(name TEXT PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL);
  CREATE TABLE tracked(key TEXT PRIMARY KEY, finding BLOB NOT NULL, drift INTEGER NOT NULL,
                       drifted_value TEXT NOT NULL, correcting INTEGER NOT NULL);
  CREATE TABLE event(sequence INTEGER PRIMARY KEY, event BLOB NOT NULL);
  INSERT INTO fact VALUES('epoch', '0123456789abcdef');
  INSERT INTO tracked VALUES('enforce dump.type', '', 7, 'small', 1);
  INSERT INTO tracked VALUES('enforce dump.file', '', 0, '', 0);
  PRAGMA user_version = 1;
)sql";

TEST_F(State, OpensAFileOfTheFirstSchema) {
  const std::string path = folder.File("first.db");
  {
    ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(path, Database::Durability::kFull));
    ASSERT_THAT(db->Execute(kFirstSchema), IsOk());
    ASSERT_OK_AND_ASSIGN(Statement put, db->Prepare("INSERT INTO event VALUES(7, ?)"));
    ASSERT_THAT(put.BindBlob(1, Event(7, "dump.type").SerializeAsString()).Run(), IsOk());
  }
  {
    ASSERT_OK_AND_ASSIGN(const auto looked, AgentState::OpenReadOnly(path));
    EXPECT_THAT(*looked->Tracked(), SizeIs(2)) << "the status command, before the first run";
  }
  ASSERT_OK_AND_ASSIGN(const auto migrated, AgentState::Open(path, *random));
  EXPECT_EQ(migrated->epoch(), "0123456789abcdef");
  ASSERT_OK_AND_ASSIGN(TrackedSettings tracked, migrated->Tracked());
  TrackedSetting& setting = tracked.at("enforce dump.type");
  EXPECT_EQ(setting.drift, 7u);
  EXPECT_EQ(setting.drifted_value, "small");
  EXPECT_EQ(setting.agreed, std::nullopt);
  ASSERT_TRUE(setting.start.has_value()) << "it is in the queue";
  EXPECT_EQ(setting.start->old_value(), "old7");
  EXPECT_FALSE(tracked.at("enforce dump.file").start.has_value());
  setting.agreed = "kernel";
  ASSERT_THAT(migrated->Record(tracked, {}), IsOk());
  EXPECT_EQ(migrated->Tracked()->at("enforce dump.type").agreed, "kernel");
}

// Such a row kept the agent from starting.
TEST_F(State, ARowThatCannotBeReadIsUnknownAndKeepsItsDrift) {
  TrackedSettings tracked;
  tracked["audit dump.type"].drift = 4;
  ASSERT_THAT(state->Record(tracked, {}), IsOk());
  state.reset();
  {
    ASSERT_OK_AND_ASSIGN(const auto db,
                         Database::Open(folder.File("state.db"), Database::Durability::kFull));
    ASSERT_THAT(db->Execute("UPDATE tracked SET finding = x'4203ff6162'"), IsOk());
  }
  Reopen();
  ASSERT_OK_AND_ASSIGN(const TrackedSettings kept, state->Tracked());
  ASSERT_TRUE(kept.contains("audit dump.type"));
  const TrackedSetting& setting = kept.at("audit dump.type");
  EXPECT_EQ(setting.drift, 4u);
  EXPECT_EQ(setting.finding.setting(), "dump.type");
  EXPECT_EQ(setting.finding.mode(), v1::MODE_AUDIT);
  EXPECT_EQ(setting.finding.status(), v1::STATUS_UNSPECIFIED);
}

TEST_F(State, CompactsAQueueThatGrowsTooLong) {
  for (std::uint64_t sequence = 1; sequence <= kMaxQueuedEvents; sequence += 1000) {
    std::vector<v1::DriftEvent> events;
    for (std::uint64_t i = 0; i < 1000; ++i) events.push_back(Event(sequence + i, "x"));
    ASSERT_THAT(state->Record({}, events), IsOk());
  }
  EXPECT_EQ(*state->EventCount(), kMaxQueuedEvents);
  ASSERT_THAT(state->Record({}, {Event(kMaxQueuedEvents + 1, "x")}), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::DriftEvent> kept, state->Events(20000));
  ASSERT_THAT(kept, SizeIs(3));
  EXPECT_EQ(kept[0].sequence(), 1u);
  EXPECT_EQ(kept[1].kind(), v1::DriftEvent::KIND_COMPACTED);
  EXPECT_EQ(kept[1].count(), kMaxQueuedEvents - 1);
  EXPECT_EQ(kept[1].old_value(), "old2");
  EXPECT_EQ(kept[1].new_value(), absl::StrCat("new", kMaxQueuedEvents));
  EXPECT_EQ(kept[2].sequence(), kMaxQueuedEvents + 1);
}

TEST(CompactEvents, KeepsFirstLastAndCountOfEachSettingOverAndOver) {
  std::vector<v1::DriftEvent> events;
  for (std::uint64_t i = 1; i <= 10; ++i) events.push_back(Event(i, i % 2 == 0 ? "even" : "odd"));
  events = CompactEvents(events, 0);
  ASSERT_THAT(events, SizeIs(6));
  events.push_back(Event(11, "odd"));
  events.push_back(Event(13, "odd"));
  events = CompactEvents(events, 0);
  std::uint64_t odd = 0;
  for (const v1::DriftEvent& event : events) {
    if (event.setting() != "odd") continue;
    odd += event.kind() == v1::DriftEvent::KIND_COMPACTED ? event.count() : 1;
  }
  EXPECT_EQ(odd, 7u);
  EXPECT_EQ(events.front().sequence(), 1u);
  EXPECT_EQ(events.back().sequence(), 13u);
  EXPECT_THAT(events, SizeIs(6));
}

// Events that the server kept, with their Ack on its way, were told again inside a COMPACTED one.
TEST_F(State, FoldsNothingThatWasSent) {
  ASSERT_THAT(state->Record({}, {Event(1, "x"), Event(2, "x"), Event(3, "x")}), IsOk());
  ASSERT_THAT(state->TakeReportSequence(3), IsOk());
  Reopen();
  std::vector<v1::DriftEvent> events;
  for (std::uint64_t i = 4; i <= kMaxQueuedEvents + 1; ++i) events.push_back(Event(i, "x"));
  ASSERT_THAT(state->Record({}, events), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::DriftEvent> kept, state->Events(20000));
  ASSERT_THAT(kept, SizeIs(6));
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(kept[i].kind(), v1::DriftEvent::KIND_DRIFTED);
  EXPECT_EQ(kept[4].count(), kMaxQueuedEvents - 4);
}

// The end of the first drift was folded, so that the server showed it as open for ever.
TEST(CompactEvents, LeavesNoDriftWithoutItsEnd) {
  std::vector<v1::DriftEvent> events;
  for (std::uint64_t i = 1; i <= 20; ++i) {
    events.push_back(Event(i, "x"));
    if (i % 2 != 0) continue;
    events.back().set_kind(v1::DriftEvent::KIND_CORRECTED);
    events.back().set_drift_sequence(i - 1);
  }
  for (int round = 0; round < 2; ++round) {
    events = CompactEvents(events, 0);
    ASSERT_THAT(events, SizeIs(5));
    EXPECT_EQ(events[1].drift_sequence(), 1u);
    EXPECT_EQ(events[2].kind(), v1::DriftEvent::KIND_COMPACTED);
    EXPECT_EQ(events[2].count(), 16u);
    EXPECT_EQ(events[4].drift_sequence(), events[3].sequence());
  }
}

TEST_F(State, BeginsAnEpochThatKnowsOfNoReport) {
  ASSERT_THAT(state->Record({}, {Event(1, "x")}), IsOk());
  ASSERT_THAT(state->Acknowledge(9, HostState(), 0, absl::FromUnixSeconds(5)), IsOk());
  const std::string before = state->epoch();
  ASSERT_THAT(state->BeginEpoch(*random, {}), IsOk());
  const std::string after = state->epoch();
  EXPECT_NE(after, before);
  Reopen();
  EXPECT_EQ(state->epoch(), after);
  EXPECT_EQ(state->acknowledged(), 0u);
  EXPECT_FALSE(state->acknowledged_state().has_value());
  EXPECT_THAT(*state->Events(10), SizeIs(1));
}

TEST_F(State, BeginsAnEpochWithWhatIsOpenInItsQueueOnce) {
  TrackedSettings tracked;
  tracked["enforce y"].drift = 2;
  tracked["enforce y"].start = Event(2, "y");
  ASSERT_THAT(state->Record(tracked, {Event(1, "x"), Event(2, "y"), Event(3, "z")}), IsOk());
  Reopen();
  const TrackedSetting kept = state->Tracked()->at("enforce y");
  ASSERT_TRUE(kept.start.has_value());
  EXPECT_EQ(kept.start->new_value(), "new2");
  for (const std::uint64_t acknowledged : {std::uint64_t{0}, std::uint64_t{2}}) {
    ASSERT_THAT(state->Acknowledge(9, HostState(), acknowledged, absl::FromUnixSeconds(5)), IsOk());
    ASSERT_THAT(state->BeginEpoch(*random, tracked), IsOk());
    Reopen();
    EXPECT_EQ(state->next_event(), 4u);
    ASSERT_OK_AND_ASSIGN(const std::vector<v1::DriftEvent> events, state->Events(10));
    std::vector<std::uint64_t> queued;
    for (const v1::DriftEvent& event : events) queued.push_back(event.sequence());
    if (acknowledged == 0) {
      EXPECT_THAT(queued, ElementsAre(1, 2, 3));
    } else {
      EXPECT_THAT(queued, ElementsAre(2, 3));
    }
  }
}

// A queue that is full when an epoch begins is cut as ever.
TEST_F(State, BeginsAnEpochWithAQueueThatIsNoLongerThanItMayBe) {
  ASSERT_THAT(state->Record({}, {Event(1, "y")}), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::uint64_t report, state->TakeReportSequence(1));
  ASSERT_THAT(state->Acknowledge(report, HostState(), 1, absl::FromUnixSeconds(5)), IsOk());
  std::vector<v1::DriftEvent> events;
  for (std::uint64_t i = 2; i < 2 + kMaxQueuedEvents; ++i) events.push_back(Event(i, "x"));
  ASSERT_THAT(state->Record({}, events), IsOk());
  ASSERT_EQ(*state->EventCount(), kMaxQueuedEvents);
  TrackedSettings tracked;
  tracked["enforce y"].drift = 1;
  tracked["enforce y"].start = Event(1, "y");
  ASSERT_THAT(state->BeginEpoch(*random, tracked), IsOk());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::DriftEvent> kept, state->Events(10));
  ASSERT_THAT(kept, SizeIs(4));
  EXPECT_EQ(kept[0].setting(), "y");
  EXPECT_EQ(kept[1].new_value(), "new2");
  EXPECT_EQ(kept[2].count(), kMaxQueuedEvents - 2);
  EXPECT_EQ(kept[3].new_value(), absl::StrCat("new", kMaxQueuedEvents + 1));
}

TEST_F(State, KeepsOneBootSnapshot) {
  v1::Observation observation;
  observation.add_warnings("w");
  ASSERT_THAT(state->SetBootSnapshot("boot-1", observation), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(const auto same, state->BootSnapshot("boot-1"));
  ASSERT_TRUE(same.has_value());
  EXPECT_THAT(same->warnings(), ElementsAre("w"));
  EXPECT_FALSE(state->BootSnapshot("boot-2")->has_value());
}

TEST_F(State, RemembersHowTheConnectionStands) {
  ASSERT_THAT(state->SetConnected(absl::FromUnixSeconds(10)), IsOk());
  ASSERT_THAT(state->SetDisconnected("why", absl::FromUnixSeconds(20)), IsOk());
  ASSERT_THAT(state->SetDisconnected("again", absl::FromUnixSeconds(30)), IsOk());
  Reopen();
  ASSERT_OK_AND_ASSIGN(const ConnectionState connection, state->Connection());
  EXPECT_FALSE(connection.connected);
  EXPECT_EQ(connection.since, absl::FromUnixSeconds(20));
  EXPECT_EQ(connection.last_error, "again");
  EXPECT_EQ(connection.last_error_at, absl::FromUnixSeconds(30));
}

// Status said "last error: stopped" of an agent that had been refused for days.
TEST_F(State, AStopKeepsTheLastError) {
  ASSERT_THAT(state->SetConnected(absl::FromUnixSeconds(10)), IsOk());
  ASSERT_THAT(state->SetNotConnected(absl::FromUnixSeconds(15)), IsOk());
  EXPECT_EQ(state->Connection()->since, absl::FromUnixSeconds(15));
  ASSERT_THAT(state->SetDisconnected("refused", absl::FromUnixSeconds(20)), IsOk());
  ASSERT_THAT(state->SetNotConnected(absl::FromUnixSeconds(30)), IsOk());
  ASSERT_OK_AND_ASSIGN(const ConnectionState connection, state->Connection());
  EXPECT_FALSE(connection.connected);
  EXPECT_EQ(connection.since, absl::FromUnixSeconds(15));
  EXPECT_EQ(connection.last_error, "refused");
  EXPECT_EQ(connection.last_error_at, absl::FromUnixSeconds(20));
}

TEST_F(State, CanBeLookedAtWhileItIsWritten) {
  ASSERT_THAT(state->PutPolicies({{"a", 3, "d", "y"}}), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto reader, AgentState::OpenReadOnly(folder.File("state.db")));
  EXPECT_THAT(*reader->Policies(), SizeIs(1));
  ASSERT_THAT(state->PutPolicies({}), IsOk());
  EXPECT_THAT(*reader->Policies(), IsEmpty());
}

TEST(AgentStateFile, SaysWhenThereIsNone) {
  TempFolder folder;
  EXPECT_THAT(AgentState::OpenReadOnly(folder.File("state.db")).status(),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("dumpwarden-agent run")));
}

}  // namespace
}  // namespace dumpwarden
