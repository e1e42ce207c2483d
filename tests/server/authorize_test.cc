// SPDX-License-Identifier: Apache-2.0
// The RPC matrix: every method of every service, read from the descriptors,
// against every kind of caller with a real certificate.
#include "server/authorize.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/sqlite.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

constexpr char kKnown[] = "6f9619ff-8b86-4d01-b42d-00cf4fc964ff";
constexpr char kUnknown[] = "00000000-8b86-4d01-b42d-00cf4fc964ff";
constexpr char kSession[] = "dumpwarden.v1.AgentSession.Session";

std::vector<const google::protobuf::MethodDescriptor*> AllMethods() {
  std::vector<const google::protobuf::MethodDescriptor*> methods;
  for (const auto* file :
       {v1::ListHostsRequest::descriptor()->file(), v1::Hello::descriptor()->file(),
        v1::EnrollRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back(file->service(s)->method(m));
      }
    }
  }
  return methods;
}

const Permission* RowOf(const std::string& method) {
  for (const Permission& row : AllPermissions()) {
    if (row.method == method) return &row;
  }
  return nullptr;
}

// A read may leave a row too.
bool ChangesSomething(const Permission& row) {
  return row.audit == AuditClass::kChange || row.audit == AuditClass::kSecret;
}

// One caller, and when the table lets it in.
struct CallerCase {
  std::string what;
  std::string leaf;
  Who who = Who::kAnybody;  // as whom it counts; kAnybody: nobody in particular
  RoleSet roles = 0;
  bool late = false;  // a host that may still ask for another certificate
};

bool TableSays(const Permission& row, const CallerCase& caller) {
  switch (row.who) {
    case Who::kAnybody:
      return true;
    case Who::kHost:
      return caller.who == Who::kHost;
    case Who::kHostEvenLate:
      return caller.who == Who::kHost || caller.late;
    case Who::kPerson:
      return caller.who == Who::kPerson && (row.roles & caller.roles) != 0;
  }
  return false;
}

class AuthorizeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(authority_, MakeAuthority("ca", "corp.example"));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    AddHost(kKnown);
    OnRecord("alice", {"admin"});
    authorizer_ = std::make_unique<Authorizer>(*store_, "corp.example", clock_, refusals_);
  }

  void AddHost(const std::string& uuid) {
    const Audit audit{"test", "", "test", "", "", "", ""};
    ASSERT_THAT(store_->CreateToken({uuid, "d", {}, "", clock_.Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow host;
    host.uuid = uuid;
    host.name = "web-01";
    host.host_key = "key";
    host.enrolled = clock_.Now();
    host.last_seen = absl::InfinitePast();
    ASSERT_THAT(store_->EnrollHost(uuid, "d", host, clock_.Now(), audit), IsOk());
  }

  // A person with one certificate, which is good for an hour.
  std::string OnRecord(const std::string& name, const std::vector<std::string>& roles) {
    const std::string leaf =
        Leaf(authority_->IssueOperator(*key_, name, clock_.Now(), absl::Hours(1)));
    PersonRow person;
    person.name = name;
    person.roles = roles;
    person.certificates = {{SerialOf(leaf), clock_.Now() + absl::Hours(1)}};
    EXPECT_THAT(store_->AddPerson(person, std::nullopt, {}), IsOk());
    leaves_[name] = leaf;
    return leaf;
  }
  static std::string SerialOf(const std::string& leaf) {
    return Summarize(*ReadCertificatesPem(leaf)->front())->serial;
  }

  absl::StatusOr<std::unique_ptr<Authority>> MakeAuthority(const std::string& name,
                                                           const std::string& trust_domain) {
    RETURN_IF_ERROR(
        Authority::Create(*vfs_, *random_, temp_.File(name), trust_domain, clock_.Now()));
    return Authority::Open(*vfs_, *random_, temp_.File(name));
  }

  std::string Leaf(const absl::StatusOr<Issued>& issued) {
    EXPECT_THAT(issued, IsOk());
    const CertificatePtr leaf = *ReadCertificateDer(issued->chain.front());
    return *CertificatePem(*leaf);
  }
  std::string HostLeaf(const std::string& uuid) {
    return Leaf(authority_->IssueHost(*key_, uuid, clock_.Now()));
  }
  std::string LeafOfAPerson(Authority& authority, const std::string& name) {
    return Leaf(authority.IssueOperator(*key_, name, clock_.Now(), absl::Hours(1)));
  }
  std::vector<CallerCase> AllCallers();

  absl::StatusCode CodeOf(const std::string& method, const std::string& leaf) {
    return authorizer_->Decide(method, leaf, "ipv4:192.0.2.1:1").status().code();
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  const KeyPtr key_ = *MakeKey();
  Refusals refusals_{clock_, [](const Refusal&) {}};
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Authorizer> authorizer_;
  std::map<std::string, std::string> leaves_;  // by person
};

// Expired ones are made by an authority whose clock was a month behind.
std::vector<CallerCase> AuthorizeTest::AllCallers() {
  constexpr char kRevoked[] = "11111111-8b86-4d01-b42d-00cf4fc964ff";
  constexpr char kQuarantined[] = "22222222-8b86-4d01-b42d-00cf4fc964ff";
  AddHost(kRevoked);
  AddHost(kQuarantined);
  EXPECT_THAT(store_->RevokeHost(store_->FindHost(kRevoked)->id, {}), IsOk());
  EXPECT_THAT(store_->QuarantineHost(store_->FindHost(kQuarantined)->id, {}), IsOk());
  const absl::Time then = clock_.Now() - absl::Hours(30 * 24);
  std::vector<CallerCase> callers = {
      {"nobody", ""},
      {"agent", HostLeaf(kKnown), Who::kHost},
      // The fleet tells it why it may not stay, as it tells a clone.
      {"quarantined agent", HostLeaf(kQuarantined), Who::kHost},
      {"revoked agent", HostLeaf(kRevoked)},
      {"unknown agent", HostLeaf(kUnknown)},
      {"expired agent", Leaf(authority_->IssueHost(*key_, kKnown, then)), Who::kAnybody, 0, true},
      {"server", Leaf(authority_->IssueServer(*key_, {"localhost"}, clock_.Now(), absl::Hours(1)))},
      {"nobody's name", LeafOfAPerson(*authority_, "mallory")},
      {"not on record", LeafOfAPerson(*authority_, "alice")},
      {"no role", OnRecord("nora", {"later-role"}), Who::kPerson, 0},
  };
  for (const RoleRow& row : AllRoles()) {
    const std::string word(row.word);
    callers.push_back({word, OnRecord(word + "@corp.example", {word}), Who::kPerson, row.role});
  }
  callers.push_back({"author and operator", OnRecord("both", {"author", "operator"}), Who::kPerson,
                     roles::kAuthor | roles::kOperator});
  callers.push_back({"revoked admin", OnRecord("eve", {"admin"})});
  EXPECT_THAT(store_->RevokePerson("eve", clock_.Now(), false, {}), IsOk());
  PersonRow late;
  late.name = "late";
  late.roles = {"admin"};
  const std::string expired = Leaf(authority_->IssueOperator(*key_, "late", then, absl::Hours(24)));
  late.certificates = {{SerialOf(expired), then + absl::Hours(24)}};
  EXPECT_THAT(store_->AddPerson(late, std::nullopt, {}), IsOk());
  callers.push_back({"expired admin", expired});
  return callers;
}

// Salt's CVE-2020-11651: what nobody had thought of could be called by everybody.
TEST_F(AuthorizeTest, TheMatrixOfEveryMethodAndEveryCallerIsTheTable) {
  const std::vector<CallerCase> callers = AllCallers();
  const auto methods = AllMethods();
  for (const auto* method : methods) {
    const Permission* row = RowOf(method->full_name());
    ASSERT_NE(row, nullptr) << method->full_name() << " has no row in server/authorize.cc";
    for (const CallerCase& caller : callers) {
      const absl::StatusCode code = CodeOf(method->full_name(), caller.leaf);
      EXPECT_EQ(code == absl::StatusCode::kOk, TableSays(*row, caller))
          << caller.what << " calls " << method->full_name() << ": " << code;
      EXPECT_TRUE(code == absl::StatusCode::kOk || code == absl::StatusCode::kUnauthenticated ||
                  code == absl::StatusCode::kPermissionDenied)
          << code;
    }
  }
  EXPECT_EQ(methods.size(), AllPermissions().size()) << "a row without a method";
}

// What the roles are for, whatever the table says.
TEST_F(AuthorizeTest, KeepsDutiesApart) {
  for (const auto* method : AllMethods()) {
    const Permission& row = *RowOf(method->full_name());
    SCOPED_TRACE(row.method);
    const std::string& service = method->service()->name();
    const bool of_hosts = row.who == Who::kHost || row.who == Who::kHostEvenLate;
    EXPECT_EQ(of_hosts, service == "AgentSession");
    EXPECT_EQ(row.who == Who::kPerson, service == "Admin");
    if (row.who != Who::kPerson) continue;
    EXPECT_NE(row.roles & roles::kAdmin, 0u) << "an admin may do what is no crash";
    EXPECT_NE(row.limit, nullptr);
    if (!ChangesSomething(row)) continue;
    constexpr RoleSet kLookers =
        roles::kViewer | roles::kAuditor | roles::kRequester | roles::kApprover;
    EXPECT_EQ(row.roles & kLookers, 0u) << "who only looks changes nothing";
    const bool of_people = absl::StrContains(row.method, "Person") ||
                           absl::StrContains(row.method, "Roles") ||
                           absl::StrContains(row.method, "LoginCode");
    if (of_people) {
      EXPECT_EQ(row.roles, roles::kAdmin);
    }
    const bool of_policies = absl::StrContains(row.method, "Polic");
    EXPECT_EQ(row.roles & (of_policies ? roles::kOperator : roles::kAuthor), 0u);
  }
}

TEST_F(AuthorizeTest, TheAuditClassIsWhatTheMessagesSay) {
  for (const auto* method : AllMethods()) {
    const Permission& row = *RowOf(method->full_name());
    if (row.who != Who::kPerson) continue;
    SCOPED_TRACE(row.method);
    EXPECT_EQ(method->input_type()->FindFieldByName("dry_run") != nullptr, ChangesSomething(row));
    const auto* answer = method->output_type();
    bool secret = false;
    for (const char* field : {"token", "tokens", "code"}) {
      secret |= answer->FindFieldByName(field) != nullptr;
    }
    EXPECT_EQ(secret && ChangesSomething(row), row.audit == AuditClass::kSecret);
  }
}

TEST_F(AuthorizeTest, SaysWhichRolesWouldBeEnoughAndWhichThereAre) {
  const std::string viewer = OnRecord("vera@corp.example", {"requester", "viewer"});
  EXPECT_THAT(authorizer_->Decide("dumpwarden.v1.Admin.CreateToken", viewer, "").status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       "CreateToken needs one of the roles operator, admin; vera@corp.example has "
                       "requester, viewer"));
  EXPECT_THAT(authorizer_->Decide("dumpwarden.v1.Admin.AddPerson", viewer, "").status(),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       testing::HasSubstr("AddPerson needs the role admin; ")));
  EXPECT_EQ(refusals_.Total("call.refused", "role"), 2u);
}

// Each call asks anew: what was given or taken counts on connections that are open.
TEST_F(AuthorizeTest, ARevokedPersonOrALostRoleCountsAtTheNextCall) {
  constexpr char kApply[] = "dumpwarden.v1.Admin.ApplyPolicies";
  const std::string author = OnRecord("ann", {"author"});
  EXPECT_EQ(CodeOf(kApply, author), absl::StatusCode::kOk);
  ASSERT_THAT(store_->SetRoles("ann", {"viewer"}, clock_.Now(), false, {}), IsOk());
  EXPECT_EQ(CodeOf(kApply, author), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", author), absl::StatusCode::kOk);
  ASSERT_THAT(store_->RevokePerson("ann", clock_.Now(), false, {}), IsOk());
  EXPECT_THAT(authorizer_->Decide("dumpwarden.v1.Admin.ListHosts", author, "").status(),
              StatusIs(absl::StatusCode::kPermissionDenied, "ann was revoked"));
  OnRecord("ann", {"viewer"});  // she comes back, with another certificate
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", author), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", leaves_["ann"]), absl::StatusCode::kOk);
}

// The first operator of an earlier server: its certificate is on no list.
TEST_F(AuthorizeTest, AnUnlistedPersonGoesByAnyCertificateUntilRevoked) {
  PersonRow old;
  old.name = "old";
  old.roles = {"admin"};
  old.unlisted = true;
  ASSERT_THAT(store_->AddPerson(old, std::nullopt, {}), IsOk());
  const std::string leaf = LeafOfAPerson(*authority_, "old");
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListPeople", leaf), absl::StatusCode::kOk);
  ASSERT_THAT(store_->RevokePerson("old", clock_.Now(), false, {}), IsOk());
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListPeople", leaf), absl::StatusCode::kPermissionDenied);
  OnRecord("old", {"admin"});
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListPeople", leaf), absl::StatusCode::kUnauthenticated);
}

TEST_F(AuthorizeTest, LetsARevokedHostDoNothing) {
  const std::string host = HostLeaf(kKnown);
  ASSERT_EQ(CodeOf(kSession, host), absl::StatusCode::kOk);
  ASSERT_OK_AND_ASSIGN(const auto db,
                       Database::Open(temp_.File("store.db"), Database::Durability::kFull));
  ASSERT_THAT(db->Execute("UPDATE host SET revoked = 1"), IsOk());
  EXPECT_EQ(CodeOf(kSession, host), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf("dumpwarden.v1.AgentSession.Renew", host), absl::StatusCode::kPermissionDenied);
}

TEST_F(AuthorizeTest, SaysUnauthenticatedToNobodyAndDeniedToTheWrongOne) {
  EXPECT_EQ(CodeOf(kSession, ""), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(kSession, "rubbish"), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(CodeOf(kSession, leaves_["alice"]), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(kSession, HostLeaf(kUnknown)), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", HostLeaf(kKnown)),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(refusals_.Total("call.refused", "no-identity"), 2u);
  EXPECT_EQ(refusals_.Total("call.refused", "unknown-host"), 1u);
}

TEST_F(AuthorizeTest, KnowsNobodyOfAnotherTrustDomain) {
  ASSERT_OK_AND_ASSIGN(const auto other, MakeAuthority("other", "corp.example.evil.example"));
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", LeafOfAPerson(*other, "alice")),
            absl::StatusCode::kUnauthenticated);
}

// A connection outlives the check of its handshake.
TEST_F(AuthorizeTest, RefusesACertificateThatExpiredOnAnOpenConnection) {
  const std::string host = HostLeaf(kKnown);
  const std::string person = leaves_["alice"];
  ASSERT_OK_AND_ASSIGN(const Caller caller, authorizer_->Decide(kSession, host, ""));
  EXPECT_GT(caller.expires, clock_.Now());
  clock_.SetWall(caller.expires - absl::Seconds(1));
  EXPECT_EQ(CodeOf(kSession, host), absl::StatusCode::kOk);
  clock_.SetWall(caller.expires);
  EXPECT_THAT(authorizer_->Decide(kSession, host, "").status(),
              StatusIs(absl::StatusCode::kUnauthenticated, testing::HasSubstr("expired at")));
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.FollowDrift", person), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(refusals_.Total("call.refused", "expired"), 2u);
}

// T33: whoever is late may ask for another certificate, and nothing else.
TEST_F(AuthorizeTest, T33LetsACertificateThatExpiredWithinNinetyDaysOnlyBeRenewed) {
  const std::string host = HostLeaf(kKnown);
  const std::string person = leaves_["alice"];
  ASSERT_OK_AND_ASSIGN(const Caller caller, authorizer_->Decide(kSession, host, ""));
  const std::string renew = "dumpwarden.v1.AgentSession.Renew";
  for (const absl::Duration late : {absl::ZeroDuration(), kLateRenewal - absl::Seconds(1)}) {
    clock_.SetWall(caller.expires + late);
    ASSERT_OK_AND_ASSIGN(const Caller asks, authorizer_->Decide(renew, host, ""));
    EXPECT_EQ(asks.host->uuid, kKnown);
    EXPECT_EQ(asks.expires, caller.expires);
    EXPECT_EQ(asks.leaf_pem, host);
    for (const Permission& permission : AllPermissions()) {
      if (permission.who == Who::kAnybody || permission.method == renew) continue;
      EXPECT_NE(CodeOf(std::string(permission.method), host), absl::StatusCode::kOk)
          << permission.method;
    }
    EXPECT_NE(CodeOf(renew, person), absl::StatusCode::kOk);
    EXPECT_NE(CodeOf(renew, HostLeaf(kUnknown)), absl::StatusCode::kOk);
  }
  clock_.SetWall(caller.expires + kLateRenewal);
  EXPECT_EQ(CodeOf(renew, host), absl::StatusCode::kUnauthenticated);
}

TEST_F(AuthorizeTest, LetsNobodyCallWhatTheTableLacks) {
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.Format", leaves_["alice"]),
            absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(CheckPermissions({"dumpwarden.v1.Admin", "dumpwarden.v1.Enrollment"}), IsOk());
  EXPECT_THAT(
      CheckPermissions({"dumpwarden.v1.Later"}),
      StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("dumpwarden.v1.Later")));
}

}  // namespace
}  // namespace dumpwarden
