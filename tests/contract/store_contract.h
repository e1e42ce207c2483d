// SPDX-License-Identifier: Apache-2.0
// What every Store must do.  An implementation gives a StoreBench and
// instantiates StoreContract.  Promises are shared with the callback that keeps them: the test
// may go on while the store's thread is still in set_value.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_CONTRACT_H_

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/policy/policy_set.h"
#include "tests/contract/store_bench.h"

namespace dumpwarden {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

TEST_P(StoreContract, EnrolsAHostWithTheLabelsOfItsToken) {
  ASSERT_THAT(GiveToken("t1", "WEB-01"), IsOk());
  ASSERT_OK_AND_ASSIGN(const HostRow host, Enroll("t1", "uuid-1", "web-01"));
  EXPECT_GT(host.id, 0);
  ASSERT_OK_AND_ASSIGN(const HostRow found, store().FindHost("uuid-1"));
  EXPECT_EQ(found.id, host.id);
  EXPECT_EQ(found.name, "web-01");
  EXPECT_EQ(found.host_key, "SPKI of uuid-1");
  EXPECT_EQ(found.labels.at("role"), "sql");
  EXPECT_EQ(found.last_seen, absl::InfinitePast());
  EXPECT_EQ(found.state, v1::STATUS_UNSPECIFIED);
  EXPECT_THAT(AuditOf("host.enroll"), SizeIs(1));
  EXPECT_THAT(store().FindHost("UUID-1"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("UUID")));
}

TEST_P(StoreContract, RefusesATokenAndSaysWhy) {
  ASSERT_THAT(GiveToken("used"), IsOk());
  ASSERT_THAT(Enroll("used", "uuid-0"), IsOk());
  ASSERT_THAT(GiveToken("named", "db-01"), IsOk());
  ASSERT_THAT(GiveToken("good"), IsOk());
  const struct {
    const char* token;
    const char* secret;
    const char* why;
  } kCases[] = {
      {"nobody's", "secret", "no such token"},
      {"good", "secreT", "wrong secret"},
      {"good", "", "wrong secret"},
      {"used", "secret", "was used"},
      {"named", "secret", "for the host"},
  };
  std::size_t refusals = 0;
  for (const auto& c : kCases) {
    EXPECT_THAT(Enroll(c.token, "uuid-9", "web-01", c.secret),
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr(c.why)));
    const std::vector<v1::AuditEntry> rows = AuditOf("host.enroll.refused");
    ASSERT_THAT(rows, SizeIs(++refusals));
    EXPECT_THAT(rows.front().detail(), HasSubstr(c.why));
  }
  clock_.Advance(absl::Hours(1));
  EXPECT_THAT(Enroll("good", "uuid-9"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("expired")));
  EXPECT_THAT(store().ListHosts().value(), SizeIs(1));
}

TEST_P(StoreContract, LetsExactlyOneOfARaceHaveTheToken) {
  ASSERT_THAT(GiveToken("t1"), IsOk());
  std::atomic<int> won = 0;
  std::vector<std::thread> racers;
  for (int i = 0; i < 4; ++i) {
    racers.emplace_back([this, i, &won] {
      if (Enroll("t1", absl::StrCat("uuid-", i)).ok()) ++won;
    });
  }
  for (std::thread& racer : racers) racer.join();
  EXPECT_EQ(won, 1);
  EXPECT_THAT(store().ListHosts().value(), SizeIs(1));
  EXPECT_THAT(AuditOf("host.enroll.refused"), SizeIs(3));
}

TEST_P(StoreContract, KnowsTheNewestOpenToken) {
  EXPECT_EQ(store().NewestTokenExpiry(clock_.Now()).value(), std::nullopt);
  ASSERT_THAT(GiveToken("t1"), IsOk());
  const absl::Time expires = clock_.Now() + absl::Hours(1);
  EXPECT_EQ(store().NewestTokenExpiry(clock_.Now()).value(), expires);
  EXPECT_EQ(store().NewestTokenExpiry(expires).value(), std::nullopt);
  ASSERT_THAT(Enroll("t1", "uuid-1"), IsOk());
  EXPECT_EQ(store().NewestTokenExpiry(clock_.Now()).value(), std::nullopt);
}

TEST_P(StoreContract, PutsAStateTogetherAsItWas) {
  const HostRow host = NewHost("uuid-1");
  const HostState first = State("kernel");
  ASSERT_THAT(Keep(Commit(host.id, 1, first)), IsOk());
  EXPECT_EQ(StateDigest(store().ReadState(host.id).value()), StateDigest(first));
  HostState second = State("none");
  second.observation.clear_warnings();
  ASSERT_THAT(Keep(Commit(host.id, 2, second, &first)), IsOk());
  EXPECT_EQ(StateDigest(store().ReadState(host.id).value()), StateDigest(second));
  HostState third = second;
  third.findings.clear();
  third.observation.mutable_cells()->RemoveLast();
  third.observation.add_cells()->set_name("New");
  ASSERT_THAT(Keep(Commit(host.id, 3, third, &second)), IsOk());
  EXPECT_EQ(StateDigest(store().ReadState(host.id).value()), StateDigest(third));
  ASSERT_OK_AND_ASSIGN(const HostRow row, store().FindHost("uuid-1"));
  EXPECT_EQ(row.sequence, 3u);
  EXPECT_EQ(row.state_digest, StateDigest(third));
  EXPECT_EQ(row.last_seen, clock_.Now());
}

TEST_P(StoreContract, KeepsTheWholeWhenTheDeltaDoesNotLeadToIt) {
  const HostRow host = NewHost("uuid-1");
  const HostState first = State("kernel");
  ASSERT_THAT(Keep(Commit(host.id, 1, first)), IsOk());
  HostState second = first;
  second.findings.clear();
  second.observation.mutable_cells()->RemoveLast();
  ReportCommit silent = Commit(host.id, 2, second, &first);
  silent.report.Clear();
  ASSERT_THAT(Keep(silent), IsOk());
  EXPECT_EQ(StateDigest(store().ReadState(host.id).value()), StateDigest(second));
}

TEST_P(StoreContract, KnowsTheWorstFindingOfAHost) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(Commit(host.id, 1, State("none"))), IsOk());
  EXPECT_EQ(store().FindHost("uuid-1")->state, v1::STATUS_DRIFTED);
  ASSERT_OK_AND_ASSIGN(const auto findings, store().ListFindings());
  ASSERT_THAT(findings, SizeIs(1));
  EXPECT_EQ(findings[0].first, host.id);
  EXPECT_EQ(findings[0].second.SerializeAsString(), State("none").findings[0].SerializeAsString());
}

TEST_P(StoreContract, TakesARepeatedReportOnce) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit commit = Commit(host.id, 5, State("none"));
  AddEvent(commit, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(commit), IsOk());
  EXPECT_THAT(Keep(commit), IsOk());
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(1));
  // The event again, in a later report: its Ack was lost.
  const HostState before = State("none");
  ReportCommit later = Commit(host.id, 6, State("kernel"), &before);
  AddEvent(later, 1, v1::DriftEvent::KIND_DRIFTED);
  AddEvent(later, 2, v1::DriftEvent::KIND_CORRECTED, 1);
  ASSERT_THAT(Keep(later), IsOk());
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(1));
}

TEST_P(StoreContract, RefusesReportsThatGoBack) {
  const HostRow host = NewHost("uuid-1");
  const HostState kernel = State("kernel");
  const HostState none = State("none");
  ASSERT_THAT(Keep(Commit(host.id, 5, kernel)), IsOk());
  const struct {
    ReportCommit commit;
    const char* why;
  } kCases[] = {
      {Commit(host.id, 4, kernel), "an older sequence"},
      {Commit(host.id, 5, none), "the same sequence with another state"},
      {Commit(host.id, 9, none, &kernel, "epoch-2"), "a new epoch, not full"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Keep(c.commit), StatusIs(absl::StatusCode::kAborted, testing::_)) << c.why;
    EXPECT_EQ(StateDigest(store().ReadState(host.id).value()), StateDigest(kernel)) << c.why;
  }
  EXPECT_THAT(Keep(Commit(host.id, 1, none, nullptr, "epoch-2")), IsOk());
  EXPECT_EQ(store().FindHost("uuid-1")->epoch, "epoch-2");
  EXPECT_THAT(Keep(Commit(host.id + 1, 1, none)),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_P(StoreContract, RevokesAHostForGoodWithOneAuditRow) {
  const HostRow host = NewHost("uuid-1");
  NewHost("uuid-2");
  EXPECT_FALSE(store().FindHost("uuid-1")->revoked);
  EXPECT_THAT(store().RevokeHost(host.id, By("host.revoke")).value(), true);
  EXPECT_THAT(store().RevokeHost(host.id, By("host.revoke")).value(), false);
  EXPECT_TRUE(store().FindHost("uuid-1")->revoked);
  EXPECT_FALSE(store().FindHost("uuid-2")->revoked);
  EXPECT_THAT(store().RevokeHost(99, By("host.revoke")).status(),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(AuditOf("host.revoke"), SizeIs(1));
}

TEST_P(StoreContract, KeepsFactsLivenessVersionAndQuarantine) {
  const HostRow host = NewHost("uuid-1");
  v1::Facts facts;
  facts.mutable_os()->set_build(20348);
  const auto done = std::make_shared<std::promise<absl::Status>>();
  store().CommitFacts(host.id, facts, FactsDigest(facts),
                      [done](absl::Status status) { done->set_value(std::move(status)); });
  ASSERT_THAT(done->get_future().get(), IsOk());
  ASSERT_THAT(store().TouchHosts({{host.id, clock_.Now(), "", "", 0}}), IsOk());
  ASSERT_THAT(store().TouchHosts({{host.id, clock_.Now() - absl::Hours(1), "", "", 0}}), IsOk());
  ASSERT_THAT(store().SetHostVersion(host.id, "0.1.0"), IsOk());
  ASSERT_THAT(store().QuarantineHost(host.id, By("host.quarantine")), IsOk());
  ASSERT_OK_AND_ASSIGN(const HostRow row, store().FindHost("uuid-1"));
  EXPECT_EQ(store().ReadFacts(host.id)->os().build(), 20348u);
  EXPECT_EQ(row.facts_digest, FactsDigest(facts));
  EXPECT_EQ(row.last_seen, clock_.Now()) << "what was seen later stays";
  EXPECT_EQ(row.agent_version, "0.1.0");
  EXPECT_TRUE(row.quarantined);
  EXPECT_THAT(store().QuarantineHost(99, By("host.quarantine")),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_THAT(AuditOf("host.quarantine"), SizeIs(1));
}

TEST_P(StoreContract, ReadsManyHostsAsItReadsEach) {
  const HostRow first = NewHost("uuid-1");
  const HostRow second = NewHost("uuid-2");
  const HostRow silent = NewHost("uuid-3");
  v1::Facts facts;
  facts.mutable_os()->set_build(20348);
  store().CommitFacts(second.id, facts, FactsDigest(facts), [](const absl::Status&) {});
  ASSERT_THAT(Keep(Commit(first.id, 1, State("kernel"))), IsOk());
  ASSERT_THAT(Keep(Commit(second.id, 1, State("none"))), IsOk());
  const std::vector<HostId> ids = {second.id, silent.id, first.id, second.id};
  ASSERT_OK_AND_ASSIGN(const std::vector<HostReport> reports, store().ReadReports(ids));
  ASSERT_THAT(reports, SizeIs(ids.size()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    ASSERT_OK_AND_ASSIGN(const HostState state, store().ReadState(ids[i]));
    EXPECT_EQ(StateDigest(reports[i].state), StateDigest(state)) << i;
    EXPECT_EQ(reports[i].state.findings.size(), state.findings.size());
    EXPECT_EQ(reports[i].facts.os().build(), store().ReadFacts(ids[i])->os().build()) << i;
  }
  EXPECT_EQ(StateDigest(reports[0].state), StateDigest(State("none")));
  EXPECT_EQ(reports[0].facts.os().build(), 20348u);
  EXPECT_THAT(reports[1].state.findings, IsEmpty());
}

TEST_P(StoreContract, KnowsUnderWhichPoliciesTheLastReportHolds) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(Commit(host.id, 5, State("kernel"))), IsOk());
  EXPECT_EQ(store().FindHost("uuid-1")->policy_digest, Sha256("policies"));
  ASSERT_THAT(store().TouchHosts({{host.id, clock_.Now(), "later", "epoch-1", 5}}), IsOk());
  EXPECT_EQ(store().FindHost("uuid-1")->policy_digest, "later");
  ASSERT_THAT(store().TouchHosts({{host.id, clock_.Now(), "", "", 0},
                                  {host.id, clock_.Now(), "other", "epoch-1", 4},
                                  {host.id, clock_.Now(), "other", "epoch-2", 5}}),
              IsOk());
  EXPECT_EQ(store().FindHost("uuid-1")->policy_digest, "later") << "they speak of other reports";
}

TEST_P(StoreContract, NumbersPolicies) {
  ASSERT_THAT(Put("base", "one"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto same,
                       store().PutPolicies({Policy("base", "one")}, By("policy.apply")));
  EXPECT_FALSE(same[0].changed());
  EXPECT_EQ(same[0].version(), 1u);
  EXPECT_THAT(AuditOf("policy.apply"), SizeIs(1)) << "no change, no row";
  ASSERT_OK_AND_ASSIGN(const auto next,
                       store().PutPolicies({Policy("base", "two", 7)}, By("policy.apply")));
  EXPECT_TRUE(next[0].changed());
  EXPECT_EQ(next[0].version(), 7u);
  const v1::AuditEntry row = AuditOf("policy.apply").front();
  EXPECT_EQ(row.object(), "base");
  EXPECT_EQ(row.before(), Sha256("one"));
  EXPECT_EQ(row.after(), Sha256("two"));
  EXPECT_THAT(Put("base", "three", 7),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("version 7")));
  EXPECT_THAT(Put("base", "three", 6),
              StatusIs(absl::StatusCode::kAborted,
                       testing::AllOf(HasSubstr("version 6"), HasSubstr("version 7"))));
  Audit deletion = By("policy.delete");
  deletion.after = Sha256("what is left");
  EXPECT_THAT(store().DeletePolicy("base", deletion).value(), 7u);
  EXPECT_EQ(AuditOf("policy.delete").front().before(), Sha256("two"));
  EXPECT_EQ(AuditOf("policy.delete").front().after(), "") << "of this policy nothing is left";
  EXPECT_THAT(store().PoliciesInForce().value(), IsEmpty());
  EXPECT_THAT(store().GetPolicy("base", 0), StatusIs(absl::StatusCode::kNotFound, testing::_));
  EXPECT_EQ(store().GetPolicy("base", 1)->yaml, "one") << "versions stay";
  EXPECT_THAT(store().DeletePolicy("base", By("policy.delete")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("base")));
  ASSERT_THAT(Put("base", "four"), IsOk());
  EXPECT_EQ(store().GetPolicy("base", 0)->version, 8u) << "numbering goes on";
}

TEST_P(StoreContract, RefusesAVersionThatUsesTheNumbersUp) {
  for (const std::uint64_t version : {~std::uint64_t{0}, std::uint64_t{1} << 63,
                                      kMaxPolicyVersion + 1, std::uint64_t{1'000'001}}) {
    EXPECT_THAT(Put("base", "one", version),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(absl::StrCat(version))));
  }
  EXPECT_THAT(store().PoliciesInForce().value(), IsEmpty());
  ASSERT_THAT(Put("base", "one", 1'000'000), IsOk());
  EXPECT_THAT(Put("base", "two", 2'000'001),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       testing::AllOf(HasSubstr("more than 1000000 above version 1000000"),
                                      HasSubstr("give it version 1000001, or none"))));
  ASSERT_THAT(Put("base", "two", 2'000'000), IsOk());
}

// A server restored from an older copy gave out more versions than it knows of.
TEST_P(StoreContract, DoesNotGiveOutAgainAVersionThatAHostHasSeen) {
  ASSERT_THAT(Put("base", "one"), IsOk());
  const HostRow host = NewHost("uuid-1");
  HostState state = State("kernel");
  state.findings[0].set_policy("base");
  state.findings[0].set_policy_version(7);
  ASSERT_THAT(Keep(Commit(host.id, 1, state)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto put,
                       store().PutPolicies({Policy("base", "two")}, By("policy.apply")));
  EXPECT_EQ(put[0].version(), 8u);
  ASSERT_OK_AND_ASSIGN(const auto other,
                       store().PutPolicies({Policy("other", "two")}, By("policy.apply")));
  EXPECT_EQ(other[0].version(), 1u) << "by name";
}

TEST_P(StoreContract, AHostThatReportsWhatItNeverHadDoesNotUseTheNumbersUp) {
  ASSERT_THAT(Put("base", "one"), IsOk());
  const HostRow host = NewHost("uuid-1");
  HostState state = State("kernel");
  state.findings[0].set_policy("base");
  state.findings[0].set_policy_version(kMaxPolicyVersion);
  ASSERT_THAT(Keep(Commit(host.id, 1, state)), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto put,
                       store().PutPolicies({Policy("base", "two")}, By("policy.apply")));
  EXPECT_EQ(put[0].version(), 2u);
}

TEST_P(StoreContract, PutsAllPoliciesOrNone) {
  ASSERT_THAT(Put("b", "old", 5), IsOk());
  EXPECT_THAT(store().PutPolicies({Policy("a", "new"), Policy("b", "new", 4)}, By("policy.apply")),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("\"b\"")));
  EXPECT_THAT(store().PutPolicies({Policy("a", "new"), Policy("a", "newer")}, By("policy.apply")),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
  EXPECT_THAT(store().PoliciesInForce().value(), SizeIs(1));
  EXPECT_THAT(AuditOf("policy.apply"), SizeIs(1));
}

TEST_P(StoreContract, LimitsWhatIsInForce) {
  const std::string mebibyte(1024 * 1024, 'x');
  for (const char* name : {"a", "b", "c", "d"}) {
    ASSERT_THAT(Put(name, mebibyte), IsOk()) << name;
  }
  EXPECT_THAT(Put("e", "x"), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("4194304")));
  ASSERT_THAT(Put("a", "small"), IsOk());
  std::vector<PolicyRow> many;
  for (int i = 0; i < 996; ++i) many.push_back(Policy(absl::StrCat("p", i), "x"));
  ASSERT_THAT(store().PutPolicies(many, By("policy.apply")), IsOk());
  EXPECT_THAT(Put("e", "x"), StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("1000")));
}

TEST_P(StoreContract, ListsAuditNewestFirst) {
  for (int i = 0; i < 5; ++i) {
    ASSERT_THAT(store().RecordAudit(By(i % 2 == 0 ? "even" : "odd")), IsOk());
  }
  v1::ListAuditRequest query;
  query.set_limit(2);
  const std::vector<v1::AuditEntry> newest = store().ListAudit(query).value();
  ASSERT_THAT(newest, SizeIs(2));
  EXPECT_EQ(newest[0].sequence(), newest[1].sequence() + 1);
  EXPECT_EQ(newest[0].actor(), "spiffe://corp.example/operator/alice");
  query.set_before_sequence(newest[1].sequence());
  query.set_limit(100);
  EXPECT_THAT(store().ListAudit(query).value(), SizeIs(3));
  EXPECT_THAT(AuditOf("odd"), SizeIs(2));
}

TEST_P(StoreContract, RetentionDeletesOnlyWhatIsOverForLongEnoughAndSaysSo) {
  Retention retention;
  retention.tokens = absl::Hours(24);
  retention.policy_versions = absl::Hours(24);
  ASSERT_THAT(GiveToken("used"), IsOk());
  ASSERT_THAT(Enroll("used", "uuid-1"), IsOk());
  for (int i = 0; i < 450; ++i) ASSERT_THAT(GiveToken(absl::StrCat("expired ", i)), IsOk());
  ASSERT_THAT(Put("base", "one"), IsOk());
  ASSERT_THAT(Put("base", "two"), IsOk());
  ASSERT_THAT(Put("gone", "one"), IsOk());
  ASSERT_THAT(store().DeletePolicy("gone", By("policy.delete")), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_THAT(Put("base", "three"), IsOk());
  ASSERT_THAT(GiveToken("open"), IsOk());
  EXPECT_EQ(DeleteAll(Retention()).value(), 0);
  EXPECT_EQ(DeleteAll(retention).value(), 452);
  EXPECT_THAT(AuditOf("retention.delete"), SizeIs(3));  // 200 tokens, the rest, a version
  EXPECT_EQ(DeleteAll(retention).value(), 0);
  EXPECT_THAT(Enroll("used", "uuid-9"),
              StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("no such token")));
  EXPECT_THAT(Enroll("open", "uuid-2"), IsOk());
  EXPECT_THAT(store().GetPolicy("base", 1), StatusIs(absl::StatusCode::kNotFound, HasSubstr("1")));
  EXPECT_THAT(store().GetPolicy("base", 2), IsOk());  // replaced just now
  EXPECT_EQ(store().GetPolicy("base", 0).value().version, 3u);
  // Its number is not given out again.
  ASSERT_THAT(Put("gone", "another"), IsOk());
  EXPECT_EQ(store().GetPolicy("gone", 0).value().version, 2u);
}

TEST_P(StoreContract, KeepsOverAPowerCutWhatItSaidOkTo) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit commit = Commit(host.id, 1, State("none"));
  AddEvent(commit, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(commit), IsOk());
  ASSERT_THAT(Put("base", "one"), IsOk());
  const std::unique_ptr<Store> after = bench_->AfterPowerCut();
  ASSERT_NE(after, nullptr);
  EXPECT_EQ(StateDigest(after->ReadState(host.id).value()), StateDigest(State("none")));
  EXPECT_THAT(after->ListDrift({}).value(), SizeIs(1));
  EXPECT_EQ(after->GetPolicy("base", 0)->yaml, "one");
  EXPECT_THAT(after->ListAudit({}).value(), SizeIs(3)) << "token, host, policy";
  EXPECT_EQ(after->FindHost("uuid-1")->sequence, 1u);
}

TEST_P(StoreContract, ChangesNothingWithoutItsAuditRow) {
  ASSERT_THAT(GiveToken("t1"), IsOk());
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Put("base", "one"), IsOk());
  bench_->BreakAudit();
  EXPECT_FALSE(GiveToken("t2").ok());
  EXPECT_FALSE(Enroll("t1", "uuid-2").ok());
  EXPECT_FALSE(Put("base", "two").ok());
  EXPECT_FALSE(store().DeletePolicy("base", By("policy.delete")).ok());
  EXPECT_FALSE(store().QuarantineHost(host.id, By("host.quarantine")).ok());
  EXPECT_FALSE(store().RecordAudit(By("x")).ok());
  EXPECT_THAT(store().ListHosts().value(), SizeIs(1));
  EXPECT_FALSE(store().FindHost("uuid-1")->quarantined);
  EXPECT_EQ(store().GetPolicy("base", 0)->yaml, "one");
  EXPECT_NE(store().NewestTokenExpiry(clock_.Now()).value(), std::nullopt) << "t1 is not burnt";
}

TEST_P(StoreContract, LetsOneBadReportFailAlone) {
  const HostRow host = NewHost("uuid-1");
  constexpr int kHosts = 200;
  std::atomic<int> good = 0;
  std::atomic<int> bad = 0;
  const auto all = std::make_shared<std::promise<void>>();
  for (int i = 0; i < kHosts; ++i) {
    // Every second one is of a host that nobody knows.
    const HostId id = i % 2 == 0 ? host.id : host.id + 1000;
    store().CommitReport(Commit(id, static_cast<std::uint64_t>(i + 1), State("kernel")),
                         [&good, &bad, all](absl::Status status) {
                           ++(status.ok() ? good : bad);
                           if (good + bad == kHosts) all->set_value();
                         });
  }
  all->get_future().wait();
  EXPECT_EQ(good, kHosts / 2);
  EXPECT_EQ(store().FindHost("uuid-1")->sequence, kHosts - 1u);
}

TEST_P(StoreContract, MayBeCalledFromACallback) {
  const HostRow host = NewHost("uuid-1");
  const auto done = std::make_shared<std::promise<absl::Status>>();
  store().CommitReport(Commit(host.id, 1, State("kernel")), [&, done](absl::Status status) {
    EXPECT_THAT(status, IsOk());
    done->set_value(store().QuarantineHost(host.id, By("host.quarantine")));
  });
  EXPECT_THAT(done->get_future().get(), IsOk());
  EXPECT_TRUE(store().FindHost("uuid-1")->quarantined);
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_CONTRACT_H_
