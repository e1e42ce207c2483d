// SPDX-License-Identifier: Apache-2.0
// The fleet against the real store: sessions are fakes that remember what was
// sent, time is moved by hand.
#include "server/fleet/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/policy/policy_set.h"
#include "platform/system.h"
#include "server/fleet/checks.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using Goodbye = v1::Goodbye;

constexpr char kUuid[] = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";

// FakeStream is a SessionOut that keeps what it is given.
class FakeStream final : public SessionOut {
 public:
  void Send(std::shared_ptr<const std::string> bytes) override { Keep(*bytes, false); }
  void SendLatest(std::shared_ptr<const std::string> bytes) override { Keep(*bytes, true); }
  void Close(const Goodbye& goodbye) override {
    std::lock_guard lock(mutex_);
    goodbye_ = goodbye;
    changed_.notify_all();
  }
  void Abort() override { aborted_ = true; }
  void ReadNext() override {
    std::lock_guard lock(mutex_);
    ++reads_;
    changed_.notify_all();
  }

  // Commits are answered on the store's thread: waits until the fleet said "next" or "goodbye".
  void AwaitAnswer(int reads) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, std::chrono::seconds(10), [&] {
      return reads_ >= reads || goodbye_.reason() != Goodbye::REASON_UNSPECIFIED;
    }));
  }
  std::vector<v1::ServerMessage> Take() {
    std::lock_guard lock(mutex_);
    return std::exchange(sent_, {});
  }
  Goodbye::Reason closed() const {
    std::lock_guard lock(mutex_);
    return goodbye_.reason();
  }
  std::string message() const { return goodbye_.message(); }
  bool aborted() const { return aborted_; }
  int reads() const {
    std::lock_guard lock(mutex_);
    return reads_;
  }
  int latest() const { return latest_; }

 private:
  void Keep(const std::string& bytes, bool latest) {
    std::lock_guard lock(mutex_);
    EXPECT_TRUE(sent_.emplace_back().ParseFromString(bytes));
    latest_ += latest ? 1 : 0;
  }
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<v1::ServerMessage> sent_;
  Goodbye goodbye_;
  int reads_ = 0;
  int latest_ = 0;
  bool aborted_ = false;
};

v1::Finding FindingOf(const std::string& setting, v1::Status status) {
  v1::Finding finding;
  finding.set_setting(setting);
  finding.set_status(status);
  finding.set_mode(v1::MODE_ENFORCE);
  finding.set_desired("kernel");
  finding.set_configured("small");
  return finding;
}

HostState StateOf(v1::Status status) {
  HostState state;
  state.findings.push_back(FindingOf("dump.type", status));
  v1::Cell& cell = *state.observation.add_cells();
  cell.set_key("HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl");
  cell.set_name("CrashDumpEnabled");
  cell.set_present(true);
  cell.set_type(4);
  cell.set_data(std::string("\x03\0\0\0", 4));
  return state;
}

v1::AgentMessage Reporting(v1::Report report, std::uint64_t sequence, const HostState& after) {
  v1::AgentMessage message;
  report.set_epoch(std::string(16, 'e'));
  report.set_sequence(sequence);
  report.set_state_digest(StateDigest(after));
  *message.mutable_report() = std::move(report);
  return message;
}

v1::AgentMessage FullReport(std::uint64_t sequence, const HostState& state) {
  return Reporting(MakeReport(nullptr, state), sequence, state);
}

v1::AgentMessage CheckIn(std::uint64_t sequence, const HostState& state) {
  v1::AgentMessage message;
  message.mutable_check_in()->set_sequence(sequence);
  message.mutable_check_in()->set_state_digest(StateDigest(state));
  return message;
}

class FleetTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    FleetOptions options;
    options.max_sessions = 8;
    options.on_drift = [this] { ++drifts_; };
    options.on_refused = [this](const std::string& word, const std::string& host,
                                const std::string& detail) {
      refused_.push_back(absl::StrCat(word, " ", host, " ", detail));
    };
    fleet_ = MakeFleet(*store_, clock_, *random_, options);
    host_ = Enroll(kUuid);
  }

  HostRow Enroll(const std::string& uuid) {
    const std::string id = Sha256Hex(uuid).substr(0, 32);
    const Audit audit{"test", "", "test", uuid, "", "", ""};
    EXPECT_THAT(store_->CreateToken({id, "digest", {}, "", clock_.Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow host;
    host.uuid = uuid;
    host.name = absl::StrCat("host-", uuid.substr(0, 2));
    host.host_key = uuid;
    host.enrolled = clock_.Now();
    host.last_seen = absl::InfinitePast();
    const auto row = store_->EnrollHost(id, "digest", host, clock_.Now(), audit);
    EXPECT_THAT(row, IsOk());
    return row.value_or(HostRow{});
  }

  HostRow Row() { return store_->FindHost(kUuid).value_or(HostRow{}); }

  SessionId Open(const HostRow& host, FakeStream& stream,
                 absl::Time expires = absl::InfiniteFuture()) {
    return fleet_->OnOpened(host, expires, stream);
  }

  SessionId Hello(FakeStream& stream, const std::string& instance) {
    const SessionId id = Open(Row(), stream);
    fleet_->OnMessage(id, HelloOf(instance));
    return id;
  }

  v1::AgentMessage HelloOf(const std::string& instance) {
    v1::AgentMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_protocol_min(1);
    hello.set_protocol_max(1);
    hello.set_agent_version("0.1.0");
    hello.set_instance(instance);
    return message;
  }

  // The answer to a message that is committed first.
  std::vector<v1::ServerMessage> Ask(FakeStream& stream, SessionId id, v1::AgentMessage message) {
    const int reads = stream.reads();
    stream.Take();
    fleet_->OnMessage(id, std::move(message));
    stream.AwaitAnswer(reads + 1);
    return stream.Take();
  }

  v1::Ack AckTo(FakeStream& stream, SessionId id, v1::AgentMessage message) {
    const auto answer = Ask(stream, id, std::move(message));
    for (const v1::ServerMessage& part : answer) {
      if (part.has_ack()) return part.ack();
    }
    ADD_FAILURE() << "no Ack; " << stream.message();
    return {};
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Store> store_;
  std::atomic<int> drifts_ = 0;
  std::vector<std::string> refused_;
  std::unique_ptr<Fleet> fleet_;
  HostRow host_;
};

TEST_F(FleetTest, WelcomesANewHostAndWantsEverything) {
  FakeStream stream;
  Hello(stream, "one");
  const auto sent = stream.Take();
  ASSERT_EQ(sent.size(), 2u);
  EXPECT_EQ(sent[0].welcome().protocol(), 1u);
  EXPECT_EQ(sent[0].welcome().check_in_seconds(), 60u);
  EXPECT_EQ(sent[0].welcome().reconnect_window_ms(), 1000u);
  EXPECT_TRUE(sent[0].welcome().want_full());
  EXPECT_TRUE(sent[0].welcome().want_facts());
  EXPECT_TRUE(sent[1].has_policy_set());
  EXPECT_EQ(stream.reads(), 1);
  EXPECT_TRUE(fleet_->IsConnected(host_.id));
  EXPECT_EQ(Row().agent_version, "0.1.0");
}

TEST_F(FleetTest, WantsNothingFromAHostThatTheStoreKnows) {
  const HostState state = StateOf(v1::STATUS_COMPLIANT);
  v1::Facts facts;
  facts.mutable_os()->set_build(20348);
  {
    FakeStream stream;
    const SessionId id = Hello(stream, "one");
    AckTo(stream, id, FullReport(1, state));
    v1::AgentMessage message;
    *message.mutable_facts() = facts;
    Ask(stream, id, message);
    fleet_->OnClosed(id);
  }
  FakeStream again;
  const SessionId id = Open(Row(), again);
  v1::AgentMessage hello = HelloOf("two");
  hello.mutable_hello()->set_epoch(std::string(16, 'e'));
  hello.mutable_hello()->set_acknowledged(1);
  hello.mutable_hello()->set_state_digest(StateDigest(state));
  hello.mutable_hello()->set_facts_digest(FactsDigest(facts));
  fleet_->OnMessage(id, hello);
  const auto sent = again.Take();
  ASSERT_FALSE(sent.empty());
  EXPECT_FALSE(sent[0].welcome().want_full());
  EXPECT_FALSE(sent[0].welcome().want_facts());
}

// From it a host whose state was restored from a copy learns so before it numbers a report.
TEST_F(FleetTest, SaysAtTheWelcomeWhichReportIsKept) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  EXPECT_EQ(stream.Take().at(0).welcome().epoch(), "");
  AckTo(stream, id, FullReport(7, StateOf(v1::STATUS_DRIFTED)));
  fleet_->OnClosed(id);
  FakeStream again;
  fleet_->OnMessage(Open(Row(), again), HelloOf("two"));
  const auto sent = again.Take();
  ASSERT_FALSE(sent.empty());
  EXPECT_EQ(sent[0].welcome().epoch(), std::string(16, 'e'));
  EXPECT_EQ(sent[0].welcome().sequence(), 7u);
}

TEST_F(FleetTest, SendsAwayWhatIsOutOfTurnOrTooMuch) {
  v1::AgentMessage old = HelloOf("one");
  old.mutable_hello()->set_protocol_min(2);
  old.mutable_hello()->set_protocol_max(3);
  v1::AgentMessage cells = FullReport(1, StateOf(v1::STATUS_COMPLIANT));
  while (cells.report().observation().cells_size() <= kMaxCells) {
    cells.mutable_report()->mutable_observation()->add_cells();
  }
  v1::AgentMessage epoch = FullReport(1, StateOf(v1::STATUS_COMPLIANT));
  epoch.mutable_report()->set_epoch("short");
  v1::AgentMessage lie = FullReport(1, StateOf(v1::STATUS_COMPLIANT));
  lie.mutable_report()->set_state_digest(std::string(32, 'x'));
  v1::AgentMessage request;
  for (int i = 0; i <= 1000; ++i) request.mutable_policy_request()->add_digests("d");
  const struct {
    const char* why;
    bool hello_first;
    v1::AgentMessage message;
  } cases[] = {
      {"no common protocol", false, old},
      {"a report before Hello", false, FullReport(1, StateOf(v1::STATUS_COMPLIANT))},
      {"a second Hello", true, HelloOf("one")},
      {"more cells than any table has", true, cells},
      {"an epoch that is none", true, epoch},
      {"a report without a number", true, FullReport(0, StateOf(v1::STATUS_COMPLIANT))},
      {"a full report whose digest is not its own", true, lie},
      {"more policies asked for than there can be", true, request},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    FakeStream stream;
    const SessionId id = test.hello_first ? Hello(stream, "one") : Open(Row(), stream);
    fleet_->OnMessage(id, test.message);
    EXPECT_EQ(stream.closed(), Goodbye::REASON_PROTOCOL);
    fleet_->OnClosed(id);
  }
  EXPECT_EQ(Row().epoch, "");
}

// A host that sent megabytes in one value made `dumpctl drift list` fail for everybody.
TEST_F(FleetTest, KeepsNothingThatIsTooLongOrComesTwice) {
  const std::string text(4201, 'x');
  const std::string word(257, 'x');
  const auto event = [](v1::Report& report) {
    v1::DriftEvent& added = *report.add_events();
    added.set_sequence(1);
    added.set_kind(v1::DriftEvent::KIND_DRIFTED);
    added.set_mode(v1::MODE_ENFORCE);
    return &added;
  };
  const struct {
    const char* why;
    std::function<void(v1::Report&)> spoil;
  } cases[] = {
      {"desired", [&](auto& r) { r.mutable_findings(0)->set_desired(text); }},
      {"configured", [&](auto& r) { r.mutable_findings(0)->set_configured(text); }},
      {"reason", [&](auto& r) { r.mutable_findings(0)->set_reason(text); }},
      {"setting", [&](auto& r) { r.mutable_findings(0)->set_setting(word); }},
      {"policy", [&](auto& r) { r.mutable_findings(0)->set_policy(word); }},
      {"policy_version",
       [&](auto& r) { r.mutable_findings(0)->set_policy_version(kMaxPolicyVersion + 1); }},
      {"status", [&](auto& r) { r.mutable_findings(0)->set_status(static_cast<v1::Status>(99)); }},
      {"mode", [&](auto& r) { r.mutable_findings(0)->set_mode(static_cast<v1::Mode>(99)); }},
      {"findings", [&](auto& r) { *r.add_findings() = r.findings(0); }},
      {"removed", [&](auto& r) { r.add_removed(std::string(265, 'x')); }},
      {"key", [&](auto& r) { r.mutable_observation()->mutable_cells(0)->set_key(word); }},
      {"name", [&](auto& r) { r.mutable_observation()->mutable_cells(0)->set_name(word); }},
      {"data",
       [&](auto& r) {
         r.mutable_observation()->mutable_cells(0)->set_data(std::string(16 * 1024 + 1, 'x'));
       }},
      {"error", [&](auto& r) { r.mutable_observation()->mutable_cells(0)->set_error(text); }},
      {"cells",
       [&](auto& r) {
         v1::Observation& observation = *r.mutable_observation();
         const v1::Cell again = observation.cells(0);
         *observation.add_cells() = again;
       }},
      {"folders", [&](auto& r) { r.mutable_observation()->add_folders()->set_path(text); }},
      {"warnings", [&](auto& r) { r.mutable_observation()->add_warnings(text); }},
      {"old_value", [&](auto& r) { event(r)->set_old_value(text); }},
      {"new_value", [&](auto& r) { event(r)->set_new_value(text); }},
      {"events.desired", [&](auto& r) { event(r)->set_desired(text); }},
      {"events.setting", [&](auto& r) { event(r)->set_setting(word); }},
      {"events.policy", [&](auto& r) { event(r)->set_policy(word); }},
      {"events.sequence", [&](auto& r) { event(r)->set_sequence(0); }},
      {"events.kind", [&](auto& r) { event(r)->set_kind(static_cast<v1::DriftEvent::Kind>(99)); }},
      {"events.mode", [&](auto& r) { event(r)->set_mode(static_cast<v1::Mode>(99)); }},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    v1::Report report = MakeReport(nullptr, StateOf(v1::STATUS_DRIFTED));
    test.spoil(report);
    HostState after;
    ApplyReport(report, after);
    FakeStream stream;
    const SessionId id = Hello(stream, "one");
    fleet_->OnMessage(id, Reporting(report, 1, after));
    stream.AwaitAnswer(2);
    EXPECT_EQ(stream.closed(), Goodbye::REASON_PROTOCOL);
    EXPECT_THAT(stream.message(), testing::HasSubstr(test.why));
    fleet_->OnClosed(id);
  }
  EXPECT_EQ(Row().epoch, "");
}

TEST_F(FleetTest, KeepsWhatAnAgentCutToItsLongest) {
  HostState state = StateOf(v1::STATUS_DRIFTED);
  state.findings[0].set_configured(std::string(4096, 'x') + "...");
  state.observation.mutable_cells(0)->set_data(std::string(16 * 1024, 'x'));
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  EXPECT_EQ(AckTo(stream, id, FullReport(1, state)).sequence(), 1u);
}

TEST_F(FleetTest, KeepsNoFactsThatAreTooLong) {
  const struct {
    const char* why;
    std::function<void(v1::Facts&)> spoil;
  } cases[] = {
      {"os.product", [](auto& f) { f.mutable_os()->set_product(std::string(257, 'x')); }},
      {"boot.id", [](auto& f) { f.mutable_boot()->set_id(std::string(257, 'x')); }},
      {"volumes.path", [](auto& f) { f.add_volumes()->set_path(std::string(257, 'x')); }},
      {"volumes.kind", [](auto& f) { f.add_volumes()->set_kind(std::string(257, 'x')); }},
      {"63", [](auto& f) { (*f.mutable_labels())["role"] = std::string(64, 'x'); }},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    v1::AgentMessage message;
    test.spoil(*message.mutable_facts());
    FakeStream stream;
    const SessionId id = Hello(stream, "one");
    stream.Take();
    fleet_->OnMessage(id, message);
    stream.AwaitAnswer(2);
    EXPECT_EQ(stream.closed(), Goodbye::REASON_UNSPECIFIED) << "its reports are worth having";
    const auto sent = stream.Take();
    ASSERT_EQ(sent.size(), 1u);
    EXPECT_THAT(sent[0].notice().message(), testing::HasSubstr(test.why));
    AckTo(stream, id, CheckIn(0, {}));
    fleet_->Tick();
    EXPECT_THAT(std::exchange(refused_, {}),
                testing::ElementsAre(testing::AllOf(testing::StartsWith("facts " + host_.uuid),
                                                    testing::HasSubstr(test.why))));
    fleet_->OnClosed(id);
  }
  EXPECT_EQ(Row().facts_digest, "");
}

TEST_F(FleetTest, TakesNoHelloThatIsTooLong) {
  const struct {
    const char* why;
    std::function<void(v1::Hello&)> spoil;
  } cases[] = {
      {"epoch", [](auto& h) { h.set_epoch("short"); }},
      {"catalog_digest", [](auto& h) { h.set_catalog_digest(std::string(1000, 'x')); }},
      {"boot.id", [](auto& h) { h.mutable_boot()->set_id(std::string(257, 'x')); }},
      {"boot.at", [](auto& h) { h.mutable_boot()->mutable_at()->set_seconds(-1); }},
      {"host_name", [](auto& h) { h.set_host_name(std::string(257, 'x')); }},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    v1::AgentMessage hello = HelloOf("one");
    test.spoil(*hello.mutable_hello());
    FakeStream stream;
    const SessionId id = Open(Row(), stream);
    fleet_->OnMessage(id, hello);
    EXPECT_EQ(stream.closed(), Goodbye::REASON_PROTOCOL);
    EXPECT_THAT(stream.message(), testing::HasSubstr(test.why));
    fleet_->OnClosed(id);
  }
}

// An admin saw a host that comes and goes, and no word of why.
TEST_F(FleetTest, SaysWhomItTurnsAwayAndWhy) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  fleet_->OnMessage(id, FullReport(0, StateOf(v1::STATUS_COMPLIANT)));
  fleet_->OnClosed(id);
  ASSERT_THAT(store_->QuarantineHost(host_.id, {"test", "", "host.quarantine", "", "", "", ""}),
              IsOk());
  FakeStream clone;
  fleet_->OnClosed(Open(Row(), clone));
  HostRow revoked = host_;
  revoked.revoked = true;
  FakeStream late;
  fleet_->OnClosed(Open(revoked, late));
  EXPECT_TRUE(refused_.empty()) << "not under the lock";
  fleet_->Tick();
  const std::string uuid = host_.uuid;
  EXPECT_THAT(refused_, testing::ElementsAre(
                            "protocol " + uuid + " sequence: 0; reports are numbered from 1",
                            testing::StartsWith("quarantined " + uuid + " two live hosts"),
                            testing::StartsWith("revoked " + uuid + " this host was revoked")));
  fleet_->Drain();
  fleet_->Tick();
  EXPECT_EQ(refused_.size(), 3u) << "each once; to go down is no refusal";
}

// The server's database was restored from an older copy.
TEST_F(FleetTest, SaysOnceThatAHostHasANewerPolicy) {
  PolicyRow policy;
  policy.name = "base";
  policy.version = 3;
  policy.yaml = "apiVersion: dumpwarden/v1\n";
  policy.digest = Sha256(policy.yaml);
  ASSERT_THAT(store_->PutPolicies({policy}, {"test", "", "policy.apply", "base", "", "", ""}),
              IsOk());
  HostState state = StateOf(v1::STATUS_COMPLIANT);
  state.findings[0].set_policy("base");
  state.findings[0].set_policy_version(3);
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  AckTo(stream, id, FullReport(1, state));
  fleet_->Tick();
  EXPECT_THAT(refused_, testing::IsEmpty());
  state.findings[0].set_policy_version(5);
  AckTo(stream, id, FullReport(2, state));
  AckTo(stream, id, FullReport(3, state));
  fleet_->Tick();
  ASSERT_EQ(refused_.size(), 1u);
  EXPECT_THAT(refused_[0], testing::AllOf(testing::StartsWith("newer-policy " + host_.uuid),
                                          testing::HasSubstr("base version 5")));
}

TEST_F(FleetTest, AcknowledgesAfterTheCommit) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  const HostState drifted = StateOf(v1::STATUS_DRIFTED);
  const v1::Ack ack = AckTo(stream, id, FullReport(7, drifted));
  EXPECT_EQ(ack.sequence(), 7u);
  EXPECT_FALSE(ack.want_full());
  EXPECT_EQ(Row().sequence, 7u);
  EXPECT_EQ(Row().state, v1::STATUS_DRIFTED);

  const HostState mended = StateOf(v1::STATUS_CORRECTED);
  const v1::Ack next = AckTo(stream, id, Reporting(MakeReport(&drifted, mended), 8, mended));
  EXPECT_EQ(next.sequence(), 8u);
  EXPECT_FALSE(next.want_full());
  EXPECT_EQ(Row().state, v1::STATUS_CORRECTED);
}

TEST_F(FleetTest, KeepsNothingOfAReportThatDoesNotAddUp) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  const HostState state = StateOf(v1::STATUS_COMPLIANT);
  AckTo(stream, id, FullReport(1, state));
  v1::AgentMessage bad = Reporting(v1::Report(), 2, StateOf(v1::STATUS_DRIFTED));
  v1::DriftEvent& event = *bad.mutable_report()->add_events();
  event.set_sequence(1);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  const v1::Ack ack = AckTo(stream, id, bad);
  EXPECT_TRUE(ack.want_full());
  EXPECT_EQ(ack.sequence(), 1u) << "only the first is durable";
  EXPECT_EQ(drifts_, 0) << "its events come again with the full report";
  EXPECT_EQ(Row().sequence, 1u);
}

TEST_F(FleetTest, DoublesNothingThatComesAgain) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  const HostState before = StateOf(v1::STATUS_COMPLIANT);
  const HostState after = StateOf(v1::STATUS_DRIFTED);
  AckTo(stream, id, FullReport(1, before));
  v1::AgentMessage report = Reporting(MakeReport(&before, after), 2, after);
  v1::DriftEvent& event = *report.mutable_report()->add_events();
  event.set_sequence(1);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_setting("dump.type");
  EXPECT_FALSE(AckTo(stream, id, report).want_full());
  EXPECT_FALSE(AckTo(stream, id, report).want_full()) << "its Ack was lost: it is kept already";
  v1::AgentMessage full = FullReport(3, after);
  *full.mutable_report()->add_events() = event;
  EXPECT_EQ(AckTo(stream, id, full).sequence(), 3u);
  ASSERT_OK_AND_ASSIGN(const auto drifts, store_->ListDrift({}));
  EXPECT_EQ(drifts.size(), 1u);
}

TEST_F(FleetTest, WantsEverythingWhenASequenceGoesBack) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  const HostState state = StateOf(v1::STATUS_COMPLIANT);
  const HostState other = StateOf(v1::STATUS_DRIFTED);
  AckTo(stream, id, FullReport(9, state));
  const v1::Ack ack = AckTo(stream, id, Reporting(MakeReport(&state, other), 4, other));
  EXPECT_TRUE(ack.want_full());
  EXPECT_EQ(Row().sequence, 9u);
  EXPECT_FALSE(AckTo(stream, id, FullReport(10, other)).want_full());
}

TEST_F(FleetTest, AnswersCheckInsFromMemory) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  const HostState state = StateOf(v1::STATUS_COMPLIANT);
  EXPECT_TRUE(AckTo(stream, id, CheckIn(0, state)).want_full()) << "nothing was reported yet";
  AckTo(stream, id, FullReport(1, state));
  EXPECT_FALSE(AckTo(stream, id, CheckIn(1, state)).want_full());
  EXPECT_TRUE(AckTo(stream, id, CheckIn(1, StateOf(v1::STATUS_DRIFTED))).want_full());
  EXPECT_TRUE(AckTo(stream, id, CheckIn(2, state)).want_full());
}

TEST_F(FleetTest, KeepsFactsWithoutMounts) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  v1::AgentMessage message;
  v1::Facts::Volume& volume = *message.mutable_facts()->add_volumes();
  volume.set_path("C:\\");
  volume.set_mount("/home/somebody/disk");
  Ask(stream, id, message);
  ASSERT_OK_AND_ASSIGN(const v1::Facts kept, store_->ReadFacts(host_.id));
  ASSERT_EQ(kept.volumes_size(), 1);
  EXPECT_EQ(kept.volumes(0).path(), "C:\\");
  EXPECT_EQ(kept.volumes(0).mount(), "");
}

TEST_F(FleetTest, ReplacesASessionThatIsSilent) {
  FakeStream first, second;
  const SessionId one = Hello(first, "one");
  first.Take();
  Hello(second, "two");
  const auto probe = first.Take();
  ASSERT_EQ(probe.size(), 1u);
  EXPECT_TRUE(probe[0].has_probe());
  EXPECT_TRUE(second.Take().empty()) << "it waits";
  clock_.Advance(absl::Seconds(9));
  fleet_->Tick();
  EXPECT_EQ(first.closed(), Goodbye::REASON_UNSPECIFIED);
  clock_.SetWall(clock_.Now() + absl::Hours(3));
  fleet_->Tick();
  EXPECT_EQ(first.closed(), Goodbye::REASON_UNSPECIFIED)
      << "a wall clock that steps decides nothing";
  clock_.Advance(absl::Seconds(1));
  fleet_->Tick();
  EXPECT_EQ(first.closed(), Goodbye::REASON_REPLACED);
  ASSERT_FALSE(second.Take().empty());
  fleet_->OnClosed(one);
  EXPECT_TRUE(fleet_->IsConnected(host_.id)) << "the second";
  EXPECT_FALSE(Row().quarantined);
}

TEST_F(FleetTest, WelcomesTheNewerWhenTheOldOneCloses) {
  FakeStream first, second;
  const SessionId one = Hello(first, "one");
  Hello(second, "two");
  EXPECT_TRUE(second.Take().empty());
  fleet_->OnClosed(one);
  const auto sent = second.Take();
  ASSERT_FALSE(sent.empty());
  EXPECT_TRUE(sent[0].has_welcome());
}

TEST_F(FleetTest, T13QuarantinesBothWhenTheOldOneLives) {
  FakeStream first, second;
  const SessionId one = Hello(first, "one");
  first.Take();
  const SessionId two = Hello(second, "two");
  const auto probe = first.Take();
  ASSERT_EQ(probe.size(), 1u);
  v1::AgentMessage reply;
  reply.mutable_probe_reply()->set_nonce(probe[0].probe().nonce());
  reply.mutable_probe_reply()->set_instance("one");
  fleet_->OnMessage(one, reply);
  EXPECT_EQ(first.closed(), Goodbye::REASON_QUARANTINED);
  EXPECT_EQ(second.closed(), Goodbye::REASON_QUARANTINED);
  EXPECT_TRUE(Row().quarantined);
  fleet_->OnClosed(one);
  fleet_->OnClosed(two);
  EXPECT_TRUE(second.Take().empty()) << "never welcomed";
  FakeStream third;
  Open(Row(), third);
  EXPECT_EQ(third.closed(), Goodbye::REASON_QUARANTINED);
}

TEST_F(FleetTest, TakesTheSameProcessBackWhenItsOldStreamIsDead) {
  FakeStream first, second, third;
  const SessionId one = Hello(first, "one");
  Hello(second, "one");
  EXPECT_TRUE(second.Take().empty()) << "it waits";
  fleet_->OnClosed(one);
  EXPECT_FALSE(second.Take().empty());
  Hello(third, "one");
  clock_.Advance(absl::Seconds(10));
  fleet_->Tick();
  EXPECT_EQ(second.closed(), Goodbye::REASON_REPLACED) << "half open";
  EXPECT_FALSE(third.Take().empty());
  EXPECT_FALSE(Row().quarantined);
}

// A machine that was copied while it ran has the same nonce in memory: the two took turns for ever.
TEST_F(FleetTest, QuarantinesAMachineAndTheCopyOfItsMemory) {
  FakeStream first, second;
  const SessionId one = Hello(first, "one");
  first.Take();
  Hello(second, "one");
  const auto probe = first.Take();
  ASSERT_EQ(probe.size(), 1u);
  v1::AgentMessage reply;
  reply.mutable_probe_reply()->set_nonce(probe[0].probe().nonce());
  reply.mutable_probe_reply()->set_instance("one");
  fleet_->OnMessage(one, reply);
  EXPECT_EQ(first.closed(), Goodbye::REASON_QUARANTINED);
  EXPECT_EQ(second.closed(), Goodbye::REASON_QUARANTINED);
  EXPECT_TRUE(Row().quarantined);
}

TEST_F(FleetTest, TakesNoForgedProbeReplyForAnAnswer) {
  FakeStream first, second;
  const SessionId one = Hello(first, "one");
  Hello(second, "two");
  v1::AgentMessage reply;
  reply.mutable_probe_reply()->set_nonce("guessed");
  reply.mutable_probe_reply()->set_instance("one");
  fleet_->OnMessage(one, reply);
  EXPECT_EQ(first.closed(), Goodbye::REASON_UNSPECIFIED);
  EXPECT_FALSE(Row().quarantined);
}

TEST_F(FleetTest, ReadsNothingOfAHostWhileItsReportIsBeingKept) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  ASSERT_EQ(stream.reads(), 1);
  fleet_->OnMessage(id, FullReport(1, StateOf(v1::STATUS_COMPLIANT)));
  stream.AwaitAnswer(2);
  // One read for one message, whoever was quicker.
  EXPECT_EQ(stream.reads(), 2);
}

TEST_F(FleetTest, PushesPoliciesToEverybody) {
  FakeStream here, late;
  Hello(here, "one");
  EXPECT_EQ(here.latest(), 1);
  PolicyRow policy;
  policy.name = "base";
  policy.yaml = "apiVersion: dumpwarden/v1\n";
  policy.digest = Sha256(policy.yaml);
  here.Take();
  ASSERT_THAT(store_->PutPolicies({policy}, {"test", "", "policy.apply", "base", "", "", ""}),
              IsOk());
  EXPECT_EQ(fleet_->PoliciesChanged(), 1u);
  const auto sent = here.Take();
  ASSERT_EQ(sent.size(), 1u);
  ASSERT_EQ(sent[0].policy_set().entries_size(), 1);
  EXPECT_EQ(sent[0].policy_set().entries(0).digest(), policy.digest);
  EXPECT_EQ(here.latest(), 2) << "one that waits is replaced, not queued behind";
}

TEST_F(FleetTest, GivesDocumentsByDigestAndIsSilentAboutOthers) {
  PolicyRow policy;
  policy.name = "base";
  policy.yaml = "apiVersion: dumpwarden/v1\n";
  policy.digest = Sha256(policy.yaml);
  ASSERT_THAT(store_->PutPolicies({policy}, {"test", "", "policy.apply", "base", "", "", ""}),
              IsOk());
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  v1::AgentMessage request;
  for (int i = 0; i < 999; ++i) request.mutable_policy_request()->add_digests(policy.digest);
  request.mutable_policy_request()->add_digests(std::string(32, 'x'));
  const auto sent = Ask(stream, id, request);
  ASSERT_EQ(sent.size(), 1u) << "once, however often it was asked for";
  EXPECT_EQ(sent[0].policy_document().name(), "base");
  EXPECT_EQ(sent[0].policy_document().yaml(), policy.yaml);
}

TEST_F(FleetTest, TellsTheStoreWhoWasHeardAtMostEveryFiveMinutes) {
  FakeStream stream;
  const SessionId id = Hello(stream, "one");
  fleet_->Tick();
  const absl::Time first = Row().last_seen;
  EXPECT_EQ(first, clock_.Now());
  clock_.Advance(absl::Minutes(4));
  fleet_->OnMessage(id, CheckIn(0, {}));
  fleet_->Tick();
  EXPECT_EQ(Row().last_seen, first);
  EXPECT_EQ(fleet_->LastHeard(host_.id), clock_.Now());
  fleet_->OnClosed(id);
  fleet_->Tick();
  EXPECT_EQ(Row().last_seen, clock_.Now()) << "at the end of the session at once";
}

TEST_F(FleetTest, EndsStreamsThatSayNothingOrDoNotLeave) {
  FakeStream stream;
  Open(Row(), stream);
  clock_.Advance(absl::Seconds(10));
  fleet_->Tick();
  EXPECT_EQ(stream.closed(), Goodbye::REASON_PROTOCOL);
  EXPECT_FALSE(stream.aborted());
  clock_.Advance(absl::Seconds(10));
  fleet_->Tick();
  EXPECT_TRUE(stream.aborted());
}

// A session that lasted was never asked for its certificate again.
TEST_F(FleetTest, EndsASessionWhoseCertificateExpires) {
  FakeStream stream;
  const absl::Time expires = clock_.Now() + absl::Seconds(30);
  fleet_->OnMessage(Open(Row(), stream, expires), HelloOf("one"));
  clock_.SetWall(expires - absl::Seconds(1));
  fleet_->Tick();
  EXPECT_EQ(stream.closed(), Goodbye::REASON_UNSPECIFIED);
  clock_.SetWall(expires);
  fleet_->Tick();
  EXPECT_EQ(stream.closed(), Goodbye::REASON_PROTOCOL);
  EXPECT_THAT(stream.message(), testing::HasSubstr("expired at"));
}

TEST_F(FleetTest, HasNoRoomForAFifthStreamOfAHost) {
  std::vector<std::unique_ptr<FakeStream>> streams;
  SessionId last = 0;
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(fleet_->CheckRoom(host_), IsOk());
    last = Open(Row(), *streams.emplace_back(std::make_unique<FakeStream>()));
  }
  EXPECT_THAT(fleet_->CheckRoom(host_),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::HasSubstr("too many")));
  fleet_->OnClosed(last);
  EXPECT_THAT(fleet_->CheckRoom(host_), IsOk());
}

TEST_F(FleetTest, LimitsStreamsOfAHostAndOfAll) {
  std::vector<std::unique_ptr<FakeStream>> streams;
  for (int i = 0; i < 5; ++i) {
    Open(Row(), *streams.emplace_back(std::make_unique<FakeStream>()));
  }
  EXPECT_EQ(streams[3]->closed(), Goodbye::REASON_UNSPECIFIED);
  EXPECT_EQ(streams[4]->closed(), Goodbye::REASON_PROTOCOL);
  for (int i = 0; i < 4; ++i) {
    const std::string uuid = absl::StrCat(i, "f9619ff-8b86-4d01-b42d-00cf4fc964f0");
    Open(Enroll(uuid), *streams.emplace_back(std::make_unique<FakeStream>()));
  }
  EXPECT_EQ(streams[7]->closed(), Goodbye::REASON_UNSPECIFIED);
  EXPECT_EQ(streams[8]->closed(), Goodbye::REASON_DRAIN) << "the server is full";
}

TEST_F(FleetTest, SaysGoodbyeToAllAndToThoseWhoComeLater) {
  FakeStream stream, late;
  Hello(stream, "one");
  fleet_->Drain();
  EXPECT_EQ(stream.closed(), Goodbye::REASON_DRAIN);
  Open(Row(), late);
  EXPECT_EQ(late.closed(), Goodbye::REASON_DRAIN);
}

}  // namespace
}  // namespace dumpwarden
