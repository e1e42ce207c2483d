// SPDX-License-Identifier: Apache-2.0
// What every Store must do with drifts: a part of the contract (store_contract.h),
// for the same benches.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_DRIFT_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_DRIFT_CONTRACT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "tests/contract/store_bench.h"

namespace dumpwarden {

using testing::IsEmpty;
using testing::SizeIs;

TEST_P(StoreContract, JoinsADriftWithItsEnd) {
  const HostRow host = NewHost("uuid-1");
  const HostRow other = NewHost("uuid-2");
  ReportCommit commit = Commit(host.id, 1, State("none"));
  AddEvent(commit, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(commit), IsOk());
  ReportCommit elsewhere = Commit(other.id, 1, State("none"));
  AddEvent(elsewhere, 1, v1::DriftEvent::KIND_DRIFTED);
  AddEvent(elsewhere, 2, v1::DriftEvent::KIND_RESOLVED, 1);
  ASSERT_THAT(Keep(elsewhere), IsOk());
  DriftQuery query;
  query.host = host.id;
  EXPECT_EQ(store().ListDrift(query)->at(0).state(), "drifted") << "another host's end";
  clock_.Advance(absl::Seconds(1));
  const HostState none = State("none");
  ReportCommit end = Commit(host.id, 2, State("kernel"), &none);
  AddEvent(end, 7, v1::DriftEvent::KIND_CORRECTED, 1);
  ASSERT_THAT(Keep(end), IsOk());
  const v1::Drift drift = store().ListDrift(query)->at(0);
  EXPECT_EQ(drift.state(), "corrected");
  EXPECT_EQ(drift.host_id(), "uuid-1");
  EXPECT_EQ(drift.old_value(), "kernel");
  EXPECT_EQ(drift.new_value(), "none");
  EXPECT_EQ(drift.mode(), "enforce");
  EXPECT_EQ(drift.host_time().seconds(), 1001);
  EXPECT_EQ(drift.ended_host_time().seconds(), 1007);
  EXPECT_EQ(drift.ended_server_time().seconds(), drift.server_time().seconds() + 1);
}

TEST_P(StoreContract, PagesAndFollowsDrift) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit commit = Commit(host.id, 1, State("none"));
  for (std::uint64_t i = 1; i <= 3; ++i) AddEvent(commit, i, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(commit), IsOk());
  DriftQuery query;
  query.limit = 2;
  const std::vector<v1::Drift> newest = store().ListDrift(query).value();
  ASSERT_THAT(newest, SizeIs(2));
  EXPECT_GT(newest[0].cursor(), newest[1].cursor());
  query.before_cursor = newest[1].cursor();
  EXPECT_THAT(store().ListDrift(query).value(), SizeIs(1));
  const HostState none = State("none");
  ReportCommit end = Commit(host.id, 2, State("kernel"), &none);
  AddEvent(end, 4, v1::DriftEvent::KIND_RESOLVED, 2);
  ASSERT_THAT(Keep(end), IsOk());
  DriftQuery follow;
  follow.after_cursor = newest[0].cursor();
  const std::vector<v1::Drift> news = store().ListDrift(follow).value();
  ASSERT_THAT(news, SizeIs(1));
  EXPECT_EQ(news[0].state(), "resolved");
  EXPECT_EQ(news[0].host_time().seconds(), 1002);
  follow.after_cursor = news[0].cursor();
  EXPECT_THAT(store().ListDrift(follow).value(), IsEmpty());
}

// A burst into an empty store: who followed from its beginning saw one of the first 500.
TEST_P(StoreContract, FollowsFromTheVeryFirstDrift) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit commit = Commit(host.id, 1, State("none"));
  for (std::uint64_t i = 1; i <= 700; ++i) AddEvent(commit, i, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(commit), IsOk());
  DriftQuery follow;
  follow.after_cursor = 0;
  follow.limit = 500;
  const std::vector<v1::Drift> first = store().ListDrift(follow).value();
  ASSERT_THAT(first, SizeIs(500));
  EXPECT_EQ(first.front().host_time().seconds(), 1001);
  follow.after_cursor = first.back().cursor();
  EXPECT_THAT(store().ListDrift(follow).value(), SizeIs(200));
}

TEST_P(StoreContract, EndsWithTheNumberOfAnEpochTheDriftOfThatEpoch) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit old = Commit(host.id, 1, State("none"));
  AddEvent(old, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(old), IsOk());
  // The agent's state was lost, and it counts from 1 again.
  ReportCommit anew = Commit(host.id, 1, State("none"), nullptr, "epoch-2");
  AddEvent(anew, 1, v1::DriftEvent::KIND_DRIFTED);
  anew.report.mutable_events(0)->mutable_at()->set_seconds(5000);
  ASSERT_THAT(Keep(anew), IsOk());
  const HostState none = State("none");
  ReportCommit end = Commit(host.id, 2, State("kernel"), &none, "epoch-2");
  AddEvent(end, 2, v1::DriftEvent::KIND_CORRECTED, 1);
  ASSERT_THAT(Keep(end), IsOk());
  const std::vector<v1::Drift> drifts = store().ListDrift({}).value();
  ASSERT_THAT(drifts, SizeIs(2));
  EXPECT_EQ(drifts[0].state(), "corrected");
  EXPECT_EQ(drifts[1].state(), "resolved") << "the new state does not know it";
  EXPECT_EQ(drifts[1].host_time().seconds(), 1001);
  DriftQuery follow;
  follow.after_cursor = drifts[0].cursor();
  std::map<std::int64_t, std::string> ends;
  const std::vector<v1::Drift> followed = store().ListDrift(follow).value();
  for (const v1::Drift& drift : followed) {
    ends[drift.host_time().seconds()] = drift.state();
  }
  EXPECT_EQ(ends, (std::map<std::int64_t, std::string>{{1001, "resolved"}, {5000, "corrected"}}));
}

// It stayed open for ever: nobody was left who could end it.
TEST_P(StoreContract, EndsInANewEpochTheDriftsThatTheNewStateDoesNotKnow) {
  const HostRow host = NewHost("uuid-1");
  const HostRow other = NewHost("uuid-2");
  const struct {
    const char* why;
    HostState state;
    bool drifts_again;
    const char* then;
  } kCases[] = {
      {"it agrees", State("kernel"), false, "resolved"},
      {"no policy speaks of it", HostState(), false, "resolved"},
      {"it began anew", State("none"), true, "resolved"},
      {"the restored state has it open", State("none"), false, "drifted"},
  };
  std::uint64_t number = 0;
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.why);
    number += 10;
    ReportCommit before = Commit(host.id, 1, State("none"), nullptr, absl::StrCat("old", number));
    AddEvent(before, number, v1::DriftEvent::KIND_DRIFTED);
    ASSERT_THAT(Keep(before), IsOk());
    const std::uint64_t cursor = store().ListDrift({})->at(0).cursor();
    ReportCommit elsewhere = Commit(other.id, 1, State("none"), nullptr, before.epoch);
    AddEvent(elsewhere, number, v1::DriftEvent::KIND_DRIFTED);
    ASSERT_THAT(Keep(elsewhere), IsOk());
    ReportCommit anew = Commit(host.id, 1, c.state, nullptr, absl::StrCat("new", number));
    if (c.drifts_again) AddEvent(anew, number + 5, v1::DriftEvent::KIND_DRIFTED);
    ASSERT_THAT(Keep(anew), IsOk());
    DriftQuery query;
    query.before_cursor = cursor + 1;
    query.limit = 1;
    EXPECT_EQ(store().ListDrift(query)->at(0).state(), c.then);
    query.before_cursor = cursor + 2;
    EXPECT_EQ(store().ListDrift(query)->at(0).state(), "drifted") << "another host's";
  }
}

// The setting could not be read when the new epoch began, and agreed later.
TEST_P(StoreContract, EndsADriftOfAnEarlierEpochWhenItTurnsOutThatNobodyKnowsIt) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit old = Commit(host.id, 1, State("none"));
  AddEvent(old, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(old), IsOk());
  HostState unreadable = State("none");
  unreadable.findings[0].set_status(v1::STATUS_ERROR);
  ASSERT_THAT(Keep(Commit(host.id, 1, unreadable, nullptr, "epoch-2")), IsOk());
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "drifted");
  ASSERT_THAT(Keep(Commit(host.id, 2, State("kernel"), &unreadable, "epoch-2")), IsOk());
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "resolved");
}

// The queue was long: the finding came before the end of its drift.
TEST_P(StoreContract, EndsNoDriftOfAnEarlierEpochWhileEventsAreOnTheirWay) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit old = Commit(host.id, 1, State("none"));
  AddEvent(old, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(old), IsOk());
  ReportCommit first = Commit(host.id, 1, State("kernel"), nullptr, "epoch-2");
  first.report.set_more_events(true);
  ASSERT_THAT(Keep(first), IsOk());
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "drifted");
  const HostState kernel = State("kernel");
  ReportCommit end = Commit(host.id, 2, kernel, &kernel, "epoch-2");
  AddEvent(end, 2, v1::DriftEvent::KIND_CORRECTED, 1);
  ASSERT_THAT(Keep(end), IsOk());
  ASSERT_THAT(store().ListDrift({}).value(), SizeIs(1));
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "corrected");
}

// A host that begins an epoch says which of the drifts that it tells again are open.  Of one that
// is over here (the host was set back, and its end is of the life that it left) nobody heard any
// more.
TEST_P(StoreContract, KeepsADriftOnceMoreThatIsOverHereAndOpenOnTheHost) {
  const HostState none = State("none");
  for (const bool over : {false, true}) {
    SCOPED_TRACE(over);
    const HostRow host = NewHost(over ? "uuid-over" : "uuid-open");
    DriftQuery query;
    query.host = host.id;
    ReportCommit old = Commit(host.id, 1, none);
    AddEvent(old, 1, v1::DriftEvent::KIND_DRIFTED);
    if (over) AddEvent(old, 2, v1::DriftEvent::KIND_CORRECTED, 1);
    ASSERT_THAT(Keep(old), IsOk());
    ReportCommit anew = Commit(host.id, 1, none, nullptr, "epoch-2");
    AddEvent(anew, 1, v1::DriftEvent::KIND_DRIFTED);
    SayOpen(anew, {1});
    for (const std::uint64_t again : {1u, 2u}) {  // its Ack was lost
      anew.sequence = again;
      ASSERT_THAT(Keep(anew), IsOk());
      ASSERT_THAT(store().ListDrift(query).value(), SizeIs(over ? 2 : 1));
      EXPECT_EQ(store().ListDrift(query)->at(0).state(), "drifted");
      EXPECT_EQ(store().ListDrift(query)->back().state(), over ? "corrected" : "drifted");
    }
    ReportCommit end = Commit(host.id, 3, State("kernel"), &none, "epoch-2");
    AddEvent(end, 2, v1::DriftEvent::KIND_RESOLVED, 1);
    ASSERT_THAT(Keep(end), IsOk());
    EXPECT_THAT(store().ListDrift(query).value(), SizeIs(over ? 2 : 1));
    EXPECT_EQ(store().ListDrift(query)->at(0).state(), "resolved");
    EXPECT_EQ(store().ListDrift(query)->back().state(), over ? "corrected" : "resolved");
  }
}

// A VM went back to before the first Ack of an epoch: taken for one that begins, its drifts were of
// this epoch again, and what the older state did not know stayed open.
TEST_P(StoreContract, RefusesAnEpochThatComesBackAndHasDrifts) {
  const HostRow host = NewHost("uuid-1");
  const HostRow other = NewHost("uuid-2");
  ReportCommit old = Commit(host.id, 1, State("none"));
  AddEvent(old, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(old), IsOk());
  ReportCommit next = Commit(host.id, 2, State("none"), nullptr, "epoch-2");
  ASSERT_THAT(Keep(next), IsOk());
  ReportCommit back = Commit(host.id, 3, State("small"));
  AddEvent(back, 2, v1::DriftEvent::KIND_DRIFTED);
  EXPECT_THAT(Keep(back), StatusIs(absl::StatusCode::kAborted, testing::HasSubstr("new epoch")));
  EXPECT_EQ(store().FindHost("uuid-1")->epoch, "epoch-2");
  EXPECT_EQ(store().ReadState(host.id)->findings.at(0).configured(), "none");
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(1));
  EXPECT_THAT(Keep(Commit(other.id, 1, State("none"))), IsOk()) << "another host's epoch";
  ReportCommit begun = Commit(host.id, 3, State("kernel"), nullptr, "epoch-3");
  EXPECT_THAT(Keep(begun), IsOk());
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "resolved");
}

// Nothing of it can be open then: there is nothing that its drifts could be mixed up with.
TEST_P(StoreContract, TakesAnEpochThatComesBackAndHasNoDrifts) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(Commit(host.id, 1, State("kernel"))), IsOk());
  ASSERT_THAT(Keep(Commit(host.id, 2, State("kernel"), nullptr, "epoch-2")), IsOk());
  EXPECT_THAT(Keep(Commit(host.id, 3, State("kernel"))), IsOk());
  EXPECT_EQ(store().FindHost("uuid-1")->epoch, "epoch-1");
}

TEST_P(StoreContract, EndsADriftOfAnEarlierEpochThatARestoredStateKnows) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit old = Commit(host.id, 1, State("none"));
  AddEvent(old, 1, v1::DriftEvent::KIND_DRIFTED);
  ASSERT_THAT(Keep(old), IsOk());
  ASSERT_THAT(Keep(Commit(host.id, 1, State("none"), nullptr, "epoch-2")), IsOk());
  const HostState none = State("none");
  ReportCommit end = Commit(host.id, 2, State("kernel"), &none, "epoch-2");
  AddEvent(end, 2, v1::DriftEvent::KIND_CORRECTED, 1);
  ASSERT_THAT(Keep(end), IsOk());
  ASSERT_THAT(store().ListDrift({}).value(), SizeIs(1));
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "corrected");
  EXPECT_EQ(store().ListDrift({})->at(0).ended_host_time().seconds(), 1002);
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_DRIFT_CONTRACT_H_
