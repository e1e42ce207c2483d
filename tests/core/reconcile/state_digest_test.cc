// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/state_digest.h"

#include <google/protobuf/util/message_differencer.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "core/reconcile/status.h"

namespace dumpwarden {
namespace {

using google::protobuf::util::MessageDifferencer;

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  int Roll(int sides) { return static_cast<int>(engine_() % static_cast<std::uint32_t>(sides)); }

 private:
  std::mt19937 engine_;
};

HostState RandomState(Dice& dice) {
  HostState state;
  for (const v1::Mode mode : {v1::MODE_ENFORCE, v1::MODE_AUDIT}) {
    for (int i = 0; i < 4; ++i) {
      if (dice.Roll(3) == 0) continue;
      v1::Finding finding;
      finding.set_setting(absl::StrCat("s.", i));
      finding.set_mode(mode);
      finding.set_status(static_cast<v1::Status>(1 + dice.Roll(10)));
      finding.set_desired(absl::StrCat(dice.Roll(2)));
      finding.set_reason(std::string(static_cast<std::size_t>(dice.Roll(2)), 'r'));
      state.findings.push_back(finding);
    }
  }
  const int cells = dice.Roll(4) == 0 ? dice.Roll(4) : 4;  // at times another table
  for (int i = 0; i < cells; ++i) {
    v1::Cell& cell = *state.observation.add_cells();
    cell.set_key("HKLM\\X");
    cell.set_name(absl::StrCat("c", i));
    cell.set_present(dice.Roll(2) == 0);
    if (cell.present()) cell.set_data(absl::StrCat(dice.Roll(3)));
  }
  for (int i = dice.Roll(3); i > 0; --i) {
    v1::Folder& folder = *state.observation.add_folders();
    folder.set_path(absl::StrCat("D:\\", i));
    folder.set_exists(dice.Roll(2) == 0);
  }
  for (int i = dice.Roll(2); i > 0; --i) state.observation.add_warnings("dirty");
  return state;
}

bool Same(const HostState& a, const HostState& b) {
  return MessageDifferencer::Equals(a.observation, b.observation) &&
         std::equal(a.findings.begin(), a.findings.end(), b.findings.begin(), b.findings.end(),
                    [](const auto& x, const auto& y) { return MessageDifferencer::Equals(x, y); });
}

TEST(StateDigest, AReportTurnsWhatWasIntoWhatIs) {
  for (std::uint32_t seed = 0; seed < 1000; ++seed) {
    Dice dice(seed);
    const HostState before = RandomState(dice);
    const HostState after = RandomState(dice);
    HostState state = before;
    const v1::Report report = MakeReport(&before, after);
    ApplyReport(report, state);
    ASSERT_TRUE(Same(state, after)) << "seed " << seed << ": " << report.DebugString();
    ASSERT_EQ(StateDigest(state), report.state_digest()) << "seed " << seed;
    ApplyReport(report, state);
    ASSERT_TRUE(Same(state, after)) << "resent, seed " << seed;
    HostState fresh = before;
    ApplyReport(MakeReport(nullptr, after), fresh);
    ASSERT_TRUE(Same(fresh, after)) << "full, seed " << seed;
  }
}

TEST(StateDigest, AReportHoldsOnlyWhatChanged) {
  Dice dice(7);
  HostState before;
  do {
    before = RandomState(dice);
  } while (before.findings.empty() || before.observation.cells().empty());
  const v1::Report nothing = MakeReport(&before, before);
  EXPECT_FALSE(nothing.full());
  EXPECT_EQ(nothing.findings_size() + nothing.removed_size(), 0);
  EXPECT_FALSE(nothing.has_observation());

  HostState after = before;
  after.findings[0].set_desired("other");
  after.observation.mutable_cells(0)->set_data("other");
  const v1::Report report = MakeReport(&before, after);
  EXPECT_EQ(report.findings_size(), 1);
  EXPECT_EQ(report.observation().cells_size(), 1);

  HostState shorter = before;
  shorter.findings.erase(shorter.findings.begin());
  ASSERT_EQ(MakeReport(&before, shorter).removed_size(), 1);
  EXPECT_EQ(MakeReport(&before, shorter).removed(0), FindingKey(before.findings[0]));
}

TEST(StateDigest, DoesNotDependOnOrder) {
  for (std::uint32_t seed = 0; seed < 200; ++seed) {
    Dice dice(seed);
    const HostState state = RandomState(dice);
    HostState turned = state;
    std::reverse(turned.findings.begin(), turned.findings.end());
    std::reverse(turned.observation.mutable_cells()->begin(),
                 turned.observation.mutable_cells()->end());
    std::reverse(turned.observation.mutable_folders()->begin(),
                 turned.observation.mutable_folders()->end());
    EXPECT_EQ(StateDigest(turned), StateDigest(state));
  }
}

TEST(StateDigest, SeesEveryDifference) {
  Dice dice(1);
  for (int i = 0; i < 500; ++i) {
    const HostState a = RandomState(dice);
    const HostState b = RandomState(dice);
    EXPECT_EQ(StateDigest(a) == StateDigest(b), Same(a, b));
  }
}

TEST(StateDigest, KeysTellOverlaysApart) {
  v1::Finding finding;
  finding.set_setting("dump.type");
  finding.set_mode(v1::MODE_ENFORCE);
  EXPECT_EQ(FindingKey(finding), "enforce dump.type");
  finding.set_mode(v1::MODE_AUDIT);
  EXPECT_EQ(FindingKey(finding), "audit dump.type");
}

TEST(FactsDigest, DependsOnLabelsAndNotOnTheirOrder) {
  v1::Facts a;
  v1::Facts b;
  for (int i = 0; i < 20; ++i) {
    (*a.mutable_labels())[absl::StrCat("k", i)] = "v";
    (*b.mutable_labels())[absl::StrCat("k", 19 - i)] = "v";
  }
  EXPECT_EQ(FactsDigest(a), FactsDigest(b));
  EXPECT_EQ(FactsDigest(a).size(), 32u);
  (*b.mutable_labels())["k0"] = "w";
  EXPECT_NE(FactsDigest(a), FactsDigest(b));
}

TEST(FactsDigest, LeavesOutWhatIsNoNews) {
  v1::Facts facts;
  v1::Facts::Volume& volume = *facts.add_volumes();
  volume.set_path("C:\\");
  volume.set_total(1600);
  volume.set_free(850);
  const std::string digest = FactsDigest(facts);
  volume.set_mount("/mnt/c");
  EXPECT_EQ(FactsDigest(facts), digest) << "a mount stays on the host";
  volume.set_free(820);
  EXPECT_EQ(FactsDigest(facts), digest) << "a busy disk";
  volume.set_free(100);
  EXPECT_NE(FactsDigest(facts), digest) << "a full disk";
  volume.set_free(0);
  const std::string full = FactsDigest(facts);
  volume.clear_free();
  EXPECT_NE(FactsDigest(facts), full) << "not known is not 0";
}

}  // namespace
}  // namespace dumpwarden
