// SPDX-License-Identifier: Apache-2.0
// The whole of dumpctl in process, against an Admin service that answers what
// a test says, over mTLS with certificates of a real authority.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/commands.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kHostile[] = "=web\x1b[2J\xc2\x9b-01";

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
  ASSERT_EQ(chmod(path.c_str(), 0600), 0);  // some are keys
}

// ScriptedAdmin answers every call with `status`; of OK ones the messages below.
class ScriptedAdmin final : public v1::Admin::Service {
 public:
  grpc::Status status;
  v1::ListHostsResponse hosts;
  v1::PlanPoliciesResponse plan;
  v1::PlanPoliciesRequest planned;
  bool streamed = false;
  v1::SummarizeComplianceResponse summary;
  std::vector<v1::Drift> drifts;
  v1::ListAuditResponse audit;
  bool restarts = false;
  std::vector<std::uint64_t> after;  // as FollowDrift was asked
  v1::ApplyPoliciesRequest applied;
  absl::Duration delay = absl::ZeroDuration();

  grpc::Status ListHosts(grpc::ServerContext* context, const v1::ListHostsRequest*,
                         v1::ListHostsResponse* response) override {
    const absl::Time until = absl::Now() + delay;
    while (absl::Now() < until && !context->IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
    *response = hosts;
    return status;
  }
  grpc::Status PlanPolicies(grpc::ServerContext*, const v1::PlanPoliciesRequest* request,
                            v1::PlanPoliciesResponse* response) override {
    planned = *request;
    streamed = false;
    *response = plan;
    return status;
  }
  grpc::Status PlanHosts(grpc::ServerContext*, const v1::PlanPoliciesRequest* request,
                         grpc::ServerWriter<v1::PlanPoliciesResponse::HostPlan>* writer) override {
    planned = *request;
    streamed = true;
    for (const auto& host : plan.hosts()) writer->Write(host);
    return status;
  }
  grpc::Status ApplyPolicies(grpc::ServerContext*, const v1::ApplyPoliciesRequest* request,
                             v1::ApplyPoliciesResponse* response) override {
    applied = *request;
    v1::AppliedPolicy& policy = *response->add_policies();
    policy.set_name("web-baseline");
    policy.set_version(12);
    policy.set_changed(true);
    return status;
  }
  grpc::Status SummarizeCompliance(grpc::ServerContext*, const v1::SummarizeComplianceRequest*,
                                   v1::SummarizeComplianceResponse* response) override {
    *response = summary;
    return status;
  }
  grpc::Status CreateToken(grpc::ServerContext*, const v1::CreateTokenRequest*,
                           v1::CreateTokenResponse* response) override {
    response->set_token("dwt1.secret");
    response->set_address("dw.example:9444");
    return status;
  }
  grpc::Status ListDrift(grpc::ServerContext*, const v1::ListDriftRequest*,
                         v1::ListDriftResponse*) override {
    return status;
  }
  // Ends the first call as a server does that goes down, half way.
  grpc::Status FollowDrift(grpc::ServerContext*, const v1::FollowDriftRequest* request,
                           grpc::ServerWriter<v1::Drift>* writer) override {
    after.push_back(request->after_cursor());
    for (const v1::Drift& drift : drifts) {
      if (drift.cursor() <= request->after_cursor()) continue;
      if (restarts && after.size() == 1 && drift.cursor() > 1) {
        return {grpc::StatusCode::UNAVAILABLE, "the server is going down"};
      }
      writer->Write(drift);
    }
    return status;
  }
  grpc::Status ListAudit(grpc::ServerContext*, const v1::ListAuditRequest*,
                         v1::ListAuditResponse* response) override {
    *response = audit;
    return status;
  }
  grpc::Status DeletePolicy(grpc::ServerContext*, const v1::DeletePolicyRequest*,
                            v1::DeletePolicyResponse* response) override {
    response->set_version(3);
    return status;
  }
};

struct Ran {
  int code = 0;
  std::string out;
  std::string err;
};

class Dumpctl : public testing::Test {
 protected:
  void SetUp() override {
    authority_ = MakeAuthority("ca");
    Enrol(*authority_, "me", absl::Now());
    Write(File("ca.crt"), authority_->root_pem());
    StartServer(*authority_, {"127.0.0.1"});
    UseContext("ca.crt", "me");
  }

  std::string File(const std::string& name) const { return temp_.File(name); }

  std::unique_ptr<Authority> MakeAuthority(const std::string& name) {
    EXPECT_THAT(vfs_->MakeFolder(File(name)), IsOk());
    EXPECT_THAT(Authority::Create(*vfs_, *random_, File(name), "corp.example", absl::Now()),
                IsOk());
    auto opened = Authority::Open(*vfs_, *random_, File(name));
    EXPECT_THAT(opened, IsOk());
    return *std::move(opened);
  }

  // An operator's certificate and key as files.
  void Enrol(Authority& authority, const std::string& name, absl::Time at) {
    const KeyPtr key = *MakeKey();
    const auto issued = authority.IssueOperator(*key, name, at, absl::Hours(24));
    ASSERT_THAT(issued, IsOk());
    Write(File(name + ".crt"), issued->chain_pem);
    Write(File(name + ".key"), *PrivateKeyPem(*key));
  }

  void StartServer(Authority& authority, const std::vector<std::string>& names,
                   absl::Time now = absl::Now()) {
    const KeyPtr key = *MakeKey();
    const auto issued = authority.IssueServer(*key, names, now, absl::Hours(1));
    ASSERT_THAT(issued, IsOk());
    grpc::SslServerCredentialsOptions options(
        GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
    options.pem_root_certs = authority.root_pem();
    options.pem_key_cert_pairs.push_back({*PrivateKeyPem(*key), issued->chain_pem});
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port_);
    builder.RegisterService(&admin_);
    if (server_ != nullptr) server_->Shutdown();
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr);
  }

  void UseContext(const std::string& ca, const std::string& name) {
    Write(File("dumpctl.yaml"),
          absl::StrCat("current: lab\ncontexts: [ { name: lab, server: '127.0.0.1:", port_,
                       "', ca: ", ca, ", certificate: ", name, ".crt, key: ", name, ".key } ]\n"));
  }

  Ran Do(const std::vector<std::string>& arguments, const std::string& input = "") {
    std::istringstream in(input);
    std::ostringstream out;
    std::ostringstream err;
    Console console{in, out, err};
    const Environment environment = [this](const std::string& name) -> std::optional<std::string> {
      if (name == "DUMPCTL_CONFIG") return File("dumpctl.yaml");
      return std::nullopt;
    };
    const int code = RunProgram(arguments, console, environment);
    return {code, out.str(), err.str()};
  }

  TempFolder temp_;
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Authority> authority_;
  ScriptedAdmin admin_;
  std::unique_ptr<grpc::Server> server_;
  int port_ = 0;
};

constexpr char kPolicy[] =
    "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: web-baseline }\n"
    "spec: { settings: { dump.type: kernel } }\n";

TEST_F(Dumpctl, TurnsEveryAnswerIntoItsExitCode) {
  const struct {
    grpc::StatusCode answer;
    int code;
  } cases[] = {
      {grpc::StatusCode::OK, 0},
      {grpc::StatusCode::UNAUTHENTICATED, 4},
      {grpc::StatusCode::PERMISSION_DENIED, 5},
      {grpc::StatusCode::NOT_FOUND, 6},
      {grpc::StatusCode::ABORTED, 7},
      {grpc::StatusCode::ALREADY_EXISTS, 7},
      {grpc::StatusCode::DEADLINE_EXCEEDED, 8},
      {grpc::StatusCode::INVALID_ARGUMENT, 1},
      {grpc::StatusCode::INTERNAL, 1},
      {grpc::StatusCode::UNIMPLEMENTED, 1},
  };
  for (const auto& c : cases) {
    admin_.status = {c.answer, c.answer == grpc::StatusCode::OK ? "" : "no\x1b[2J"};
    const Ran ran = Do({"host", "list"});
    EXPECT_EQ(ran.code, c.code) << ran.err;
    EXPECT_THAT(ran.err, Not(HasSubstr("\x1b")));
    EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), c.code == 0 ? 0 : 3) << ran.err;
  }
}

TEST_F(Dumpctl, GivesUpAfterItsTimeout) {
  admin_.delay = absl::Seconds(30);
  const Ran ran = Do({"host", "list", "--timeout", "100ms"});
  EXPECT_EQ(ran.code, 8) << ran.err;
  EXPECT_THAT(ran.err, HasSubstr("--timeout"));
}

TEST_F(Dumpctl, SaysWhatIsWrongWithYourOwnCertificate) {
  const std::unique_ptr<Authority> other = MakeAuthority("other");
  Enrol(*authority_, "old", absl::Now() - absl::Hours(72));
  Enrol(*authority_, "early", absl::Now() + absl::Hours(72));
  Enrol(*other, "stranger", absl::Now());
  Write(File("empty.crt"), "");
  Write(File("empty.key"), "");
  const struct {
    const char* name;
    const char* says;
  } cases[] = {
      {"old", "expired on"},    {"early", "not valid before"}, {"stranger", "not issued by the CA"},
      {"absent", "absent.crt"}, {"empty", "empty.crt"},
  };
  for (const auto& c : cases) {
    UseContext("ca.crt", c.name);
    const Ran ran = Do({"host", "list"});
    EXPECT_EQ(ran.code, 4) << c.name;
    EXPECT_THAT(ran.err, HasSubstr(c.says));
    EXPECT_THAT(ran.out, IsEmpty());
  }
}

TEST_F(Dumpctl, UsesNoKeyThatOthersCanRead) {
  ASSERT_EQ(chmod(File("me.key").c_str(), 0644), 0);
  const Ran ran = Do({"host", "list"});
  EXPECT_EQ(ran.code, 4);
  EXPECT_THAT(ran.err, HasSubstr("mode 0644"));
  EXPECT_THAT(ran.err, HasSubstr("do:  chmod 600 " + File("me.key")));
}

TEST_F(Dumpctl, SaysWhatIsWrongWithTheServersCertificate) {
  StartServer(*authority_, {"another.example", "::1"});
  UseContext("ca.crt", "me");
  const Ran name = Do({"host", "list"});
  EXPECT_EQ(name.code, 1);
  EXPECT_THAT(name.err, HasSubstr("not for the name 127.0.0.1 but for another.example, ::1"));
  EXPECT_THAT(name.err, HasSubstr("do:  use one of these names in `server` of context lab"));

  const std::unique_ptr<Authority> other = MakeAuthority("other");
  StartServer(*other, {"127.0.0.1"});
  UseContext("ca.crt", "me");
  const Ran ca = Do({"host", "list"});
  EXPECT_EQ(ca.code, 1);
  EXPECT_THAT(ca.err, HasSubstr("not issued by the CA"));
}

TEST_F(Dumpctl, TellsAServersExpiredCertificateFromAClockThatIsOff) {
  const std::string now = absl::FormatTime("%Y-%m-%d", absl::Now(), absl::UTCTimeZone());
  StartServer(*authority_, {"127.0.0.1"}, absl::Now() - absl::Hours(3));
  UseContext("ca.crt", "me");
  const Ran expired = Do({"host", "list"});
  EXPECT_EQ(expired.code, 1);
  EXPECT_THAT(expired.err, HasSubstr("its certificate expired on 20"));
  EXPECT_THAT(expired.err, HasSubstr("this machine's clock says " + now));
  EXPECT_THAT(expired.err, HasSubstr("do:  set the clock right, or start dumpwarden-server anew"));

  StartServer(*authority_, {"127.0.0.1"}, absl::Now() + absl::Hours(3));
  UseContext("ca.crt", "me");
  const Ran early = Do({"host", "list"});
  EXPECT_EQ(early.code, 1);
  EXPECT_THAT(early.err, HasSubstr("its certificate is not valid before 20"));
  EXPECT_THAT(early.err, HasSubstr("this machine's clock says " + now));
  EXPECT_THAT(early.err, HasSubstr("do:  set the clocks right"));
}

TEST_F(Dumpctl, SaysWhichServerDoesNotAnswer) {
  server_->Shutdown();
  server_.reset();
  const Ran ran = Do({"host", "list"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("127.0.0.1:", port_)));
  EXPECT_THAT(ran.err, HasSubstr("refused"));
}

TEST_F(Dumpctl, T23PutsDataOnStdoutInEveryFormatWithoutWhatAHostMadeUp) {
  admin_.hosts.add_hosts()->set_name(kHostile);
  EXPECT_EQ(Json::parse(Do({"host", "list", "-o", "json"}).out)[0]["name"], kHostile);
  EXPECT_THAT(Do({"host", "list", "-o", "csv"}).out, HasSubstr("\r\n'=web"));
  for (const char* format : {"table", "json", "csv"}) {
    const Ran ran = Do({"host", "list", "-o", format});
    EXPECT_THAT(ran.out, Not(HasSubstr("\x1b")));
    EXPECT_THAT(ran.out, Not(HasSubstr("\xc2\x9b")));
    EXPECT_THAT(ran.err, IsEmpty());
  }
}

TEST_F(Dumpctl, AppliesWhatItReadAndSaysTheVersion) {
  const Ran ran = Do({"policy", "apply", "-f", "-"}, kPolicy);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "policy/web-baseline applied (version 12)\n");
  EXPECT_EQ(admin_.applied.policies(0).yaml(), kPolicy);
  EXPECT_FALSE(admin_.applied.dry_run());
  EXPECT_THAT(Do({"policy", "apply", "-f", "-", "--dry-run"}, kPolicy).out, HasSubstr("(dry run)"));
  EXPECT_TRUE(admin_.applied.dry_run());
}

TEST_F(Dumpctl, SendsNothingWhenAPolicyIsWrong) {
  const Ran ran = Do({"policy", "apply", "-f", "-"}, "kind: DumpPolicie\n");
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr("-:1:"));
  EXPECT_EQ(admin_.applied.policies_size(), 0);
}

TEST_F(Dumpctl, ChecksFoldersAndFilesWithoutAServer) {
  server_->Shutdown();
  ASSERT_THAT(vfs_->MakeFolder(File("policies")), IsOk());
  Write(File("policies/a.yaml"), kPolicy);
  Write(File("policies/README.md"), "not a policy");
  EXPECT_EQ(Do({"policy", "check", File("policies")}).code, 0);
  Write(File("policies/b.yaml"), kPolicy);
  const Ran twice = Do({"policy", "check", File("policies")});
  EXPECT_EQ(twice.code, 1);
  EXPECT_THAT(twice.err, HasSubstr("b.yaml:1:1"));
  EXPECT_EQ(Do({"policy", "check", "/no/such/file"}).code, 1) << "6 is for the server's things";
}

TEST_F(Dumpctl, ExitsTwoOnlyWhenAskedAndChangesArePlanned) {
  auto& host = *admin_.plan.add_hosts();
  host.set_host("web-01");
  host.set_state(v1::STATUS_COMPLIANT);
  EXPECT_EQ(Do({"policy", "plan", "-f", "-", "--detailed-exitcode"}, kPolicy).code, 0);
  host.add_changes()->set_setting("dump.type");
  EXPECT_EQ(Do({"policy", "plan", "-f", "-"}, kPolicy).code, 0);
  const Ran ran = Do({"policy", "plan", "-f", "-", "--detailed-exitcode", "-o", "json"}, kPolicy);
  EXPECT_EQ(ran.code, 2);
  const Json json = Json::parse(ran.out);
  EXPECT_EQ(json["hosts"][0]["changes"].size(), 1U);
  EXPECT_THAT(ran.err, HasSubstr("1 changes on 1 of 1 hosts"));
}

TEST_F(Dumpctl, SumsUpThePlanOfManyHostsForPeopleAndSaysHowToSeeAll) {
  admin_.plan.set_summary(true);
  admin_.plan.set_host_count(10'000);
  admin_.plan.set_changed_hosts(2);
  admin_.plan.set_change_count(7);
  (*admin_.plan.mutable_states())["drifted"] = 2;
  admin_.plan.add_hosts()->set_host("web-01");
  const Ran ran = Do({"policy", "plan", "-f", "-", "--detailed-exitcode"}, kPolicy);
  EXPECT_EQ(ran.code, 2);
  EXPECT_EQ(admin_.planned.summary_from(), 50u);
  EXPECT_THAT(ran.out, HasSubstr("10000"));
  EXPECT_THAT(ran.err, HasSubstr("7 changes on 2 of 10000 hosts; nothing was written\n"));
  EXPECT_THAT(ran.err, HasSubstr("the first 1 of them are listed; --changes shows every change"));
  admin_.plan.set_change_count(0);
  (*admin_.plan.mutable_states())["drifted"] = 0;
  EXPECT_EQ(Do({"policy", "plan", "-f", "-", "--detailed-exitcode"}, kPolicy).code, 0);
  (*admin_.plan.mutable_states())["blocked"] = 1;
  EXPECT_EQ(Do({"policy", "plan", "-f", "-", "--detailed-exitcode"}, kPolicy).code, 2);
}

TEST_F(Dumpctl, PlansEveryChangeForProgramsAndWhenAsked) {
  admin_.plan.add_hosts()->set_host("web-01");
  for (const std::vector<std::string>& asked : std::vector<std::vector<std::string>>{
           {"--changes"}, {"-o", "json"}, {"-o", "csv"}, {"-o", "json", "--host", "web-01"}}) {
    std::vector<std::string> arguments = {"policy", "plan", "-f", "-"};
    arguments.insert(arguments.end(), asked.begin(), asked.end());
    EXPECT_EQ(Do(arguments, kPolicy).code, 0) << asked.back();
    EXPECT_TRUE(admin_.streamed) << asked.back();
  }
  EXPECT_EQ(admin_.planned.host(), "web-01");
  EXPECT_EQ(Do({"policy", "plan", "-f", "-", "-o", "json", "--summary"}, kPolicy).code, 0);
  EXPECT_FALSE(admin_.streamed);
  EXPECT_TRUE(admin_.planned.has_summary_from());
  EXPECT_EQ(admin_.planned.summary_from(), 0u);
  EXPECT_EQ(Do({"policy", "plan", "-f", "-", "--summary", "--changes"}, kPolicy).code, 64);
  admin_.status = {grpc::StatusCode::NOT_FOUND, "no host has the id or name \"web-02\""};
  const Ran ran = Do({"policy", "plan", "-f", "-", "--host", "web-02"}, kPolicy);
  EXPECT_EQ(ran.code, 6);
  EXPECT_EQ(ran.out, "");
}

TEST_F(Dumpctl, CountsTheSameInEveryFormat) {
  admin_.summary.set_hosts(7);
  (*admin_.summary.mutable_states())["compliant"] = 4;
  (*admin_.summary.mutable_states())["drifted"] = 2;
  (*admin_.summary.mutable_states())["unknown"] = 1;
  (*admin_.summary.mutable_findings())["drifted"] = 3;
  const Json json = Json::parse(Do({"compliance", "summary", "-o", "json"}).out);
  EXPECT_EQ(json["hosts"], 7);
  EXPECT_EQ(json["settings"], 3);
  int hosts = 0;
  for (const Json& row : json["counts"]) hosts += row["of"] == "hosts" ? int{row["count"]} : 0;
  EXPECT_EQ(hosts, 7);
  EXPECT_EQ(Do({"compliance", "summary", "-o", "csv"}).out,
            "of,status,count\r\nhosts,unknown,1\r\nhosts,drifted,2\r\nhosts,compliant,4\r\n"
            "settings,drifted,3\r\n");
  EXPECT_THAT(Do({"compliance", "summary"}).out, HasSubstr("Hosts:     7\n"));
}

TEST_F(Dumpctl, FollowsDriftALineEach) {
  for (int i = 1; i <= 3; ++i) {
    admin_.drifts.emplace_back();
    admin_.drifts.back().set_cursor(static_cast<std::uint64_t>(i));
    admin_.drifts.back().set_old_value("on");
  }
  std::istringstream lines(Do({"drift", "follow", "-o", "json"}).out);
  std::string line;
  int count = 0;
  while (std::getline(lines, line)) EXPECT_EQ(Json::parse(line)["cursor"], ++count);
  EXPECT_EQ(count, 3);
}

TEST_F(Dumpctl, FollowsOnFromItsCursorAfterTheServerRestarted) {
  for (const std::uint64_t cursor : {1u, 2u}) {
    admin_.drifts.emplace_back();
    admin_.drifts.back().set_cursor(cursor);
  }
  admin_.restarts = true;
  const Ran ran = Do({"drift", "follow", "-o", "json"});
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 2) << ran.out;
  EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
  EXPECT_EQ(admin_.after, (std::vector<std::uint64_t>{0, 1}));
}

TEST_F(Dumpctl, FollowsInColumnsBelowOneHeader) {
  admin_.drifts.resize(2);
  admin_.drifts[0].set_cursor(1);
  admin_.drifts[1].set_cursor(20000);
  for (v1::Drift& drift : admin_.drifts) drift.set_host("web-01");
  std::istringstream lines(Do({"drift", "follow"}).out);
  std::string header;
  std::string first;
  std::string second;
  std::getline(lines, header);
  std::getline(lines, first);
  std::getline(lines, second);
  EXPECT_EQ(header.find("HOST"), first.find("web-01"));
  EXPECT_EQ(header.find("HOST"), second.find("web-01"));
}

TEST_F(Dumpctl, DeletesInEveryFormatAndSaysWhatStays) {
  const Ran ran = Do({"policy", "delete", "web-baseline", "--dry-run", "-o", "json"});
  EXPECT_EQ(Json::parse(ran.out)[0]["version"], 3);
  EXPECT_EQ(Json::parse(ran.out)[0]["dry_run"], true);
  EXPECT_THAT(ran.err, HasSubstr("values on hosts stay as they are"));
  EXPECT_TRUE(Json::parse(Do({"token", "create", "--dry-run", "-o", "json"}).out).is_object());
}

TEST_F(Dumpctl, AdvisesWhatFitsTheMistake) {
  admin_.status = {grpc::StatusCode::ABORTED, "2 hosts have the name; give one's id: a, b"};
  EXPECT_THAT(Do({"host", "list"}).err, HasSubstr("by its id"));
  EXPECT_THAT(Do({"policy", "delete", "web"}).err, HasSubstr("priority, selector"));
  admin_.status = {grpc::StatusCode::RESOURCE_EXHAUSTED, "would have 5000000 bytes"};
  EXPECT_THAT(Do({"policy", "plan", "-f", "-"}, kPolicy).err, HasSubstr("fewer or smaller"));
  EXPECT_THAT(Do({"policy", "check"}).err, HasSubstr("dumpctl policy check policies/"));
  EXPECT_THAT(Do({"host", "list", "--state", "foo"}).err, HasSubstr("pending-reboot"));
}

TEST_F(Dumpctl, PrintsATokenAloneOnStdout) {
  const Ran ran = Do({"token", "create", "--label", "role=sql"});
  EXPECT_EQ(ran.out, "dwt1.secret\n");
  EXPECT_THAT(ran.err, HasSubstr("dumpwarden-agent enroll --server dw.example:9444"));
  EXPECT_THAT(ran.err, Not(HasSubstr("secret")));
  EXPECT_EQ(Json::parse(Do({"token", "create", "-o", "json"}).out)["address"], "dw.example:9444");
  EXPECT_EQ(Do({"token", "create", "--label", "role"}).code, 64);
  EXPECT_EQ(Do({"token", "create", "--ttl", "soon"}).code, 64);
}

// A life of half a second became one of an hour, and a host without a name any host.
TEST_F(Dumpctl, MakesNoTokenThatIsWorthMoreThanWasAskedFor) {
  for (const char* ttl : {"500ms", "0", "169h", "99999999h"}) {
    const Ran ran = Do({"token", "create", "--ttl", ttl});
    EXPECT_EQ(ran.code, 64) << ttl;
    EXPECT_THAT(ran.err, HasSubstr("from 1s to 168h"));
    EXPECT_THAT(ran.out, IsEmpty());
  }
  const Ran ran = Do({"token", "create", "--name", ""});
  EXPECT_EQ(ran.code, 64) << ran.err;
  EXPECT_THAT(ran.out, IsEmpty());
  EXPECT_EQ(Do({"token", "create", "--name", "web-01", "--ttl", "1s"}).code, 0);
}

TEST_F(Dumpctl, PrintsEveryProblemOfAPolicyBareForEditors) {
  const std::string wrong = "kind: DumpPolicie\napiVersion: x\nmetadata: { name: p }\nspec: {}\n";
  const Ran local = Do({"policy", "check", "-"}, wrong);
  std::istringstream lines(local.err);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    EXPECT_THAT(line, testing::MatchesRegex("-:[0-9]+:[0-9]+: .*"));
  }
  EXPECT_GE(count, 2) << local.err;
  admin_.status = {grpc::StatusCode::INVALID_ARGUMENT, "web.yaml:3:7: spec: no"};
  EXPECT_THAT(Do({"policy", "plan", "-f", "-"}, kPolicy).err,
              testing::StartsWith("web.yaml:3:7: spec: no\n"));
}

TEST_F(Dumpctl, SaysThatAPortAnswersButNotWithThisService) {
  admin_.status = {grpc::StatusCode::UNIMPLEMENTED, ""};
  const Ran ran = Do({"host", "list"});
  EXPECT_EQ(ran.code, 1);
  EXPECT_THAT(ran.err, HasSubstr(absl::StrCat("dumpctl: 127.0.0.1:", port_, " answers, but")));
  EXPECT_THAT(ran.err, HasSubstr("enrolment port"));
}

TEST_F(Dumpctl, ExplainsItsUsage) {
  for (const Command& command : AllCommands()) {
    const Ran ran = Do({std::string(command.noun), std::string(command.verb), "--help"});
    EXPECT_EQ(ran.code, 0);
    EXPECT_THAT(ran.out, HasSubstr("Examples:\n  dumpctl "));
    EXPECT_LT(ran.out.find("Examples:"), ran.out.find("Options:"));
  }
  const std::vector<std::vector<std::string>> wrong = {{},
                                                       {"policy"},
                                                       {"polcy", "list"},
                                                       {"policy", "lst"},
                                                       {"policy", "list", "--nope"},
                                                       {"host", "show"},
                                                       {"host", "list", "-o", "xml"},
                                                       {"host", "list", "-l", "a"},
                                                       {"host", "list", "--state", "foo"},
                                                       {"host", "list", "--timeout", "0"},
                                                       {"compliance", "report", "--status", "foo"},
                                                       {"token", "create", "--label", "=x"},
                                                       {"--nope"}};
  for (const std::vector<std::string>& arguments : wrong) {
    const Ran ran = Do(arguments);
    EXPECT_EQ(ran.code, 64) << ran.err;
    EXPECT_THAT(ran.out, IsEmpty());
  }
  EXPECT_THAT(Do({"--version"}).out, testing::MatchesRegex("dumpctl [0-9.]+\n"));
  EXPECT_THAT(Do({"polcy", "list"}).err, HasSubstr("did you mean policy?"));
}

TEST_F(Dumpctl, SaysWhereTheAuditLogBeginsWhenRetentionTookSomeOfIt) {
  admin_.audit.add_entries()->set_sequence(451);
  EXPECT_THAT(Do({"audit", "list"}).err, IsEmpty());
  admin_.audit.set_first_sequence(451);
  const Ran ran = Do({"audit", "list", "-o", "json"});
  EXPECT_THAT(ran.err, HasSubstr("begins at 451"));
  EXPECT_THAT(Json::parse(ran.out), testing::SizeIs(1)) << "and what reads it reads on";
}

}  // namespace
}  // namespace dumpwarden
