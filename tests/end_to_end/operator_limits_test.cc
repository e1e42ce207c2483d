// SPDX-License-Identifier: Apache-2.0
// How many calls operators have at a time, seen from the wire: at each limit,
// one above it, and a hundred times above.  Other operators and hosts go on,
// and what ends makes room.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/bare_session.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using Code = grpc::StatusCode;

// 64 KiB of an answer wait unread, and not more.
std::unique_ptr<v1::Admin::Stub> Dial(const Server& server, const Person& person) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, 64 * 1024);
  return v1::Admin::NewStub(DialWith(server.address(), person.Files(), arguments));
}

// One call that streams its answer, and is known to run, or not: its end then says why.
template <typename Answer>
class Held {
 public:
  template <typename Call>
  explicit Held(Call call) {
    // One that is let in and should not be is to fail the test, not to hold it.
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    stream_ = call(&context_);
    stream_->WaitForInitialMetadata();
  }
  ~Held() {
    context_.TryCancel();
    if (!ended_) stream_->Finish();
  }
  grpc::Status Cancel() {
    context_.TryCancel();
    return Verdict();
  }
  // Of one that was turned away.
  grpc::Status Verdict() {
    ended_ = true;
    return stream_->Finish();
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReader<Answer>> stream_;
  bool ended_ = false;
};
using Follower = Held<v1::Drift>;
using Unread = Held<v1::HostFinding>;  // of a report that is longer than what waits unread

std::unique_ptr<Follower> Follow(v1::Admin::Stub& stub) {
  return std::make_unique<Follower>(
      [&](grpc::ClientContext* context) { return stub.FollowDrift(context, {}); });
}

std::unique_ptr<Unread> HoldACall(v1::Admin::Stub& stub) {
  return std::make_unique<Unread>(
      [&](grpc::ClientContext* context) { return stub.ReportCompliance(context, {}); });
}

grpc::Status QuickCall(v1::Admin::Stub& stub) {
  grpc::ClientContext context;
  v1::ListHostsResponse hosts;
  return stub.ListHosts(&context, {}, &hosts);
}

class OperatorLimits : public testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    ASSERT_EQ(host_.Enroll(server_.CreateToken()).exit_code, 0);
    session_ =
        std::make_unique<BareSession>(DialWith(server_.address(), host_.File("data/identity")));
    ASSERT_TRUE(session_->Join());
    alice_ = DialAs("alice");
    bob_ = DialAs("bob");
  }
  std::unique_ptr<v1::Admin::Stub> DialAs(const std::string& name) {
    return Dial(server_, Person(server_, name, "viewer"));
  }
  // 800 KiB of findings.
  void ReportMuch() {
    HostState state;
    for (int i = 0; i < 200; ++i) {
      v1::Finding& finding = state.findings.emplace_back();
      finding.set_setting(absl::StrCat("setting.", 1000 + i));
      finding.set_status(v1::STATUS_COMPLIANT);
      finding.set_mode(v1::MODE_ENFORCE);
      finding.set_reason(std::string(4000, 'x'));
    }
    v1::AgentMessage message;
    v1::Report& report = *message.mutable_report();
    report = MakeReport(nullptr, state);
    report.set_epoch(std::string(16, 'e'));
    report.set_sequence(1);
    report.set_state_digest(StateDigest(state));
    ASSERT_TRUE(session_->Write(message));
    ASSERT_TRUE(session_->AwaitAck(1));
  }
  void ExpectHostsGoOn() {
    v1::AgentMessage check_in;
    check_in.mutable_check_in()->set_sequence(0);
    ASSERT_TRUE(session_->Write(check_in));
    EXPECT_TRUE(session_->AwaitAck(0));
  }

  // At once of the first; those of the next minute are counted in another row.
  void ExpectAudited(const std::string& reason, const std::string& whose) {
    const Json rows =
        server_.CtlJson({"audit", "list", "--action", "call.refused", "--object", reason});
    ASSERT_GE(rows.size(), 1u);
    EXPECT_THAT(rows[0]["detail"].get<std::string>(), HasSubstr("/operator/" + whose));
  }

  Server server_;
  Host host_{"web-01"};
  std::unique_ptr<BareSession> session_;
  std::unique_ptr<v1::Admin::Stub> alice_, bob_;
};

TEST_F(OperatorLimits, OneHasAtMostEightFollowersAndOthersHaveTheirs) {
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < 8; ++i) followers.push_back(Follow(*alice_));
  for (int i = 8; i < 800; ++i) {
    const grpc::Status verdict = Follow(*alice_)->Verdict();
    ASSERT_EQ(verdict.error_code(), Code::RESOURCE_EXHAUSTED) << verdict.error_message();
    ASSERT_THAT(verdict.error_message(), HasSubstr("of this operator"));
  }
  ExpectAudited("followers-of-one", "alice");
  EXPECT_EQ(Follow(*bob_)->Cancel().error_code(), Code::CANCELLED) << "it was let in";
  EXPECT_TRUE(QuickCall(*alice_).ok()) << "what does not last is no follower";
  ExpectHostsGoOn();
}

TEST_F(OperatorLimits, AllHaveAtMostSixteenFollowers) {
  const auto carol = DialAs("carol");
  std::vector<std::unique_ptr<Follower>> followers;
  for (int i = 0; i < 8; ++i) {
    followers.push_back(Follow(*alice_));
    followers.push_back(Follow(*bob_));
  }
  for (int i = 16; i < 1600; ++i) {
    const grpc::Status verdict = Follow(*carol)->Verdict();
    ASSERT_EQ(verdict.error_code(), Code::RESOURCE_EXHAUSTED) << i << verdict.error_message();
    ASSERT_THAT(verdict.error_message(), HasSubstr("16 calls follow drift already"));
  }
  ExpectAudited("followers", "carol");
  EXPECT_TRUE(QuickCall(*carol).ok());
  ExpectHostsGoOn();
  EXPECT_EQ(followers.back()->Cancel().error_code(), Code::CANCELLED) << "it was let in";
  followers.pop_back();
  EXPECT_TRUE(Eventually([&] { return Follow(*carol)->Cancel().error_code() == Code::CANCELLED; }))
      << "one that ended makes room";
}

TEST_F(OperatorLimits, OneHasAtMostSixteenCallsAndOthersHaveTheirs) {
  ReportMuch();
  std::vector<std::unique_ptr<Unread>> held;
  for (int i = 0; i < 16; ++i) held.push_back(HoldACall(*alice_));
  for (int i = 16; i < 1600; ++i) {
    const grpc::Status refused = QuickCall(*alice_);
    ASSERT_EQ(refused.error_code(), Code::RESOURCE_EXHAUSTED) << i << refused.error_message();
    ASSERT_THAT(refused.error_message(), HasSubstr("16 calls of this operator run already"));
  }
  ExpectAudited("calls-of-one", "alice");
  EXPECT_TRUE(QuickCall(*bob_).ok());
  EXPECT_EQ(Follow(*alice_)->Cancel().error_code(), Code::CANCELLED) << "followers count apart";
  ExpectHostsGoOn();
  EXPECT_EQ(held.back()->Cancel().error_code(), Code::CANCELLED) << "it ran until now";
  held.pop_back();
  EXPECT_TRUE(Eventually([&] { return QuickCall(*alice_).ok(); })) << "one that ended makes room";
}

TEST_F(OperatorLimits, AHundredTimesAsManyAtOnceAreServedOrRefused) {
  std::atomic<int> served = 0;
  std::atomic<int> refused = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 32; ++i) {
    callers.emplace_back([&] {
      for (int n = 0; n < 50; ++n) {
        const grpc::Status done = QuickCall(*alice_);
        served += done.ok();
        refused += done.error_code() == Code::RESOURCE_EXHAUSTED;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(served + refused, 1600);
  EXPECT_GT(served, 0);
  EXPECT_TRUE(QuickCall(*alice_).ok());
  ExpectHostsGoOn();
}

}  // namespace
}  // namespace dumpwarden
