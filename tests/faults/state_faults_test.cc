// SPDX-License-Identifier: Apache-2.0
// The agent's state under a SQLite without memory, disk or room.
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/drift.h"
#include "agent/state.h"
#include "tests/faults/sqlite_loop.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

// The same bytes every time, so that two runs end alike.
class SameRandom : public Random {
 public:
  std::string Bytes(std::size_t count) override { return std::string(count, 'r'); }
  double Fraction() override { return 0; }
};
SameRandom same_random;

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

v1::DriftEvent Event(std::uint64_t sequence) {
  v1::DriftEvent event;
  event.set_sequence(sequence);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_setting("dump.type");
  event.set_mode(v1::MODE_ENFORCE);
  event.set_new_value(absl::StrCat("new", sequence));
  return event;
}

TrackedSettings Tracked(const std::string& configured, std::uint64_t drift) {
  TrackedSettings tracked;
  for (const char* setting : {"dump.type", "dump.overwrite"}) {
    TrackedSetting& row = tracked[absl::StrCat("enforce ", setting)];
    row.finding.set_setting(setting);
    row.finding.set_configured(configured);
    row.drift = drift++;
    row.drifted_value = configured;
    row.agreed = "kernel";
  }
  return tracked;
}

HostState Acknowledged() {
  HostState state;
  state.observation.add_warnings("the hive is dirty");
  state.findings.emplace_back().set_setting("dump.type");
  return state;
}

class StateFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() { InstallSqliteFaults(); }

  static void Seed(const Path& path) {
    const auto state = AgentState::Open(path, same_random);
    ASSERT_THAT(state, IsOk());
    ASSERT_THAT((*state)->ActAs("first", same_random), IsOk());
    ASSERT_THAT((*state)->PutPolicies({{"base", 3, "digest", "yaml"}}), IsOk());
    ASSERT_THAT((*state)->Record(Tracked("none", 1), {Event(1), Event(2)}), IsOk());
    ASSERT_THAT((*state)->TakeReportSequence(1), IsOk());
    ASSERT_THAT((*state)->SetBootSnapshot("boot-1", Acknowledged().observation), IsOk());
    ASSERT_THAT((*state)->SetDisconnected("no route", kNow), IsOk());
  }

  // `run` on a state that is open; its numbers must be those of the file.
  void Loop(std::function<Answer(AgentState&)> run, int least_memory, int least_disk,
            int least_full) {
    FaultCase operation;
    operation.seed = Seed;
    operation.open = [this](const Path& path) -> absl::Status {
      ASSIGN_OR_RETURN(state_, AgentState::Open(path, same_random));
      return absl::OkStatus();
    };
    operation.close = [this] { state_.reset(); };
    operation.run = OnePart([this, run = std::move(run)](const Path&) -> Answer {
      ASSIGN_OR_RETURN(const std::string answer, run(*state_));
      return absl::StrCat(answer, " ", state_->next_event(), " ", state_->next_report(), " ",
                          state_->acknowledged(), " ", state_->epoch(), " ",
                          state_->acknowledged_state().has_value());
    });
    operation.warm = true;
    operation.least_memory = least_memory;
    operation.least_disk = least_disk;
    operation.least_full = least_full;
    LoopOver(operation);
  }
  void LoopStatus(std::function<absl::Status(AgentState&)> run, int least_memory = 20,
                  int least_disk = 8, int least_full = 3) {
    Loop(
        [run = std::move(run)](AgentState& state) -> Answer {
          RETURN_IF_ERROR(run(state));
          return "";
        },
        least_memory, least_disk, least_full);
  }

  std::unique_ptr<AgentState> state_;
};

TEST_F(StateFaults, RecordsDriftAsAWhole) {
  LoopStatus([](AgentState& state) {
    return state.Record(Tracked("small", 3), {Event(3), Event(4)});
  });
}

TEST_F(StateFaults, KeepsPoliciesAsASet) {
  LoopStatus([](AgentState& state) {
    return state.PutPolicies({{"base", 4, "digest4", "yaml4"}, {"more", 1, "d", "y"}}, "line 1");
  });
}

TEST_F(StateFaults, TakesAnAcknowledgementAsAWhole) {
  LoopStatus([](AgentState& state) { return state.Acknowledge(1, Acknowledged(), 1, kNow); });
}

TEST_F(StateFaults, GivesANumberOutOnce) {
  Loop(
      [](AgentState& state) -> Answer {
        ASSIGN_OR_RETURN(const std::uint64_t number, state.TakeReportSequence(2));
        return absl::StrCat(number);
      },
      20, 8, 3);
}

TEST_F(StateFaults, BeginsAnEpoch) {
  LoopStatus([](AgentState& state) -> absl::Status {
    ASSIGN_OR_RETURN(TrackedSettings tracked, state.Tracked());
    MakeUpStarts(tracked, kNow);
    return state.BeginEpoch(same_random, tracked);
  });
}

TEST_F(StateFaults, ActsAsAnotherHostAsAWhole) {
  LoopStatus([](AgentState& state) { return state.ActAs("second", same_random).status(); });
}

TEST_F(StateFaults, KeepsItsSmallFacts) {
  LoopStatus([](AgentState& state) { return state.SetPolicyProblems("line 1"); });
  LoopStatus([](AgentState& state) { return state.SetReconnectWindow(absl::Minutes(5)); });
  LoopStatus([](AgentState& state) { return state.SetConnected(kNow); });
  LoopStatus([](AgentState& state) { return state.SetDisconnected("gone", kNow); });
  LoopStatus([](AgentState& state) {
    return state.SetBootSnapshot("boot-2", Acknowledged().observation);
  });
}

// In a transaction that could not be rolled back a later statement was answered, and lost.
TEST_F(StateFaults, WhatIsWrittenAfterAFailureIsNoPartOfIt) {
  for (int nth = 1; nth <= 60; nth += 3) {
    SCOPED_TRACE(nth);
    TempFolder folder;
    const Path path = folder.File("state.db");
    Seed(path);
    ASSERT_OK_AND_ASSIGN(auto state, AgentState::Open(path, same_random));
    FailSqlite(SqliteFault::kMemory, nth, 1'000'000);
    EXPECT_FALSE(state->Record(Tracked("small", 3), {Event(3)}).ok());
    EXPECT_GT(StopFailingSqlite(), 0);
    ASSERT_THAT(state->SetPolicyProblems("told later"), IsOk());
    state.reset();
    ASSERT_OK_AND_ASSIGN(state, AgentState::Open(path, same_random));
    EXPECT_EQ(state->PolicyProblems().value(), "told later");
    EXPECT_EQ(state->EventCount().value(), 2u);
  }
}

// Of the loops, too, which otherwise would not notice: closing a file syncs nothing.
TEST_F(StateFaults, WhatIsClosedIsNotSynced) {
  ForgetUnsyncedSqliteFiles();
  TempFolder folder;
  for (const char* synchronous : {"FULL", "OFF"}) {
    ASSERT_OK_AND_ASSIGN(auto db,
                         Database::Open(folder.File(synchronous), Database::Durability::kFull));
    ASSERT_THAT(db->Execute(absl::StrCat("PRAGMA synchronous=", synchronous)), IsOk());
    ASSERT_THAT(db->Execute("CREATE TABLE t(x)"), IsOk());
    db.reset();
    EXPECT_EQ(UnsyncedSqliteFiles() > 0, absl::string_view(synchronous) == "OFF");
  }
  ForgetUnsyncedSqliteFiles();
}

TEST_F(StateFaults, AStatementOfBeforeAFailureIsNoPartOfIt) {
  int left_open = 0;
  for (int nth = 1; nth <= 30; ++nth) {
    SCOPED_TRACE(nth);
    TempFolder folder;
    const Path path = folder.File("test.db");
    ASSERT_OK_AND_ASSIGN(auto db, Database::Open(path, Database::Durability::kFull));
    ASSERT_THAT(db->Execute("CREATE TABLE t(x)"), IsOk());
    ASSERT_OK_AND_ASSIGN(Statement put, db->Prepare("INSERT INTO t VALUES(?)"));
    const absl::Status failed = db->Transaction([&] {
      EXPECT_THAT(db->Execute("INSERT INTO t VALUES(1)"), IsOk());
      FailSqlite(SqliteFault::kMemory, nth, 1'000'000);
      return absl::InternalError("failed");
    });
    EXPECT_FALSE(failed.ok());
    left_open += static_cast<int>(StopFailingSqlite() > 0);
    ASSERT_THAT(put.Bind(1, std::int64_t{2}).Run(), IsOk());
    ASSERT_OK_AND_ASSIGN(auto reader, Database::OpenReadOnly(path));
    ASSERT_OK_AND_ASSIGN(Statement get, reader->Prepare("SELECT x FROM t"));
    ASSERT_TRUE(get.Step().value()) << "answered, and lost";
    EXPECT_EQ(get.Int(0), 2);
  }
  EXPECT_GT(left_open, 0);
}

TEST_F(StateFaults, ReadsRightOrSaysThatItCannot) {
  Loop(
      [](AgentState& state) -> Answer {
        std::string all;
        ASSIGN_OR_RETURN(const std::vector<StoredPolicy> policies, state.Policies());
        for (const StoredPolicy& policy : policies) {
          absl::StrAppend(&all, policy.name, policy.version, policy.digest, policy.yaml, "\n");
        }
        ASSIGN_OR_RETURN(const std::optional<SeenVersion> seen, state.HighestSeen("base"));
        if (seen.has_value()) absl::StrAppend(&all, seen->version, seen->digest);
        ASSIGN_OR_RETURN(const TrackedSettings tracked, state.Tracked());
        for (const auto& [key, row] : tracked) {
          absl::StrAppend(&all, key, row.finding.ShortDebugString(), row.drift, row.drifted_value,
                          row.agreed.value_or("-"), "\n");
        }
        ASSIGN_OR_RETURN(const std::vector<v1::DriftEvent> events, state.Events(10));
        for (const v1::DriftEvent& event : events) absl::StrAppend(&all, event.ShortDebugString());
        ASSIGN_OR_RETURN(const std::size_t count, state.EventCount());
        ASSIGN_OR_RETURN(const auto snapshot, state.BootSnapshot("boot-1"));
        absl::StrAppend(&all, count, snapshot.has_value() ? snapshot->ShortDebugString() : "-");
        ASSIGN_OR_RETURN(const ConnectionState connection, state.Connection());
        absl::StrAppend(&all, connection.last_error, absl::FormatTime(connection.last_error_at));
        return all;
      },
      30, 3, 0);
}

TEST_F(StateFaults, CompactsItsQueueAsAWhole) {
  FaultCase operation;
  operation.seed = [](const Path& path) {
    const auto state = AgentState::Open(path, same_random);
    ASSERT_THAT(state, IsOk());
    std::vector<v1::DriftEvent> events;
    for (std::size_t i = 1; i <= kMaxQueuedEvents; ++i) events.push_back(Event(i));
    ASSERT_THAT((*state)->Record({}, events), IsOk());
  };
  operation.open = [this](const Path& path) -> absl::Status {
    ASSIGN_OR_RETURN(state_, AgentState::Open(path, same_random));
    return absl::OkStatus();
  };
  operation.close = [this] { state_.reset(); };
  operation.run = OnePart([this](const Path&) -> Answer {
    RETURN_IF_ERROR(state_->Record({}, {Event(kMaxQueuedEvents + 1)}));
    return "";
  });
  operation.skip = 4;
  operation.least_memory = 15;
  operation.least_disk = 10;
  operation.least_full = 8;
  LoopOver(operation);
}

TEST_F(StateFaults, OpensOrSaysThatItCannot) {
  FaultCase operation;
  operation.seed = [](const Path& path) { std::ofstream(path).flush(); };
  operation.open = [](const Path&) { return absl::OkStatus(); };
  operation.close = [] {};
  operation.run = OnePart([](const Path& path) -> Answer {
    ASSIGN_OR_RETURN(const std::unique_ptr<AgentState> state, AgentState::Open(path, same_random));
    return state->epoch();
  });
  operation.has_steps = true;
  operation.skip = 3;
  operation.least_memory = 15;
  operation.least_disk = 10;
  operation.least_full = 5;
  LoopOver(operation);
}

}  // namespace
}  // namespace dumpwarden
