// SPDX-License-Identifier: Apache-2.0
// Every method of every service against every kind of caller; what is expected
// is derived from who a method's service is for, not from the table under test.
#include "server/authorize.h"

#include <gmock/gmock.h>
#include <google/protobuf/descriptor.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

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

class AuthorizeTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(authority_, MakeAuthority("ca", "corp.example"));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    const Audit audit{"test", "", "test", "", "", "", ""};
    ASSERT_THAT(store_->CreateToken({"t", "d", {}, "", clock_.Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow host;
    host.uuid = kKnown;
    host.name = "web-01";
    host.host_key = "key";
    host.enrolled = clock_.Now();
    host.last_seen = absl::InfinitePast();
    ASSERT_THAT(store_->EnrollHost("t", "d", host, clock_.Now(), audit), IsOk());
    authorizer_ = std::make_unique<Authorizer>(*store_, "corp.example", clock_, refusals_);
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
  std::string OperatorLeaf(Authority& authority) {
    return Leaf(authority.IssueOperator(*key_, "alice", clock_.Now(), absl::Hours(1)));
  }

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
};

TEST_F(AuthorizeTest, LetsEachMethodBeCalledByItsOwnOnly) {
  const std::string nobody;
  const std::string host = HostLeaf(kKnown);
  const std::string person = OperatorLeaf(*authority_);
  const google::protobuf::FileDescriptor* files[] = {v1::ListHostsRequest::descriptor()->file(),
                                                     v1::Hello::descriptor()->file(),
                                                     v1::EnrollRequest::descriptor()->file()};
  int methods = 0;
  for (const auto* file : files) {
    ASSERT_EQ(file->service_count(), 1);
    const auto* service = file->service(0);
    const std::string& name = service->name();
    for (int i = 0; i < service->method_count(); ++i, ++methods) {
      const std::string method = service->method(i)->full_name();
      SCOPED_TRACE(method);
      const bool anybody = name == "Enrollment";
      EXPECT_EQ(CodeOf(method, nobody) == absl::StatusCode::kOk, anybody);
      EXPECT_EQ(CodeOf(method, host) == absl::StatusCode::kOk, anybody || name == "AgentSession");
      EXPECT_EQ(CodeOf(method, person) == absl::StatusCode::kOk, anybody || name == "Admin");
    }
  }
  EXPECT_EQ(static_cast<std::size_t>(methods), AllPermissions().size()) << "a row without a method";
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
  EXPECT_EQ(CodeOf(kSession, OperatorLeaf(*authority_)), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf(kSession, HostLeaf(kUnknown)), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", HostLeaf(kKnown)),
            absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(refusals_.Total("call.refused", "no-identity"), 2u);
  EXPECT_EQ(refusals_.Total("call.refused", "unknown-host"), 1u);
}

TEST_F(AuthorizeTest, KnowsNobodyOfAnotherTrustDomain) {
  ASSERT_OK_AND_ASSIGN(const auto other, MakeAuthority("other", "corp.example.evil.example"));
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.ListHosts", OperatorLeaf(*other)),
            absl::StatusCode::kUnauthenticated);
}

// A connection outlives the check of its handshake.
TEST_F(AuthorizeTest, RefusesACertificateThatExpiredOnAnOpenConnection) {
  const std::string host = HostLeaf(kKnown);
  const std::string person = OperatorLeaf(*authority_);
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
  const std::string person = OperatorLeaf(*authority_);
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
  EXPECT_EQ(CodeOf("dumpwarden.v1.Admin.Format", OperatorLeaf(*authority_)),
            absl::StatusCode::kPermissionDenied);
  EXPECT_THAT(CheckPermissions({"dumpwarden.v1.Admin", "dumpwarden.v1.Enrollment"}), IsOk());
  EXPECT_THAT(
      CheckPermissions({"dumpwarden.v1.Later"}),
      StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("dumpwarden.v1.Later")));
}

}  // namespace
}  // namespace dumpwarden
