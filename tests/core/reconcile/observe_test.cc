// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/observe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kCrashControl = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

Decision Wants(const char* setting, const char* value, v1::Mode mode = v1::MODE_ENFORCE) {
  Decision decision;
  decision.setting = setting;
  decision.value = value;
  decision.mode = mode;
  return decision;
}

TEST(Observe, ReadsEveryCellOfEveryRowAndWritesNothing) {
  FakeRegistry registry;
  FakeFolders folders;
  registry.Set(kCrashControl, "CrashDumpEnabled", DwordValue(7));
  const v1::Observation observed = Observe(registry, folders, {}, {});
  std::size_t cells = 0;
  for (const Setting& row : AllSettings()) {
    EXPECT_EQ(CellsOf(row, observed).error, "") << row.id;
    cells += CellCount(row);
  }
  EXPECT_EQ(static_cast<std::size_t>(observed.cells_size()), cells);
  EXPECT_THAT(CellsOf(*FindSetting("dump.type"), observed).values,
              ElementsAre(DwordValue(7), std::nullopt));
  EXPECT_TRUE(registry.log().empty());
}

TEST(Observe, KeepsTypeAndBytesAsTheyStand) {
  FakeRegistry registry;
  FakeFolders folders;
  const RegistryValue odd{static_cast<RegType>(0x63), std::string("a\0b", 3)};
  registry.Set(kCrashControl, "CrashDumpEnabled", odd);
  const v1::Observation observed = Observe(registry, folders, {}, {});
  EXPECT_EQ(CellsOf(*FindSetting("dump.type"), observed).values[0], odd);
}

TEST(Observe, OneUnreadableCellDoesNotHideTheOthers) {
  FakeRegistry registry;
  FakeFolders folders;
  registry.Set(kCrashControl, "Overwrite", DwordValue(1));
  registry.MakeUnreadable(kCrashControl, "CrashDumpEnabled",
                          absl::PermissionDeniedError("access is denied\x1b"));
  const v1::Observation observed = Observe(registry, folders, {}, {});
  EXPECT_THAT(CellsOf(*FindSetting("dump.type"), observed).error,
              testing::AllOf(HasSubstr("CrashDumpEnabled could not be read"),
                             HasSubstr("access is denied\\x1b")));
  EXPECT_EQ(CellsOf(*FindSetting("dump.overwrite"), observed).error, "");
}

TEST(Observe, LooksForTheFoldersThatThePolicyNamesOnce) {
  FakeRegistry registry;
  FakeFolders folders;
  folders.AddDrive("D:\\");
  folders.AddFolder("D:\\Dumps");
  const Desired desired{{Wants("dump.dedicated-file", "E:\\Scratch\\d.sys"),
                         Wants("dump.file", "D:\\Dumps\\MEMORY.DMP"),
                         Wants("dump.file", "D:\\Audit\\MEMORY.DMP", v1::MODE_AUDIT),
                         Wants("dump.minidump-dir", "d:\\dumps"),
                         Wants("pagefile.files", "D:\\x\\pagefile.sys system"),
                         Wants("dump.nothing", "D:\\No\\x.dmp")}};
  const v1::Observation observed = Observe(registry, folders, desired, {});
  std::vector<std::string> seen;
  for (const v1::Folder& folder : observed.folders()) {
    seen.push_back(absl::StrCat(folder.path(), folder.known() ? "" : " unknown",
                                folder.exists() ? " exists" : ""));
  }
  EXPECT_THAT(seen, ElementsAre("E:\\Scratch unknown", "D:\\Dumps exists", "D:\\Audit"));
}

TEST(Observe, LooksUpwardsAsLongAsFoldersAreAbsent) {
  FakeRegistry registry;
  FakeFolders folders;
  folders.AddDrive("D:\\");
  folders.AddFolder("D:\\A");
  const Desired desired{{Wants("dump.file", "D:\\A\\B\\C\\MEMORY.DMP"),
                         Wants("dump.minidump-dir", "d:\\a\\b\\Mini")}};
  const v1::Observation observed = Observe(registry, folders, desired, {});
  std::vector<std::string> seen;
  for (const v1::Folder& folder : observed.folders()) {
    seen.push_back(absl::StrCat(folder.path(), folder.exists() ? " exists" : ""));
  }
  EXPECT_THAT(seen, ElementsAre("D:\\A\\B\\C", "D:\\A\\B", "D:\\A exists", "d:\\a\\b\\Mini"));
}

TEST(Observe, LooksForNoFolderThatIsAlwaysThere) {
  const Setting& file = *FindSetting("dump.file");
  EXPECT_EQ(FolderNeededBy(file, "D:\\Dumps\\a.dmp"), "D:\\Dumps");
  EXPECT_EQ(FolderNeededBy(file, "D:\\a.dmp"), "") << "the root of a volume";
  EXPECT_EQ(FolderNeededBy(file, "%SystemRoot%\\a\\b.dmp"), "") << "Windows' own";
  EXPECT_EQ(FolderNeededBy(file, "unset"), "");
  EXPECT_EQ(FolderNeededBy(*FindSetting("dump.minidump-dir"), "D:\\Mini"), "D:\\Mini");
  EXPECT_EQ(FolderNeededBy(*FindSetting("dump.type"), "kernel"), "");
  EXPECT_EQ(FolderAbove("D:\\A\\B"), "D:\\A");
  EXPECT_EQ(FolderAbove("D:\\A"), "") << "the root of a volume";
}

TEST(Observe, SaysWhatIsWrongWithTheWhole) {
  FakeRegistry registry;
  FakeFolders folders;
  registry.AddWarning("the hive is dirty");
  EXPECT_THAT(Observe(registry, folders, {}, {}).warnings(), ElementsAre("the hive is dirty"));
}

TEST(Observe, ACellOfAnotherTableIsMissingAndNotAbsent) {
  v1::Observation older;
  v1::Cell& cell = *older.add_cells();
  cell.set_key("hklm\\system\\currentcontrolset\\control\\crashcontrol");
  cell.set_name("crashdumpenabled");
  const ObservedCells cells = CellsOf(*FindSetting("dump.type"), older);
  EXPECT_THAT(cells.error, HasSubstr("FilterPages is not in the observation"));
  EXPECT_EQ(cells.values.size(), 2u);
}

}  // namespace
}  // namespace dumpwarden
