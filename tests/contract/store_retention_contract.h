// SPDX-License-Identifier: Apache-2.0
// What every Store must do when drift and audit rows are kept for a time only: a
// part of the contract (store_contract.h), for the same benches.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_RETENTION_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_RETENTION_CONTRACT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "tests/contract/store_bench.h"

namespace dumpwarden {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class StoreRetention : public StoreContract {
 protected:
  absl::StatusOr<std::int64_t> Expire(absl::Duration drift, absl::Duration audit) {
    Retention retention;
    retention.drift = drift;
    retention.audit = audit;
    return DeleteAll(retention);
  }
  std::vector<std::uint64_t> Cursors(std::uint64_t after = 0) {
    DriftQuery follow;
    follow.after_cursor = after;
    std::vector<std::uint64_t> cursors;
    const std::vector<v1::Drift> drifts = store().ListDrift(follow).value();
    for (const v1::Drift& drift : drifts) {
      cursors.push_back(drift.cursor());
    }
    return cursors;
  }
  // A report that brings the host to `after`, with one event.
  ReportCommit With(const HostRow& host, std::uint64_t report, const std::string& after,
                    std::uint64_t event, v1::DriftEvent::Kind kind, std::uint64_t drift = 0,
                    const std::string& epoch = "epoch-1") {
    ReportCommit commit = Commit(host.id, report, State(after), nullptr, epoch);
    AddEvent(commit, event, kind, drift);
    return commit;
  }
  static constexpr auto kDrifted = v1::DriftEvent::KIND_DRIFTED;
  static constexpr auto kCorrected = v1::DriftEvent::KIND_CORRECTED;
};

// A host that was set back to long ago, and drifts again since.
TEST_P(StoreRetention, KeepsADriftThatWentAndIsOpenOnTheHost) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(With(host, 1, "none", 1, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 2, "kernel", 2, kCorrected, 1)), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 1);
  ReportCommit back = With(host, 3, "none", 1, kDrifted, 0, "epoch-2");
  SayOpen(back, {1});
  ASSERT_THAT(Keep(back), IsOk());
  ASSERT_THAT(store().ListDrift({}).value(), SizeIs(1));
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "drifted");
}

// It lived through the drift once more, and ended it before it was heard.
TEST_P(StoreRetention, TellsTheSecondLifeOfADriftThatWent) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(With(host, 1, "none", 1, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 2, "kernel", 2, kCorrected, 1)), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 1);
  ReportCommit back = Commit(host.id, 3, State("kernel"), nullptr, "epoch-2");
  AddEvent(back, 1, kDrifted);
  AddEvent(back, 2, v1::DriftEvent::KIND_RESOLVED, 1);
  SayOpen(back, {});
  ASSERT_THAT(Keep(back), IsOk());
  ASSERT_THAT(store().ListDrift({}).value(), SizeIs(1));
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "resolved");
}

TEST_P(StoreRetention, LetsOnlyDriftGoThatEndedLongEnoughAgo) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(With(host, 1, "none", 1, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 2, "none", 2, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 3, "none", 3, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 4, "kernel", 4, kCorrected, 1)), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_THAT(Keep(With(host, 5, "kernel", 5, kCorrected, 2)), IsOk());
  const std::uint64_t newest = Cursors().back();
  EXPECT_EQ(Expire(absl::InfiniteDuration(), absl::InfiniteDuration()).value(), 0);
  EXPECT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 1);
  const std::vector<v1::Drift> left = store().ListDrift({}).value();
  ASSERT_THAT(left, SizeIs(2));
  EXPECT_EQ(left[0].state(), "drifted") << "an open one stays, however old";
  EXPECT_EQ(left[1].state(), "corrected") << "it ended just now";
  ASSERT_THAT(AuditOf("retention.delete"), SizeIs(1));
  EXPECT_EQ(AuditOf("retention.delete")[0].object(), "drift");
  EXPECT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 0);
  // Who follows misses nothing and sees nothing twice.
  EXPECT_THAT(Cursors(newest), IsEmpty());
  ASSERT_THAT(Keep(With(host, 6, "kernel", 6, kCorrected, 3)), IsOk());
  EXPECT_THAT(Cursors(newest), SizeIs(1));
  EXPECT_GT(Cursors(newest)[0], newest);
}

TEST_P(StoreRetention, PassesOpenDriftsByAndComesToTheEndedOnes) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit commit = Commit(host.id, 1, State("none"));
  for (std::uint64_t i = 1; i <= 6000; ++i) AddEvent(commit, i, kDrifted);
  for (std::uint64_t i = 1; i <= 450; ++i) AddEvent(commit, 6000 + i, kCorrected, 5500 + i);
  ASSERT_THAT(Keep(commit), IsOk());
  clock_.Advance(absl::Hours(30));
  EXPECT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 450);
  const std::vector<v1::AuditEntry> said = AuditOf("retention.delete");
  ASSERT_THAT(said, SizeIs(2)) << "however many steps it took";
  EXPECT_THAT(said[1].detail(), HasSubstr("200, with more to come, that were over before"));
  EXPECT_THAT(said[0].detail(), HasSubstr("250, 450 in all, that were over before"));
  DriftQuery all;
  all.limit = 10000;
  EXPECT_THAT(store().ListDrift(all).value(), SizeIs(5550));
}

// A clock that was ahead for one report kept all that came after it, and nothing said so.
TEST_P(StoreRetention, ADriftOfTheFutureKeepsNoOther) {
  const HostRow host = NewHost("uuid-1");
  ReportCommit ahead = With(host, 1, "none", 1, kDrifted);
  AddEvent(ahead, 2, kCorrected, 1);
  ahead.received = clock_.Now() + absl::Hours(24 * 365);
  ASSERT_THAT(Keep(ahead), IsOk());
  ASSERT_THAT(Keep(With(host, 2, "none", 3, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 3, "kernel", 4, kCorrected, 3)), IsOk());
  ReportCommit begun = With(host, 4, "none", 5, kDrifted);
  begun.received = clock_.Now() + absl::Hours(24 * 365);
  ASSERT_THAT(Keep(begun), IsOk());
  ASSERT_THAT(Keep(With(host, 5, "kernel", 6, kCorrected, 5)), IsOk());
  clock_.Advance(absl::Hours(30));
  EXPECT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 2);
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(1));
}

// The Ack was lost, or the host's state was restored from before it.
TEST_P(StoreRetention, AnEventThatWentDoesNotComeBackWhenItsHostTellsItAgain) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(With(host, 1, "none", 1, kDrifted)), IsOk());
  const ReportCommit end = With(host, 2, "kernel", 2, kCorrected, 1);
  ASSERT_THAT(Keep(end), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_EQ(Expire(absl::Hours(24), absl::InfiniteDuration()).value(), 1);
  EXPECT_THAT(Keep(end), IsOk()) << "an exact repeat";
  EXPECT_THAT(store().ListDrift({}).value(), IsEmpty());
  ReportCommit again = With(host, 1, "kernel", 1, kDrifted, 0, "epoch-2");
  AddEvent(again, 2, kCorrected, 1);
  EXPECT_THAT(Keep(again), IsOk());
  EXPECT_THAT(store().ListDrift({}).value(), IsEmpty()) << "in a new epoch";
  // Another event that has its number by chance is another event.
  ReportCommit other = With(host, 1, "none", 1, kDrifted, 0, "epoch-3");
  other.report.mutable_events(0)->mutable_at()->set_seconds(77777);
  EXPECT_THAT(Keep(other), IsOk());
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(1));
  // And another host's.
  const HostRow second = NewHost("uuid-2");
  ASSERT_THAT(Keep(With(second, 1, "none", 1, kDrifted)), IsOk());
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(2));
}

TEST_P(StoreRetention, TheAuditLogSaysWhatWentOfIt) {
  for (int i = 0; i < 450; ++i) ASSERT_THAT(store().RecordAudit(By("old")), IsOk());
  EXPECT_EQ(store().ReadAudit({})->floor, 1u);
  clock_.Advance(absl::Hours(30));
  ASSERT_THAT(store().RecordAudit(By("new")), IsOk());
  EXPECT_EQ(Expire(absl::InfiniteDuration(), absl::InfiniteDuration()).value(), 0);
  EXPECT_EQ(Expire(absl::InfiniteDuration(), absl::Hours(24)).value(), 450);
  EXPECT_EQ(store().ReadAudit({})->floor, 451u);
  const std::vector<v1::AuditEntry> left = store().ListAudit({}).value();
  ASSERT_THAT(left, SizeIs(2));
  EXPECT_EQ(left[1].action(), "new");
  EXPECT_EQ(left[1].sequence(), 451u);
  EXPECT_EQ(left[0].action(), "retention.delete");
  EXPECT_EQ(left[0].object(), "audit");
  EXPECT_THAT(left[0].detail(), HasSubstr("450, 1 to 450, that"));
  EXPECT_THAT(left[0].before(), SizeIs(32)) << "a digest of what went";
  EXPECT_EQ(Expire(absl::InfiniteDuration(), absl::Hours(24)).value(), 0);
}

// A clock that went back and forth must make no gap.
TEST_P(StoreRetention, AuditRowsGoOnlyUpToTheFirstThatStays) {
  ASSERT_THAT(store().RecordAudit(By("old")), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_THAT(store().RecordAudit(By("new")), IsOk());
  clock_.SetWall(clock_.Now() - absl::Hours(30));
  ASSERT_THAT(store().RecordAudit(By("old, and after the new one")), IsOk());
  clock_.SetWall(clock_.Now() + absl::Hours(30));
  EXPECT_EQ(Expire(absl::InfiniteDuration(), absl::Hours(24)).value(), 1);
  EXPECT_EQ(store().ReadAudit({})->floor, 2u);
  EXPECT_THAT(store().ListAudit({}).value(), SizeIs(3));
}

TEST_P(StoreRetention, NothingGoesWithoutItsAuditRow) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(With(host, 1, "none", 1, kDrifted)), IsOk());
  ASSERT_THAT(Keep(With(host, 2, "kernel", 2, kCorrected, 1)), IsOk());
  clock_.Advance(absl::Hours(30));
  const std::size_t before = store().ListAudit({})->size();
  bench_->BreakAudit();
  EXPECT_FALSE(Expire(absl::Hours(24), absl::InfiniteDuration()).ok());
  EXPECT_FALSE(Expire(absl::InfiniteDuration(), absl::Hours(24)).ok());
  EXPECT_THAT(store().ListDrift({}).value(), SizeIs(1));
  EXPECT_EQ(store().ListDrift({})->at(0).state(), "corrected");
  EXPECT_THAT(store().ListAudit({}).value(), SizeIs(before));
  EXPECT_EQ(store().ReadAudit({})->floor, 1u);
}

TEST_P(StoreRetention, KnowsTheClockOverAPowerCut) {
  EXPECT_EQ(store().ReadClock()->believed, absl::InfinitePast());
  ASSERT_THAT(store().RecordAudit(By("somebody")), IsOk());
  const absl::Time first = absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now()));
  clock_.Advance(absl::Hours(30));
  EXPECT_EQ(store().ReadClock()->believed, first);
  EXPECT_FALSE(store().ReadClock()->doubted.has_value());
  ASSERT_THAT(store().KeepClock({first, first + absl::Hours(50), absl::Hours(7)}), IsOk());
  ASSERT_THAT(store().RecordAudit(By("by a wrong clock")), IsOk());
  const std::unique_ptr<Store> after = bench_->AfterPowerCut();
  ASSERT_NE(after, nullptr);
  const KeptClock doubted = after->ReadClock().value();
  EXPECT_EQ(doubted.believed, first);
  EXPECT_EQ(doubted.doubted, first + absl::Hours(50));
  EXPECT_EQ(doubted.doubted_for, absl::Hours(7));
  ASSERT_THAT(after->KeepClock({first + absl::Hours(1), std::nullopt, {}}), IsOk());
  EXPECT_EQ(after->ReadClock()->believed, first + absl::Hours(1));
  EXPECT_FALSE(after->ReadClock()->doubted.has_value());
}

TEST_P(StoreRetention, WhatWentStaysGoneOverAPowerCut) {
  const HostRow host = NewHost("uuid-1");
  ASSERT_THAT(Keep(With(host, 1, "none", 1, kDrifted)), IsOk());
  const ReportCommit end = With(host, 2, "kernel", 2, kCorrected, 1);
  ASSERT_THAT(Keep(end), IsOk());
  clock_.Advance(absl::Hours(30));
  ASSERT_EQ(Expire(absl::Hours(24), absl::Hours(24)).value(), 1 + 2) << "drift, token and host";
  const std::unique_ptr<Store> after = bench_->AfterPowerCut();
  ASSERT_NE(after, nullptr);
  EXPECT_THAT(after->ListDrift({}).value(), IsEmpty());
  EXPECT_EQ(after->ReadAudit({})->floor, 3u);
  EXPECT_THAT(after->ListAudit({}).value(), SizeIs(2)) << "of the drift, of the audit rows";
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_RETENTION_CONTRACT_H_
