// SPDX-License-Identifier: Apache-2.0
// Certificates of hosts: renewed by a running agent before they expire, and
// after that only with an operator's word.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/identity.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "tests/end_to_end/strangers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr absl::Duration kDay = absl::Hours(24);

CertificateSummary CertificateOf(const Host& host) {
  const auto chain = ReadCertificatesPem(ReadAll(host.File("data/identity/tls.crt")));
  if (!chain.ok()) return {};
  return Summarize(*chain->front()).value_or(CertificateSummary());
}

Json RowOf(const Server& server, const std::string& id) {
  return server.CtlJson({"host", "show", id})["host"];
}

Json AuditOf(const Server& server, const std::string& action, const std::string& object) {
  for (Json& row : server.CtlJson({"audit", "list", "--action", action})) {
    if (row["object"] == object) return row;
  }
  return {};
}

Json DriftsOf(const Server& server, const std::string& id) {
  Json drifts = Json::array();
  for (const Json& drift : server.CtlJson({"drift", "list"})) {
    if (drift["host_id"] == id) drifts.push_back(drift);
  }
  return drifts;
}

class Renewal : public testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    server_.Apply(kThreeSettings);
    host_.Join(server_);
    id_ = host_.Id();
    ASSERT_TRUE(Eventually([&] { return DriftsOf(server_, id_).size() == 3; }));
    host_.Kill(SIGKILL);
  }
  bool IsConnected() const { return RowOf(server_, id_)["connected"] == true; }
  std::string LastError() const {
    const Json status =
        Json::parse(host_.Agent({"status", "--config", host_.File("agent.yaml"), "-o", "json"}).out,
                    nullptr, false);
    return status.is_object() && status["last_error"].is_string()
               ? status["last_error"].get<std::string>()
               : "";
  }

  Server server_;
  Host host_{"web-01"};
  std::string id_;
};

TEST_F(Renewal, OfARunningAgentGetsANewKeyAtHalfLifeAndLosesNothing) {
  host_.Start();
  ASSERT_TRUE(Eventually([&] { return IsConnected(); }));
  const std::string host_key = ReadAll(host_.File("data/identity/host.key"));
  host_.Set("CrashDumpEnabled", "dword:00000000");  // to be told over the change of certificates
  const Leaf old = Issue(server_, id_, absl::Now() - 4 * kDay);
  const auto vfs = MakeSystemVfs();
  Identity aged = *LoadIdentity(*vfs, host_.File("data"));
  aged.chain_pem = old.chain;
  aged.key_pem = old.key;
  ASSERT_THAT(SaveIdentity(*vfs, host_.File("data"), aged, host_key, /*replace=*/true), IsOk());
  ASSERT_TRUE(Eventually([&] { return CertificateOf(host_).not_after > absl::Now() + 6 * kDay; }))
      << host_.process().Err();
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(host_.process().Err(), "connects anew, with the new certificate") &&
           IsConnected();
  })) << host_.process().Err();
  EXPECT_NE(ReadAll(host_.File("data/identity/tls.key")), old.key);
  EXPECT_EQ(ReadAll(host_.File("data/identity/host.key")), host_key) << "made once";
  EXPECT_FALSE(std::filesystem::exists(host_.File("data/identity.old")));
  EXPECT_EQ(host_.Id(), id_);
  EXPECT_TRUE(Eventually([&] { return DriftsOf(server_, id_).size() == 4; }))
      << DriftsOf(server_, id_);

  const Json row = AuditOf(server_, "host.renew", id_);
  ASSERT_TRUE(row.is_object());
  EXPECT_EQ(row["actor"], "spiffe://corp.example/host/" + id_);
  EXPECT_THAT(row["detail"].get<std::string>(), HasSubstr(CertificateOf(host_).serial));
  // Whoever still has the old one is let in until it expires.
  host_.Kill(SIGKILL);
  ASSERT_TRUE(Eventually([&] { return !IsConnected(); }));
  EXPECT_EQ(SessionVerdict(Dial(server_, old.chain, old.key)), grpc::StatusCode::OK);
}

TEST_F(Renewal, IsNotAskedForBeforeHalfLife) {
  const Leaf young = Age(server_, host_, 3 * kDay);
  host_.Start();
  ASSERT_TRUE(Eventually([&] { return IsConnected(); }));
  EXPECT_EQ(ReadAll(host_.File("data/identity/tls.crt")), young.chain);
  EXPECT_FALSE(AuditOf(server_, "host.renew", id_).is_object());
}

TEST_F(Renewal, AfterExpiryLetsTheHostInOnlyWhenAnOperatorApproves) {
  Age(server_, host_, 30 * kDay);
  host_.Set("CrashDumpEnabled", "dword:00000000");
  host_.Start();
  EXPECT_TRUE(Eventually([&] { return RowOf(server_, id_)["state"] == "hold"; }))
      << host_.process().Err();
  EXPECT_TRUE(Eventually([&] { return host_.Value("CrashDumpEnabled") == "dword:00000001"; }))
      << "it goes on enforcing";
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(LastError(), "dumpctl host approve " + id_);
  })) << LastError();
  EXPECT_GT(CertificateOf(host_).not_after, absl::Now() + 6 * kDay);
  EXPECT_FALSE(IsConnected());
  EXPECT_EQ(DriftsOf(server_, id_).size(), 3u) << "nothing of it is taken";
  EXPECT_THAT(AuditOf(server_, "host.hold", id_)["detail"].get<std::string>(),
              HasSubstr("its own expired at"));

  const Finished dry = server_.Ctl({"host", "approve", "web-01", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("approved (dry run)"));
  EXPECT_EQ(RowOf(server_, id_)["state"], "hold");
  const Json done = server_.CtlJson({"host", "approve", "web-01"});
  EXPECT_EQ(done[0]["changed"], true);
  EXPECT_TRUE(AuditOf(server_, "host.approve", id_).is_object());
  EXPECT_THAT(server_.Ctl({"host", "approve", "web-01"}).out, HasSubstr("is not held"));
  host_.Kill(SIGTERM);  // it would ask again after some minutes
  host_.Start();
  EXPECT_TRUE(Eventually([&] { return IsConnected(); })) << host_.process().Err();
  EXPECT_TRUE(Eventually([&] { return DriftsOf(server_, id_).size() == 4; }))
      << "what happened meanwhile is told";
}

grpc::Status AskToRenew(const std::shared_ptr<grpc::Channel>& channel) {
  v1::RenewRequest request;
  request.set_csr(*MakeCsrDer(**MakeKey()));
  v1::RenewResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  return v1::AgentSession::NewStub(channel)->Renew(&context, request, &response);
}

// T38: without the host key, a TLS key does not outlive its certificate.
TEST_F(Renewal, T38AStolenTlsKeyIsNotRenewedAndAnExpiredOneOpensNothing) {
  const Leaf good = Issue(server_, id_, absl::Now() - 4 * kDay);
  EXPECT_EQ(AskToRenew(Dial(server_, good.chain, good.key)).error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
  const Leaf late = Issue(server_, id_, absl::Now() - 8 * kDay);
  const auto channel = Dial(server_, late.chain, late.key);
  EXPECT_EQ(SessionVerdict(channel), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(AskToRenew(channel).error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  v1::ListHostsResponse hosts;
  grpc::ClientContext context;
  EXPECT_EQ(v1::Admin::NewStub(channel)->ListHosts(&context, {}, &hosts).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_NE(RowOf(server_, id_)["state"], "hold") << "nor does it shut the host out";
}

// Only a host's, and only for so long, gets through the handshake at all.
TEST_F(Renewal, T31AnyOtherExpiredCertificateDoesNotPassTheHandshake) {
  const Leaf too_late = Issue(server_, id_, absl::Now() - 98 * kDay);
  EXPECT_EQ(AskToRenew(Dial(server_, too_late.chain, too_late.key)).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  const auto vfs = MakeSystemVfs();
  const auto random = MakeSystemRandom();
  const auto authority = Authority::Open(*vfs, *random, server_.folder() + "/ca");
  ASSERT_THAT(authority, IsOk());
  const KeyPtr key = *MakeKey();
  const auto person =
      (*authority)->IssueOperator(*key, "alice", absl::Now() - 2 * kDay, absl::Hours(1));
  ASSERT_THAT(person, IsOk());
  EXPECT_EQ(AskToRenew(Dial(server_, person->chain_pem, *PrivateKeyPem(*key))).error_code(),
            grpc::StatusCode::UNAVAILABLE);
  EXPECT_TRUE(Eventually([&] {
    const std::string rows =
        server_.CtlJson({"audit", "list", "--action", "handshake.refused"}).dump();
    return absl::StrContains(rows, "/operator/alice") || absl::StrContains(rows, id_);
  }));
}

TEST_F(Renewal, IsRefusedToAHostThatWasRevoked) {
  ASSERT_EQ(server_.Ctl({"host", "revoke", "web-01", "--reason", "stolen"}).exit_code, 0);
  for (const absl::Duration age : {4 * kDay, 30 * kDay}) {
    const Leaf old = Age(server_, host_, age);
    const std::size_t said = host_.process().Err().size();
    host_.Start();
    EXPECT_TRUE(Eventually([&] {
      return absl::StrContains(host_.process().Err().substr(said), "could not be renewed");
    })) << host_.process().Err();
    EXPECT_EQ(ReadAll(host_.File("data/identity/tls.crt")), old.chain);
    host_.Kill(SIGKILL);
  }
}

TEST(Hold, AHostThatEnrolsWithSuchATokenWaitsUntilItIsApproved) {
  Server server;
  server.Start();
  server.Apply(kThreeSettings);
  Host host("web-01");
  const Finished enrolled = host.Enroll(server.CtlJson({"token", "create", "--hold"}));
  ASSERT_EQ(enrolled.exit_code, 0) << enrolled.err;
  EXPECT_THAT(enrolled.out, HasSubstr("dumpctl host approve " + host.Id()));
  host.Start();
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(host.process().Err(), "dumpctl host approve " + host.Id());
  })) << host.process().Err();
  const Json listed = server.CtlJson({"host", "list", "--state", "hold"});
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_EQ(listed[0]["connected"], false);
  EXPECT_EQ(host.Value("CrashDumpEnabled"), "dword:00000007") << "it gets no policies";
  ASSERT_EQ(server.Ctl({"host", "approve", host.Id()}).exit_code, 0);
  host.Kill(SIGTERM);
  host.Start();
  EXPECT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000001"; }))
      << host.process().Err();
  EXPECT_NE(RowOf(server, host.Id())["state"], "hold");
}

TEST(Hold, IsEndedByARevocationTooAndThenByNothingElse) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CtlJson({"token", "create", "--hold"})).exit_code, 0);
  ASSERT_EQ(server.Ctl({"host", "revoke", "web-01", "--reason", "not ours"}).exit_code, 0);
  EXPECT_EQ(RowOf(server, host.Id())["state"], "revoked");
  const Finished approved = server.Ctl({"host", "approve", "web-01"});
  EXPECT_EQ(approved.exit_code, 1);
  EXPECT_THAT(approved.err, HasSubstr("was revoked"));
}

}  // namespace
}  // namespace dumpwarden
