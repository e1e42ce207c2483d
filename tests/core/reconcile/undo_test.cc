// SPDX-License-Identifier: Apache-2.0
// Records that nobody but us should be able to make, and what they may ask for all the same.
#include "core/reconcile/undo.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kCrash[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

// Of an apply that set the dump file in two folders which it made.
v1::UndoRecord Record() {
  v1::UndoRecord record;
  v1::UndoRecord::Cell& cell = *record.add_cells();
  cell.set_key(kCrash);
  cell.set_name("DumpFile");
  SetUndoValue(std::nullopt, *cell.mutable_before());
  SetUndoValue(ExpandSzValue("D:\\All Dumps\\Web\\MEMORY.DMP"), *cell.mutable_after());
  record.add_keys(kCrash);
  record.add_folders("D:\\All Dumps");
  record.add_folders("d:\\all dumps\\web");
  record.set_backup("backup-20261122T170000Z-1.reg");
  return record;
}

TEST(CheckUndo, TakesWhatAnApplyRecords) { EXPECT_THAT(CheckUndo(Record()), IsOk()); }

TEST(CheckUndo, FoldersForSmallDumpsAreTheValueItself) {
  v1::UndoRecord record = Record();
  record.mutable_cells(0)->set_name("MinidumpDir");
  SetUndoValue(ExpandSzValue("D:\\Small"), *record.mutable_cells(0)->mutable_after());
  record.clear_folders();
  record.add_folders("D:\\Small");
  EXPECT_THAT(CheckUndo(record), IsOk());
}

TEST(CheckUndo, APlantedRecordCannotRemoveOtherFilesAndFolders) {
  const struct {
    const char* backup;
    const char* folder;
    const char* why;
  } cases[] = {
      {"/tmp/atk/precious.txt", "", "a file elsewhere"},
      {"/tmp/atk/backup-1.reg", "", "a file elsewhere that is called like a backup"},
      {"backup-/../../precious.reg", "", "a way out"},
      {"precious.txt", "", "a file beside the record"},
      {"backup-1.reg.undo", "", "no backup"},
      {"", "", "nothing"},
      {"backup-1.reg", "C:\\Users\\Victim", "a folder elsewhere"},
      {"backup-1.reg", "D:\\All Dumps\\Web\\Below", "a folder below the dump folder"},
      {"backup-1.reg", "D:\\All", "the beginning of a name"},
      {"backup-1.reg", "D:\\", "a drive"},
      {"backup-1.reg", "D:\\All Dumps\\..\\All Dumps", "a way up"},
      {"backup-1.reg", "D:\\All Dumps\\", "no name"},
      {"backup-1.reg", "%SystemRoot%\\Minidump", "a folder of Windows"},
  };
  for (const auto& c : cases) {
    v1::UndoRecord record = Record();
    record.set_backup(c.backup);
    if (*c.folder != '\0') record.add_folders(c.folder);
    EXPECT_THAT(
        CheckUndo(record),
        StatusIs(absl::StatusCode::kDataLoss,
                 HasSubstr(*c.folder != '\0' ? "no dump path" : "not the name of a backup")))
        << c.why;
  }
}

TEST(CheckUndo, OnlyAValueThatTheApplyWroteNamesAFolder) {
  const struct {
    const char* name;
    RegistryValue before;
    RegistryValue after;
    const char* why;
  } cases[] = {
      {"DumpFile", ExpandSzValue("C:\\Users\\Victim\\A.DMP"), ExpandSzValue("D:\\A.DMP"),
       "what stood there before"},
      {"DumpFile", ExpandSzValue("D:\\A.DMP"), SzValue("C:\\Users\\Victim\\A.DMP"),
       "a type that no apply writes"},
      {"DumpFile", ExpandSzValue("D:\\A.DMP"), ExpandSzValue("C:\\Users\\Victim\\A.EXE"),
       "a file that no policy may name"},
      {"AutoReboot", DwordValue(0), ExpandSzValue("C:\\Users\\Victim\\A.DMP"),
       "a value that is no path"},
  };
  for (const auto& c : cases) {
    v1::UndoRecord record = Record();
    v1::UndoRecord::Cell& cell = *record.mutable_cells(0);
    cell.set_name(c.name);
    SetUndoValue(c.before, *cell.mutable_before());
    SetUndoValue(c.after, *cell.mutable_after());
    record.clear_folders();
    record.add_folders("C:\\Users\\Victim");
    EXPECT_THAT(CheckUndo(record), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no dump path")))
        << c.why;
  }
}

TEST(CheckUndo, KeepsToTheTable) {
  v1::UndoRecord record = Record();
  record.add_keys("HKLM\\SYSTEM\\CurrentControlSet\\Services");
  EXPECT_THAT(CheckUndo(record), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("in the table")));
  record = Record();
  record.mutable_cells(0)->set_name("Evil");
  EXPECT_THAT(CheckUndo(record), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("in the table")));
}

}  // namespace
}  // namespace dumpwarden
