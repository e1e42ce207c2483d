// SPDX-License-Identifier: Apache-2.0
// What every Store must do when it is asked for a part of its audit log: a part
// of store_contract.h.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_AUDIT_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_AUDIT_CONTRACT_H_

#include <set>
#include <string>
#include <vector>

#include "core/base/timestamp.h"
#include "tests/contract/store_bench.h"

namespace dumpwarden {

using testing::ElementsAre;
using testing::IsEmpty;

class StoreAudit : public StoreContract {
 protected:
  void Record(const std::string& actor, const std::string& action, const std::string& object) {
    Audit audit = By(action);
    audit.actor = actor;
    audit.object = object;
    ASSERT_THAT(store().RecordAudit(audit), IsOk());
    clock_.Advance(absl::Minutes(1));
  }
  // Numbers 1 to 6, a minute apart.
  void RecordSome() {
    began_ = clock_.Now();
    Record("spiffe://corp.example/operator/alice", "policy.apply", "web");
    Record("spiffe://corp.example/operator/bob", "policy.delete", "web");
    Record("spiffe://corp.example/operator/alice", "token.create", "t1");
    Record("spiffe://corp.example/host/alice-2", "host.enroll", "h1");
    Record("server", "policyx", "100%_[a]");
    Record("nobody", "handshake.refused", "expired");
  }

  std::vector<std::uint64_t> Numbers(const v1::ListAuditRequest& query) {
    const auto rows = store().ListAudit(query);
    EXPECT_THAT(rows, IsOk());
    std::vector<std::uint64_t> numbers;
    for (const v1::AuditEntry& row : *rows) numbers.push_back(row.sequence());
    return numbers;
  }
  std::vector<std::uint64_t> Found(const v1::AuditFilter& filter) {
    v1::ListAuditRequest query;
    *query.mutable_filter() = filter;
    query.set_oldest_first(true);
    return Numbers(query);
  }
  std::vector<std::uint64_t> Actions(const std::vector<std::string>& actions) {
    v1::AuditFilter filter;
    for (const std::string& action : actions) filter.add_actions(action);
    return Found(filter);
  }
  std::vector<std::uint64_t> Actor(const std::string& actor) {
    v1::AuditFilter filter;
    filter.add_actors(actor);
    return Found(filter);
  }
  std::vector<std::uint64_t> Object(const std::string& object) {
    v1::AuditFilter filter;
    filter.add_objects(object);
    return Found(filter);
  }

  absl::Time began_;
};

TEST_P(StoreAudit, FindsActionsWholeOrByTheirBeginning) {
  RecordSome();
  EXPECT_THAT(Actions({"policy.apply"}), ElementsAre(1));
  EXPECT_THAT(Actions({"policy"}), IsEmpty());
  EXPECT_THAT(Actions({"policy.*"}), ElementsAre(1, 2));
  EXPECT_THAT(Actions({"policy*"}), ElementsAre(1, 2, 5));
  EXPECT_THAT(Actions({"token.create", "host.*"}), ElementsAre(3, 4));
  EXPECT_THAT(Actions({"*"}), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(Actions({"p*y.apply"}), IsEmpty()) << "elsewhere * is itself";
}

TEST_P(StoreAudit, FindsActorsWholeOrByTheirLastPart) {
  RecordSome();
  EXPECT_THAT(Actor("spiffe://corp.example/operator/alice"), ElementsAre(1, 3));
  EXPECT_THAT(Actor("alice"), ElementsAre(1, 3));
  EXPECT_THAT(Actor("operator/alice"), ElementsAre(1, 3));
  EXPECT_THAT(Actor("lice"), IsEmpty());
  EXPECT_THAT(Actor("Alice"), IsEmpty());
  EXPECT_THAT(Actor("alice*"), ElementsAre(1, 3, 4));
  EXPECT_THAT(Actor("spiffe://corp.example/host/*"), ElementsAre(4));
  EXPECT_THAT(Actor("server"), ElementsAre(5));
}

TEST_P(StoreAudit, FindsObjectsAndTakesEveryCharacterForItself) {
  RecordSome();
  EXPECT_THAT(Object("web"), ElementsAre(1, 2));
  EXPECT_THAT(Object("h*"), ElementsAre(4));
  EXPECT_THAT(Object("100%_[a]"), ElementsAre(5));
  EXPECT_THAT(Object("100%*"), ElementsAre(5));
  for (const char* wild : {"%", "we_", "w?b", "[w]eb", "' OR 1=1 --", "WEB"}) {
    EXPECT_THAT(Object(wild), IsEmpty()) << wild;
  }
}

TEST_P(StoreAudit, FindsWhatWasWithinATime) {
  RecordSome();
  v1::AuditFilter filter;
  *filter.mutable_since() = ToTimestamp(began_ + absl::Minutes(2));
  EXPECT_THAT(Found(filter), ElementsAre(3, 4, 5, 6)) << "at that moment, and after";
  *filter.mutable_until() = ToTimestamp(began_ + absl::Minutes(4));
  EXPECT_THAT(Found(filter), ElementsAre(3, 4)) << "until is not within";
  filter.add_actors("alice");
  EXPECT_THAT(Found(filter), ElementsAre(3)) << "all must hold";
  *filter.mutable_until() = ToTimestamp(began_);
  EXPECT_THAT(Found(filter), IsEmpty());
}

TEST_P(StoreAudit, PagesBothWays) {
  RecordSome();
  v1::ListAuditRequest query;
  query.set_limit(2);
  EXPECT_THAT(Numbers(query), ElementsAre(6, 5));
  query.set_before_sequence(5);
  EXPECT_THAT(Numbers(query), ElementsAre(4, 3));
  query.set_after_sequence(3);
  EXPECT_THAT(Numbers(query), ElementsAre(4)) << "both bounds hold";
  query.clear_before_sequence();
  query.set_oldest_first(true);
  EXPECT_THAT(Numbers(query), ElementsAre(4, 5));
  query.set_after_sequence(5);
  EXPECT_THAT(Numbers(query), ElementsAre(6));
  query.set_after_sequence(~std::uint64_t{0});
  EXPECT_THAT(Numbers(query), IsEmpty());
}

TEST_P(StoreAudit, HoldsTheActionOfAnOlderClientTooBesidesItsFilter) {
  RecordSome();
  v1::ListAuditRequest query;
  query.set_action("policy.apply");
  query.mutable_filter()->add_actors("bob");
  EXPECT_THAT(Numbers(query), IsEmpty());
  query.mutable_filter()->set_actors(0, "alice");
  EXPECT_THAT(Numbers(query), ElementsAre(1));
}

// Who reads the log sees what a host was, and that nothing else was changed in between.
TEST_P(StoreAudit, TellsAHostsDigestBeforeAndAfterEachChange) {
  const HostRow host = NewHost("uuid-1");
  const std::string enrolled = AuditOf("host.enroll").front().after();
  EXPECT_EQ(AuditOf("host.enroll").front().before(), "");
  EXPECT_EQ(enrolled, HostDigest(host));
  ASSERT_THAT(store().QuarantineHost(host.id, By("host.quarantine")), IsOk());
  const std::string quarantined = AuditOf("host.quarantine").front().after();
  EXPECT_EQ(AuditOf("host.quarantine").front().before(), enrolled);
  EXPECT_EQ(quarantined, HostDigest(*store().FindHost("uuid-1")));
  ASSERT_THAT(store().RevokeHost(host.id, By("host.revoke")), IsOk());
  const std::string revoked = AuditOf("host.revoke").front().after();
  EXPECT_EQ(AuditOf("host.revoke").front().before(), quarantined);
  EXPECT_EQ(revoked, HostDigest(*store().FindHost("uuid-1")));
  EXPECT_THAT((std::set<std::string>{enrolled, quarantined, revoked}), testing::SizeIs(3));
}

TEST_P(StoreAudit, DigestOfAHostIsOfItsIdKeyAndState) {
  HostRow host;
  host.uuid = "uuid-1";
  host.host_key = "key";
  EXPECT_EQ(HostDigest(host), Sha256(absl::StrCat("uuid-1\n", Sha256Hex("key"), "\nenrolled\n")));
  host.quarantined = true;
  EXPECT_EQ(HostDigest(host),
            Sha256(absl::StrCat("uuid-1\n", Sha256Hex("key"), "\nquarantined\n")));
  host.revoked = true;
  EXPECT_EQ(HostDigest(host), Sha256(absl::StrCat("uuid-1\n", Sha256Hex("key"), "\nrevoked\n")));
}

TEST_P(StoreAudit, TellsATokensDigestWhenItIsMade) {
  ASSERT_THAT(GiveToken("t1"), IsOk());
  EXPECT_EQ(AuditOf("token.create").front().after(), Sha256("secret"));
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_AUDIT_CONTRACT_H_
