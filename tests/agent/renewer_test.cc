// SPDX-License-Identifier: Apache-2.0
// When the renewer asks, asks again and lets go, with a server that the test
// plays.
#include "agent/renewer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "absl/time/clock.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

constexpr char kHost[] = "d783c539-78c6-4f38-8e10-ecc8db8e5bbc";

class RenewerTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, temp_.File("ca"), "q.example", clock_.Now()),
                IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, temp_.File("ca")));
    identity_.host_id = kHost;
    identity_.trust_domain = "q.example";
    identity_.server = "dump.example:7443";
    identity_.ca_pem = authority_->root_pem();
    const KeyPtr key = *MakeKey();
    identity_.key_pem = *PrivateKeyPem(*key);
    identity_.chain_pem = authority_->IssueHost(*key, kHost, clock_.Now())->chain_pem;
    ASSERT_THAT(SaveIdentity(*vfs_, Data(), identity_, *PrivateKeyPem(**MakeKey()), false), IsOk());
    renewer_ = std::make_unique<Renewer>(
        Renewer::Parts{*vfs_, clock_, *random_, *log_, Data(), absl::Milliseconds(5)},
        [this](const Identity&, const v1::RenewRequest& request,
               const std::function<bool()>& stopped) { return Answer(request, stopped); },
        [this] { Note(renewed_); });
  }
  std::string Data() const { return temp_.File("data"); }

  absl::StatusOr<v1::RenewResponse> Answer(const v1::RenewRequest& request,
                                           const std::function<bool()>& stopped) {
    Note(asked_);
    while (hangs_ && !stopped()) absl::SleepFor(absl::Milliseconds(1));
    if (hangs_) return absl::CancelledError("stopped");
    if (refuses_) return absl::PermissionDeniedError("no");
    const KeyPtr key = *ReadCsrDer(request.csr());
    const Issued issued = *authority_->IssueHost(*key, kHost, clock_.Now() - behind_);
    v1::RenewResponse response;
    for (const std::string& der : issued.chain) response.add_chain(der);
    return response;
  }
  void Note(int& count) {
    const std::lock_guard lock(mutex_);
    ++count;
    changed_.notify_all();
  }
  bool Await(const int& count, int wanted, absl::Duration limit = absl::Seconds(30)) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, absl::ToChronoMilliseconds(limit),
                             [&] { return count >= wanted; });
  }
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  const std::unique_ptr<Log> log_ = MakeLog(clock_, "test");
  std::unique_ptr<Authority> authority_;
  Identity identity_;
  std::atomic<bool> refuses_ = false;
  std::atomic<bool> hangs_ = false;
  absl::Duration behind_ = absl::ZeroDuration();  // the server's clock
  std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  int renewed_ = 0;
  std::unique_ptr<Renewer> renewer_;
};

TEST_F(RenewerTest, AsksAtHalfLifeOnceAndKeepsWhatItGets) {
  renewer_->Use(identity_);
  EXPECT_EQ(asked(), 0);
  clock_.Advance(absl::Hours(24 * 4));
  renewer_->Use(identity_);  // wakes it: its clock is the test's
  ASSERT_TRUE(Await(renewed_, 1));
  ASSERT_OK_AND_ASSIGN(const Identity now, LoadIdentity(*vfs_, Data()));
  EXPECT_NE(now.chain_pem, identity_.chain_pem);
  EXPECT_NE(now.key_pem, identity_.key_pem);
  EXPECT_THAT(CheckIdentity(now, clock_.Now()), IsOk());
  renewer_->Use(now);
  renewer_.reset();
  EXPECT_EQ(asked(), 1) << "not again, with or without the new one taken up";
}

// A machine that came up with a clock of next year never renewed its certificate.
TEST_F(RenewerTest, RenewsWhenAClockThatWasFarAheadIsSetRight) {
  const absl::Time right = clock_.Now();
  clock_.SetWall(right + absl::Hours(24 * 365));
  renewer_->Use(identity_);
  EXPECT_FALSE(Await(asked_, 1, absl::Milliseconds(100))) << "for that it is too late";
  clock_.SetWall(right + absl::Hours(24 * 4));
  EXPECT_TRUE(Await(renewed_, 1));
}

// It renewed again and again, as often as the server let it.
TEST_F(RenewerTest, RestsAfterARenewalThoughTheNewOneIsDueBecauseTheServersClockIsBehind) {
  behind_ = absl::Hours(24 * 5);
  clock_.Advance(absl::Hours(24 * 4));
  renewer_->Use(identity_);
  ASSERT_TRUE(Await(renewed_, 1));
  renewer_->Use(*LoadIdentity(*vfs_, Data()));
  EXPECT_FALSE(Await(asked_, 2, absl::Milliseconds(200)));
  clock_.Advance(kRenewalRest);
  EXPECT_TRUE(Await(renewed_, 2));
}

TEST_F(RenewerTest, AfterARefusalItWaitsAndTheOldIdentityStays) {
  refuses_ = true;
  clock_.Advance(absl::Hours(24 * 4));
  renewer_->Use(identity_);
  ASSERT_TRUE(Await(asked_, 1));
  EXPECT_FALSE(Await(asked_, 2, absl::Milliseconds(200))) << "not at once again";
  renewer_.reset();
  EXPECT_EQ(LoadIdentity(*vfs_, Data())->chain_pem, identity_.chain_pem);
  EXPECT_EQ(renewed_, 0);
}

TEST_F(RenewerTest, DoesNotHoldUpAStopThoughTheServerDoesNotAnswer) {
  hangs_ = true;
  clock_.Advance(absl::Hours(24 * 4));
  renewer_->Use(identity_);
  ASSERT_TRUE(Await(asked_, 1));
  const absl::Time begin = absl::Now();
  renewer_.reset();
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  EXPECT_EQ(renewed_, 0);
}

}  // namespace
}  // namespace dumpwarden
