// SPDX-License-Identifier: Apache-2.0
// What every Store must do with the drifts of a host that is set back, again
// and again: a part of the contract (store_contract.h), for the same benches.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_EPOCHS_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_EPOCHS_CONTRACT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/contract/store_bench.h"

namespace dumpwarden {

class StoreEpochs : public StoreContract {
 protected:
  static constexpr auto kDrifted = v1::DriftEvent::KIND_DRIFTED;
  static constexpr auto kCorrected = v1::DriftEvent::KIND_CORRECTED;
  static constexpr auto kResolved = v1::DriftEvent::KIND_RESOLVED;

  void SetUp() override {
    StoreContract::SetUp();
    host_ = NewHost("uuid-1");
  }
  // The first report of an epoch; the dump type is "none" as long as something drifts.
  ReportCommit Begin(const std::string& epoch, const std::string& dump_type = "none") {
    return Commit(host_.id, 1, State(dump_type), nullptr, epoch);
  }
  // Newest first.
  std::vector<std::string> States() {
    std::vector<std::string> states;
    const std::vector<v1::Drift> drifts = store().ListDrift({}).value();
    for (const v1::Drift& drift : drifts) states.push_back(drift.state());
    return states;
  }
  HostRow host_;
};

// Seed 11757 of the simulation: the epoch told an older drift of the setting too, which is over,
// and that one was taken for the present one.
TEST_P(StoreEpochs, LeavesADriftOpenOfWhoseSettingTheEpochHasAnotherThatIsOver) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 4, kDrifted);
  ASSERT_THAT(Keep(first), IsOk());
  for (const bool said : {false, true}) {
    SCOPED_TRACE(said);
    ReportCommit back = Begin(said ? "epoch-3" : "epoch-2");
    AddEvent(back, 1, kDrifted);
    AddEvent(back, 2, kResolved, 1);
    AddEvent(back, 4, kDrifted);
    if (said) SayOpen(back, {4});
    ASSERT_THAT(Keep(back), IsOk());
    EXPECT_THAT(States(), testing::ElementsAre("resolved", "drifted"));
  }
}

// It was in no list: the end was taken for another one of the first life.
TEST_P(StoreEpochs, TellsTheSecondLifeOfADriftThatIsOverBeforeTheHostIsHeardAgain) {
  ReportCommit first = Begin("epoch-1", "kernel");
  AddEvent(first, 1, kDrifted);
  AddEvent(first, 2, kCorrected, 1);
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit back = Begin("epoch-2", "kernel");
  AddEvent(back, 1, kDrifted);
  AddEvent(back, 2, kResolved, 1);
  SayOpen(back, {});
  for (const std::uint64_t again : {1u, 2u}) {  // its Ack was lost
    back.sequence = again;
    ASSERT_THAT(Keep(back), IsOk());
    EXPECT_THAT(States(), testing::ElementsAre("resolved", "corrected"));
  }
  DriftQuery follow;
  follow.after_cursor = 0;
  std::vector<std::string> events;
  const std::vector<v1::Drift> told = store().ListDrift(follow).value();
  for (const v1::Drift& drift : told) events.push_back(drift.state());
  EXPECT_THAT(events, testing::ElementsAre("drifted", "corrected", "drifted", "resolved"));
}

TEST_P(StoreEpochs, TellsAnEndOnceThatSeveralEpochsTell) {
  ReportCommit first = Begin("epoch-1", "kernel");
  AddEvent(first, 1, kDrifted);
  AddEvent(first, 2, kCorrected, 1);
  ASSERT_THAT(Keep(first), IsOk());
  for (const char* epoch : {"epoch-2", "epoch-3"}) {
    ReportCommit back = Begin(epoch, "kernel");
    AddEvent(back, 1, kDrifted);
    AddEvent(back, 2, kCorrected, 1);
    SayOpen(back, {});
    ASSERT_THAT(Keep(back), IsOk());
    EXPECT_THAT(States(), testing::ElementsAre("corrected"));
  }
}

// Blocked or unreadable, its finding says nothing of a drift; the host does.
TEST_P(StoreEpochs, EndsWhatTheHostDoesNotSayIsOpenWhateverTheFinding) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);
  ASSERT_THAT(Keep(first), IsOk());
  HostState blocked = State("none");
  blocked.findings[0].set_status(v1::STATUS_BLOCKED);
  ReportCommit knows = Commit(host_.id, 1, blocked, nullptr, "epoch-2");
  SayOpen(knows, {1});
  ASSERT_THAT(Keep(knows), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("drifted"));
  ReportCommit other = Commit(host_.id, 1, blocked, nullptr, "epoch-3");
  SayOpen(other, {2});
  ASSERT_THAT(Keep(other), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("resolved"));
}

// Another setting's drift has the number here: it is not the one that the host means.
TEST_P(StoreEpochs, KnowsADriftByItsSettingTooAndNotByItsNumberOnly) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit back = Begin("epoch-2");
  SayOpen(back, {1});
  back.report.mutable_open_drifts()->mutable_drifts(0)->set_setting("dump.file");
  ASSERT_THAT(Keep(back), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("resolved"));
}

// Set back twice, the host knows the first of two drifts that had one number: its end is not the
// second one's.
TEST_P(StoreEpochs, EndsTheDriftThatTheHostMeansOfTwoThatHadOneNumber) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit second = Begin("epoch-2");
  AddEvent(second, 1, kDrifted);
  second.report.mutable_events(0)->set_new_value("small");
  second.report.set_more_events(true);  // so the first one is not over yet
  SayOpen(second, {1});
  ASSERT_THAT(Keep(second), IsOk());
  ReportCommit third = Begin("epoch-3");
  AddEvent(third, 1, kDrifted);
  SayOpen(third, {1});
  ASSERT_THAT(Keep(third), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("drifted", "resolved", "resolved"));
  const HostState none = State("none");
  ReportCommit end = Commit(host_.id, 2, State("kernel"), &none, "epoch-3");
  AddEvent(end, 2, kCorrected, 1);
  SayOpen(end, {});
  ASSERT_THAT(Keep(end), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("corrected", "resolved", "resolved"));
  EXPECT_EQ(store().ListDrift({})->at(0).new_value(), "none");
}

// Set back to one life, then to the other: the end that is told is that of the first one's drift.
TEST_P(StoreEpochs, EndsTheDriftThatTheHostMeansAndNotTheNewestOfItsNumber) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);  // to "none"
  SayOpen(first, {1});
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit second = Begin("epoch-2");  // set back to before it
  AddEvent(second, 1, kDrifted);
  second.report.mutable_events(0)->set_new_value("small");
  second.report.mutable_events(0)->mutable_at()->set_seconds(5000);
  SayOpen(second, {1});
  ASSERT_THAT(Keep(second), IsOk());
  ASSERT_THAT(States(), testing::ElementsAre("drifted", "resolved"));
  ReportCommit third = Begin("epoch-3", "kernel");  // a snapshot of the first life; written back
  AddEvent(third, 2, kCorrected, 1);
  third.report.mutable_events(0)->set_old_value("none");
  SayOpen(third, {});
  ASSERT_THAT(Keep(third), IsOk());
  const std::vector<v1::Drift> drifts = store().ListDrift({}).value();
  ASSERT_THAT(drifts, testing::SizeIs(3));
  EXPECT_EQ(drifts[0].new_value(), "none");
  EXPECT_EQ(drifts[0].state(), "corrected");
  EXPECT_EQ(drifts[1].new_value(), "small");
  EXPECT_EQ(drifts[1].state(), "resolved");
}

// Both are open still, because the second epoch did not get to its last report.
TEST_P(StoreEpochs, EndsOfTwoOpenDriftsOfANumberTheOneThatTheHostMeans) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);  // to "none"
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit second = Begin("epoch-2");
  AddEvent(second, 1, kDrifted);
  second.report.mutable_events(0)->set_new_value("small");
  second.report.set_more_events(true);
  SayOpen(second, {1});
  ASSERT_THAT(Keep(second), IsOk());
  ReportCommit third = Begin("epoch-3", "kernel");
  AddEvent(third, 2, kCorrected, 1);
  third.report.mutable_events(0)->set_old_value("none");
  SayOpen(third, {});
  ASSERT_THAT(Keep(third), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("resolved", "corrected"));
}

TEST_P(StoreEpochs, BeginsTheDriftAgainThatTheHostMeans) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);  // to "none"
  SayOpen(first, {1});
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit second = Begin("epoch-2", "kernel");
  AddEvent(second, 1, kDrifted);
  second.report.mutable_events(0)->set_new_value("small");
  second.report.mutable_events(0)->mutable_at()->set_seconds(5000);
  AddEvent(second, 2, kCorrected, 1);
  second.report.mutable_events(1)->set_old_value("small");
  SayOpen(second, {});
  ASSERT_THAT(Keep(second), IsOk());
  ReportCommit third = Begin("epoch-3", "kernel");
  AddEvent(third, 1, kDrifted);
  AddEvent(third, 3, kResolved, 1);
  third.report.mutable_events(1)->set_old_value("none");
  SayOpen(third, {});
  ASSERT_THAT(Keep(third), IsOk());
  const std::vector<v1::Drift> drifts = store().ListDrift({}).value();
  ASSERT_THAT(drifts, testing::SizeIs(3));
  EXPECT_EQ(drifts[0].new_value(), "none") << "told in this very report";
  EXPECT_EQ(drifts[0].host_time().seconds(), 1001);
}

// The events of an epoch come in several reports: until the last, what is not told yet is unknown
// to nobody.
TEST_P(StoreEpochs, WaitsForTheLastEventsOfAnEpochBeforeItEndsWhatIsNotOpen) {
  ReportCommit first = Begin("epoch-1");
  AddEvent(first, 1, kDrifted);
  ASSERT_THAT(Keep(first), IsOk());
  ReportCommit begun = Begin("epoch-2", "kernel");
  begun.report.set_more_events(true);
  SayOpen(begun, {});
  ASSERT_THAT(Keep(begun), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("drifted"));
  const HostState kernel = State("kernel");
  ReportCommit last = Commit(host_.id, 2, kernel, &kernel, "epoch-2");
  SayOpen(last, {});
  ASSERT_THAT(Keep(last), IsOk());
  EXPECT_THAT(States(), testing::ElementsAre("resolved"));
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_EPOCHS_CONTRACT_H_
