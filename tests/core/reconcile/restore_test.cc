// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/reconcile/apply.h"
#include "tests/support/apply_host.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Restore, BringsBackTheExactStateAbsentValuesIncluded) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  const auto restored = host.Restore(kBackup);
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(host.registry.flushed(), OldState());
  EXPECT_THAT(host.folders.folders(), IsEmpty());
  EXPECT_THAT(restored->backup, testing::EndsWith("-2.reg"));
  const int changes = host.vfs.changes();
  const auto again = host.Restore(kBackup);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->backup, "");
  EXPECT_EQ(host.vfs.changes(), changes);
}

TEST(Restore, FolderThatCannotBeSeenOrRemovedIsSaidAndDoesNotStopIt) {
  for (const bool seen : {true, false}) {
    SCOPED_TRACE(seen);
    Host host;
    ASSERT_THAT(host.Apply(), IsOk());
    if (seen) host.folders.MakeUnremovable("D:\\Dumps");
    if (!seen) host.folders.MakeUnreadable("D:\\Dumps");
    const auto restored = host.Restore(kBackup);
    ASSERT_THAT(restored, IsOk());
    EXPECT_THAT(restored->unseen, ElementsAre("D:\\Dumps"));
    EXPECT_EQ(host.registry.flushed(), OldState());
  }
}

TEST(Restore, DeletesNothingThatIsNoLongerWhatItsApplyWrote) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  host.registry.Set(kCrash, "DumpFile", ExpandSzValue("E:\\X.DMP"));
  const auto changed = host.registry.flushed();
  const int changes = host.vfs.changes();
  EXPECT_THAT(host.Restore(kBackup),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("-1.reg:"), HasSubstr("DumpFile, which is "),
                             HasSubstr("E:\\X.DMP"), HasSubstr("by hand"))));
  EXPECT_EQ(host.registry.flushed(), changed) << "AutoReboot too";
  EXPECT_EQ(host.vfs.changes(), changes);
  host.registry.Unset(kCrash, "DumpFile");
  ASSERT_THAT(host.Restore(kBackup), IsOk());
  EXPECT_EQ(host.registry.flushed(), OldState());
}

TEST(Restore, ValueThatAnotherProgramChangesMeanwhileIsInItsOwnBackup) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  bool done = false;
  host.registry.Interfere([&](FakeRegistry& registry) {
    if (!done) registry.SetElsewhere(kCrash, "AutoReboot", DwordValue(9));
    done = true;
  });
  const auto restored = host.Restore(kBackup);
  ASSERT_THAT(restored, IsOk());
  EXPECT_EQ(host.registry.flushed(), OldState());
  EXPECT_THAT(host.BackupText(restored->backup), HasSubstr("\"AutoReboot\"=dword:00000009\r\n"));
}

TEST(Restore, CanItselfBeRestored) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  const auto new_state = host.registry.flushed();
  const auto restored = host.Restore(kBackup);
  ASSERT_THAT(restored, IsOk());
  ASSERT_THAT(host.Restore(restored->backup), IsOk());
  EXPECT_EQ(host.registry.flushed(), new_state);
}

TEST(Restore, RemovesTheKeyThatItsApplyMadeAndKeepsOneThatIsInUse) {
  for (const bool in_use : {false, true}) {
    Host host;
    host.registry = FakeRegistry();
    host.registry.AddKey("HKLM\\SYSTEM\\CurrentControlSet\\Control");
    const auto before = host.registry.flushed();
    ASSERT_THAT(host.Apply(), IsOk());
    if (in_use) host.registry.Set(kCrash, "Theirs", DwordValue(1));
    if (in_use) host.folders.AddFile("D:\\Dumps");
    ASSERT_THAT(host.Restore(kBackup), IsOk());
    EXPECT_EQ(host.registry.flushed() == before, !in_use);
    EXPECT_EQ(host.folders.folders().empty(), !in_use);
  }
}

TEST(Restore, AFolderAndAKeyThatStayMakeNoNewBackupEachTime) {
  Host host;
  host.registry = FakeRegistry();
  host.registry.AddKey("HKLM\\SYSTEM\\CurrentControlSet\\Control");
  ASSERT_THAT(host.Apply(), IsOk());
  host.registry.Set(kCrash, "Theirs", DwordValue(1));
  host.folders.AddFile("D:\\Dumps");
  ASSERT_THAT(host.Restore(kBackup), IsOk());
  const std::vector<std::string> paths = host.vfs.Paths();
  const auto state = host.registry.flushed();
  host.registry.ClearLog();
  const auto again = host.Restore(kBackup);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->backup, "");
  EXPECT_EQ(host.vfs.Paths(), paths);
  EXPECT_THAT(host.registry.log(), IsEmpty());
  EXPECT_EQ(host.registry.flushed(), state);
}

TEST(Restore, RefusesWhatItsApplyDidNotCreateAndWhatIsNotInTheTable) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  const auto applied = host.registry.flushed();
  const auto backup = [](const std::string& lines) {
    return absl::StrCat("Windows Registry Editor Version 5.00\r\n\r\n", lines);
  };
  const std::string section =
      "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\r\n";
  const struct {
    std::string text;
    const char* message;
    const char* why;
  } cases[] = {
      {backup(section + "\"AutoReboot\"=-\r\n"), "x.reg:4:1:", "its apply did not create that"},
      {backup(section + "\"Evil\"=dword:1\r\n"), "not in the table", "a cell of nobody"},
      {backup(
           "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Services\\E]\r\n\"ImagePath\"=\"x\""),
       "not in the table", "a service"},
      {backup("[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\r\n"),
       "deletes the key", "a whole key"},
      {"nonsense", "x.reg:1:1:", "no .reg file"},
  };
  host.vfs.Put("/host/x.reg.undo", *host.vfs.Get(absl::StrCat(kBackup, ".undo")));
  for (const auto& c : cases) {
    SCOPED_TRACE(c.why);
    host.vfs.Put("/host/x.reg", c.text);
    EXPECT_THAT(host.Restore("/host/x.reg"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
    EXPECT_EQ(host.registry.flushed(), applied);
  }
  host.vfs.Put("/host/alone.reg", *host.vfs.Get(kBackup));
  EXPECT_THAT(host.Restore("/host/alone.reg"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("alone.reg.undo")));
  EXPECT_THAT(host.Restore("/host/none.reg"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none")));
}

TEST(Restore, FailingAnywhereLeavesAllAppliedOrAllRestored) {
  const auto new_state = NewState();
  for (int nth = 1; nth < 1000; ++nth) {
    SCOPED_TRACE(nth);
    Host host;
    ASSERT_THAT(host.Apply(), IsOk());
    host.UseFaults();
    host.faults.FailFrom(nth);
    const auto restored = host.Restore(kBackup);
    const bool fired = host.faults.fired();
    host.faults.Clear();
    host.registry.PowerCut(1);
    host.vfs.Crash();
    ASSERT_THAT(host.Recover(), IsOk());
    const auto& state = host.registry.flushed();
    EXPECT_TRUE(state == OldState() || state == new_state) << restored.status();
    if (!fired) return;
  }
}

}  // namespace
}  // namespace dumpwarden
