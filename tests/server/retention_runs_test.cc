// SPDX-License-Identifier: Apache-2.0
#include "server/retention_runs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "platform/sqlite.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SilentLog : public Log {
  void Write(LogLevel, absl::string_view, const std::vector<LogField>&) override {}
};

class RetentionRunsTest : public testing::Test {
 protected:
  RetentionRunsTest() {
    retention_.tokens = absl::Hours(24);
    retention_.drift = absl::Hours(24);
  }
  std::unique_ptr<RetentionRuns> Make() {
    auto runs = std::make_unique<RetentionRuns>(
        *store_, clock_, log_, retention_,
        [this](const std::string& why) { troubles_.push_back(why); });
    EXPECT_THAT(runs->Start(), IsOk());
    return runs;
  }
  void Say(const std::string& action) {
    const Audit row{"test", "", action, "x", "", "", ""};
    ASSERT_THAT(store_->RecordAudit(row).status(), IsOk());
  }
  void Execute(const std::string& sql) { ASSERT_THAT(db_->Execute(sql), IsOk()); }
  std::int64_t Count(const std::string& table) {
    Statement count = db_->Prepare("SELECT COUNT(*) FROM " + table).value();
    EXPECT_THAT(count.Step(), IsOk());
    return count.Int(0);
  }
  // Expired two days ago.
  void AddTokens(int count) {
    Execute(absl::StrCat(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ", count,
        ") INSERT INTO token (token_id, secret_digest, expected_name, expires) "
        "SELECT 't' || i, x'00', '', ",
        absl::ToUnixMicros(clock_.Now() - absl::Hours(48)), " FROM n"));
  }
  // Compacted, so they began and ended two days ago.
  void AddDrifts(int count) {
    Execute(
        "INSERT INTO host (host_id, uuid, name, host_key, enrolled) "
        "VALUES (1, 'u', 'w', x'00', 0)");
    Execute(absl::StrCat(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ", count,
        ") INSERT INTO drift_event SELECT i, 1, x'65', i, 4, 'dump.type', "
        "1, '', '', '', '', 0, ",
        absl::ToUnixMicros(clock_.Now() - absl::Hours(48)), ", 0, 1 FROM n"));
  }

  void RunDays(int days);
  int CountHeld() {
    int held = 0;
    const std::vector<v1::AuditEntry> all = store_->ListAudit({}).value();
    for (const v1::AuditEntry& row : all) held += row.action() == "retention.held" ? 1 : 0;
    return held;
  }

  TempFolder folder_;
  FakeClock clock_;
  SilentLog log_;
  Retention retention_;
  std::vector<std::string> troubles_;
  const std::unique_ptr<Store> store_ = MakeSqliteStore(folder_.File("store.db"), clock_).value();
  const std::unique_ptr<Database> db_ =
      Database::Open(folder_.File("store.db"), Database::Durability::kFull).value();
};

// It ran to its end: with a million drifts the server saw no SIGTERM for eight minutes.
TEST_F(RetentionRunsTest, ATickDeletesALittleAndTheNextGoesOn) {
  AddTokens(10'000);
  const auto runs = Make();
  runs->Tick();
  EXPECT_EQ(Count("token"), 10'000 - RetentionRuns::kMostSteps * 200);
  runs->Tick();
  EXPECT_EQ(Count("token"), 10'000 - 2 * RetentionRuns::kMostSteps * 200);
  runs->Tick();
  EXPECT_EQ(Count("token"), 0);
  EXPECT_EQ(Count("audit"), 2) << "as it began, and when all were gone";
  EXPECT_THAT(troubles_, IsEmpty());
}

TEST_F(RetentionRunsTest, RunsOnceADay) {
  const auto runs = Make();
  runs->Tick();
  AddTokens(1);
  clock_.Advance(absl::Hours(23));
  runs->Tick();
  EXPECT_EQ(Count("token"), 1);
  clock_.Advance(absl::Hours(1));
  runs->Tick();
  EXPECT_EQ(Count("token"), 0);
}

// It was tried again the next day, and drift was not come to at all.
TEST_F(RetentionRunsTest, AKindThatFailsKeepsNoOtherAndIsTriedAgainSoon) {
  AddTokens(1);
  AddDrifts(3);
  Execute("CREATE TRIGGER broken BEFORE DELETE ON token BEGIN SELECT RAISE(ABORT, 'no room'); END");
  const auto runs = Make();
  runs->Tick();
  EXPECT_THAT(troubles_, ElementsAre(HasSubstr("no room")));
  EXPECT_EQ(Count("drift_event"), 0);
  EXPECT_EQ(Count("token"), 1);
  Execute("DROP TRIGGER broken");
  runs->Tick();
  EXPECT_EQ(Count("token"), 1) << "not at once";
  clock_.Advance(absl::Minutes(1));
  runs->Tick();
  EXPECT_EQ(Count("token"), 0);
}

// All drift that had ended, and all audit rows, went for ever.
TEST_F(RetentionRunsTest, AClockThatJumpsDeletesNothingAndItIsSaid) {
  const auto runs = Make();
  runs->Tick();
  AddDrifts(3);
  const absl::Time jumped = clock_.Now() + absl::Hours(24 * 365);
  clock_.SetWall(jumped);
  clock_.Advance(absl::Hours(24));
  runs->Tick();
  EXPECT_EQ(Count("drift_event"), 3);
  EXPECT_THAT(troubles_, ElementsAre(HasSubstr("nothing is deleted")));
  EXPECT_EQ(store_->ListAudit({})->at(0).action(), "retention.held");
  // A server that starts meanwhile does not take it from the rows of that time.
  const auto restarted = Make();
  restarted->Tick();
  clock_.Advance(absl::Hours(23));
  restarted->Tick();
  EXPECT_EQ(Count("drift_event"), 3);
  clock_.Advance(absl::Hours(1));
  restarted->Tick();
  EXPECT_EQ(Count("drift_event"), 0) << "it went on for a day, and nobody set it right";
}

// The row that says so, of that very clock, was the newest when it started next.
TEST_F(RetentionRunsTest, AFirstRunThatIsHeldIsHeldAfterARestartToo) {
  AddDrifts(3);
  Say("policy.apply");
  clock_.SetWall(clock_.Now() + absl::Hours(24 * 3650));
  Make()->Tick();
  EXPECT_EQ(Count("drift_event"), 3);
  EXPECT_EQ(store_->ListAudit({})->at(0).action(), "retention.held");
  Make()->Tick();
  EXPECT_EQ(Count("drift_event"), 3);
}

// Every host's certificate has expired to such a clock, and that is audited at once.
TEST_F(RetentionRunsTest, AFirstRunTakesNoTimeFromWhatIsAuditedBeforeIt) {
  AddDrifts(3);
  Say("policy.apply");
  clock_.SetWall(clock_.Now() + absl::Hours(24 * 3650));
  Say("server.restore");
  Make();
  Say("handshake.refused");  // and it is killed before its first look
  const auto runs = Make();
  Say("handshake.refused");
  runs->Tick();
  EXPECT_EQ(Count("drift_event"), 3);
  const auto restarted = Make();
  restarted->Tick();
  EXPECT_EQ(Count("drift_event"), 3);
}

TEST_F(RetentionRunsTest, NothingGoesBeforeTheTimeThatIsBelievedIsKept) {
  AddTokens(1);
  Say("policy.apply");
  Execute(
      "CREATE TRIGGER broken BEFORE INSERT ON retention_clock "
      "BEGIN SELECT RAISE(ABORT, 'no room'); END");
  const auto runs = Make();
  runs->Tick();
  EXPECT_EQ(Count("token"), 1);
  EXPECT_THAT(troubles_, Each(HasSubstr("no room")));
  Execute("DROP TRIGGER broken");
  clock_.Advance(absl::Minutes(1));
  runs->Tick();
  EXPECT_EQ(Count("token"), 0);
}

// A new server each day, that runs for twenty hours.
void RetentionRunsTest::RunDays(int days) {
  for (int day = 0; day < days; ++day) {
    const auto runs = Make();
    for (int hour = 0; hour < 20; ++hour) {
      runs->Tick();
      clock_.Advance(absl::Hours(1));
    }
    clock_.Advance(absl::Hours(4));
  }
}

// Its doubt began anew at each start: retention never ran again.
TEST_F(RetentionRunsTest, DoubtIsOverThoughTheServerIsStartedAnewEachDay) {
  AddDrifts(3);
  Say("policy.apply");
  clock_.Advance(absl::Hours(24 * 7));  // it was off
  RunDays(1);
  EXPECT_EQ(Count("drift_event"), 3);
  RunDays(1);
  EXPECT_EQ(Count("drift_event"), 0);
  EXPECT_EQ(CountHeld(), 1) << "once, and not at each start";
  clock_.Advance(absl::Hours(24 * 7));
  RunDays(1);
  EXPECT_EQ(CountHeld(), 2) << "it was believed in between";
}

// Only the clock itself says how long the server was off.
TEST_F(RetentionRunsTest, HoursWithoutAServerAreNoneOfTheDoubt) {
  AddDrifts(3);
  Say("policy.apply");
  clock_.Advance(absl::Hours(24 * 7));
  for (int day = 0; day < 5; ++day) {
    Make()->Tick();
    clock_.Advance(absl::Hours(23));
  }
  EXPECT_EQ(Count("drift_event"), 3);
}

TEST_F(RetentionRunsTest, DoubtBeginsAnewWhenTheClockJumpsOverARestart) {
  AddDrifts(3);
  Say("policy.apply");
  clock_.Advance(absl::Hours(24 * 7));
  RunDays(1);
  clock_.SetWall(clock_.Now() + absl::Hours(24 * 365));
  RunDays(1);
  EXPECT_EQ(Count("drift_event"), 3);
  RunDays(1);
  EXPECT_EQ(Count("drift_event"), 0);
}

TEST_F(RetentionRunsTest, GoesOnWhenTheClockIsSetRight) {
  const auto runs = Make();
  runs->Tick();
  AddTokens(1);
  const absl::Time right = clock_.Now() + absl::Hours(24);
  clock_.Advance(absl::Hours(24));
  clock_.SetWall(right + absl::Hours(24 * 365));
  runs->Tick();
  EXPECT_EQ(Count("token"), 1);
  clock_.SetWall(right);
  clock_.Advance(absl::Hours(1));
  runs->Tick();
  EXPECT_EQ(Count("token"), 0);
}

// The newest audit row was taken for a time that was right, and may be of after the jump.
TEST_F(RetentionRunsTest, SwitchedOnAfterTheClockJumpedItDeletesNothing) {
  const Retention on = retention_;
  retention_ = {};
  Make()->Tick();
  AddTokens(1);
  clock_.SetWall(clock_.Now() + absl::Hours(24 * 400));
  Say("token.create");
  const auto off = Make();
  off->Tick();
  clock_.Advance(absl::Hours(2));
  off->Tick();
  EXPECT_THAT(troubles_, IsEmpty()) << "all is kept: who cares about the clock?";
  retention_ = on;
  const auto runs = Make();
  runs->Tick();
  EXPECT_EQ(Count("token"), 1);
  EXPECT_EQ(CountHeld(), 1);
  EXPECT_THAT(troubles_, testing::Contains(HasSubstr("nothing is deleted")));
}

TEST_F(RetentionRunsTest, WhatIsKeptForEverAsksNothingOfTheClock) {
  retention_ = Retention();
  ASSERT_THAT(store_->KeepClock({clock_.Now() - absl::Hours(1000), std::nullopt, {}}), IsOk());
  Make()->Tick();
  EXPECT_EQ(Count("audit"), 0);
}

TEST(ClockTrust, DoubtsOnlyWhatIsTooFarAhead) {
  const absl::Time t = absl::FromUnixSeconds(1'800'000'000);
  const absl::Duration day = absl::Hours(24);
  const ClockTrust trust{{t, absl::Hours(5)}, std::nullopt};
  const struct {
    const char* why;
    absl::Duration wall, monotonic;  // since
    bool doubted;
  } kCases[] = {
      {"both went on", 30 * day, 30 * day, false},
      {"a server that was off for an evening", 0.9 * day, absl::ZeroDuration(), false},
      {"a day and more ahead", 1.1 * day, absl::ZeroDuration(), true},
      {"ahead, though much time has passed", 31.1 * day, 30 * day, true},
      {"back", -400 * day, day, false},
  };
  for (const auto& row : kCases) {
    const ClockReading now{t + row.wall, absl::Hours(5) + row.monotonic};
    EXPECT_EQ(Judge(trust, now).doubted.has_value(), row.doubted) << row.why;
  }
}

TEST(ClockTrust, DoubtsAnewAfterEachJump) {
  const absl::Time t = absl::FromUnixSeconds(1'800'000'000);
  ClockTrust trust{{t, absl::ZeroDuration()}, std::nullopt};
  trust = Judge(trust, {t + absl::Hours(100), absl::ZeroDuration()});
  trust = Judge(trust, {t + absl::Hours(323), absl::Hours(23)});
  trust = Judge(trust, {t + absl::Hours(325), absl::Hours(25)});
  ASSERT_TRUE(trust.doubted.has_value());
  EXPECT_EQ(trust.doubted->monotonic, absl::Hours(23));
  trust = Judge(trust, {t + absl::Hours(347), absl::Hours(47)});
  EXPECT_FALSE(trust.doubted.has_value());
}

}  // namespace
}  // namespace dumpwarden
