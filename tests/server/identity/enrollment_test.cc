// SPDX-License-Identifier: Apache-2.0
// Enrolment with a real store, a real authority and real keys.
#include "server/identity/enrollment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "platform/keys.h"
#include "platform/system.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kPeer[] = "ipv4:192.0.2.7:40000";
constexpr char kServer[] = "dw.corp.example:7443";

class EnrollmentTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, temp_.File("ca"), "corp.example", clock_.Now()),
                IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, temp_.File("ca")));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    enrollment_ = std::make_unique<HostEnrollment>(*store_, *authority_, clock_, *random_, *log_);
  }

  std::string Token(const v1::CreateTokenRequest& request = {}) {
    const auto made = enrollment_->CreateToken(request, "spiffe://corp.example/operator/a", "");
    EXPECT_THAT(made, IsOk());
    return made.ok() ? made->token() : "";
  }

  v1::EnrollRequest RequestWith(const std::string& token, const std::string& name = "web-01") {
    const KeyPtr tls = *MakeKey();
    const KeyPtr host = *MakeKey();
    v1::EnrollRequest request;
    request.set_token(token);
    request.set_host_name(name);
    request.set_csr(*MakeCsrDer(*tls));
    request.set_host_key(*PublicKeyDer(*host));
    request.set_host_key_proof(*Sign(*host, absl::StrCat(std::string("dumpwarden-enroll-v1\0", 21),
                                                         Sha256(request.csr()), Sha256(token))));
    return request;
  }

  absl::StatusOr<v1::EnrollResponse> Enroll(const v1::EnrollRequest& request,
                                            const std::string& peer = kPeer) {
    return enrollment_->Enroll(request, peer, kServer);
  }

  std::size_t Hosts() { return store_->ListHosts()->size(); }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  const std::unique_ptr<Log> log_ = MakeLog(clock_, "test");
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<HostEnrollment> enrollment_;
};

TEST_F(EnrollmentTest, GivesAHostItsIdentity) {
  v1::CreateTokenRequest wish;
  (*wish.mutable_labels())["role"] = "sql";
  ASSERT_OK_AND_ASSIGN(const v1::EnrollResponse done, Enroll(RequestWith(Token(wish))));
  EXPECT_EQ(done.trust_domain(), "corp.example");
  EXPECT_EQ(done.server(), kServer);
  EXPECT_EQ(done.labels().at("role"), "sql");
  EXPECT_EQ(Sha256Hex(done.root()), authority_->root_pin());
  ASSERT_GE(done.chain_size(), 1);
  ASSERT_OK_AND_ASSIGN(const CertificatePtr leaf, ReadCertificateDer(done.chain(0)));
  ASSERT_OK_AND_ASSIGN(const CertificateSummary summary, Summarize(*leaf));
  EXPECT_EQ(summary.spiffe_id, absl::StrCat("spiffe://corp.example/host/", done.host_id()));
  ASSERT_OK_AND_ASSIGN(const HostRow row, store_->FindHost(done.host_id()));
  EXPECT_EQ(row.name, "web-01");
  EXPECT_EQ(row.labels.at("role"), "sql");
}

TEST_F(EnrollmentTest, TakesATokenOnceAndSaysWhenItWas) {
  const std::string token = Token();
  EXPECT_THAT(Enroll(RequestWith(token)), IsOk());
  EXPECT_THAT(Enroll(RequestWith(token)),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the token was used at 20")));
  EXPECT_EQ(Hosts(), 1u);
}

// The same token with one digit of its secret changed: whoever has it guessed.
std::string WithWrongSecret(std::string token) {
  token[40] = token[40] == 'a' ? 'b' : 'a';
  return token;
}

TEST_F(EnrollmentTest, TellsAStrangerTheSameWhateverIsWrongWithTheToken) {
  v1::CreateTokenRequest named;
  named.set_expected_name("db-01");
  const std::string for_another = Token(named);
  const std::string used = Token();
  ASSERT_THAT(Enroll(RequestWith(used), "ipv4:192.0.2.9:1"), IsOk());
  const std::string expired = Token();
  clock_.Advance(absl::Hours(2));
  const std::string tokens[] = {"rubbish", WithWrongSecret(for_another), WithWrongSecret(expired),
                                WithWrongSecret(used), WithWrongSecret(Token())};
  for (std::size_t i = 0; i < std::size(tokens); ++i) {
    EXPECT_EQ(Enroll(RequestWith(tokens[i]), absl::StrCat("ipv4:192.0.2.", i, ":1")).status(),
              absl::PermissionDeniedError(
                  "the token is not valid here: unknown, used, expired or for another host name"))
        << i;
  }
  EXPECT_EQ(Hosts(), 1u);
}

TEST_F(EnrollmentTest, TellsWhoHasTheSecretWhatIsWrongWithTheToken) {
  v1::CreateTokenRequest named;
  named.set_expected_name("db-01");
  EXPECT_THAT(Enroll(RequestWith(Token(named))),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("for the host \"db-01\"")));
  const std::string expired = Token();
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(Enroll(RequestWith(expired)),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the token expired at 20")));
  EXPECT_EQ(Hosts(), 0u);
}

TEST_F(EnrollmentTest, LeavesRowsThatFollowATokenFromItsMakingToItsUse) {
  v1::CreateTokenRequest wish;
  (*wish.mutable_labels())["role"] = "sql";
  wish.set_expected_name("web-01");
  wish.set_ttl_seconds(600);
  const std::string token = Token(wish);
  ASSERT_OK_AND_ASSIGN(const EnrollmentToken parsed, ParseToken(token));
  ASSERT_THAT(Enroll(RequestWith(token)), IsOk());
  ASSERT_FALSE(Enroll(RequestWith(token)).ok());
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::AuditEntry> rows, store_->ListAudit({}));
  ASSERT_EQ(rows.size(), 3u);  // the newest first
  EXPECT_THAT(rows[0].detail(), AllOf(HasSubstr("used at"), HasSubstr(parsed.id)));
  EXPECT_THAT(rows[1].detail(), HasSubstr(parsed.id));
  EXPECT_EQ(rows[2].object(), parsed.id);
  EXPECT_THAT(rows[2].detail(),
              AllOf(HasSubstr("role=sql"), HasSubstr("web-01"), HasSubstr("10m")));
}

TEST_F(EnrollmentTest, WantsBothKeysProven) {
  const std::string token = Token();
  v1::EnrollRequest no_proof = RequestWith(token);
  no_proof.set_host_key_proof("");
  v1::EnrollRequest other_key = RequestWith(token);
  other_key.set_host_key(*PublicKeyDer(**MakeKey()));
  v1::EnrollRequest other_token = RequestWith(Token());
  other_token.set_token(token);
  v1::EnrollRequest bad_csr = RequestWith(token);
  bad_csr.mutable_csr()->back() ^= 1;
  const struct {
    const char* why;
    v1::EnrollRequest request;
  } cases[] = {{"no proof", no_proof},
               {"proof by another key", other_key},
               {"proof for another token", other_token},
               {"a request whose own signature is broken", bad_csr}};
  for (const auto& test : cases) {
    EXPECT_THAT(Enroll(test.request), StatusIs(absl::StatusCode::kInvalidArgument, testing::_))
        << test.why;
  }
  EXPECT_THAT(Enroll(RequestWith(token)), IsOk()) << "none of them used the token up";
}

TEST_F(EnrollmentTest, LetsAnAddressFailFiveTimesAMinute) {
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Enroll(RequestWith("rubbish"), absl::StrCat("ipv4:192.0.2.7:", 1000 + i)),
                StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  }
  const std::string token = Token();
  EXPECT_THAT(Enroll(RequestWith(token)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("wait a minute")));
  EXPECT_THAT(Enroll(RequestWith(Token()), "ipv4:192.0.2.8:1"), IsOk()) << "another address";
  clock_.Advance(absl::Seconds(61));
  EXPECT_THAT(Enroll(RequestWith(token)), IsOk());
}

// Whoever has one IPv6 address has 2^64 of them: each failed five times.
TEST_F(EnrollmentTest, CountsAllAddressesOfAnIpv6CustomerAsOne) {
  const struct {
    const char* peer;
    const char* address;
  } cases[] = {
      {"ipv4:192.0.2.7:41234", "ipv4:192.0.2.7"},
      {"ipv6:[2001:db8:1:2:3::4]:41234", "ipv6:2001:db8:1:2::/64"},
      {"ipv6:%5B2001:db8:1:2:ffff::5%5D:1", "ipv6:2001:db8:1:2::/64"},
      {"ipv6:[2001:db8:1:3::4]:41234", "ipv6:2001:db8:1:3::/64"},
      {"ipv6:%5Bfe80::1%25eth0%5D:1", "ipv6:fe80::/64"},
      {"ipv6:[::ffff:192.0.2.7]:41234", "ipv4:192.0.2.7"},
      {"unix:/run/x", "unix"},
      {"rubbish", "rubbish"},
  };
  for (const auto& test : cases) EXPECT_EQ(AddressOfPeer(test.peer), test.address) << test.peer;
  for (int i = 0; i < 5; ++i) {
    EXPECT_THAT(Enroll(RequestWith("rubbish"), absl::StrCat("ipv6:[2001:db8::", i, "]:1")),
                StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  }
  EXPECT_THAT(Enroll(RequestWith(Token()), "ipv6:[2001:db8::99]:1"),
              StatusIs(absl::StatusCode::kResourceExhausted, testing::_));
}

TEST_F(EnrollmentTest, MakesNoTokenThatLivesTooLongOrLabelsWrongly) {
  v1::CreateTokenRequest week;
  week.set_ttl_seconds(604'800);
  EXPECT_THAT(enrollment_->CreateToken(week, "a", ""), IsOk());
  week.set_ttl_seconds(604'801);
  EXPECT_THAT(enrollment_->CreateToken(week, "a", ""),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("7 days")));
  v1::CreateTokenRequest label;
  (*label.mutable_labels())["os.build"] = "1";
  EXPECT_FALSE(enrollment_->CreateToken(label, "a", "").ok()) << "a fact is no label";
}

TEST_F(EnrollmentTest, KeepsNothingOnADryRun) {
  v1::CreateTokenRequest dry;
  dry.set_dry_run(true);
  ASSERT_OK_AND_ASSIGN(const auto answer, enrollment_->CreateToken(dry, "a", ""));
  EXPECT_EQ(answer.token(), "");
  ASSERT_OK_AND_ASSIGN(const auto expiry, store_->NewestTokenExpiry(clock_.Now()));
  EXPECT_FALSE(expiry.has_value());
}

}  // namespace
}  // namespace dumpwarden
