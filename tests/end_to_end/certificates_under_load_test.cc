// SPDX-License-Identifier: Apache-2.0
// Two hundred connected hosts whose certificates are all renewed at one moment,
// and then their server is killed: nobody is locked out, and nobody is away for
// longer than its pause.  The server is the real program; of the agents the
// link, the renewer, the pauses and the identity on disk are, in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/enroll.h"
#include "agent/grpc_link.h"
#include "agent/reconnect.h"
#include "agent/renewer.h"
#include "core/base/token.h"
#include "platform/system.h"
#include "tests/end_to_end/strangers.h"

namespace dumpwarden {
namespace {

#ifdef DUMPWARDEN_SANITIZED
constexpr int kHosts = 20;
#else
constexpr int kHosts = 200;
#endif
constexpr absl::Duration kWindow = absl::Seconds(1);  // that a server has for so few
// What two cores need at most to do for all of them what is due at once.
constexpr absl::Duration kBusy = absl::Seconds(15);
constexpr absl::Duration kLimit = absl::Minutes(2);

class NoLog final : public Log {
 protected:
  void Write(LogLevel, absl::string_view, const std::vector<LogField>&) override {}
};

// What all of them share: time, and one thread for what their links and renewers tell.
struct World {
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const std::unique_ptr<Clock> clock = MakeSystemClock();
  const std::unique_ptr<Random> random = MakeSystemRandom();
  NoLog log;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::function<void()>> tasks;

  void Push(std::function<void()> task) {
    const std::lock_guard lock(mutex);
    tasks.push_back(std::move(task));
    changed.notify_all();
  }
  std::function<void()> Pop() {
    std::unique_lock lock(mutex);
    changed.wait_for(lock, std::chrono::milliseconds(5), [this] { return !tasks.empty(); });
    if (tasks.empty()) return [] {};
    std::function<void()> task = std::move(tasks.front());
    tasks.pop_front();
    return task;
  }
};

// Member is one host.  All but the events below runs on the test's thread.
class Member final : public LinkEvents {
 public:
  Member(World& world, std::string data)
      : world_(world),
        data_(std::move(data)),
        reconnect_(*world.random, kDefaultReconnectWindow),
        instance_(world.random->Bytes(16)),
        link_(MakeGrpcLink(
            {}, [this] { return LoadIdentity(*world_.vfs, data_); }, *world.clock, *this)),
        renewer_(
            Renewer::Parts{*world.vfs, *world.clock, *world.random, world.log, data_},
            [this](const Identity& identity, const v1::RenewRequest& request,
                   const std::function<bool()>& stopped) {
              return CallRenew({}, identity, *world_.clock, request, stopped);
            },
            [this] { world_.Push([this] { TakeUp(); }); }) {}

  // Another identity is on disk: the session is given up for one with it.
  void TakeUp() {
    renewer_.Use(*LoadIdentity(*world_.vfs, data_));
    at_once_ = true;
    link_->Disconnect();
  }
  void Tick() {
    if (world_.clock->Monotonic() < dial_at_) return;
    dialled_ = std::exchange(dial_at_, absl::InfiniteDuration());
    link_->Connect();
  }

  void OnConnected() override {
    world_.Push([this] { Greet(); });
  }
  void OnMessage(v1::ServerMessage message) override {
    world_.Push([this, message = std::move(message)] { Hear(message); });
  }
  void OnDisconnected(absl::Status why) override {
    world_.Push([this, why = std::move(why)] { Leave(why); });
  }

  const std::string& data() const { return data_; }
  bool connected() const { return connected_; }
  absl::Duration away() const { return away_; }        // the longest between two sessions
  absl::Duration slowest() const { return slowest_; }  // from a dial to the welcome
  const std::string& goodbye() const { return goodbye_; }
  void Forget() { away_ = slowest_ = absl::ZeroDuration(); }

 private:
  void Greet() {
    v1::AgentMessage message;
    message.mutable_hello()->set_protocol_min(1);
    message.mutable_hello()->set_protocol_max(1);
    message.mutable_hello()->set_instance(instance_);
    link_->Send(message);
  }
  void Hear(const v1::ServerMessage& message) {
    if (message.has_probe()) {
      v1::AgentMessage reply;
      reply.mutable_probe_reply()->set_nonce(message.probe().nonce());
      reply.mutable_probe_reply()->set_instance(instance_);
      link_->Send(reply);
    } else if (message.has_goodbye()) {
      goodbye_ = message.goodbye().message();
      link_->Disconnect();
    } else if (message.has_welcome()) {
      const absl::Duration now = world_.clock->Monotonic();
      connected_ = true;
      reconnect_.SetWindow(absl::Milliseconds(message.welcome().reconnect_window_ms()));
      EXPECT_LE(reconnect_.window(), kWindow);
      reconnect_.Succeeded();
      away_ = std::max(away_, now - left_);
      slowest_ = std::max(slowest_, now - dialled_);
    }
  }
  void Leave(const absl::Status&) {
    const absl::Duration now = world_.clock->Monotonic();
    if (std::exchange(connected_, false)) left_ = now;
    dial_at_ = std::exchange(at_once_, false) ? now : now + reconnect_.NextDelay();
  }

  World& world_;
  const std::string data_;
  Reconnect reconnect_;
  const std::string instance_;
  bool connected_ = false;
  bool at_once_ = false;
  std::string goodbye_;
  absl::Duration dial_at_ = absl::ZeroDuration();
  absl::Duration dialled_ = absl::ZeroDuration();
  absl::Duration left_ = absl::InfiniteDuration();
  absl::Duration away_ = absl::ZeroDuration();
  absl::Duration slowest_ = absl::ZeroDuration();
  std::unique_ptr<Link> link_;
  Renewer renewer_;
};

class CertificatesUnderLoad : public testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    std::string list;
    for (int i = 0; i < kHosts; ++i) absl::StrAppend(&list, "- { name: web-", i, " }\n");
    WriteAll(temp_.File("hosts.yaml"), list);
    const Json tokens = server_.CtlJson({"token", "create", "-f", temp_.File("hosts.yaml")});
    ASSERT_EQ(tokens.size(), static_cast<std::size_t>(kHosts));
    for (int i = 0; i < kHosts; ++i) {
      ASSERT_NO_FATAL_FAILURE(
          Enrol(temp_.File(absl::StrCat(i)), tokens[static_cast<std::size_t>(i)]));
      members_.push_back(std::make_unique<Member>(world_, temp_.File(absl::StrCat(i))));
    }
  }
  void Enrol(const std::string& data, const Json& token) {
    const std::string text = token["token"];
    const EnrollmentToken parsed = *ParseToken(text);
    const EnrollmentKeys keys = *MakeEnrollmentKeys();
    const auto response = CallEnroll(token["address"], "", parsed.root_pin, *world_.clock,
                                     *MakeEnrollRequest(keys, text, token["name"]));
    ASSERT_THAT(response.status(), IsOk());
    const auto identity = CheckEnrollResponse(*response, keys, parsed.root_pin, absl::Now());
    ASSERT_THAT(identity.status(), IsOk());
    ASSERT_THAT(SaveIdentity(*world_.vfs, data, *identity, *PrivateKeyPem(*keys.host), false),
                IsOk());
  }

  bool RunUntil(const std::function<bool()>& holds) {
    const absl::Time end = absl::Now() + kLimit;
    while (absl::Now() < end) {
      for (int i = 0; i < 50; ++i) world_.Pop()();
      for (const auto& member : members_) member->Tick();
      if (holds()) return true;
    }
    return false;
  }
  bool AllConnected() const {
    return std::all_of(members_.begin(), members_.end(),
                       [](const auto& member) { return member->connected(); });
  }
  // Every certificate is four days old from now on.
  void AgeAll() {
    const auto authority = Authority::Open(*world_.vfs, *world_.random, server_.folder() + "/ca");
    ASSERT_THAT(authority, IsOk());
    for (const auto& member : members_) {
      Identity identity = *LoadIdentity(*world_.vfs, member->data());
      const KeyPtr key = *MakeKey();
      identity.key_pem = *PrivateKeyPem(*key);
      const absl::Time then = absl::Now() - absl::Hours(24 * 4);
      identity.chain_pem = (*authority)->IssueHost(*key, identity.host_id, then)->chain_pem;
      const std::string host_key = *LoadHostKey(*world_.vfs, member->data());
      ASSERT_THAT(SaveIdentity(*world_.vfs, member->data(), identity, host_key, true), IsOk());
      member->TakeUp();
    }
  }
  bool AllRenewed() const {
    return std::all_of(members_.begin(), members_.end(), [this](const auto& member) {
      const auto identity = LoadIdentity(*world_.vfs, member->data());
      const auto chain = ReadCertificatesPem(identity->chain_pem);
      return Summarize(*chain->front())->not_after > absl::Now() + absl::Hours(24 * 6);
    });
  }
  // The longest of all of them, since the last time.
  absl::Duration Longest(absl::Duration (Member::*of)() const) const {
    absl::Duration longest = absl::ZeroDuration();
    for (const auto& member : members_) longest = std::max(longest, (*member.*of)());
    return longest;
  }

  TempFolder temp_;
  Server server_;
  World world_;
  std::vector<std::unique_ptr<Member>> members_;
};

TEST_F(CertificatesUnderLoad, AreAllRenewedAtOnceAndNobodyIsLockedOutNorByARestart) {
  ASSERT_TRUE(RunUntil([&] { return AllConnected(); }));
  for (const auto& member : members_) member->Forget();

  ASSERT_NO_FATAL_FAILURE(AgeAll());
  ASSERT_TRUE(RunUntil([&] { return AllConnected() && AllRenewed(); }));
  const absl::Duration away = Longest(&Member::away);
  std::printf("the longest away for a renewal: %s\n", absl::FormatDuration(away).c_str());
  EXPECT_LT(away, kWindow + kBusy);

  server_.Kill(SIGKILL);
  ASSERT_TRUE(RunUntil([&] { return !AllConnected(); }));
  server_.Start();
  for (const auto& member : members_) member->Forget();
  ASSERT_TRUE(RunUntil([&] { return AllConnected(); }));
  const absl::Duration slowest = Longest(&Member::slowest);
  std::printf("the slowest after a restart: %s\n", absl::FormatDuration(slowest).c_str());
  EXPECT_LT(slowest, kBusy);

  for (const auto& member : members_) EXPECT_EQ(member->goodbye(), "");
  std::set<std::string> renewed;
  for (const Json& row :
       server_.CtlJson({"audit", "list", "--action", "host.renew", "--limit", "1000"})) {
    renewed.insert(row["object"].get<std::string>());
  }
  EXPECT_EQ(renewed.size(), members_.size());
  EXPECT_EQ(server_.CtlJson({"host", "list", "--state", "hold"}).size(), 0u);
  EXPECT_EQ(server_.CtlJson({"host", "list", "--state", "quarantined"}).size(), 0u);
}

}  // namespace
}  // namespace dumpwarden
