// SPDX-License-Identifier: Apache-2.0
// Who sends too much is read later: at the limit, one above it, and a hundred
// times; an honest agent never notices.
#include "server/fleet/rate.h"

#include "tests/server/fleet/fleet_rig.h"

namespace dumpwarden {
namespace {

using testing::Each;
using testing::IsEmpty;
using testing::SizeIs;

TEST(Spending, AllowsTenSecondsAtOnceAndFillsUpEvenly) {
  const absl::Duration now = absl::Hours(1);
  Spending spending;
  EXPECT_TRUE(spending.MayGoOn(now));
  EXPECT_TRUE(spending.IsForgotten(now));
  for (int i = 0; i < 199; ++i) spending.Add(1, 20, now);
  EXPECT_TRUE(spending.MayGoOn(now)) << "the two-hundredth may be read";
  spending.Add(1, 20, now);
  EXPECT_FALSE(spending.MayGoOn(now));
  EXPECT_FALSE(spending.MayGoOn(now));
  EXPECT_TRUE(spending.MayGoOn(now + absl::Milliseconds(50)));
  EXPECT_FALSE(spending.IsForgotten(now + absl::Milliseconds(9999)));
  EXPECT_TRUE(spending.IsForgotten(now + absl::Seconds(10)));
}

TEST(Spending, CountsBytesAsWork) {
  EXPECT_EQ(CostOf(0), 1);
  EXPECT_EQ(CostOf(64 * 1024 - 1), 1);
  EXPECT_EQ(CostOf(64 * 1024), 2);
  EXPECT_EQ(CostOf(1024 * 1024), 17);
}

class Rate : public FleetRig {
 protected:
  static constexpr int kBurst = 200;  // ten seconds of twenty

  v1::AgentMessage CheckIn() { return v1::AgentMessage(checking_in_); }
  // As gRPC does it: a message is there only when the fleet asked for one.
  int SendWhileRead(SessionId session, CountingStream& stream, int at_most) {
    int sent = 0;
    int allowed = stream.reads();
    while (sent < at_most) {
      fleet_->OnMessage(session, CheckIn());
      ++sent;
      if (stream.reads() == allowed) break;
      allowed = stream.reads();
    }
    return sent;
  }

 private:
  const v1::AgentMessage checking_in_ = [] {
    v1::AgentMessage message;
    message.mutable_check_in()->set_sequence(1);
    return message;
  }();
};

TEST_F(Rate, IsReadUpToTheLimitAndNotOnceMore) {
  const struct {
    const char* why;
    int wanted;
    int read;
    bool withheld;
  } cases[] = {
      // A session and its Hello count by themselves.
      {"below the limit", kBurst - 1, kBurst - 1, false},
      {"at the limit: what comes next waits", kBurst, kBurst, true},
      {"one above", kBurst + 1, kBurst, true},
      {"a hundred times", 100 * kBurst, kBurst, true},
  };
  int number = 0;
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    CountingStream stream;
    const SessionId session = Join(Enroll(++number), stream);
    EXPECT_EQ(SendWhileRead(session, stream, test.wanted), test.read);
    fleet_->Tick();
    EXPECT_EQ(stream.reads(), test.withheld ? test.read : test.read + 1);
    EXPECT_EQ(stream.goodbye().reason(), v1::Goodbye::REASON_UNSPECIFIED) << "slower, not away";
    fleet_->OnClosed(session);
  }
}

TEST_F(Rate, GoesOnAtTwentyASecondWithOneThatNeverStops) {
  CountingStream stream;
  const SessionId session = Join(Enroll(1), stream);
  SendWhileRead(session, stream, 100 * kBurst);
  int read = 0;
  for (int second = 0; second < 60; ++second) {
    clock_.Advance(absl::Seconds(1));
    const int before = stream.reads();
    fleet_->Tick();
    ASSERT_EQ(stream.reads(), before + 1);
    read += SendWhileRead(session, stream, 100 * kBurst);
  }
  EXPECT_EQ(read, 60 * 20);
  EXPECT_THAT(refused_, Each(absl::StrCat("rate ", UuidOf(1))));
  EXPECT_THAT(refused_, SizeIs(60)) << "what a tick says, not what a message does";
}

TEST_F(Rate, StaysWithTheIdentityWhenItComesAnew) {
  const HostRow host = Enroll(1);
  CountingStream first;
  const SessionId session = Join(host, first);
  SendWhileRead(session, first, 100 * kBurst);
  fleet_->OnClosed(session);
  ASSERT_THAT(fleet_->CheckRoom(host), IsOk());
  CountingStream second;
  const SessionId anew = Join(host, second);
  EXPECT_EQ(second.reads(), 0) << "its Hello was read, and nothing more";
  clock_.Advance(absl::Seconds(1));
  fleet_->Tick();
  EXPECT_EQ(SendWhileRead(anew, second, 100 * kBurst), 20);
}

TEST_F(Rate, HasNothingToDoWithOtherHosts) {
  CountingStream flooding, honest;
  const SessionId flood = Join(Enroll(1), flooding);
  SendWhileRead(flood, flooding, 100 * kBurst);
  const HostRow host = Enroll(2);
  EXPECT_THAT(fleet_->CheckRoom(host), IsOk());
  const SessionId session = Join(host, honest);
  EXPECT_EQ(SendWhileRead(session, honest, 100), 100);
}

TEST_F(Rate, RefusesAStormOfOpenings) {
  const HostRow host = Enroll(1);
  int opened = 0;
  for (int i = 0; i < 100 * kBurst / kOpeningCost; ++i) {
    if (!fleet_->CheckRoom(host).ok()) continue;
    CountingStream stream;
    fleet_->OnClosed(Open(host, stream));
    ++opened;
  }
  EXPECT_EQ(opened, kBurst / kOpeningCost);
  EXPECT_THAT(fleet_->CheckRoom(host),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::HasSubstr("faster")));
  fleet_->Tick();
  EXPECT_THAT(refused_, SizeIs(99 * kBurst / kOpeningCost + 1)) << "each is counted";
  clock_.Advance(absl::Seconds(10));
  EXPECT_THAT(fleet_->CheckRoom(host), IsOk());
}

// A week without a server, all of it told at once: facts, the whole state, 10,000 events.
TEST_F(Rate, NeverSlowsTheLongestBacklogOfAnHonestHost) {
  CountingStream stream;
  const SessionId session = Join(Enroll(1), stream);
  v1::AgentMessage facts;
  facts.mutable_facts()->mutable_os()->set_build(20348);
  ASSERT_TRUE(Tell(session, stream, facts));
  v1::AgentMessage request;
  request.mutable_policy_request();
  ASSERT_TRUE(Tell(session, stream, request));
  const HostState state;
  std::uint64_t event_sequence = 0;
  for (std::uint64_t sequence = 1; sequence <= 10; ++sequence) {
    v1::Report report = MakeReport(sequence == 1 ? nullptr : &state, state);
    for (int i = 0; i < 1000; ++i) {
      v1::DriftEvent& event = *report.add_events();
      event.set_sequence(++event_sequence);
      event.set_kind(v1::DriftEvent::KIND_DRIFTED);
      event.set_mode(v1::MODE_ENFORCE);
      event.set_setting(absl::StrCat("setting.", i));
      event.set_new_value(std::string(950, 'x'));
    }
    const int reads = stream.reads();
    fleet_->OnMessage(session, ReportMessage(std::move(report), sequence, state));
    ASSERT_TRUE(stream.AwaitAnswer(reads + 1)) << "report " << sequence << " was slowed";
    ASSERT_EQ(stream.ack().sequence(), sequence) << stream.goodbye().message();
  }
  fleet_->Tick();
  EXPECT_THAT(refused_, IsEmpty());
}

// A registry that another program changes all day: ten reports a second, the fastest that an agent
// is.
TEST_F(Rate, NeverSlowsAnAgentThatReportsAsFastAsAgentsDo) {
  CountingStream stream;
  const SessionId session = Join(Enroll(1), stream);
  for (int i = 0; i < 2 * 600; ++i) {
    clock_.Advance(absl::Milliseconds(100));
    ASSERT_EQ(SendWhileRead(session, stream, 1), 1);
    ASSERT_EQ(stream.reads(), i + 2);
  }
  fleet_->Tick();
  EXPECT_THAT(refused_, IsEmpty());
}

}  // namespace
}  // namespace dumpwarden
