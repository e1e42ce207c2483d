// SPDX-License-Identifier: Apache-2.0
// Two hosts with one key are found out however much either of them sends: who
// is not read cannot answer a probe, and is not dead for that.
#include <deque>
#include <set>

#include "server/fleet/rate.h"
#include "tests/server/fleet/fleet_rig.h"

namespace dumpwarden {
namespace {

using testing::SizeIs;

v1::AgentMessage CheckIn() {
  v1::AgentMessage message;
  message.mutable_check_in()->set_sequence(1);
  return message;
}

// As large as a report may be.
v1::AgentMessage Mebibyte() {
  v1::AgentMessage message;
  v1::BootReport& boot = *message.mutable_boot_report();
  boot.GetReflection()->MutableUnknownFields(&boot)->AddLengthDelimited(
      15000, std::string(1024 * 1024, 'x'));
  return message;
}

class ProbeTest : public FleetRig {
 protected:
  void Serve(int messages_per_second) {
    FleetOptions options;
    options.messages_per_second = messages_per_second;
    Begin(std::move(options));
  }
  void JoinAsLive() {
    sent_.clear();
    read_ = 0;
    stream_ = std::make_unique<CountingStream>();
    live_ = Join(host_, *stream_);
    ASSERT_TRUE(stream_->welcomed());
  }
  // What the live one sends lies in the server's buffers until the fleet reads on.
  void LiveSends(v1::AgentMessage message) {
    sent_.push_back(std::move(message));
    ReadWhatMayBe();
  }
  void ReadWhatMayBe() {
    while (read_ < stream_->reads() && !sent_.empty()) {
      ++read_;
      fleet_->OnMessage(live_, std::move(sent_.front()));
      sent_.pop_front();
    }
  }
  void LiveAnswers() {
    ASSERT_FALSE(stream_->nonce().empty()) << "there was no probe";
    v1::AgentMessage reply;
    reply.mutable_probe_reply()->set_nonce(stream_->nonce());
    LiveSends(std::move(reply));
  }
  // A thief's loop.
  void OpenAsOftenAsItGoes() {
    for (int i = 0; i < 1000; ++i) {
      if (!fleet_->CheckRoom(host_).ok()) continue;
      CountingStream stream;
      fleet_->OnClosed(Open(host_, stream));
    }
  }
  void LetPass(absl::Duration time) {
    for (absl::Duration end = clock_.Monotonic() + time; clock_.Monotonic() < end;) {
      clock_.Advance(absl::Seconds(1));
      fleet_->Tick();
      ReadWhatMayBe();
    }
  }
  void ExpectBothQuarantined(CountingStream& newcomer) {
    EXPECT_EQ(stream_->goodbye().reason(), v1::Goodbye::REASON_QUARANTINED)
        << stream_->goodbye().message();
    EXPECT_EQ(newcomer.goodbye().reason(), v1::Goodbye::REASON_QUARANTINED);
    EXPECT_FALSE(newcomer.welcomed());
    ASSERT_OK_AND_ASSIGN(const HostRow row, store_->FindHost(host_.uuid));
    EXPECT_TRUE(row.quarantined);
  }

  HostRow host_;
  std::unique_ptr<CountingStream> stream_;  // of the live session
  SessionId live_ = 0;

 private:
  void SetUp() override {
    FleetRig::SetUp();
    host_ = Enroll(1);
  }

  std::deque<v1::AgentMessage> sent_;
  int read_ = 0;
};

TEST_F(ProbeTest, AStormOfOpeningsDoesNotSilenceTheLiveSession) {
  Serve(20);
  JoinAsLive();
  LetPass(absl::Minutes(1));
  OpenAsOftenAsItGoes();
  for (int i = 0; i < 100; ++i) {
    const int reads = stream_->reads();
    LiveSends(CheckIn());
    ASSERT_EQ(stream_->reads(), reads + 1) << i;
  }
}

TEST_F(ProbeTest, AFloodOfOpeningsStillQuarantines) {
  Serve(5);
  JoinAsLive();
  LetPass(absl::Minutes(1));
  OpenAsOftenAsItGoes();
  LiveSends(CheckIn());
  while (!fleet_->CheckRoom(host_).ok()) clock_.Advance(absl::Milliseconds(100));
  CountingStream newcomer;
  Join(host_, newcomer);
  LiveAnswers();
  for (int seconds = 0; seconds < 15; ++seconds) {
    clock_.Advance(absl::Seconds(1));
    OpenAsOftenAsItGoes();  // before the fleet looks around
    fleet_->Tick();
    ReadWhatMayBe();
  }
  ExpectBothQuarantined(newcomer);
}

TEST_F(ProbeTest, AFloodedBucketStillQuarantines) {
  const struct {
    const char* why;
    int messages_per_second;
    int waiting;  // reports of 1 MiB that were sent before the answer
  } cases[] = {{"none before it", 5, 0},
               {"one in flight", 5, 1},
               {"several", 5, 4},
               {"when each is paid for longer than a probe lasts", 1, 0}};
  int number = 1;
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    Serve(test.messages_per_second);
    host_ = Enroll(++number);
    CountingStream newcomer;
    JoinAsLive();
    for (int i = 0; i < 3; ++i) LiveSends(Mebibyte());
    for (int i = 0; i < test.waiting; ++i) LiveSends(Mebibyte());
    Join(host_, newcomer);
    LiveAnswers();
    LetPass(absl::Seconds(55));
    ExpectBothQuarantined(newcomer);
  }
}

TEST_F(ProbeTest, OneThatIsSilentAndWasReadTooMuchIsReplacedSoonAfterItIsReadAgain) {
  Serve(5);
  JoinAsLive();
  for (int i = 0; i < 4; ++i) LiveSends(Mebibyte());
  CountingStream newcomer;
  Join(host_, newcomer);
  LetPass(absl::Seconds(20));
  EXPECT_TRUE(newcomer.welcomed());
  EXPECT_EQ(stream_->goodbye().reason(), v1::Goodbye::REASON_REPLACED);
}

TEST_F(ProbeTest, OneThatFloodsInsteadOfAnsweringIsReplacedWithinAMinute) {
  Serve(5);
  JoinAsLive();
  CountingStream newcomer;
  for (int i = 0; i < 10; ++i) LiveSends(Mebibyte());
  Join(host_, newcomer);
  for (int seconds = 0; seconds < 59; ++seconds) {
    LiveSends(Mebibyte());
    LetPass(absl::Seconds(1));
  }
  EXPECT_FALSE(newcomer.welcomed()) << "its answer may stand behind all that";
  LetPass(absl::Seconds(1));
  EXPECT_TRUE(newcomer.welcomed());
  EXPECT_EQ(stream_->goodbye().reason(), v1::Goodbye::REASON_REPLACED);
}

TEST_F(ProbeTest, WhatNewcomersSayIsNotTheLiveSessionsSpending) {
  Serve(5);
  JoinAsLive();
  LetPass(absl::Minutes(1));
  for (int i = 0; i < 3; ++i) {
    CountingStream newcomer;
    const SessionId session = Open(host_, newcomer);
    v1::AgentMessage hello;
    hello.mutable_hello()
        ->GetReflection()
        ->MutableUnknownFields(hello.mutable_hello())
        ->AddLengthDelimited(15000, std::string(1024 * 1024, 'x'));
    fleet_->OnMessage(session, std::move(hello));
    fleet_->OnClosed(session);
  }
  EXPECT_THAT(fleet_->CheckRoom(host_),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::HasSubstr("opens")));
  const int reads = stream_->reads();
  LiveSends(CheckIn());
  EXPECT_EQ(stream_->reads(), reads + 1);
}

// --- Who is turned away is told in the room of a few

TEST_F(ProbeTest, TwoThatAreRefusedInTurnsAreToldOnceEachWithTheirCounts) {
  const HostRow hosts[] = {Enroll(11), Enroll(12)};
  for (int i = 0; i < 2000; ++i) {
    const HostRow& host = hosts[i % 2];
    if (!fleet_->CheckRoom(host).ok()) continue;
    CountingStream stream;
    fleet_->OnClosed(Open(host, stream));
  }
  fleet_->Tick();
  EXPECT_THAT(refused_, SizeIs(2000 - 2 * 40)) << "each is counted";
  int turns = 0;
  for (std::size_t i = 1; i < refused_.size(); ++i) turns += refused_[i] != refused_[i - 1];
  EXPECT_EQ(turns, 1) << "one entry a host";
}

TEST_F(ProbeTest, AStormOfRefusedHostsIsCountedAndTellsSomeOfThem) {
  constexpr int kHosts = 1000;
  std::vector<HostRow> hosts;
  for (int i = 0; i < kHosts; ++i) {
    HostRow& host = hosts.emplace_back();
    host.id = 1'000 + i;
    host.uuid = UuidOf(i);
    host.quarantined = true;
  }
  for (const HostRow& host : hosts) {
    CountingStream stream;
    fleet_->OnClosed(Open(host, stream));
  }
  fleet_->Tick();
  EXPECT_THAT(refused_, SizeIs(kHosts)) << "each is counted";
  EXPECT_EQ(refused_.back(), absl::StrCat("quarantined ", UuidOf(kHosts - 1)))
      << "the last is told";
  EXPECT_LE(std::set<std::string>(refused_.begin(), refused_.end()).size(), 64u);
}

}  // namespace
}  // namespace dumpwarden
