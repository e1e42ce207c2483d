// SPDX-License-Identifier: Apache-2.0
// Who a host is comes from its certificate and from nothing else; who is
// refused is told why where it can be known, and logged and counted here.
#include <grpc/grpc_security_constants.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/reconcile/state_digest.h"
#include "dumpwarden/v1/session.grpc.pb.h"
#include "platform/sqlite.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/end_to_end/fleet.h"
#include "tests/end_to_end/strangers.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

// The audit rows of refused handshakes that hold a word.
bool RefusalIsRecorded(const Server& server, const std::string& word) {
  for (const Json& row : server.CtlJson({"audit", "list"})) {
    if (row["action"] == "handshake.refused" && row.dump().find(word) != std::string::npos)
      return true;
  }
  return false;
}

Finished Serve(const Server& server) {
  return RunProgram(
      {Program("dumpwarden-server"), "serve", "--config", server.folder() + "/server.yaml"});
}

TEST(Identity, T33TokenWorksOnce) {
  Server server;
  server.Start();
  Host first("web-01");
  Host second("web-02");
  const Json token = server.CreateToken();
  EXPECT_EQ(first.Enroll(token).exit_code, 0);
  // Another unused token keeps the enrolment port open.
  server.CreateToken();
  const Finished refused = second.Enroll(token);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("the token was used at 20"));
  bool recorded = false;
  for (const Json& row : server.CtlJson({"audit", "list"})) {
    recorded |= row["action"] == "host.enroll.refused" &&
                row.dump().find("was used at") != std::string::npos;
  }
  EXPECT_TRUE(recorded);
  EXPECT_EQ(server.CtlJson({"host", "list"}).size(), 1u);
}

TEST(Identity, EnrolmentPortIsClosedWithoutALiveToken) {
  Server server;
  server.Start();
  Host first("web-01");
  Host second("web-02");
  const Json token = server.CreateToken();
  EXPECT_EQ(first.Enroll(token).exit_code, 0);
  EXPECT_TRUE(Eventually([&] {
    return second.Enroll(token).err.find("refused") != std::string::npos;
  })) << second.Enroll(token).err;
}

// What the server says to such a host is in HandshakesAreRefusedLoggedAndCountedByReason.
TEST(Identity, HostOfAnotherCaSaysSoWhicheverRootItHas) {
  Server ours;
  Server other;
  ours.Start();
  other.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(other.CreateToken()).exit_code, 0);
  // Its own root says that our server is a stranger.
  const std::string config = ReadAll(host.File("agent.yaml"));
  WriteAll(host.File("agent.yaml"), config + "server: " + ours.address() + "\n");
  host.Start();
  EXPECT_TRUE(Eventually([&] {
    return host.process().Err().find("another CA") != std::string::npos;
  })) << host.process().Err();
  host.Kill(SIGKILL);
  // With our root in its hands its own certificate is the stranger, which it sees before it dials.
  const std::size_t said = host.process().Err().size();
  std::filesystem::copy_file(ours.folder() + "/operators/admin/ca.crt",
                             host.File("data/identity/ca.crt"),
                             std::filesystem::copy_options::overwrite_existing);
  host.Start();
  EXPECT_TRUE(Eventually([&] {
    const std::string log = host.process().Err().substr(said);
    return log.find("this host's own certificate was not issued by the CA") != std::string::npos;
  })) << host.process().Err().substr(said);
}

TEST(Identity, HandshakesAreRefusedLoggedAndCountedByReason) {
  Server server;
  Server other;
  server.Start();
  const std::string uuid = "00000000-0000-4000-8000-000000000001";
  // A host's that expired less than 90 days ago gets as far as a call: renewals_test.
  const Leaf expired = Issue(server, uuid, absl::Now() - absl::Hours(24 * 98));
  const Leaf stranger = Issue(other, uuid, absl::Now());
  const Leaf unknown = Issue(server, uuid, absl::Now());
  EXPECT_NE(SessionVerdict(Dial(server, "", "")), grpc::StatusCode::OK);
  EXPECT_NE(SessionVerdict(Dial(server, expired.chain, expired.key)), grpc::StatusCode::OK);
  EXPECT_NE(SessionVerdict(Dial(server, stranger.chain, stranger.key)), grpc::StatusCode::OK);
  for (const char* reason : {"no-certificate", "expired", "other-ca"}) {
    EXPECT_TRUE(Eventually([&] { return RefusalIsRecorded(server, reason); })) << reason;
    EXPECT_THAT(server.Err(), HasSubstr(reason));
  }
  EXPECT_TRUE(RefusalIsRecorded(server, "spiffe://corp.example/host/" + uuid)) << "whose it was";
  EXPECT_TRUE(RefusalIsRecorded(server, "serial"));
  // A good certificate of a host that never enrolled.
  EXPECT_EQ(SessionVerdict(Dial(server, unknown.chain, unknown.key)),
            grpc::StatusCode::PERMISSION_DENIED);
}

// Refusals of the last minute were only in memory, and a stop lost them.
TEST(Identity, RefusalsAreCountedInTheAuditWhenTheServerStops) {
  Server server;
  server.Start();
  for (int i = 0; i < 3; ++i) {
    EXPECT_NE(SessionVerdict(Dial(server, "", "")), grpc::StatusCode::OK);
  }
  server.Kill(SIGTERM);
  server.Start();
  int counted = 0;
  for (const Json& row : server.CtlJson({"audit", "list"})) {
    if (row["action"] != "handshake.refused" || row["object"] != "no-certificate") continue;
    int count = 0;
    EXPECT_EQ(sscanf(row["detail"].get<std::string>().c_str(), "count %d", &count), 1) << row;
    counted += count;
  }
  EXPECT_GE(counted, 3);
}

// To a clock that is years ahead every host's certificate has expired.  The row that says so of the
// first was taken for the last time that was believed, and all that is old went.
TEST(Identity, WhoIsRefusedBeforeTheFirstLookAtTheClockDoesNotVouchForIt) {
  Server server;
  const std::string config = server.folder() + "/server.yaml";
  WriteAll(config, ReadAll(config) + "retention: { tokens-days: 1 }\n");
  const auto store = Database::Open(server.folder() + "/store.db", Database::Durability::kFull);
  ASSERT_THAT(store, IsOk());
  ASSERT_THAT((*store)->Execute("INSERT INTO token (token_id, secret_digest, expected_name, "
                                "expires) VALUES ('old', x'00', '', 1);"
                                "INSERT INTO audit VALUES (NULL, 1, 'an admin', '', "
                                "'policy.apply', '', '', x'', x'')"),
              IsOk());
  server.Start();
  EXPECT_NE(SessionVerdict(Dial(server, "", "")), grpc::StatusCode::OK);
  EXPECT_TRUE(Eventually([&] {
    const std::string audit = server.CtlJson({"audit", "list"}).dump();
    return absl::StrContains(audit, "handshake.refused") &&
           absl::StrContains(audit, "retention.held");
  })) << server.Err();
  auto kept = (*store)->Prepare("SELECT 1 FROM token WHERE token_id = 'old'");
  ASSERT_THAT(kept, IsOk());
  EXPECT_TRUE(kept->Step().value());
}

TEST(Identity, T38NoProgramUsesAKeyThatOthersCanRead) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
  server.Kill(SIGTERM);
  const std::string server_key = server.folder() + "/server.key";
  ASSERT_EQ(chmod(server_key.c_str(), 0644), 0);
  const Finished served = Serve(server);
  EXPECT_EQ(served.exit_code, 1);
  EXPECT_THAT(served.err, HasSubstr("chmod 600 " + server_key));
  for (const char* name : {"tls.key", "host.key"}) {
    const std::string key = host.File(absl::StrCat("data/identity/", name));
    ASSERT_EQ(chmod(key.c_str(), 0640), 0);
    const Finished ran = host.Agent({"run", "--config", host.File("agent.yaml")});
    EXPECT_EQ(ran.exit_code, 1) << name;
    EXPECT_THAT(ran.err, HasSubstr(absl::StrCat(name, " has mode 0640")));
    ASSERT_EQ(chmod(key.c_str(), 0600), 0);
  }
}

// Who can write in a folder can put another key there; who can read it has what a careless copy or
// editor leaves beside the key.
TEST(Identity, T38NoProgramUsesAFolderOfKeysThatOthersCanReach) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
  const auto ctl = [&] { return server.Ctl({"host", "list"}); };
  ASSERT_EQ(ctl().exit_code, 0);
  const std::string person = server.folder() + "/operators/admin";
  for (const mode_t mode : {0770u, 0707u, 01777u}) {
    ASSERT_EQ(chmod(person.c_str(), mode), 0);
    const Finished refused = ctl();
    EXPECT_EQ(refused.exit_code, 4) << mode;
    EXPECT_THAT(refused.err, HasSubstr("do:  chmod go-w " + person));
  }
  ASSERT_EQ(chmod(person.c_str(), 0755), 0);
  EXPECT_EQ(ctl().exit_code, 0) << "people's folders may be read";
  server.Kill(SIGTERM);
  const auto serve = [&] { return Serve(server); };
  const auto run = [&] { return host.Agent({"run", "--config", host.File("agent.yaml")}); };
  const struct {
    std::string folder;
    std::function<Finished()> program;
  } cases[] = {{server.folder(), serve},
               {server.folder() + "/ca", serve},
               {host.File("data"), run},
               {host.File("data/identity"), run}};
  for (const auto& test : cases) {
    for (const mode_t mode : {0750u, 0705u, 0770u, 0702u}) {
      ASSERT_EQ(chmod(test.folder.c_str(), mode), 0);
      const Finished refused = test.program();
      EXPECT_EQ(refused.exit_code, 1) << test.folder << " " << mode;
      EXPECT_THAT(refused.err, HasSubstr("chmod 700 " + test.folder));
    }
    ASSERT_EQ(chmod(test.folder.c_str(), 0700), 0);
  }
}

// A key is not written where others can reach it either.
TEST(Identity, T38EnrolmentWritesNoKeyIntoAFolderThatOthersCanReach) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(mkdir(host.File("data").c_str(), 0700), 0);
  ASSERT_EQ(chmod(host.File("data").c_str(), 0755), 0);
  const Json token = server.CreateToken();
  const Finished refused = host.Enroll(token);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("chmod 700 " + host.File("data")));
  EXPECT_FALSE(std::filesystem::exists(host.File("data/identity")));
  ASSERT_EQ(chmod(host.File("data").c_str(), 0700), 0);
  EXPECT_EQ(host.Enroll(token).exit_code, 0) << "the token was not used up";
}

// What the server shows a new connection.
CertificateSummary ShownCertificate(const Server& server) {
  const std::string operators = server.folder() + "/operators/admin/";
  auto stub = v1::AgentSession::NewStub(
      Dial(server, ReadAll(operators + "tls.crt"), ReadAll(operators + "tls.key")));
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  stub->Session(&context)->Finish();
  const auto shown = context.auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (shown.empty()) return {};
  const auto leaf = ReadCertificatesPem(absl::string_view(shown[0].data(), shown[0].size()));
  return leaf.ok() ? Summarize(*leaf->front()).value_or(CertificateSummary())
                   : CertificateSummary();
}

// A server that was up for a year showed a certificate that had expired, to all agents at once.
TEST(Identity, ServerRenewsItsCertificateWhileItRuns) {
  Server server;
  server.Start();
  const auto vfs = MakeSystemVfs();
  const auto random = MakeSystemRandom();
  const auto authority = Authority::Open(*vfs, *random, server.folder() + "/ca");
  ASSERT_THAT(authority, IsOk());
  const auto key = ReadPrivateKeyPem(ReadAll(server.folder() + "/server.key"));
  ASSERT_THAT(key, IsOk());
  const std::string first = ShownCertificate(server).serial;
  ASSERT_NE(first, "");
  // As if eleven months had passed.
  const auto old =
      (*authority)
          ->IssueServer(**key, {"localhost", "127.0.0.1"}, absl::Now(), absl::Hours(24 * 30));
  ASSERT_THAT(old, IsOk());
  ASSERT_THAT(WriteDurably(*vfs, server.folder() + "/server.crt", old->chain_pem), IsOk());
  EXPECT_TRUE(Eventually(
      [&] {
        const CertificateSummary shown = ShownCertificate(server);
        return !shown.serial.empty() && shown.serial != first &&
               shown.not_after > absl::Now() + absl::Hours(24 * 300);
      },
      absl::Seconds(60)))
      << server.Err();
  EXPECT_THAT(server.Err(), HasSubstr("certificate was renewed"));
}

TEST(Identity, AgentSaysThatItsOwnCertificateExpired) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
  const Leaf expired = Issue(server, host.Id(), absl::Now() - absl::Hours(24 * 98));
  WriteAll(host.File("data/identity/tls.crt"), expired.chain);
  WriteAll(host.File("data/identity/tls.key"), expired.key);
  host.Start();
  EXPECT_TRUE(Eventually([&] { return host.process().Err().find("expired") != std::string::npos; }))
      << host.process().Err();
}

TEST(Identity, AgentThatLostItsCertificateSaysSoAndGoesOnEnforcing) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: p }\n"
      "spec: { settings: { dump.type: kernel } }\n");
  ASSERT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000002"; }));
  host.Kill(SIGKILL);
  std::filesystem::remove(host.File("data/identity/tls.crt"));
  host.Set("CrashDumpEnabled", "dword:00000000");
  host.Start();
  EXPECT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000002"; }));
  EXPECT_TRUE(Eventually([&] {
    return host.process().Err().find("identity/tls.crt is missing") != std::string::npos;
  })) << host.process().Err();
}

TEST(Identity, HostMayNotActAsOperatorNorOperatorAsHost) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
  WriteAll(host.File("stolen.yaml"),
           absl::StrCat("current: x\ncontexts: [ { name: x, server: '", server.address(),
                        "', ca: '", server.folder(), "/operators/admin/ca.crt', certificate: '",
                        host.File("data/identity/tls.crt"), "', key: '",
                        host.File("data/identity/tls.key"), "' } ]\n"));
  EXPECT_EQ(RunProgram({Program("dumpctl"), "--config", host.File("stolen.yaml"), "host", "list"})
                .exit_code,
            5);
  const std::string operators = server.folder() + "/operators/admin/";
  EXPECT_EQ(
      SessionVerdict(Dial(server, ReadAll(operators + "tls.crt"), ReadAll(operators + "tls.key"))),
      grpc::StatusCode::PERMISSION_DENIED);
}

// One host's session with everything that it could say about itself naming another host.
TEST(Identity, T21MetadataAndFieldsNamingAnotherHostChangeNothingThere) {
  Server server;
  server.Start();
  Host victim("victim");
  Host liar("liar");
  victim.Join(server);
  ASSERT_EQ(liar.Enroll(server.CreateToken()).exit_code, 0);
  const Json before = server.CtlJson({"host", "show", victim.Id()});
  auto stub = v1::AgentSession::NewStub(Dial(server, ReadAll(liar.File("data/identity/tls.crt")),
                                             ReadAll(liar.File("data/identity/tls.key"))));
  grpc::ClientContext context;
  context.AddMetadata("x-host", victim.Id());
  context.AddMetadata("host-id", victim.Id());
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  auto stream = stub->Session(&context);
  v1::AgentMessage message;
  message.mutable_hello()->set_protocol_min(1);
  message.mutable_hello()->set_protocol_max(1);
  message.mutable_hello()->set_instance("a liar");
  message.mutable_hello()->set_host_name("victim");
  message.mutable_hello()->set_epoch("0123456789abcdef");
  stream->Write(message);
  message.mutable_report()->set_epoch("0123456789abcdef");
  message.mutable_report()->set_sequence(1);
  message.mutable_report()->set_full(true);
  v1::Finding& lie = *message.mutable_report()->add_findings();
  lie.set_setting("dump.type");
  lie.set_status(v1::STATUS_BLOCKED);
  lie.set_mode(v1::MODE_ENFORCE);
  lie.set_reason("a lie");
  HostState state;
  ApplyReport(message.report(), state);
  message.mutable_report()->set_state_digest(StateDigest(state));
  stream->Write(message);
  EXPECT_TRUE(Eventually([&] {
    return server.CtlJson({"host", "show", liar.Id()}).dump().find("a lie") != std::string::npos;
  }));
  const Json after = server.CtlJson({"host", "show", victim.Id()});
  EXPECT_EQ(after["findings"], before["findings"]);
  EXPECT_EQ(after.dump().find("a lie"), std::string::npos);
  context.TryCancel();
}

}  // namespace
}  // namespace dumpwarden
