// SPDX-License-Identifier: Apache-2.0
// A whole agent corrects one drift while one thing after another fails beneath
// it: the drift is on record before it is written back, and is told once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/agent_rig.h"
#include "tests/support/sqlite_faults.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;

constexpr int kMostCalls = 5000;

// What fails: the registry, folders and files of the host, or the file of the agent's state.
enum class Beneath { kHost, kStateMemory, kStateDisk, kStateFull };

class AgentFaults : public testing::TestWithParam<Beneath> {
 protected:
  static void SetUpTestSuite() { InstallSqliteFaults(); }

  void Arm(AgentRig& rig, int nth, bool for_ever) {
    if (GetParam() == Beneath::kHost) {
      rig.registry.UseFaults(faults_);
      rig.folders.UseFaults(faults_);
      rig.vfs.UseFaults(faults_);
      return for_ever ? faults_.FailFrom(nth) : faults_.FailOnce(nth);
    }
    const SqliteFault kind = GetParam() == Beneath::kStateMemory ? SqliteFault::kMemory
                             : GetParam() == Beneath::kStateDisk ? SqliteFault::kDisk
                                                                 : SqliteFault::kFull;
    FailSqlite(kind, nth, for_ever ? kMostCalls * kMostCalls : 1);
  }
  bool Disarm() {
    const bool host = faults_.fired();
    faults_.Clear();
    return StopFailingSqlite() > 0 || host;
  }

  // How many calls could be made to fail.
  int Loop(bool for_ever) {
    int fired = 0;
    for (int nth = 1; nth < kMostCalls; nth += 1 + nth / 30) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      AgentRig rig;
      Settle(rig, {Reboot(1, "on")});
      std::vector<v1::DriftEvent> at_write;
      rig.registry.Interfere([&](FakeRegistry&) {
        if (!at_write.empty()) return;
        const NoSqliteFaults pause;
        at_write = rig.Events();
        EXPECT_FALSE(at_write.empty()) << "written back, and not on record";
      });
      Arm(rig, nth, for_ever);
      rig.Change("AutoReboot", 0);
      const bool failed = Disarm();
      if (for_ever) rig.Restart();
      Check(rig);
      if (!failed || HasFailure()) return fired;
      ++fired;
    }
    ADD_FAILURE() << "never got through";
    return 0;
  }

  void Check(AgentRig& rig) {
    ASSERT_THAT(rig.start_status, IsOk());
    // A cell that could not be read is looked at again with the next full check.
    rig.Pass(GetParam() == Beneath::kHost ? absl::Minutes(6) : absl::Seconds(10));
    EXPECT_EQ(rig.Cell("AutoReboot"), 1u);
    // Told while the link was up, or still to be told.
    std::vector<v1::DriftEvent> events = rig.Events();
    ASSERT_THAT(Kinds(events), ElementsAre(kDrifted, kCorrected));
    EXPECT_EQ(events[1].drift_sequence(), events[0].sequence());
    EXPECT_EQ(events[0].new_value(), "off");
    EXPECT_FALSE(rig.vfs.Get("/place/undo").has_value());
  }

  Faults faults_;
};

TEST_P(AgentFaults, DriftIsKeptBeforeItIsWrittenBackAndOnce) {
  const int once = Loop(false);
  if (HasFailure()) return;
  EXPECT_GE(once, GetParam() == Beneath::kStateFull ? 5 : 20);
  const int for_ever = Loop(true);
  if (HasFailure()) return;
  EXPECT_GE(for_ever, GetParam() == Beneath::kStateFull ? 5 : 20);
}

std::string NameOf(const testing::TestParamInfo<Beneath>& info) {
  switch (info.param) {
    case Beneath::kHost:
      return "Host";
    case Beneath::kStateMemory:
      return "StateMemory";
    case Beneath::kStateDisk:
      return "StateDisk";
    case Beneath::kStateFull:
      return "StateFull";
  }
  return "";
}

INSTANTIATE_TEST_SUITE_P(Beneath, AgentFaults,
                         testing::Values(Beneath::kHost, Beneath::kStateMemory, Beneath::kStateDisk,
                                         Beneath::kStateFull),
                         NameOf);

}  // namespace
}  // namespace dumpwarden
