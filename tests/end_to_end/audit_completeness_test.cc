// SPDX-License-Identifier: Apache-2.0
// What changes something leaves a row that says who, from where, what, and the
// digests of before and after; who is refused is counted.  Every method of the
// operators' service has a row in the table here, and what else changes the
// server a test below it.
#include <gmock/gmock.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/text_format.h>
#include <google/protobuf/util/json_util.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <functional>
#include <map>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/digest.h"
#include "dumpwarden/v1/admin.pb.h"
#include "platform/keys.h"
#include "platform/sqlite.h"
#include "tests/compat/call.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

namespace pb = google::protobuf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kAdmin[] = "spiffe://corp.example/operator/admin";
constexpr char kPolicy[] =
    "apiVersion: dumpwarden/v1\\nkind: DumpPolicy\\nmetadata: { name: web }\\n"
    "spec: { settings: { dump.type: kernel } }\\n";

// Rows as the store has them, above a number: whoever asks the server may leave some.
struct Row {
  std::string actor, source, action, object, detail, before, after;
};

std::vector<Row> RowsAfter(const Server& server, std::int64_t sequence) {
  const auto db = Database::OpenReadOnly(server.folder() + "/store.db");
  EXPECT_THAT(db, IsOk());
  auto select = (*db)->Prepare(
      "SELECT actor, source, action, object, detail, before, after FROM audit "
      "WHERE sequence > ? ORDER BY sequence");
  EXPECT_THAT(select, IsOk());
  select->Bind(1, sequence);
  std::vector<Row> rows;
  while (select->Step().value_or(false)) {
    rows.push_back({select->Text(0), select->Text(1), select->Text(2), select->Text(3),
                    select->Text(4), select->Blob(5), select->Blob(6)});
  }
  return rows;
}

std::vector<Row> RowsOf(const Server& server, const std::string& action) {
  std::vector<Row> rows;
  for (Row& row : RowsAfter(server, 0)) {
    if (row.action == action) rows.push_back(std::move(row));
  }
  return rows;
}

// A method of the operators, in the order in which they are called.
struct Method {
  const char* name;
  std::string request;              // text format; HOST, HELD, TOKEN stand for ids
  std::vector<std::string> leaves;  // actions
  bool dry_run = true;              // has it, when it leaves something
};

const std::vector<Method>& Methods() {
  static const auto* methods = new std::vector<Method>{
      {"ListPolicies", "", {}},
      {"ApplyPolicies", absl::StrCat("policies { yaml: \"", kPolicy, "\" }"), {"policy.apply"}},
      {"GetPolicy", "name: 'web'", {}},
      {"PlanPolicies", absl::StrCat("policies { yaml: \"", kPolicy, "\" }"), {}},
      {"PlanHosts", absl::StrCat("policies { yaml: \"", kPolicy, "\" }"), {}},
      {"DeletePolicy", "name: 'web'", {"policy.delete"}},
      {"ListHosts", "", {}},
      {"GetHost", "host: 'HOST'", {}},
      {"ExplainHost", "host: 'HOST'", {}},
      {"SummarizeCompliance", "", {}},
      {"ReportCompliance", "", {}},
      {"ListDrift", "", {}},
      {"FollowDrift", "", {}},
      {"RevokeHost", "host: 'HOST' reason: 'a test'", {"host.revoke"}},
      {"CreateToken", "", {"token.create"}},
      {"CreateTokens", "tokens {} tokens {}", {"token.create", "token.create"}},
      {"ListTokens", "", {}},
      {"RevokeToken", "id: 'TOKEN'", {"token.revoke"}},
      {"ApproveHost", "host: 'HELD'", {"host.approve"}},
      {"AddPerson", "name: 'alice' roles: 'viewer'", {"person.add"}},
      {"ListPeople", "", {}},
      {"CreateLoginCode", "name: 'alice'", {"person.code"}},
      {"SetRoles", "name: 'alice' roles: 'operator'", {"person.roles"}},
      {"RevokePerson", "name: 'alice' reason: 'a test'", {"person.revoke"}},
      {"ListAudit", "", {}},
      {"ExportAudit", "", {"audit.export"}, false},
  };
  return *methods;
}

class AuditCompleteness : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(server_.Start());
    ASSERT_EQ(host_.Enroll(server_.CreateToken()).exit_code, 0);
    ASSERT_EQ(held_.Enroll(server_.CtlJson({"token", "create", "--hold"})).exit_code, 0);
    token_ = server_.CreateToken()["id"];
  }

  // Somebody with a certificate of the fleet; the folder holds tls.crt and tls.key.
  std::unique_ptr<grpc::GenericStub> As(const std::string& folder) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = ReadAll(server_.folder() + "/operators/admin/ca.crt");
    options.pem_cert_chain = ReadAll(folder + "/tls.crt");
    options.pem_private_key = ReadAll(folder + "/tls.key");
    return std::make_unique<grpc::GenericStub>(
        grpc::CreateChannel(server_.address(), grpc::SslCredentials(options)));
  }
  std::unique_ptr<grpc::GenericStub> AsAdmin() const {
    return As(server_.folder() + "/operators/admin");
  }
  std::unique_ptr<grpc::GenericStub> AsHost() const { return As(host_.File("data/identity")); }

  static const pb::MethodDescriptor& Find(const std::string& name) {
    const auto* service = v1::ListHostsRequest::descriptor()->file()->FindServiceByName("Admin");
    const auto* method = service->FindMethodByName(name);
    EXPECT_NE(method, nullptr) << name;
    return *method;
  }

  std::string RequestOf(const Method& method, bool dry_run) const {
    pb::DynamicMessageFactory factory;
    const pb::Descriptor* type = Find(method.name).input_type();
    const std::unique_ptr<pb::Message> request(factory.GetPrototype(type)->New());
    const std::string text = absl::StrReplaceAll(
        method.request, {{"HOST", host_.Id()}, {"HELD", held_.Id()}, {"TOKEN", token_}});
    EXPECT_TRUE(pb::TextFormat::ParseFromString(text, request.get())) << text;
    if (dry_run) {
      const pb::FieldDescriptor* field = type->FindFieldByName("dry_run");
      EXPECT_NE(field, nullptr) << method.name << " changes something and has no dry_run";
      if (field != nullptr) request->GetReflection()->SetBool(request.get(), field, true);
    }
    return request->SerializeAsString();
  }

  // `leave`: once it runs.
  grpc::Status Ask(grpc::GenericStub& stub, const Method& method, bool dry_run, bool leave) const {
    Call call(stub, absl::StrCat("/dumpwarden.v1.Admin/", method.name));
    call.Write(RequestOf(method, dry_run));
    call.WritesDone();
    if (leave) call.Cancel();
    return call.Finish();
  }

  std::int64_t Newest() const { return static_cast<std::int64_t>(RowsAfter(server_, 0).size()); }
  std::vector<Row> LeftBy(grpc::GenericStub& stub, const Method& method, bool dry_run) const {
    const std::int64_t before = Newest();
    const bool endless = absl::StartsWith(method.name, "Follow");
    const grpc::Status done = Ask(stub, method, dry_run, endless);
    EXPECT_EQ(done.error_code(), endless ? grpc::StatusCode::CANCELLED : grpc::StatusCode::OK)
        << done.error_message();
    return RowsAfter(server_, before);
  }

  Server server_;
  Host host_{"web-01"};
  Host held_{"web-02"};
  std::string token_;  // that waits
};

TEST_F(AuditCompleteness, EveryMethodOfOperatorsSaysHereWhatItLeaves) {
  const auto* service = v1::ListHostsRequest::descriptor()->file()->FindServiceByName("Admin");
  std::map<std::string, int> known;
  for (const Method& method : Methods()) ++known[method.name];
  for (int i = 0; i < service->method_count(); ++i) {
    EXPECT_EQ(known[service->method(i)->name()], 1)
        << service->method(i)->name() << " has no row in the table of this test";
  }
  EXPECT_EQ(known.size(), static_cast<std::size_t>(service->method_count()));
}

TEST_F(AuditCompleteness, EachChangeLeavesOneRowAndNothingElseDoes) {
  const auto admin = AsAdmin();
  for (const Method& method : Methods()) {
    SCOPED_TRACE(method.name);
    if (!method.leaves.empty() && method.dry_run) {
      EXPECT_THAT(LeftBy(*admin, method, true), IsEmpty()) << "a dry run";
    }
    const std::vector<Row> rows = LeftBy(*admin, method, false);
    std::vector<std::string> actions;
    for (const Row& row : rows) {
      actions.push_back(row.action);
      EXPECT_EQ(row.actor, kAdmin);
      EXPECT_THAT(row.source, HasSubstr("127.0.0.1:"));
      EXPECT_NE(row.object, "");
      EXPECT_TRUE(row.before.size() == 32 || row.after.size() == 32 || row.action == "audit.export")
          << "neither what was nor what is";
    }
    EXPECT_EQ(actions, method.leaves);
  }
}

TEST_F(AuditCompleteness, EachRefusedCallIsCounted) {
  const auto host = AsHost();
  const std::int64_t before = Newest();
  for (const Method& method : Methods()) {
    EXPECT_EQ(Ask(*host, method, false, false).error_code(), grpc::StatusCode::PERMISSION_DENIED)
        << method.name;
  }
  server_.Kill(SIGTERM);
  int counted = 0;
  for (const Row& row : RowsAfter(server_, before)) {
    EXPECT_EQ(row.action, "call.refused");
    EXPECT_THAT(row.detail, HasSubstr("/host/" + host_.Id()));
    EXPECT_THAT(row.source, HasSubstr("127.0.0.1:"));
    int count = 0;
    EXPECT_EQ(sscanf(row.detail.c_str(), "count %d", &count), 1) << row.detail;
    counted += count;
  }
  EXPECT_EQ(counted, static_cast<int>(Methods().size()));
}

// --- What changes the server, and is no call.

TEST_F(AuditCompleteness, InitSaysWhichAuthorityItMade) {
  const std::vector<Row> rows = RowsOf(server_, "server.init");
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].actor, "local");
  const auto root = ReadCertificatesPem(ReadAll(server_.folder() + "/operators/admin/ca.crt"));
  ASSERT_THAT(root, IsOk());
  EXPECT_EQ(rows[0].after, Sha256(*CertificateDer(*root->front())));
}

TEST_F(AuditCompleteness, EnrolmentSaysWhoCameInWithWhichToken) {
  const std::vector<Row> rows = RowsOf(server_, "host.enroll");
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].actor, "spiffe://corp.example/host/" + host_.Id());
  EXPECT_EQ(rows[0].object, host_.Id());
  EXPECT_THAT(rows[0].source, HasSubstr("127.0.0.1:"));
  EXPECT_THAT(rows[0].detail, HasSubstr(RowsOf(server_, "token.create")[0].object));
  EXPECT_THAT(rows[0].after, SizeIs(32));
}

std::string LeafDigest(const Server& server) {
  const auto chain = ReadCertificatesPem(ReadAll(server.folder() + "/server.crt"));
  EXPECT_THAT(chain, IsOk());
  return Sha256(*CertificateDer(*chain->front()));
}

TEST_F(AuditCompleteness, RenewalOfTheServersCertificateLeavesARow) {
  server_.Kill(SIGTERM);
  const std::string before = LeafDigest(server_);
  const std::string config = server_.folder() + "/server.yaml";
  WriteAll(config, absl::StrReplaceAll(
                       ReadAll(config),
                       {{"names: ['localhost'", "names: ['localhost', 'dw.corp.example'"}}));
  EXPECT_THAT(ReadAll(config), HasSubstr("dw.corp.example"));
  server_.Start();
  const std::vector<Row> rows = RowsOf(server_, "server.certificate");
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].actor, "server");
  EXPECT_THAT(rows[0].detail, HasSubstr("dw.corp.example"));
  EXPECT_EQ(rows[0].before, before);
  EXPECT_EQ(rows[0].after, LeafDigest(server_));
  EXPECT_NE(before, LeafDigest(server_));
  server_.Kill(SIGTERM);
  server_.Start();
  EXPECT_THAT(RowsOf(server_, "server.certificate"), SizeIs(1)) << "it is not renewed each time";
}

// No audit record, no action.
TEST_F(AuditCompleteness, CertificateIsNotRenewedWithoutItsRow) {
  server_.Kill(SIGTERM);
  const std::string before = LeafDigest(server_);
  const std::string config = server_.folder() + "/server.yaml";
  WriteAll(config, absl::StrReplaceAll(
                       ReadAll(config),
                       {{"names: ['localhost'", "names: ['localhost', 'dw.corp.example'"}}));
  const auto db = Database::Open(server_.folder() + "/store.db", Database::Durability::kFull);
  ASSERT_THAT((*db)->Execute("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN "
                             "SELECT RAISE(ABORT, 'no room'); END"),
              IsOk());
  const Finished served = RunProgram({Program("dumpwarden-server"), "serve", "--config", config});
  EXPECT_EQ(served.exit_code, 1);
  EXPECT_THAT(served.err, HasSubstr("no room"));
  EXPECT_EQ(LeafDigest(server_), before);
}

TEST_F(AuditCompleteness, RestoreSaysOfWhichBackup) {
  TempFolder folder;
  const std::string backup = folder.File("backup");
  ASSERT_EQ(RunProgram({Program("dumpwarden-server"), "backup", "--config",
                        server_.folder() + "/server.yaml", "--to", backup})
                .exit_code,
            0);
  server_.Kill(SIGTERM);
  const Finished restored = RunProgram(
      {Program("dumpwarden-server"), "restore", "--from", backup, "--dir", folder.File("new")});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  server_.MoveTo(folder.File("new"));
  const std::vector<Row> rows = RowsOf(server_, "server.restore");
  ASSERT_THAT(rows, SizeIs(1));
  EXPECT_EQ(rows[0].actor, "local");
  EXPECT_EQ(rows[0].object, backup);
  EXPECT_EQ(rows[0].after, Sha256(ReadAll(backup + "/SHA256SUMS")));
}

}  // namespace
}  // namespace dumpwarden
