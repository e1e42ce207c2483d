// SPDX-License-Identifier: Apache-2.0
// What holds for every row and every value; single cases are golden files.
#include "core/reconcile/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>

#include "core/catalog/catalog.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/status.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

v1::Facts FactsOf(std::uint32_t build) {
  v1::Facts facts;
  facts.mutable_os()->set_build(build);
  facts.mutable_memory()->set_bytes(std::uint64_t{16} << 30);
  return facts;
}

Desired Wants(absl::string_view setting, absl::string_view value,
              v1::Mode mode = v1::MODE_ENFORCE) {
  Decision decision;
  decision.setting = std::string(setting);
  decision.value = std::string(value);
  decision.mode = mode;
  decision.policy = "p";
  return {{decision}};
}

std::vector<std::string> ValuesOf(const Setting& row) {
  switch (row.shape) {
    case Shape::kSwitch:
      return {"on", "off", "unset"};
    case Shape::kOneOf: {
      std::vector<std::string> words = {"unset"};
      for (const Choice& choice : row.choices) {
        if (!choice.word.empty()) words.emplace_back(choice.word);
      }
      return words;
    }
    case Shape::kInteger:
      return {"unset"};
    case Shape::kText:
      return {"D:\\Dumps\\a.dmp", "E:\\b\\c.dmp", "unset"};
    case Shape::kSize:
      return {"4GiB", "ram + 257MiB", "unset"};
    case Shape::kList:
      return {"automatic", "none", "C:\\pagefile.sys system",
              "C:\\pagefile.sys ram + 257MiB ram * 1.5; D:\\p.sys system", "unset"};
  }
  return {};
}

class Host {
 public:
  explicit Host(std::uint32_t build) : facts_(FactsOf(build)) {
    folders_.AddDrive("D:\\");
    folders_.AddDrive("E:\\");
  }
  FakeRegistry& registry() { return registry_; }
  v1::Observation Look(const Desired& desired) {
    return Observe(registry_, folders_, desired, facts_);
  }
  Plan PlanFor(const Desired& desired) { return MakePlan(desired, Look(desired), facts_); }
  void CarryOut(const Plan& plan) {
    for (const Edit& edit : plan.edits) {
      if (edit.action == Edit::Action::kMakeFolder) {
        EXPECT_TRUE(folders_.Make(edit.key).ok());
      } else if (edit.to) {
        registry_.Set(edit.key, edit.name, *edit.to);
      } else {
        registry_.Unset(edit.key, edit.name);
      }
    }
  }

 private:
  v1::Facts facts_;
  FakeRegistry registry_;
  FakeFolders folders_;
};

// P1 and P2 for the whole table: from any value to any other, once, and then nothing.
TEST(Plan, OnceCarriedOutThereIsNothingToDo) {
  for (const std::uint32_t build : {7601u, 20348u}) {
    for (const Setting& row : AllSettings()) {
      for (const std::string& from : ValuesOf(row)) {
        for (const std::string& to : ValuesOf(row)) {
          Host host(build);
          host.CarryOut(host.PlanFor(Wants(row.id, from)));
          const Plan plan = host.PlanFor(Wants(row.id, to));
          host.CarryOut(plan);
          const Plan again = host.PlanFor(Wants(row.id, to));
          EXPECT_THAT(again.edits, IsEmpty()) << row.id << " " << from << " -> " << to;
          const v1::Status status = again.findings[0].status();
          EXPECT_TRUE(status == v1::STATUS_COMPLIANT || status == v1::STATUS_NOT_APPLICABLE)
              << row.id << " " << to << " is " << StatusWord(status);
        }
      }
    }
  }
}

TEST(Plan, LeavesMatchingCellsAlone) {
  Host host(20348);
  const char* key = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
  host.registry().Set(key, "CrashDumpEnabled", DwordValue(1));
  host.registry().Set(key, "FilterPages", DwordValue(1));
  const Plan plan = host.PlanFor(Wants("dump.type", "complete"));
  ASSERT_EQ(plan.edits.size(), 1u) << "CrashDumpEnabled stands as it should";
  EXPECT_EQ(plan.edits[0].action, Edit::Action::kDelete);
  EXPECT_EQ(plan.edits[0].name, "FilterPages");
  EXPECT_EQ(plan.edits[0].from, DwordValue(1));
  EXPECT_EQ(plan.edits[0].to, std::nullopt);
}

TEST(Plan, AuditedDecisionsNeverEdit) {
  for (const Setting& row : AllSettings()) {
    for (const std::string& value : ValuesOf(row)) {
      Host host(7601);
      const Plan plan = host.PlanFor(Wants(row.id, value, v1::MODE_AUDIT));
      EXPECT_THAT(plan.edits, IsEmpty()) << row.id << " " << value;
      EXPECT_EQ(plan.findings.size(), 1u);
    }
  }
}

TEST(Plan, EditsOnlyCellsOfTheTable) {
  const char* wild[] = {"", "HKLM\\SYSTEM\\Select", "registry", "dump.type ", "DUMP.TYPE"};
  for (const char* setting : wild) {
    Host host(20348);
    const Plan plan = host.PlanFor(Wants(setting, "kernel"));
    EXPECT_THAT(plan.edits, IsEmpty()) << setting;
    EXPECT_EQ(plan.findings[0].status(), v1::STATUS_UNSUPPORTED) << setting;
  }
  for (const Setting& row : AllSettings()) {
    for (const std::string& value : ValuesOf(row)) {
      Host host(7601);
      for (const Edit& edit : host.PlanFor(Wants(row.id, value)).edits) {
        if (edit.action == Edit::Action::kMakeFolder) continue;
        EXPECT_EQ(OwnerOfCell(edit.key, edit.name), &row);
      }
    }
  }
}

TEST(Plan, AValueThatTheRowRefusesIsBlockedAndNotWritten) {
  // What a policy of another table could bring over the wire.
  for (const char* value : {"\\\\srv\\share\\a.dmp", "D:\\..\\a.dmp", "", "custom (0x5)"}) {
    Host host(20348);
    const Plan plan = host.PlanFor(Wants("dump.file", value));
    EXPECT_THAT(plan.edits, IsEmpty()) << value;
    EXPECT_EQ(plan.findings[0].status(), v1::STATUS_BLOCKED) << value;
  }
}

TEST(Plan, AnUnknownValueOfAKnownRowIsUnsupported) {
  Desired desired = Wants("dump.type", "holographic");
  desired.decisions[0].known = false;
  Host host(20348);
  const Plan plan = host.PlanFor(desired);
  EXPECT_THAT(plan.edits, IsEmpty());
  EXPECT_EQ(plan.findings[0].status(), v1::STATUS_UNSUPPORTED);
  EXPECT_THAT(plan.findings[0].reason(), HasSubstr("does not know the value"));
}

TEST(Plan, TheServerPlansTheSameFromAStoredObservation) {
  Host host(20348);
  Desired desired = Wants("dump.type", "active");
  desired.decisions.push_back(Wants("dump.file", "D:\\Dumps\\a.dmp").decisions[0]);
  const v1::Observation stored = host.Look(desired);
  v1::Observation copy;
  ASSERT_TRUE(copy.ParseFromString(stored.SerializeAsString()));
  const Plan there = MakePlan(desired, copy, FactsOf(20348));
  const Plan here = host.PlanFor(desired);
  ASSERT_EQ(there.edits.size(), here.edits.size());
  for (std::size_t i = 0; i < here.edits.size(); ++i) {
    EXPECT_EQ(there.edits[i].name, here.edits[i].name);
    EXPECT_EQ(there.edits[i].to, here.edits[i].to);
  }
}

TEST(Plan, NamesEveryFolderThatIsMadeParentsFirstAndOnce) {
  Host host(20348);
  Desired desired = Wants("dump.file", "D:\\A\\B\\MEMORY.DMP");
  desired.decisions.push_back(Wants("dump.minidump-dir", "d:\\a\\Mini").decisions[0]);
  std::vector<std::string> made;
  for (const Edit& edit : host.PlanFor(desired).edits) {
    if (edit.action == Edit::Action::kMakeFolder) made.push_back(edit.key);
  }
  EXPECT_THAT(made, testing::ElementsAre("D:\\A", "D:\\A\\B", "d:\\a\\Mini"));
}

// The second was taken for one that needs no write, so that its failures were forgotten.
TEST(Plan, AFolderThatTwoSettingsNeedIsWrittenForBoth) {
  Host host(20348);
  Desired desired = Wants("dump.file", "D:\\Dumps\\MEMORY.DMP");
  desired.decisions.push_back(Wants("dump.dedicated-file", "D:\\Dumps\\dd.sys").decisions[0]);
  host.CarryOut(host.PlanFor(desired));
  Host without(20348);
  for (const char* setting : {"dump.file", "dump.dedicated-file"}) {
    const CellName& cell = FindSetting(setting)->cells[0];
    without.registry().Set(cell.key, cell.name, *host.registry().Get(cell.key, cell.name));
  }
  const Plan plan = without.PlanFor(desired);
  ASSERT_EQ(plan.edits.size(), 1u);
  EXPECT_EQ(SettingsOf(plan), (std::set<std::string>{"dump.dedicated-file", "dump.file"}));
}

TEST(Plan, AHostThatLookedForNoFolderGetsNone) {
  // A draft names a folder that the observation was not made for.
  Host host(20348);
  const v1::Observation without = host.Look({});
  const Plan plan = MakePlan(Wants("dump.file", "D:\\New\\a.dmp"), without, FactsOf(20348));
  for (const Edit& edit : plan.edits) EXPECT_NE(edit.action, Edit::Action::kMakeFolder);
  EXPECT_THAT(plan.findings[0].reason(), HasSubstr("D:\\New was not checked"));
}

TEST(Plan, ABootSnapshotThatLacksTheCellIsNotTakenForAgreement) {
  Host host(20348);
  const Desired desired = Wants("dump.auto-reboot", "on");
  const v1::Observation observed = host.Look(desired);
  const v1::Observation older;
  const Plan plan = MakePlan(desired, observed, FactsOf(20348), &older);
  EXPECT_EQ(plan.findings[0].status(), v1::STATUS_PENDING_REBOOT);
}

TEST(Plan, ActionsHaveWords) {
  EXPECT_EQ(ActionWord(Edit::Action::kDelete), "delete");
  EXPECT_EQ(ActionWord(Edit::Action::kSet), "set");
  EXPECT_EQ(ActionWord(Edit::Action::kMakeFolder), "mkdir");
}

}  // namespace
}  // namespace dumpwarden
