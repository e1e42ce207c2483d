// SPDX-License-Identifier: Apache-2.0
// The fleet on the real store, with hosts that are written out by hand: for
// tests of how much it takes.  Time is moved by hand.
#ifndef DUMPWARDEN_TESTS_SERVER_FLEET_FLEET_RIG_H_
#define DUMPWARDEN_TESTS_SERVER_FLEET_FLEET_RIG_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/reconcile/state_digest.h"
#include "platform/system.h"
#include "server/fleet/fleet.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {

// CountingStream remembers how often it was let read, what it was welcomed, probed and acknowledged
// with, and its Goodbye.
class CountingStream final : public SessionOut {
 public:
  void Send(std::shared_ptr<const std::string> bytes) override {
    v1::ServerMessage message;
    EXPECT_TRUE(message.ParseFromString(*bytes));
    const std::lock_guard lock(mutex_);
    if (message.has_ack()) ack_ = message.ack();
    if (message.has_probe()) nonce_ = message.probe().nonce();
    if (message.has_welcome()) welcomed_ = true;
  }
  void SendLatest(std::shared_ptr<const std::string>) override {}
  void Close(const v1::Goodbye& goodbye) override {
    const std::lock_guard lock(mutex_);
    goodbye_ = goodbye;
    changed_.notify_all();
  }
  void Abort() override {}
  void ReadNext() override {
    const std::lock_guard lock(mutex_);
    ++reads_;
    changed_.notify_all();
  }

  int reads() {
    const std::lock_guard lock(mutex_);
    return reads_;
  }
  v1::Ack ack() {
    const std::lock_guard lock(mutex_);
    return ack_;
  }
  std::string nonce() {  // of the last probe
    const std::lock_guard lock(mutex_);
    return nonce_;
  }
  bool welcomed() {
    const std::lock_guard lock(mutex_);
    return welcomed_;
  }
  v1::Goodbye goodbye() {
    const std::lock_guard lock(mutex_);
    return goodbye_;
  }
  // Reports are answered on the store's thread.
  bool AwaitAnswer(int reads) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(30), [&] {
      return reads_ >= reads || goodbye_.reason() != v1::Goodbye::REASON_UNSPECIFIED;
    });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int reads_ = 0;
  v1::Ack ack_;
  std::string nonce_;
  bool welcomed_ = false;
  v1::Goodbye goodbye_;
};

class FleetRig : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    Begin({});
  }
  void Begin(FleetOptions options) {
    options.on_refused = [this](const std::string& word, const std::string& host,
                                const std::string&) {
      refused_.push_back(absl::StrCat(word, " ", host));
    };
    fleet_ = MakeFleet(*store_, clock_, *random_, std::move(options));
  }

  static std::string UuidOf(int number) {
    return absl::StrFormat("%08x-0000-4000-8000-000000000000", number);
  }
  HostRow Enroll(int number) {
    const Audit audit{"test", "", "test", UuidOf(number), "", "", ""};
    const std::string token = UuidOf(number);
    EXPECT_THAT(
        store_->CreateToken({token, "digest", {}, "", clock_.Now() + absl::Hours(1)}, audit),
        IsOk());
    HostRow host;
    host.uuid = UuidOf(number);
    host.name = absl::StrCat("host-", number);
    host.host_key = host.uuid;
    const auto row = store_->EnrollHost(token, "digest", host, clock_.Now(), audit);
    EXPECT_THAT(row, IsOk());
    return row.value_or(HostRow{});
  }

  SessionId Open(const HostRow& host, CountingStream& stream) {
    return fleet_->OnOpened(host, absl::InfiniteFuture(), stream);
  }
  SessionId Join(const HostRow& host, CountingStream& stream) {
    const SessionId session = Open(host, stream);
    v1::AgentMessage hello;
    hello.mutable_hello()->set_protocol_min(1);
    hello.mutable_hello()->set_protocol_max(1);
    hello.mutable_hello()->set_agent_version("0.1.0");
    hello.mutable_hello()->set_instance("one");
    fleet_->OnMessage(session, hello);
    return session;
  }
  // False when no answer came within half a minute.
  bool Tell(SessionId session, CountingStream& stream, v1::AgentMessage message) {
    const int reads = stream.reads();
    fleet_->OnMessage(session, std::move(message));
    return stream.AwaitAnswer(reads + 1);
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Store> store_;
  std::vector<std::string> refused_;
  std::unique_ptr<Fleet> fleet_;
};

// Numbered, of epoch "e", and with the digest of `after`.
inline v1::AgentMessage ReportMessage(v1::Report report, std::uint64_t sequence,
                                      const HostState& after) {
  v1::AgentMessage message;
  report.set_epoch(std::string(16, 'e'));
  report.set_sequence(sequence);
  report.set_state_digest(StateDigest(after));
  *message.mutable_report() = std::move(report);
  return message;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SERVER_FLEET_FLEET_RIG_H_
