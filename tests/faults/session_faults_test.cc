// SPDX-License-Identifier: Apache-2.0
// What an agent is told and tells while its state fails for a moment, or for
// some seconds: once it is sound again all is right within seconds, not at the
// next full check.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/agent_rig.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr int kMostCalls = 5000;
constexpr absl::Duration kLong = absl::Seconds(3);
constexpr absl::Duration kSoon = absl::Seconds(10);

// What fails, and whether it goes on for kLong.
class SessionFaults : public testing::TestWithParam<std::tuple<SqliteFault, bool>> {
 protected:
  static void SetUpTestSuite() { InstallSqliteFaults(); }

  static bool Lasts() { return std::get<1>(GetParam()); }
  static void Arm(int nth) {
    FailSqlite(std::get<0>(GetParam()), nth, Lasts() ? kMostCalls * kMostCalls : 1);
  }

  // `run` with the nth call failing, until there is no nth; it answers whether one failed.
  template <typename Run>
  void Loop(int least, Run run) {
    int fired = 0;
    for (int nth = 1; nth < kMostCalls; nth += 1 + nth / 30) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      const bool failed = run(nth);
      if (HasFailure()) return;
      if (!failed) {
        EXPECT_GE(fired, least);
        return;
      }
      ++fired;
    }
    ADD_FAILURE() << "never got through";
  }
};

// The drifts of the old host were told as the new one's, and at the next start the new one's went.
TEST_P(SessionFaults, EnrolledAnewItIsTheOldHostOrTheNewOne) {
  Loop(3, [](int nth) {
    AgentRig rig;
    EXPECT_THAT(rig.state->ActAs("old", rig.random), IsOk());
    Settle(rig, {Reboot(1, "on")});
    rig.Disconnect();
    rig.Change("AutoReboot", 0);
    const std::vector<v1::DriftEvent> of_old = rig.Events();
    EXPECT_THAT(Kinds(of_old), ElementsAre(kDrifted, kCorrected));
    const std::string epoch = rig.state->epoch();
    const int connects = rig.link.connects;
    Arm(nth);
    rig.core->OnEnrolledAnew("new", rig.facts);
    rig.Disconnect();
    rig.Change("AutoReboot", 0);
    const auto wait = [&](absl::Duration time) {
      for (absl::Duration passed; passed < time; passed += absl::Milliseconds(100)) {
        rig.Pass(absl::Milliseconds(100));
        if (rig.state->epoch() != epoch) continue;
        EXPECT_EQ(rig.link.connects, connects) << "dials as the new host with the old one's state";
      }
    };
    if (Lasts()) wait(kLong);
    const bool failed = StopFailingSqlite() > 0;
    wait(kSoon);
    EXPECT_NE(rig.state->epoch(), epoch) << "still the old host";
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    rig.Connect(true);
    EXPECT_EQ(rig.link.sent.front().hello().epoch(), rig.state->epoch());
    const std::vector<v1::Report> reports = rig.TakeReports();
    EXPECT_EQ(reports.size(), 1u);
    for (const v1::DriftEvent& event : reports.front().events()) {
      EXPECT_GT(event.sequence(), of_old.back().sequence()) << "the old host's";
    }
    EXPECT_EQ(reports.front().events_size(), 2);
    rig.Restart();
    EXPECT_THAT(rig.state->ActAs("new", rig.random), IsOk());
    EXPECT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kCorrected));
    return failed;
  });
}

// An enrolment that was taken back before the state could follow cleared the open drifts from
// memory only: each opened once more, and the first had no end.
TEST_P(SessionFaults, AnEnrolmentThatIsTakenBackLeavesOneDriftOpen) {
  Loop(1, [](int nth) {
    AgentRig rig;
    EXPECT_THAT(rig.state->ActAs("old", rig.random), IsOk());
    Settle(rig, {Reboot(1, "on", "audit")});
    rig.Disconnect();
    rig.Change("AutoReboot", 0);
    const std::vector<v1::DriftEvent> drifted = rig.Events();
    EXPECT_THAT(Kinds(drifted), ElementsAre(kDrifted));
    const std::string epoch = rig.state->epoch();
    Arm(nth);
    rig.core->OnEnrolledAnew("new", rig.facts);
    const bool failed = StopFailingSqlite() > 0;
    const bool followed = rig.state->epoch() != epoch;
    rig.core->OnEnrolledAnew("old", rig.facts);
    rig.Pass(kSoon);
    const std::vector<v1::DriftEvent> open = rig.Events();
    EXPECT_THAT(Kinds(open), ElementsAre(kDrifted));
    EXPECT_EQ(rig.state->epoch() != epoch, followed);
    EXPECT_EQ(open[0].sequence() != drifted[0].sequence(), followed);
    rig.Change("AutoReboot", 1);
    EXPECT_THAT(Kinds(rig.Events()), ElementsAre(kDrifted, kResolved));
    EXPECT_EQ(rig.Events().back().drift_sequence(), open[0].sequence());
    return failed;
  });
}

// Policies that were kept, and of which only the status line was not, waited for the full check.
TEST_P(SessionFaults, HoldsTheHostAgainstPoliciesThatItKept) {
  Loop(3, [](int nth) {
    AgentRig rig;
    Settle(rig, {Reboot(1, "on")});
    const Document next = Reboot(2, "off");
    Arm(nth);
    rig.Push({next});
    if (Lasts()) rig.Pass(kLong);
    const bool failed = StopFailingSqlite() > 0;
    rig.Pass(kSoon);
    if (rig.state->Policies()->front().version == 1) {  // the server hears that, and says it again
      rig.link.sent.clear();
      rig.Pass(absl::Seconds(75));
      EXPECT_FALSE(rig.link.sent.empty());
      for (const v1::AgentMessage& message : rig.link.sent) {
        EXPECT_NE(message.check_in().policy_digest(),
                  MakePolicySet({AgentRig::EntryOf(next)}).digest());
      }
      rig.Push({next});
      rig.Pass(kSoon);
    }
    EXPECT_EQ(rig.state->Policies()->front().version, 2u);
    EXPECT_EQ(rig.Cell("AutoReboot"), 0u);
    return failed;
  });
}

// A report that could not be numbered was tried again at the next full check only.
TEST_P(SessionFaults, TellsADriftSoon) {
  Loop(2, [](int nth) {
    AgentRig rig;
    Settle(rig, {Reboot(1, "on")});
    rig.registry.Set(kCrashKey, "AutoReboot", DwordValue(0));
    rig.core->OnRegistryChanged();
    while (rig.Events().empty()) rig.Pass(absl::Milliseconds(10));
    EXPECT_THAT(rig.TakeReports(), IsEmpty());
    Arm(nth);
    rig.Pass(Lasts() ? kLong : absl::Milliseconds(500));
    const bool failed = StopFailingSqlite() > 0;
    rig.Pass(kSoon);
    std::vector<int> told;
    for (const v1::Report& report : rig.TakeReports()) told.push_back(report.events_size());
    EXPECT_THAT(told, Contains(2));
    return failed;
  });
}

// What was in flight stayed so until the server was given up for silent.
TEST_P(SessionFaults, TellsAgainWhatItCouldNotKeepAsAcknowledged) {
  Loop(3, [](int nth) {
    AgentRig rig;
    Settle(rig, {Reboot(1, "on")});
    rig.Change("AutoReboot", 0);
    rig.Pass(absl::Milliseconds(500));
    const std::vector<v1::Report> reports = rig.TakeReports();
    EXPECT_EQ(reports.size(), 1u);
    Arm(nth);
    rig.Acknowledge(reports.front());
    if (Lasts()) rig.Pass(kLong);
    const bool failed = StopFailingSqlite() > 0;
    if (rig.link.disconnects > 0) {
      rig.Disconnect();
      rig.Connect();
      const std::vector<v1::Report> again = rig.TakeReports();
      EXPECT_EQ(again.size(), 1u);
      EXPECT_EQ(again.front().events_size(), 2);
      rig.Acknowledge(again.front());
    }
    EXPECT_THAT(rig.Events(), IsEmpty());
    return failed;
  });
}

std::string NameOf(const testing::TestParamInfo<std::tuple<SqliteFault, bool>>& info) {
  const SqliteFault kind = std::get<0>(info.param);
  return absl::StrCat(kind == SqliteFault::kMemory ? "Memory"
                      : kind == SqliteFault::kDisk ? "Disk"
                                                   : "Full",
                      std::get<1>(info.param) ? "ForSeconds" : "Once");
}

INSTANTIATE_TEST_SUITE_P(Beneath, SessionFaults,
                         testing::Combine(testing::Values(SqliteFault::kMemory, SqliteFault::kDisk,
                                                          SqliteFault::kFull),
                                          testing::Bool()),
                         NameOf);

}  // namespace
}  // namespace dumpwarden
