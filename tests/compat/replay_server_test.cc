// SPDX-License-Identifier: Apache-2.0
// The recorded server against today's agent: the real core and state, with a
// registry that holds what the recorded agent saw first.  Every message of the
// server is given as it was, and the agent must say what the recorded one said.
// What is substituted, because the agent makes it unique: epoch and sequence in
// an Ack.  What is not compared: nonces, times, and what only today's agent
// says (new settings, more check-ins).
#include <gmock/gmock.h>

#include <filesystem>
#include <map>
#include <set>

#include "tests/compat/versions.h"
#include "tests/support/agent_rig.h"

namespace dumpwarden {
namespace {

constexpr char kSession[] = "/dumpwarden.v1.AgentSession/Session";

v1::AgentMessage AgentMessageOf(const RecordedEntry& entry) {
  v1::AgentMessage message;
  EXPECT_TRUE(message.ParseFromString(entry.bytes));
  return message;
}

// What an event says, without number and time.
std::string Gist(const v1::DriftEvent& event) {
  return absl::StrCat(v1::DriftEvent::Kind_Name(event.kind()), " ", v1::Mode_Name(event.mode()),
                      " ", event.setting(), " ", event.old_value(), " -> ", event.new_value(), " (",
                      event.desired(), " of ", event.policy(), ")");
}

class Replay {
 public:
  explicit Replay(std::vector<RecordedEntry> entries) : entries_(std::move(entries)) {}

  void Play() {
    PrepareHost();
    std::set<std::int64_t> calls;
    for (const RecordedEntry& entry : entries_) {
      SCOPED_TRACE(NameOf(entry));
      if (entry.what == "set-auto-reboot-1") rig_.Change("AutoReboot", 1);
      if (entry.what == "clone") cloned_ = true;
      if (entry.what != kSession) continue;
      if (entry.sign == '>' && !calls.contains(entry.call)) {
        if (cloned_) continue;  // that is the other one's
        calls.insert(entry.call);
        Dial();
      }
      if (!calls.contains(entry.call)) continue;
      if (entry.sign == '>') Expect(AgentMessageOf(entry));
      if (entry.sign == '<') Tell(entry.bytes);
      if (entry.sign == '=') rig_.core->OnDisconnected(absl::UnavailableError("gone"));
      if (testing::Test::HasFailure()) return;
    }
  }
  const std::set<v1::AgentMessage::MessageCase>& said() const { return said_; }
  const std::vector<std::string>& recorded_events() const { return recorded_events_; }
  const std::vector<std::string>& events() const { return events_; }

 private:
  // The facts and the cells of the first, full report.
  void PrepareHost() {
    rig_.registry.Unset(kCrashKey, "CrashDumpEnabled");
    rig_.registry.Unset(kCrashKey, "AutoReboot");
    bool facts = false;
    bool cells = false;
    for (const RecordedEntry& entry : entries_) {
      if (entry.sign != '>' || entry.what != kSession) continue;
      const v1::AgentMessage message = AgentMessageOf(entry);
      if (message.has_facts() && !facts) rig_.facts = message.facts();
      facts = facts || message.has_facts();
      if (!message.has_report() || cells) continue;
      for (const v1::Cell& cell : message.report().observation().cells()) {
        if (!cell.present()) continue;
        rig_.registry.Set(cell.key(), cell.name(),
                          {static_cast<RegType>(cell.type()), cell.data()});
      }
      cells = true;
    }
    ASSERT_TRUE(facts && cells);
    rig_.core.reset();
    rig_.applier.reset();
    rig_.state.reset();
    std::filesystem::remove(rig_.folder.File("state.db"));  // of another host
    rig_.Start();
  }

  void Dial() {
    while (rig_.link.connects == rig_.dialled) rig_.Pass(absl::Seconds(1));
    rig_.dialled = rig_.link.connects;
    rig_.core->OnConnected();
  }

  // The next message of that kind; check-ins on the way there are nothing new.
  v1::AgentMessage Next(v1::AgentMessage::MessageCase kind) {
    for (int i = 0; i < 3000; ++i) {
      while (!rig_.link.sent.empty()) {
        const v1::AgentMessage message = rig_.link.sent.front();
        rig_.link.sent.pop_front();
        if (message.message_case() == kind) return message;
        EXPECT_TRUE(message.has_check_in()) << "not said then: " << message.DebugString();
      }
      rig_.Pass(absl::Milliseconds(100));
    }
    ADD_FAILURE() << "the agent does not say this any more";
    return {};
  }

  void Expect(const v1::AgentMessage& then) {
    const v1::AgentMessage today = Next(then.message_case());
    said_.insert(then.message_case());
    switch (then.message_case()) {
      case v1::AgentMessage::kHello:
        return ExpectHello(then.hello(), today.hello());
      case v1::AgentMessage::kFacts:
        EXPECT_EQ(FactsDigest(today.facts()), FactsDigest(then.facts()));
        return;
      case v1::AgentMessage::kReport:
        return ExpectReport(then.report(), today.report());
      case v1::AgentMessage::kCheckIn:
        EXPECT_EQ(today.check_in().policy_digest(), then.check_in().policy_digest());
        EXPECT_EQ(sequences_.at(then.check_in().sequence()), today.check_in().sequence());
        return;
      case v1::AgentMessage::kPolicyRequest:
        EXPECT_EQ(today.policy_request().SerializeAsString(),
                  then.policy_request().SerializeAsString());
        return;
      case v1::AgentMessage::kProbeReply:
        EXPECT_EQ(today.probe_reply().nonce(), then.probe_reply().nonce());
        return;
      default:
        ADD_FAILURE() << "replay_server_test does not know " << then.DebugString();
    }
  }

  void ExpectHello(const v1::Hello& then, const v1::Hello& today) {
    EXPECT_LE(today.protocol_min(), then.protocol_max());
    EXPECT_GE(today.protocol_max(), then.protocol_min());
    EXPECT_EQ(today.facts_digest(), then.facts_digest());
    EXPECT_EQ(today.policy_digest(), then.policy_digest());
    EXPECT_EQ(today.boot().id(), then.boot().id());
    if (then.acknowledged() == 0) return;
    EXPECT_EQ(today.acknowledged(), sequences_.at(then.acknowledged()));
    if (today.catalog_digest() == then.catalog_digest()) {
      EXPECT_EQ(today.state_digest(), then.state_digest());
    }
  }

  void ExpectReport(const v1::Report& then, const v1::Report& today) {
    sequences_[then.sequence()] = today.sequence();
    epoch_ = today.epoch();
    EXPECT_EQ(today.full(), then.full());
    EXPECT_EQ(today.policy_digest(), then.policy_digest());
    ApplyReport(then, recorded_);
    ApplyReport(today, state_);
    for (const v1::Finding& finding : recorded_.findings) {
      EXPECT_EQ(FindingIn(state_, FindingKey(finding)), finding.DebugString());
    }
    EXPECT_EQ(state_.findings.size(), recorded_.findings.size());
    for (const auto& event : then.events()) recorded_events_.push_back(Gist(event));
    for (const auto& event : today.events()) events_.push_back(Gist(event));
  }

  static std::string FindingIn(const HostState& state, const std::string& key) {
    for (const v1::Finding& finding : state.findings) {
      if (FindingKey(finding) == key) return finding.DebugString();
    }
    return "no finding " + key;
  }

  void Tell(const std::string& bytes) {
    v1::ServerMessage message;
    ASSERT_TRUE(message.ParseFromString(bytes));
    if (message.has_ack()) {
      const auto sequence = sequences_.find(message.ack().sequence());
      ASSERT_NE(sequence, sequences_.end());
      message.mutable_ack()->set_sequence(sequence->second);
      message.mutable_ack()->set_epoch(epoch_);
    }
    rig_.core->OnMessage(message);
  }

  const std::vector<RecordedEntry> entries_;
  AgentRig rig_;
  bool cloned_ = false;
  HostState recorded_;
  HostState state_;
  std::map<std::uint64_t, std::uint64_t> sequences_;  // of reports: then -> today
  std::string epoch_;
  std::vector<std::string> recorded_events_;
  std::vector<std::string> events_;
  std::set<v1::AgentMessage::MessageCase> said_;
};

using ReplayServerTest = CompatTest;
INSTANTIATE_TEST_SUITE_P(Versions, ReplayServerTest, testing::ValuesIn(CompatVersions()),
                         VersionName);

TEST_P(ReplayServerTest, IsToldWhatItWasToldThen) {
  Replay replay(RecordingOf(GetParam()));
  replay.Play();
  EXPECT_EQ(replay.events(), replay.recorded_events());
  EXPECT_GE(replay.events().size(), 10u);
  EXPECT_GE(replay.said().size(), 6u) << "kinds of messages";
}

}  // namespace
}  // namespace dumpwarden
