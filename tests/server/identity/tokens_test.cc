// SPDX-License-Identifier: Apache-2.0
#include "server/identity/tokens.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/token.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "server/identity/enrollment.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class TokensTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, temp_.File("ca"), "corp.example", clock_.Now()),
                IsOk());
    ASSERT_OK_AND_ASSIGN(authority_, Authority::Open(*vfs_, *random_, temp_.File("ca")));
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    enrollment_ = std::make_unique<HostEnrollment>(*store_, *authority_, clock_, *random_, *log_);
  }
  // Tokens for hosts of these names.
  absl::StatusOr<v1::CreateTokensResponse> Make(const std::vector<std::string>& names,
                                                std::uint32_t ttl = 0, bool dry_run = false) {
    v1::CreateTokensRequest request;
    for (const std::string& name : names) {
      request.add_tokens()->set_expected_name(name);
      request.mutable_tokens()->rbegin()->set_ttl_seconds(ttl);
    }
    request.set_dry_run(dry_run);
    return enrollment_->CreateTokens(request, "spiffe://corp.example/operator/a", "");
  }
  std::vector<std::string> Listed(const std::string& state = "", std::uint32_t limit = 0) {
    v1::ListTokensRequest request;
    request.set_state(state);
    request.set_limit(limit);
    const auto listed = ListTokens(*store_, request, clock_.Now());
    EXPECT_THAT(listed.status(), IsOk());
    std::vector<std::string> names;
    for (const v1::TokenSummary& token : listed->tokens()) {
      names.push_back(absl::StrCat(token.expected_name(), " ", token.state()));
    }
    return names;
  }
  absl::StatusOr<v1::RevokeTokenResponse> Revoke(const std::string& id, bool dry_run = false) {
    v1::RevokeTokenRequest request;
    request.set_id(id);
    request.set_dry_run(dry_run);
    return RevokeToken(*store_, request, "spiffe://corp.example/operator/a", "", clock_.Now());
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  const std::unique_ptr<Log> log_ = MakeLog(clock_, "test");
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<HostEnrollment> enrollment_;
};

TEST_F(TokensTest, AreMadeByTheDozenEachWithItsOwnSecret) {
  ASSERT_OK_AND_ASSIGN(const v1::CreateTokensResponse made, Make({"a", "b", "c"}));
  ASSERT_EQ(made.tokens_size(), 3);
  std::set<std::string> secrets;
  for (const auto& token : made.tokens()) {
    ASSERT_OK_AND_ASSIGN(const EnrollmentToken parsed, ParseToken(token.token()));
    EXPECT_EQ(parsed.id, token.id());
    secrets.insert(parsed.secret);
  }
  EXPECT_THAT(secrets, SizeIs(3));
  v1::ListAuditRequest query;
  query.set_action("token.create");
  EXPECT_THAT(*store_->ListAudit(query), SizeIs(3));
}

TEST_F(TokensTest, AreMadeAllOrNone) {
  EXPECT_THAT(Make({"a", std::string(300, 'x')}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("host_name")));
  EXPECT_THAT(Make({}), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("1 to 1000")));
  EXPECT_THAT(Make(std::vector<std::string>(1001, "a")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not 1001")));
  ASSERT_OK_AND_ASSIGN(const v1::CreateTokensResponse dry, Make({"a", "b"}, 0, true));
  EXPECT_EQ(dry.tokens_size(), 2);
  EXPECT_EQ(dry.tokens(0).token(), "");
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_THAT(Make(std::vector<std::string>(1000, "a")), IsOk());
  EXPECT_THAT(Listed("", 100'000), SizeIs(1000));
}

TEST_F(TokensTest, AreListedByWhatBecameOfThemTheLastToExpireFirst) {
  ASSERT_THAT(Make({"short"}, 60), IsOk());
  ASSERT_OK_AND_ASSIGN(const v1::CreateTokensResponse made, Make({"long"}, 7200));
  ASSERT_THAT(Make({"middle"}, 3600), IsOk());
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(Listed(), ElementsAre("long open", "middle open", "short expired"));
  EXPECT_THAT(Listed("open", 1), ElementsAre("long open"));
  EXPECT_THAT(Listed("expired"), ElementsAre("short expired"));
  ASSERT_OK_AND_ASSIGN(const v1::RevokeTokenResponse dry, Revoke(made.tokens(0).id(), true));
  EXPECT_TRUE(dry.changed());
  EXPECT_THAT(Listed("revoked"), IsEmpty());
  ASSERT_OK_AND_ASSIGN(const v1::RevokeTokenResponse done, Revoke(made.tokens(0).id()));
  EXPECT_TRUE(done.changed());
  EXPECT_THAT(Listed("revoked"), ElementsAre("long revoked"));
  EXPECT_FALSE(Revoke(made.tokens(0).id())->changed());
  ASSERT_OK_AND_ASSIGN(const v1::CreateTokensResponse brief, Make({"brief"}, 60));
  clock_.Advance(absl::Minutes(1));
  for (const bool dry_run : {true, false}) {
    EXPECT_THAT(Revoke(brief.tokens(0).id(), dry_run),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("expired")));
  }
  EXPECT_THAT(Revoke("nobody's"), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(Revoke("nobody's", true), StatusIs(absl::StatusCode::kNotFound, testing::_));
  v1::ListTokensRequest wrong;
  wrong.set_state("lost");
  EXPECT_THAT(ListTokens(*store_, wrong, clock_.Now()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("open, used")));
}

}  // namespace
}  // namespace dumpwarden
