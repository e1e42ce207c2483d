// SPDX-License-Identifier: Apache-2.0
// Logging in with a real store, a real authority and real keys.
#include "server/people.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/token.h"
#include "platform/keys.h"
#include "platform/system.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::Not;

const Actor kAdmin = {"spiffe://corp.example/operator/admin", "ipv4:192.0.2.1:1"};
constexpr char kPeer[] = "ipv4:192.0.2.7:40000";
constexpr char kServer[] = "dw.corp.example:7443";

class PeopleTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, temp_.File("ca"), "corp.example", clock_.Now()),
                IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, temp_.File("ca")));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    people_ = std::make_unique<People>(
        *store_, *authority_, clock_, *random_, *log_,
        [this](const char* reason, const std::string& peer, const absl::Status& why) {
          refused_.push_back(absl::StrCat(reason, " ", peer, " ", why.ok() ? "" : "no"));
        });
  }

  absl::StatusOr<v1::AddPersonResponse> Add(const std::string& name, const std::string& role,
                                            std::uint32_t ttl = 0, bool dry_run = false) {
    v1::AddPersonRequest request;
    request.set_name(name);
    if (!role.empty()) request.add_roles(role);
    request.set_ttl_seconds(ttl);
    request.set_dry_run(dry_run);
    return people_->Add(request, kAdmin);
  }
  std::string CodeOf(const std::string& name) {
    const auto added = Add(name, "author");
    EXPECT_THAT(added, IsOk());
    return added.ok() ? added->code().code() : "";
  }
  absl::StatusOr<v1::LoginResponse> Login(const std::string& code,
                                          const std::string& peer = kPeer) {
    v1::LoginRequest request;
    request.set_code(code);
    request.set_csr(*MakeCsrDer(**MakeKey()));
    return people_->Login(request, peer, kServer);
  }
  absl::StatusOr<v1::RevokePersonResponse> Revoke(const std::string& name,
                                                  const std::string& reason = "left",
                                                  bool dry_run = false) {
    v1::RevokePersonRequest request;
    request.set_name(name);
    request.set_reason(reason);
    request.set_dry_run(dry_run);
    return people_->Revoke(request, kAdmin);
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  const std::unique_ptr<Log> log_ = MakeLog(clock_, "test");
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<People> people_;
  std::vector<std::string> refused_;  // before the store was asked
};

// As of enrolments: who guesses is seen.
TEST_F(PeopleTest, T33EveryRefusalIsCountedOrHasItsRow) {
  v1::LoginRequest request;
  request.set_code(CodeOf("alice"));
  request.set_csr("garbage");
  EXPECT_FALSE(people_->Login(request, kPeer, kServer).ok());
  EXPECT_FALSE(Login("no code").ok());
  EXPECT_FALSE(Login(CodeOf("bob").replace(40, 4, "xxxx")).ok());
  for (int i = 0; i < 5; ++i) Login("no code").IgnoreError();
  EXPECT_FALSE(Login(CodeOf("carol")).ok());
  EXPECT_THAT(refused_, testing::IsSupersetOf({absl::StrCat("keys ", kPeer, " no"),
                                               absl::StrCat("code ", kPeer, " no"),
                                               absl::StrCat("too-many ", kPeer, " no")}));
  v1::ListAuditRequest rows;
  rows.set_action("person.login.refused");
  EXPECT_EQ(store_->ListAudit(rows)->size() + refused_.size(), 9u);
}

// The same code with one digit of its secret changed: whoever has it guessed.
std::string WithWrongSecret(std::string code) {
  code[40] = code[40] == 'a' ? 'b' : 'a';
  return code;
}

TEST_F(PeopleTest, GivesACertificateForThirtyDaysWithNothingOfTheRequestButItsKey) {
  const KeyPtr key = *MakeKey();
  v1::LoginRequest request;
  request.set_code(CodeOf("alice@corp.example"));
  request.set_csr(*MakeCsrDer(*key));
  ASSERT_OK_AND_ASSIGN(const v1::LoginResponse done, people_->Login(request, kPeer, kServer));
  EXPECT_EQ(done.name(), "alice@corp.example");
  EXPECT_THAT(done.roles(), testing::ElementsAre("author"));
  EXPECT_EQ(done.server(), kServer);
  EXPECT_EQ(done.trust_domain(), "corp.example");
  EXPECT_EQ(Sha256Hex(done.root()), authority_->root_pin());
  ASSERT_GE(done.chain_size(), 1);
  ASSERT_OK_AND_ASSIGN(const CertificatePtr leaf, ReadCertificateDer(done.chain(0)));
  EXPECT_EQ(*CertificateKeyDer(*leaf), *PublicKeyDer(*key));
  ASSERT_OK_AND_ASSIGN(const CertificateSummary summary, Summarize(*leaf));
  EXPECT_EQ(summary.spiffe_id, "spiffe://corp.example/operator/alice@corp.example");
  EXPECT_EQ(summary.not_after,
            absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now() + absl::Hours(30 * 24))));
  ASSERT_OK_AND_ASSIGN(const PersonRow row, store_->FindPerson("alice@corp.example"));
  ASSERT_THAT(row.certificates, testing::SizeIs(1));
  EXPECT_EQ(row.certificates[0].serial, summary.serial);
  EXPECT_EQ(row.certificates[0].expires, summary.not_after);
}

TEST_F(PeopleTest, T33TakesACodeOnceAndTellsItsHolderWhenItWas) {
  const std::string code = CodeOf("alice");
  EXPECT_THAT(Login(code), IsOk());
  EXPECT_THAT(Login(code),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the code was used at 20")));
  EXPECT_THAT(store_->FindPerson("alice")->certificates, testing::SizeIs(1));
  const std::string late = CodeOf("bob");
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(Login(late),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the code expired at 20")));
}

TEST_F(PeopleTest, T33TellsAStrangerTheSameWhateverIsWrong) {
  const std::string used = CodeOf("alice");
  ASSERT_THAT(Login(used, "ipv4:192.0.2.9:1"), IsOk());
  const std::string expired = CodeOf("bob");
  clock_.Advance(absl::Hours(2));
  const std::string good = CodeOf("carol");
  std::string unknown = good;
  unknown[6] = unknown[6] == 'a' ? 'b' : 'a';
  std::string token = good;
  token.replace(0, 4, "dwt1");
  const std::string codes[] = {
      "rubbish", WithWrongSecret(used), WithWrongSecret(expired), WithWrongSecret(good), unknown,
      token};
  for (std::size_t i = 0; i < std::size(codes); ++i) {
    EXPECT_EQ(Login(codes[i], absl::StrCat("ipv4:192.0.2.", i, ":1")).status(),
              absl::PermissionDeniedError("the code is not valid here: unknown, used or expired"))
        << i;
  }
  EXPECT_THAT(Login(good), IsOk()) << "none of them used it up";
}

TEST_F(PeopleTest, LetsAnAddressFailFiveTimesAMinute) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Login("rubbish", absl::StrCat("ipv4:192.0.2.7:", 1000 + i)),
                StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  }
  const std::string code = CodeOf("alice");
  EXPECT_THAT(Login(code),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("wait a minute")));
  clock_.Advance(absl::Seconds(61));
  EXPECT_THAT(Login(code), IsOk());
}

TEST_F(PeopleTest, WantsItsKeyProven) {
  const std::string code = CodeOf("alice");
  v1::LoginRequest request;
  request.set_code(code);
  for (const std::string& csr : {std::string(), std::string("rubbish"), std::string(9000, 'x')}) {
    request.set_csr(csr);
    EXPECT_THAT(people_->Login(request, kPeer, kServer), Not(IsOk()));
  }
  request.set_csr(*MakeCsrDer(**MakeKey()));
  request.mutable_csr()->back() ^= 1;
  EXPECT_THAT(people_->Login(request, kPeer, kServer),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_THAT(Login(code), IsOk()) << "none of them used it up";
}

TEST_F(PeopleTest, RefusesNamesRolesAndLivesThatAreNone) {
  for (const char* name : {"", "Alice", "a,b", "../x", "alice@corp.example\n", "-a"}) {
    EXPECT_THAT(Add(name, "viewer"), StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << name;
  }
  EXPECT_THAT(Add("alice", "root"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("there are viewer, auditor, author, operator, requester, "
                                 "approver, admin")));
  EXPECT_THAT(Add("alice", ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("a role is missing")));
  EXPECT_THAT(Add("alice", "viewer", 604'801),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("7 days")));
  EXPECT_THAT(people_->List()->people(), testing::IsEmpty());
  EXPECT_THAT(Add("alice", "viewer", 604'800), IsOk());
}

TEST_F(PeopleTest, KeepsNothingOnADryRun) {
  ASSERT_OK_AND_ASSIGN(const auto dry, Add("alice", "viewer", 0, /*dry_run=*/true));
  EXPECT_FALSE(dry.has_code());
  EXPECT_THAT(store_->ListPeople().value(), testing::IsEmpty());
  CodeOf("alice");
  EXPECT_THAT(Add("alice", "viewer", 0, true),
              StatusIs(absl::StatusCode::kAlreadyExists, testing::_));
  v1::CreateLoginCodeRequest code;
  code.set_name("alice");
  code.set_dry_run(true);
  ASSERT_OK_AND_ASSIGN(const auto another, people_->CreateCode(code, kAdmin));
  EXPECT_FALSE(another.has_code());
  ASSERT_OK_AND_ASSIGN(const auto gone, Revoke("alice", "left", true));
  EXPECT_TRUE(gone.changed());
  EXPECT_THAT(store_->ListAudit({}).value(), testing::SizeIs(1)) << "of the real one";
  ASSERT_THAT(Revoke("alice"), IsOk());
  EXPECT_THAT(people_->CreateCode(code, kAdmin),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("revoked")));
}

TEST_F(PeopleTest, ALeaversCodeIsWorthNothingAndTheReasonIsKept) {
  const std::string code = CodeOf("alice");
  EXPECT_THAT(Revoke("alice", " "), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_THAT(Revoke("alice", std::string(501, 'x')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("501")));
  ASSERT_THAT(Revoke("alice", "has left"), IsOk());
  EXPECT_THAT(Login(code), StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  v1::ListAuditRequest query;
  query.set_action("person.revoke");
  ASSERT_OK_AND_ASSIGN(const auto rows, store_->ListAudit(query));
  ASSERT_THAT(rows, testing::SizeIs(1));
  EXPECT_EQ(rows[0].object(), "alice");
  EXPECT_EQ(rows[0].detail(), "has left");
  EXPECT_EQ(rows[0].actor(), kAdmin.id);
}

TEST_F(PeopleTest, ListsWhoMayDoWhatAndUntilWhen) {
  ASSERT_THAT(Login(CodeOf("alice")), IsOk());
  CodeOf("bob");
  ASSERT_OK_AND_ASSIGN(const auto listed, people_->List());
  ASSERT_EQ(listed.people_size(), 2);
  EXPECT_EQ(listed.people(0).certificates(), 1u);
  EXPECT_EQ(listed.people(0).certificate_expires().seconds(),
            absl::ToUnixSeconds(clock_.Now() + absl::Hours(720)));
  EXPECT_EQ(listed.people(1).certificates(), 0u);
  clock_.Advance(absl::Hours(720));
  EXPECT_EQ(people_->List()->people(0).certificates(), 0u) << "it has expired";
}

// The canary is the code's own secret.
TEST_F(PeopleTest, T36KeepsNoSecretOfACode) {
  const std::string code = CodeOf("alice");
  ASSERT_OK_AND_ASSIGN(const LoginCode parsed, ParseLoginCode(code));
  ASSERT_THAT(Login(code), IsOk());
  EXPECT_FALSE(Login(code).ok());
  for (const char* file : {"store.db", "store.db-wal"}) {
    const auto bytes = vfs_->Read(temp_.File(file), 64 * 1024 * 1024);
    ASSERT_THAT(bytes, IsOk());
    EXPECT_FALSE(absl::StrContains(*bytes, parsed.secret)) << file;
  }
}

}  // namespace
}  // namespace dumpwarden
