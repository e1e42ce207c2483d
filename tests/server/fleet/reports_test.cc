// SPDX-License-Identifier: Apache-2.0
// Hosts whose state went back, and reports that were overtaken, on the real
// fleet and store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/reconcile/state_digest.h"
#include "platform/sqlite.h"
#include "platform/system.h"
#include "server/fleet/fleet.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using ::testing::SizeIs;

constexpr char kUuid[] = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

class AckStream final : public SessionOut {
 public:
  void Send(std::shared_ptr<const std::string> bytes) override {
    v1::ServerMessage message;
    EXPECT_TRUE(message.ParseFromString(*bytes));
    const std::lock_guard lock(mutex_);
    if (message.has_ack()) acks_.push_back(message.ack());
    changed_.notify_all();
  }
  void SendLatest(std::shared_ptr<const std::string>) override {}
  void Close(const v1::Goodbye& goodbye) override {
    const std::lock_guard lock(mutex_);
    goodbye_ = goodbye.message();
    changed_.notify_all();
  }
  void Abort() override {}
  void ReadNext() override {}

  std::string AwaitGoodbye() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10), [&] { return !goodbye_.empty(); });
    EXPECT_TRUE(acks_.empty());
    return goodbye_;
  }
  v1::Ack TakeAck() {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, std::chrono::seconds(10),
                      [&] { return !acks_.empty() || !goodbye_.empty(); });
    EXPECT_EQ(goodbye_, "");
    return acks_.empty() ? v1::Ack() : std::exchange(acks_, {}).back();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::Ack> acks_;
  std::string goodbye_;
};

HostState StateOf(const std::string& configured) {
  HostState state;
  v1::Finding& finding = state.findings.emplace_back();
  finding.set_setting("dump.type");
  finding.set_status(v1::STATUS_DRIFTED);
  finding.set_mode(v1::MODE_ENFORCE);
  finding.set_configured(configured);
  return state;
}

v1::AgentMessage ReportOf(std::uint64_t sequence, const HostState& after,
                          const HostState* before = nullptr, char epoch = 'e') {
  v1::AgentMessage message;
  v1::Report& report = *message.mutable_report();
  report = MakeReport(before, after);
  report.set_epoch(std::string(16, epoch));
  report.set_sequence(sequence);
  report.set_state_digest(StateDigest(after));
  return message;
}

void AddEvent(v1::AgentMessage& message, std::uint64_t sequence, const std::string& value) {
  v1::DriftEvent& event = *message.mutable_report()->add_events();
  event.set_sequence(sequence);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_mode(v1::MODE_ENFORCE);
  event.set_setting("dump.type");
  event.set_new_value(value);
}

class FleetReports : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    fleet_ = MakeFleet(*store_, clock_, *random_, {});
    const Audit audit{"test", "", "test", kUuid, "", "", ""};
    ASSERT_THAT(store_->CreateToken({"t", "digest", {}, "", clock_.Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow host;
    host.uuid = kUuid;
    host.name = "web-01";
    host.host_key = kUuid;
    ASSERT_THAT(store_->EnrollHost("t", "digest", host, clock_.Now(), audit), IsOk());
    session_ = fleet_->OnOpened(*store_->FindHost(kUuid), absl::InfiniteFuture(), stream_);
    Greet("", 0);
  }
  void Greet(const std::string& epoch, std::uint64_t acknowledged) {
    v1::AgentMessage hello;
    hello.mutable_hello()->set_epoch(epoch);
    hello.mutable_hello()->set_acknowledged(acknowledged);
    hello.mutable_hello()->set_protocol_min(1);
    hello.mutable_hello()->set_protocol_max(1);
    hello.mutable_hello()->set_agent_version("0.1.0");
    hello.mutable_hello()->set_instance("one");
    fleet_->OnMessage(session_, hello);
  }
  v1::Ack AckTo(v1::AgentMessage message) {
    fleet_->OnMessage(session_, std::move(message));
    return stream_.TakeAck();
  }
  std::vector<v1::Drift> Drifts() { return *store_->ListDrift({}); }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Store> store_;
  AckStream stream_;
  std::unique_ptr<Fleet> fleet_;
  SessionId session_ = 0;
};

// P7: acknowledged is durable.
TEST_F(FleetReports, AcknowledgesNothingThatWasNotCommitted) {
  {
    ASSERT_OK_AND_ASSIGN(const auto db,
                         Database::Open(temp_.File("store.db"), Database::Durability::kFull));
    ASSERT_THAT(db->Execute("CREATE TRIGGER broken BEFORE INSERT ON finding BEGIN "
                            "SELECT RAISE(ABORT, 'disk full'); END"),
                IsOk());
  }
  fleet_->OnMessage(session_, ReportOf(1, StateOf("small")));
  EXPECT_THAT(stream_.AwaitGoodbye(), testing::HasSubstr("cannot write its store"));
}

// It was "cannot write its store" and a new connection, until the number had passed the old one.
TEST_F(FleetReports, TellsAHostWhoseStateWentBackWhichNumberIsKept) {
  AckTo(ReportOf(9, StateOf("small")));
  for (const std::uint64_t sequence : {4u, 9u}) {
    const v1::Ack ack = AckTo(ReportOf(sequence, StateOf("none")));
    EXPECT_TRUE(ack.want_full());
    EXPECT_EQ(ack.sequence(), 9u);
    EXPECT_EQ(ack.epoch(), std::string(16, 'e'));
  }
  EXPECT_EQ(StateDigest(*store_->ReadState(1)), StateDigest(StateOf("small")));
}

// Events under used numbers were acknowledged, and in no row.
TEST_F(FleetReports, AcknowledgesNoEventWhoseNumberStandsForAnother) {
  const HostState state = StateOf("small");
  v1::AgentMessage first = ReportOf(1, state);
  AddEvent(first, 1, "small");
  EXPECT_FALSE(AckTo(first).want_full());
  v1::AgentMessage reused = ReportOf(2, state);
  AddEvent(reused, 1, "none");
  const v1::Ack refused = AckTo(reused);
  EXPECT_TRUE(refused.want_full());
  EXPECT_EQ(refused.sequence(), 2u) << "the agent's own number: it begins an epoch";
  v1::AgentMessage repeat = ReportOf(1, state);
  AddEvent(repeat, 1, "none");
  EXPECT_TRUE(AckTo(repeat).want_full());
  EXPECT_THAT(Drifts(), SizeIs(1));
  v1::AgentMessage anew = ReportOf(1, state, nullptr, 'f');
  AddEvent(anew, 1, "none");
  EXPECT_FALSE(AckTo(anew).want_full());
  EXPECT_THAT(Drifts(), SizeIs(2));
}

// A host that was set back twice to one copy sent full reports for ever.
TEST_F(FleetReports, TellsAHostThatWentBackToAnOlderEpochThatItsNumberIsTaken) {
  const HostState state = StateOf("small");
  v1::AgentMessage first = ReportOf(5, state);
  AddEvent(first, 1, "small");
  AckTo(first);
  AckTo(ReportOf(1, state, nullptr, 'f'));
  v1::AgentMessage back = ReportOf(2, state);
  AddEvent(back, 1, "none");
  const v1::Ack ack = AckTo(back);
  EXPECT_TRUE(ack.want_full());
  EXPECT_EQ(ack.epoch(), std::string(16, 'e')) << "its own: it begins an epoch";
  EXPECT_EQ(ack.sequence(), 2u);
}

TEST_F(FleetReports, KeepsOnceWhatANewEpochTellsAgainAndEndsItThere) {
  const HostState state = StateOf("small");
  v1::AgentMessage first = ReportOf(1, state);
  AddEvent(first, 1, "small");
  AckTo(first);
  v1::AgentMessage anew = ReportOf(2, state, nullptr, 'f');
  AddEvent(anew, 1, "small");
  AddEvent(anew, 2, "small");
  v1::DriftEvent& end = *anew.mutable_report()->mutable_events(1);
  end.set_kind(v1::DriftEvent::KIND_RESOLVED);
  end.set_drift_sequence(1);
  EXPECT_FALSE(AckTo(anew).want_full());
  ASSERT_THAT(Drifts(), SizeIs(1));
  EXPECT_EQ(Drifts()[0].state(), "resolved");
  DriftQuery follow;
  follow.after_cursor = Drifts()[0].cursor();
  ASSERT_THAT(*store_->ListDrift(follow), SizeIs(1));
  EXPECT_EQ(store_->ListDrift(follow)->front().state(), "resolved");
}

// Seed 43 of the simulation: the host had told the end to the server that was lost.
TEST_F(FleetReports, LeavesNoDriftOpenWhoseEndIsNotInTheBackupThatWasRestored) {
  v1::AgentMessage first = ReportOf(1, StateOf("small"));
  AddEvent(first, 1, "small");
  AckTo(first);
  fleet_->OnClosed(session_);
  session_ = fleet_->OnOpened(*store_->FindHost(kUuid), absl::InfiniteFuture(), stream_);
  Greet(std::string(16, 'e'), 7);
  HostState over = StateOf("small");
  over.findings[0].set_status(v1::STATUS_COMPLIANT);
  const v1::Ack taken = AckTo(ReportOf(8, over));
  EXPECT_TRUE(taken.want_full());
  EXPECT_EQ(taken.sequence(), 8u) << "its own: it begins an epoch";
  EXPECT_FALSE(AckTo(ReportOf(9, over, nullptr, 'f')).want_full());
  ASSERT_THAT(Drifts(), SizeIs(1));
  EXPECT_EQ(Drifts()[0].state(), "resolved");
}

// A delta on N-1 was written over the rows of N, which was committed meanwhile.
TEST_F(FleetReports, WritesTheWholeStateWhenAnotherReportWasKeptMeanwhile) {
  const HostState one = StateOf("small");
  const HostState two = StateOf("none");
  HostState three = one;  // its delta says nothing of dump.type
  three.findings.emplace_back(one.findings[0]).set_setting("dump.overwrite");
  AckTo(ReportOf(1, one));
  const auto commit = [&](std::uint64_t sequence, const HostState& after, const HostState& base) {
    ReportCommit made;
    made.host = 1;
    made.base_epoch = made.epoch = std::string(16, 'e');
    made.base_sequence = 1;
    made.sequence = sequence;
    made.report = MakeReport(&base, after);
    made.state = after;
    made.state_digest = StateDigest(after);
    made.received = clock_.Now();
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    store_->CommitReport(made, [&](absl::Status status) {
      const std::lock_guard lock(mutex);
      EXPECT_THAT(status, IsOk());
      done = true;
      changed.notify_all();
    });
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return done; });
  };
  commit(2, two, one);
  commit(3, three, one);
  EXPECT_EQ(StateDigest(*store_->ReadState(1)), StateDigest(three));
}

}  // namespace
}  // namespace dumpwarden
