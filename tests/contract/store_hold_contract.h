// SPDX-License-Identifier: Apache-2.0
// What every Store must do with hosts that wait for an operator, and with
// tokens by the dozen.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_HOLD_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_HOLD_CONTRACT_H_

#include <string>
#include <utility>
#include <vector>

#include "tests/contract/store_bench.h"

namespace dumpwarden {

class StoreHold : public StoreContract {
 protected:
  std::pair<TokenRow, Audit> TokenWith(const std::string& id, bool hold = false) {
    TokenRow token;
    token.id = id;
    token.secret_digest = Sha256("secret");
    token.labels = {{"role", "sql"}};
    token.expires = clock_.Now() + absl::Hours(1);
    token.hold = hold;
    Audit audit = By("token.create");
    audit.object = id;
    return {token, audit};
  }
};

TEST_P(StoreHold, AHostIsHeldWhenItsTokenSaysSoAndUntilItIsApproved) {
  ASSERT_THAT(store().CreateTokens({TokenWith("held", true), TokenWith("free")}), IsOk());
  ASSERT_OK_AND_ASSIGN(const HostRow held, Enroll("held", "uuid-1"));
  ASSERT_OK_AND_ASSIGN(const HostRow free, Enroll("free", "uuid-2"));
  EXPECT_TRUE(held.hold);
  EXPECT_FALSE(free.hold);
  EXPECT_TRUE(store().ListHosts()->front().hold);
  EXPECT_EQ(*store().ApproveHost(held.id, By("host.approve")), true);
  EXPECT_FALSE(store().FindHost("uuid-1")->hold);
  EXPECT_EQ(*store().ApproveHost(held.id, By("host.approve")), false);
  EXPECT_THAT(AuditOf("host.approve"), testing::SizeIs(1));
  EXPECT_THAT(store().ApproveHost(99, By("host.approve")),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_P(StoreHold, ARenewalLeavesARowAndALateOneHolds) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(store().RenewHost(host.id, false, By("host.renew")), IsOk());
  EXPECT_FALSE(store().FindHost("uuid-1")->hold);
  ASSERT_THAT(store().RenewHost(host.id, true, By("host.hold")), IsOk());
  EXPECT_TRUE(store().FindHost("uuid-1")->hold);
  ASSERT_THAT(store().RenewHost(host.id, false, By("host.renew")), IsOk());
  EXPECT_TRUE(store().FindHost("uuid-1")->hold) << "only an operator ends it";
  EXPECT_THAT(AuditOf("host.renew"), testing::SizeIs(2));
  EXPECT_THAT(AuditOf("host.hold"), testing::SizeIs(1));
}

TEST_P(StoreHold, ARevokedOrQuarantinedHostIsNotRenewedNorARevokedOneApproved) {
  const HostRow revoked = NewHost("uuid-1");
  const HostRow quarantined = NewHost("uuid-2");
  ASSERT_THAT(store().RenewHost(revoked.id, true, By("host.hold")), IsOk());
  ASSERT_THAT(store().RevokeHost(revoked.id, By("host.revoke")), IsOk());
  ASSERT_THAT(store().QuarantineHost(quarantined.id, By("host.quarantine")), IsOk());
  for (const HostRow& host : {revoked, quarantined}) {
    EXPECT_THAT(store().RenewHost(host.id, false, By("host.renew")),
                StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
  }
  EXPECT_THAT(AuditOf("host.renew"), testing::IsEmpty());
  EXPECT_THAT(store().ApproveHost(revoked.id, By("host.approve")),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("revoked")));
}

TEST_P(StoreHold, WithoutAnAuditRowNothingIsRenewedApprovedOrTakenBack) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(store().CreateTokens({TokenWith("t1")}), IsOk());
  bench_->BreakAudit();
  EXPECT_FALSE(store().RenewHost(host.id, true, By("host.hold")).ok());
  EXPECT_FALSE(store().FindHost("uuid-1")->hold);
  EXPECT_FALSE(store().RevokeToken("t1", clock_.Now(), By("token.revoke")).ok());
  EXPECT_FALSE(store().CreateTokens({TokenWith("t2")}).ok());
  EXPECT_THAT(*store().ListTokens(), testing::SizeIs(2)) << "the host's and t1";
  const std::vector<TokenRecord> tokens = store().ListTokens().value();
  for (const TokenRecord& record : tokens) EXPECT_FALSE(record.revoked.has_value());
}

TEST_P(StoreHold, MakesAllTokensOrNone) {
  ASSERT_THAT(store().CreateTokens({TokenWith("a"), TokenWith("b", true)}), IsOk());
  EXPECT_THAT(AuditOf("token.create"), testing::SizeIs(2));
  EXPECT_FALSE(store().CreateTokens({TokenWith("c"), TokenWith("a")}).ok()) << "a is there";
  EXPECT_THAT(*store().ListTokens(), testing::SizeIs(2));
  EXPECT_THAT(AuditOf("token.create"), testing::SizeIs(2));
}

TEST_P(StoreHold, KnowsWhatBecameOfEachToken) {
  ASSERT_THAT(store().CreateTokens({TokenWith("a"), TokenWith("b", true), TokenWith("c")}), IsOk());
  ASSERT_THAT(Enroll("a", "uuid-1"), IsOk());
  EXPECT_EQ(*store().RevokeToken("b", clock_.Now(), By("token.revoke")), true);
  EXPECT_EQ(*store().RevokeToken("b", clock_.Now(), By("token.revoke")), false);
  EXPECT_THAT(AuditOf("token.revoke"), testing::SizeIs(1));
  ASSERT_OK_AND_ASSIGN(const std::vector<TokenRecord> records, store().ListTokens());
  ASSERT_THAT(records, testing::SizeIs(3));
  EXPECT_EQ(records[0].token.id, "a");
  EXPECT_EQ(records[0].used, clock_.Now());
  EXPECT_EQ(records[0].used_by, "uuid-1");
  EXPECT_EQ(records[0].token.secret_digest, "") << "nobody needs it";
  EXPECT_EQ(records[1].revoked, clock_.Now());
  EXPECT_TRUE(records[1].token.hold);
  EXPECT_EQ(records[2].token.labels.at("role"), "sql");
  EXPECT_FALSE(records[2].used.has_value() || records[2].revoked.has_value());
}

TEST_P(StoreHold, ATokenThatWasTakenBackLetsNobodyInAndHoldsNoDoorOpen) {
  ASSERT_THAT(store().CreateTokens({TokenWith("t1")}), IsOk());
  ASSERT_THAT(store().RevokeToken("t1", clock_.Now(), By("token.revoke")), IsOk());
  EXPECT_EQ(store().NewestTokenExpiry(clock_.Now()).value(), std::nullopt);
  EXPECT_THAT(Enroll("t1", "uuid-1"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("was revoked at")));
  EXPECT_THAT(Enroll("t1", "uuid-1", "web-01", "wrong"),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::HasSubstr("wrong secret")));
  EXPECT_THAT(*store().ListHosts(), testing::IsEmpty());
}

TEST_P(StoreHold, TakesBackOnlyATokenThatWaits) {
  ASSERT_THAT(store().CreateTokens({TokenWith("used"), TokenWith("old")}), IsOk());
  ASSERT_THAT(Enroll("used", "uuid-1"), IsOk());
  const auto revoke = [&](const char* id) {
    return store().RevokeToken(id, clock_.Now(), By("token.revoke")).status();
  };
  EXPECT_THAT(revoke("used"),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("was used")));
  EXPECT_THAT(revoke("none"), StatusIs(absl::StatusCode::kNotFound, testing::HasSubstr("none")));
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(revoke("old"),
              StatusIs(absl::StatusCode::kFailedPrecondition, testing::HasSubstr("expired")));
  EXPECT_THAT(AuditOf("token.revoke"), testing::IsEmpty());
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_HOLD_CONTRACT_H_
