// SPDX-License-Identifier: Apache-2.0
// The fleet and the real store as a server's threads use them: every host on
// a thread of its own, an operator, the clock's tick and a reader beside them.
// The thread sanitizer watches (.ci/tsan).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/reconcile/state_digest.h"
#include "platform/system.h"
#include "server/fleet/fleet.h"
#include "server/fleet/hosts.h"
#include "server/store/sqlite_store.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::Each;
using testing::SizeIs;

constexpr int kHosts = 6;
constexpr int kRounds = 12;  // sessions of a host, one report each

// AckStream is a SessionOut that waits for the Ack of a number.
class AckStream final : public SessionOut {
 public:
  void Send(std::shared_ptr<const std::string> bytes) override {
    v1::ServerMessage message;
    EXPECT_TRUE(message.ParseFromString(*bytes));
    std::lock_guard lock(mutex_);
    if (message.has_ack()) acknowledged_ = message.ack().sequence();
    changed_.notify_all();
  }
  void SendLatest(std::shared_ptr<const std::string> bytes) override { Send(std::move(bytes)); }
  void Close(const v1::Goodbye& goodbye) override {
    std::lock_guard lock(mutex_);
    goodbye_ = goodbye.message();
    changed_.notify_all();
  }
  void Abort() override { Close({}); }
  void ReadNext() override {}

  // What was said instead; empty when the Ack came.
  std::string Await(std::uint64_t sequence) {
    std::unique_lock lock(mutex_);
    const bool came = changed_.wait_for(lock, std::chrono::seconds(60), [&] {
      return acknowledged_ >= sequence || goodbye_.has_value();
    });
    if (acknowledged_ >= sequence) return "";
    return came ? absl::StrCat("goodbye: ", *goodbye_) : "no answer";
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t acknowledged_ = 0;
  std::optional<std::string> goodbye_;
};

HostState StateAfter(int round) {
  HostState state;
  v1::Finding& finding = state.findings.emplace_back();
  finding.set_setting("dump.type");
  finding.set_status(v1::STATUS_DRIFTED);
  finding.set_mode(v1::MODE_AUDIT);
  finding.set_desired("kernel");
  finding.set_configured(absl::StrCat("value ", round));
  return state;
}

class FleetThreads : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), *clock_));
    FleetOptions options;
    options.on_drift = [this] { ++told_; };
    options.on_refused = [this](const std::string& word, const std::string&, const std::string&) {
      std::lock_guard lock(refused_mutex_);
      refused_.push_back(word);
    };
    fleet_ = MakeFleet(*store_, *clock_, *random_, options);
    for (int i = 0; i < kHosts; ++i) hosts_.push_back(Enroll(absl::StrCat("host-", i)));
  }

  HostRow Enroll(const std::string& name) {
    const std::string id = Sha256Hex(name).substr(0, 32);
    const Audit audit{"test", "", "test", name, "", "", ""};
    EXPECT_THAT(store_->CreateToken({id, "digest", {}, "", clock_->Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow host;
    host.uuid = name;
    host.name = name;
    host.host_key = name;
    host.enrolled = clock_->Now();
    host.last_seen = absl::InfinitePast();
    return store_->EnrollHost(id, "digest", host, clock_->Now(), audit).value();
  }

  // One session: Hello, a report with an event of its own, a check-in.
  std::string Report(const HostRow& row, int round) {
    AckStream stream;
    const HostRow host = store_->FindHost(row.uuid).value();
    const SessionId id = fleet_->OnOpened(host, absl::InfiniteFuture(), stream);
    v1::AgentMessage hello;
    hello.mutable_hello()->set_protocol_min(1);
    hello.mutable_hello()->set_protocol_max(1);
    hello.mutable_hello()->set_agent_version("0.1.0");
    hello.mutable_hello()->set_instance(absl::StrCat(row.uuid, round));
    fleet_->OnMessage(id, hello);
    const auto sequence = static_cast<std::uint64_t>(round);
    const HostState state = StateAfter(round);
    v1::AgentMessage message;
    v1::Report& report = *message.mutable_report();
    report = MakeReport(nullptr, state);
    report.set_epoch(std::string(16, 'e'));
    report.set_sequence(sequence);
    report.set_state_digest(StateDigest(state));
    v1::DriftEvent& event = *report.add_events();
    event.set_sequence(sequence);
    event.set_kind(v1::DriftEvent::KIND_DRIFTED);
    event.set_mode(v1::MODE_AUDIT);
    event.set_setting("dump.type");
    event.set_new_value(absl::StrCat("value ", round));
    fleet_->OnMessage(id, message);
    std::string trouble = stream.Await(sequence);
    v1::AgentMessage check_in;
    check_in.mutable_check_in()->set_sequence(sequence);
    check_in.mutable_check_in()->set_state_digest(StateDigest(state));
    if (trouble.empty()) fleet_->OnMessage(id, check_in);
    fleet_->OnClosed(id);
    return trouble;
  }

  void ApplyPolicies(int version) {
    PolicyRow row;
    row.name = "threads";
    row.version = static_cast<std::uint64_t>(version);
    row.yaml = absl::StrCat(
        "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: threads }\n"
        "spec: { priority: ",
        version, ", mode: audit, settings: { dump.type: kernel } }\n");
    row.digest = Sha256(row.yaml);
    EXPECT_THAT(store_->PutPolicies({row}, {"test", "", "policy.apply", "", "", "", ""}), IsOk());
    fleet_->PoliciesChanged();
  }

  TempFolder temp_;
  const std::unique_ptr<Clock> clock_ = MakeSystemClock();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Store> store_;
  std::atomic<int> told_ = 0;
  std::mutex refused_mutex_;
  std::vector<std::string> refused_;
  std::unique_ptr<Fleet> fleet_;
  std::vector<HostRow> hosts_;
};

TEST_F(FleetThreads, KeepEveryReportOfEveryHost) {
  std::vector<std::string> troubles(kHosts);
  std::vector<std::thread> reporters;
  for (int i = 0; i < kHosts; ++i) {
    reporters.emplace_back([this, i, &trouble = troubles[static_cast<std::size_t>(i)]] {
      for (int round = 1; round <= kRounds && trouble.empty(); ++round) {
        trouble = Report(hosts_[static_cast<std::size_t>(i)], round);
      }
    });
  }
  std::atomic<bool> done = false;
  std::thread ticking([&] {
    while (!done) {
      fleet_->Tick();
      std::this_thread::yield();
    }
  });
  std::thread looking([&] {
    Hosts hosts(*store_, *fleet_, *clock_, absl::Minutes(5));
    while (!done) {
      EXPECT_THAT(hosts.List({}), IsOk());
      for (const HostRow& host : hosts_) fleet_->IsConnected(host.id);
    }
  });
  std::thread operating([&] {
    for (int version = 1; version <= kRounds; ++version) ApplyPolicies(version);
  });
  for (std::thread& reporter : reporters) reporter.join();
  operating.join();
  done = true;
  ticking.join();
  looking.join();
  EXPECT_THAT(troubles, Each(std::string()));
  EXPECT_EQ(fleet_->OpenStreams(), 0u);
  EXPECT_GT(told_, 0);
  EXPECT_THAT(refused_, SizeIs(0));
  EXPECT_THAT(store_->ListDrift({}).value(), SizeIs(kHosts * kRounds));
}

}  // namespace
}  // namespace dumpwarden
