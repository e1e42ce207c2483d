// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/apply.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/reconcile/status.h"
#include "core/reconcile/undo.h"
#include "tests/support/apply_host.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

TEST(Apply, DeletesThenMakesFoldersThenSets) {
  Host host;
  const auto applied = host.Apply();
  ASSERT_THAT(applied, IsOk());
  EXPECT_EQ(applied->backup, kBackup);
  ASSERT_THAT(applied->plan.edits, Not(IsEmpty()));
  EXPECT_EQ(applied->plan.edits[0].action, Edit::Action::kDelete);
  EXPECT_EQ(host.registry.log()[0], absl::StrCat("delete ", kCrash, " FilterPages"));
  EXPECT_EQ(host.registry.log().back(), "flush");
  EXPECT_EQ(host.registry.Get(kCrash, "FilterPages"), std::nullopt);
  EXPECT_EQ(host.registry.Get(kCrash, "DumpFile"), ExpandSzValue("D:\\Dumps\\MEMORY.DMP"));
  EXPECT_THAT(host.folders.folders(), ElementsAre("d:\\dumps"));
  EXPECT_FALSE(host.vfs.Get(kUndo).has_value());
}

TEST(Apply, MatchingHostIsNotTouchedAtAll) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  host.registry.ClearLog();
  const std::vector<std::string> paths = host.vfs.Paths();
  const int changes = host.vfs.changes();
  const auto again = host.Apply();
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->backup, "");
  EXPECT_THAT(host.registry.log(), IsEmpty());
  EXPECT_EQ(host.vfs.Paths(), paths);
  EXPECT_EQ(host.vfs.changes(), changes);
}

TEST(Apply, EmptyPlanMakesNoFolder) {
  Host host;
  host.desired.decisions.clear();
  ASSERT_THAT(host.Apply(), IsOk());
  EXPECT_EQ(host.vfs.changes(), 0);
}

// P3: a kill after the first write finds it there, a power cut too.
TEST(Apply, BackupIsOnDiskBeforeTheFirstWrite) {
  Host host;
  bool asked = false;
  host.registry.Interfere([&](FakeRegistry&) {
    if (std::exchange(asked, true)) return;
    host.vfs.Crash();
    EXPECT_THAT(host.BackupText(kBackup), HasSubstr("FilterPages"));
  });
  host.Apply().status().IgnoreError();
  EXPECT_TRUE(asked);
}

TEST(Apply, BackupHoldsWhatStoodThereAndWhatDidNot) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  const std::string text = host.BackupText(kBackup);
  EXPECT_THAT(text, testing::StartsWith("Windows Registry Editor Version 5.00\r\n"));
  EXPECT_THAT(text, HasSubstr("; Dumpwarden backup: what stood here before the change of "
                              "2026-11-22T17:00:00Z\r\n; Host: SYSTEM\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\"
                              "CrashControl]\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\n\"FilterPages\"=dword:00000001\r\n"));
  EXPECT_THAT(text, HasSubstr("\r\n\"DumpFile\"=-\r\n"));
}

TEST(Apply, NeverOverwritesABackup) {
  Host host;
  host.vfs.Put(kBackup, "older");
  const auto applied = host.Apply();
  ASSERT_THAT(applied, IsOk());
  EXPECT_THAT(applied->backup, testing::EndsWith("-2.reg"));
  EXPECT_EQ(host.vfs.Get(kBackup), "older");
}

TEST(Apply, UnwritableStateFolderStopsItBeforeAnything) {
  for (const char* folder : {"/host", kPlace}) {
    Host host;
    if (folder == std::string(kPlace)) host.vfs.AddFolder(kPlace);
    host.vfs.MakeUnwritable(folder);
    EXPECT_THAT(host.Apply(), StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("denied")));
    EXPECT_THAT(host.registry.log(), IsEmpty());
    EXPECT_THAT(host.folders.folders(), IsEmpty());
  }
}

TEST(Apply, RegistryThatCannotBeWrittenIsRefusedBeforeAnythingIsTouched) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  host.registry.Set(kCrash, "AutoReboot", DwordValue(1));
  host.registry.RefuseWrites(absl::FailedPreconditionError("dirty; use --force-dirty"));
  const int changes = host.vfs.changes();
  for (const auto& refused : {host.Apply(), host.Restore(kBackup)}) {
    EXPECT_THAT(refused,
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--force-dirty")));
  }
  EXPECT_EQ(host.vfs.changes(), changes);
}

TEST(Apply, AnotherOneAtWorkIsWaitedForAndThenSaid) {
  Host host;
  host.vfs.AddFolder(kPlace);
  const auto lock = host.vfs.Lock(absl::StrCat(kPlace, "/lock"));
  ASSERT_THAT(lock, IsOk());
  EXPECT_THAT(host.Apply(), StatusIs(absl::StatusCode::kUnavailable, HasSubstr("locked")));
  EXPECT_EQ(host.registry.flushed(), OldState());
}

TEST(Apply, ValueThatDoesNotReadBackRollsBackAll) {
  Host host;
  host.registry.IgnoreWritesOf(kCrash, "DumpFile");
  EXPECT_THAT(host.Apply(), StatusIs(absl::StatusCode::kDataLoss,
                                     HasSubstr("DumpFile reads back as absent instead of")));
  EXPECT_EQ(host.registry.flushed(), OldState());
  EXPECT_THAT(host.folders.folders(), IsEmpty());
  EXPECT_THAT(host.vfs.Paths(), ElementsAre(absl::StrCat(kPlace, "/lock")));
}

TEST(Apply, RollingBackLeavesWhatSomebodyElseWroteMeanwhile) {
  Host host;
  host.UseFaults();
  int writes = 0;
  host.registry.Interfere([&](FakeRegistry& registry) {
    if (++writes == 3) registry.Set(kCrash, "FilterPages", DwordValue(5));
  });
  host.registry.IgnoreWritesOf(kCrash, "DumpFile");
  EXPECT_FALSE(host.Apply().ok());
  EXPECT_EQ(host.registry.Get(kCrash, "FilterPages"), DwordValue(5));
  EXPECT_EQ(host.registry.Get(kCrash, "AutoReboot"), DwordValue(1));
}

// What the report, the backup and the registry say of a value that another program changes while
// the apply is at work, before the first value or just before its own is written.
TEST(Apply, ValueThatAnotherProgramChangesMeanwhileIsPlannedForAnew) {
  for (const bool elsewhere : {false, true}) {
    SCOPED_TRACE(elsewhere ? "seen by Flush" : "seen before the write");
    Host host;
    bool done = false;
    host.registry.Interfere([&](FakeRegistry& registry) {
      if (done) return;
      done = true;
      if (elsewhere) registry.SetElsewhere(kCrash, "AutoReboot", DwordValue(9));
      if (!elsewhere) registry.Set(kCrash, "AutoReboot", DwordValue(9));
    });
    const auto applied = host.Apply();
    ASSERT_THAT(applied, IsOk());
    EXPECT_EQ(host.registry.flushed(), NewState());
    EXPECT_THAT(host.BackupText(applied->backup), HasSubstr("\"AutoReboot\"=dword:00000009\r\n"));
    const auto& edits = applied->plan.edits;
    const auto edit = std::find_if(edits.begin(), edits.end(),
                                   [](const Edit& e) { return e.name == "AutoReboot"; });
    ASSERT_NE(edit, edits.end());
    EXPECT_EQ(edit->from, DwordValue(9));
  }
}

// The settings of a file that another program had put in our file's place were each tried again by
// themselves, so that the host had some of the policy and not the rest.
TEST(Apply, FileOfAnotherProgramThatComesBeforeTheReadBackIsPlannedForAnew) {
  Host host;
  bool done = false;
  host.registry.InterfereAfterFlush([&](FakeRegistry& registry) {
    if (std::exchange(done, true)) return;
    registry.SetElsewhere(kCrash, "FilterPages", DwordValue(1));  // as before
    registry.SetElsewhere(kCrash, "AutoReboot", DwordValue(9));
  });
  const auto applied = host.Apply();
  ASSERT_THAT(applied, IsOk());
  EXPECT_EQ(host.registry.flushed(), NewState());
  EXPECT_THAT(host.BackupText(applied->backup), HasSubstr("\"AutoReboot\"=dword:00000009\r\n"));
}

TEST(Apply, GivesUpWhenAnotherProgramNeverStopsAndLeavesItsValue) {
  Host host;
  std::uint32_t theirs = 100;
  host.registry.Interfere([&](FakeRegistry& registry) {
    if (!registry.Get(kCrash, "FilterPages")) return;  // once a try: before the first deletion
    registry.SetElsewhere(kCrash, "AutoReboot", DwordValue(++theirs));
  });
  EXPECT_THAT(host.Apply(),
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("AutoReboot was changed by another program meanwhile"),
                             HasSubstr("everything is as before"))));
  EXPECT_EQ(theirs, 103u) << "three tries";
  EXPECT_EQ(host.registry.Get(kCrash, "AutoReboot"), DwordValue(103));
  EXPECT_EQ(host.registry.Get(kCrash, "FilterPages"), DwordValue(1));
  EXPECT_THAT(host.vfs.Paths(), ElementsAre(absl::StrCat(kPlace, "/lock")));
}

TEST(Apply, BackupThatRestoreCouldNotReadIsRefusedBeforeAnythingIsTouched) {
  Host probe;
  ASSERT_THAT(probe.Apply(), IsOk());
  const std::size_t size = probe.vfs.Get(kBackup)->size();
  Host host;
  const auto applier = [&](std::size_t limit) {
    return Applier(host.registry, host.folders, host.vfs, host.clock, {kPlace, "SYSTEM", limit});
  };
  EXPECT_THAT(applier(size - 1).Apply(host.desired, host.facts),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr(absl::StrCat(size)), HasSubstr("nothing was changed"))));
  EXPECT_EQ(host.vfs.changes(), 0);
  EXPECT_THAT(host.registry.log(), IsEmpty());
  ASSERT_THAT(applier(size).Apply(host.desired, host.facts), IsOk());
  EXPECT_THAT(applier(size - 1).Restore(kBackup),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr(kBackup)));
  EXPECT_THAT(applier(2 * size).Restore(kBackup), IsOk()) << "its own is larger";
  EXPECT_EQ(host.registry.flushed(), OldState());
}

TEST(Apply, FolderThatCannotBeRemovedDoesNotStopTheRollBack) {
  Host host;
  host.registry.IgnoreWritesOf(kCrash, "DumpFile");
  host.folders.MakeUnremovable("D:\\Dumps");
  EXPECT_THAT(host.Apply(),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr("everything is as before"), HasSubstr("D:\\Dumps"))));
  EXPECT_EQ(host.registry.flushed(), OldState());
  EXPECT_FALSE(host.vfs.Get(kUndo).has_value());
}

// Walks a fault through every call that an apply makes.  Returns how many there were.
template <typename Arm, typename Check>
int WalkFaults(Arm arm, Check check) {
  for (int nth = 1; nth < 1000; ++nth) {
    SCOPED_TRACE(absl::StrCat("call ", nth));
    Host host;
    host.UseFaults();
    arm(host.faults, nth);
    const auto applied = host.Apply();
    if (!host.faults.fired()) return nth;
    check(host, applied);
    if (testing::Test::HasFailure()) return nth;
  }
  ADD_FAILURE() << "never got through";
  return 0;
}

TEST(Apply, OneFailingCallLeavesAllOldOrAllNew) {
  const auto old_state = OldState();
  const auto new_state = NewState();
  const auto once = [](Faults& faults, int nth) { faults.FailOnce(nth); };
  const auto check = [&](Host& host, const absl::StatusOr<Applied>& applied) {
    if (!applied.ok()) {
      EXPECT_EQ(host.registry.flushed(), old_state) << applied.status();
    } else if (const v1::Status worst = WorstOf(applied->plan.findings);
               worst != v1::STATUS_ERROR && worst != v1::STATUS_BLOCKED) {
      // Otherwise a cell could not be read or a folder not be looked at, and is left alone.
      EXPECT_EQ(host.registry.flushed(), new_state);
    }
    EXPECT_THAT(host.Recover(), IsOk());
    EXPECT_FALSE(host.vfs.Get(kUndo).has_value());
    EXPECT_THAT(host.Apply(), IsOk());
    EXPECT_EQ(host.registry.flushed(), new_state);
  };
  const int calls = WalkFaults(once, check);
  EXPECT_GT(calls, 30);
}

// The seed 68 of the simulation: the last sync failed, and the roll-back wrote without a record.
TEST(Apply, NothingIsWrittenWithoutAnUndoRecordWhicheverCallFails) {
  for (int nth = 1; nth < 1000; ++nth) {
    SCOPED_TRACE(nth);
    Host host;
    host.UseFaults();
    host.faults.FailOnce(nth);
    host.registry.Interfere(
        [&host](FakeRegistry&) { EXPECT_TRUE(host.vfs.Get(kUndo).has_value()); });
    host.Apply().IgnoreError();
    if (!host.faults.fired()) return;
  }
}

// Killed at any call: nothing of ours runs any more.  With the power gone too, what was not synced
// is lost, and what the registry had not flushed is lost or, in part, not.
TEST(Apply, KilledAnywhereTheNextStartEndsAllOldOrAllNew) {
  const auto old_state = OldState();
  const auto new_state = NewState();
  for (const bool power : {false, true}) {
    for (const auto entries : {MemoryVfs::Entries::kAsSynced, MemoryVfs::Entries::kAsWritten}) {
      for (const std::size_t kept : {0u, 1u, 2u, 99u}) {
        SCOPED_TRACE(absl::StrCat("power ", power, " kept ", kept));
        WalkFaults([](Faults& faults, int nth) { faults.FailFrom(nth); },
                   [&](Host& host, const absl::StatusOr<Applied>&) {
                     host.faults.Clear();
                     host.registry.PowerCut(kept);
                     if (power) host.vfs.Crash(entries);
                     const auto recovered = host.Recover();
                     ASSERT_THAT(recovered, IsOk());
                     const auto& state = host.registry.flushed();
                     EXPECT_TRUE(state == old_state || state == new_state);
                     EXPECT_EQ(host.folders.folders().empty(), state == old_state);
                     EXPECT_THAT(host.Apply(), IsOk());
                     EXPECT_EQ(host.registry.flushed(), new_state);
                   });
      }
    }
  }
}

TEST(Recover, KilledWhileRecoveringItIsFinishedLater) {
  for (int nth = 1; nth < 1000; ++nth) {
    SCOPED_TRACE(nth);
    Host host;
    ASSERT_THAT(host.Apply(), IsOk());  // now put its record back, as if killed before filing it
    ASSERT_THAT(host.vfs.Rename(absl::StrCat(kBackup, ".undo"), kUndo), IsOk());
    host.UseFaults();
    host.faults.FailFrom(nth);
    const auto first = host.Recover();
    const bool fired = host.faults.fired();
    host.faults.Clear();
    host.registry.PowerCut();
    host.vfs.Crash(MemoryVfs::Entries::kAsWritten);
    ASSERT_THAT(host.Recover(), IsOk());
    EXPECT_EQ(host.registry.flushed(), OldState());
    if (!fired) {
      EXPECT_TRUE(*first);
      return;
    }
  }
}

TEST(Recover, FolderThatCannotBeRemovedIsNoFailure) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  ASSERT_THAT(host.vfs.Rename(absl::StrCat(kBackup, ".undo"), kUndo), IsOk());
  host.folders.MakeUnremovable("D:\\Dumps");
  Applier applier = host.MakeApplier();
  EXPECT_THAT(applier.Recover(), IsOk());
  EXPECT_THAT(applier.left_folders(), ElementsAre("D:\\Dumps"));
  EXPECT_EQ(host.registry.flushed(), OldState());
  EXPECT_FALSE(host.vfs.Get(kUndo).has_value());
}

TEST(Recover, LeavesCellsThatSomebodyElseChangedSince) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  ASSERT_THAT(host.vfs.Rename(absl::StrCat(kBackup, ".undo"), kUndo), IsOk());
  host.registry.Set(kCrash, "DumpFile", ExpandSzValue("E:\\X.DMP"));
  EXPECT_THAT(host.Recover(), IsOk());
  EXPECT_EQ(host.registry.Get(kCrash, "DumpFile"), ExpandSzValue("E:\\X.DMP"));
  EXPECT_EQ(host.registry.Get(kCrash, "FilterPages"), DwordValue(1));
}

TEST(Recover, HasNothingToDoOnAQuietHost) {
  Host host;
  EXPECT_THAT(host.Recover(), IsOk());
  EXPECT_EQ(host.vfs.changes(), 0);
}

TEST(Recover, DamagedRecordIsAnErrorThatSaysWhatToDo) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  const std::string good = *host.vfs.Get(absl::StrCat(kBackup, ".undo"));
  v1::UndoRecord foreign;
  foreign.add_cells()->set_key("HKLM\\SYSTEM\\CurrentControlSet\\Services\\Evil");
  std::string flipped = good;
  flipped.back() = static_cast<char>(flipped.back() ^ 1);
  for (const std::string& bad : {std::string(), good.substr(0, 40), good.substr(0, good.size() - 1),
                                 flipped, FormatUndo(foreign)}) {
    host.vfs.Put(kUndo, bad);
    EXPECT_THAT(host.Recover(), StatusIs(absl::StatusCode::kDataLoss,
                                         AllOf(HasSubstr(kUndo), HasSubstr("by hand"))));
    EXPECT_THAT(host.Apply().status(), IsOk()) << "matching: nothing to do";
  }
}

TEST(Recover, APlantedRecordRemovesNothing) {
  Host host;
  host.vfs.Put("/tmp/precious.txt", "kept");
  host.folders.AddFolder("D:\\Victim");
  v1::UndoRecord planted;
  planted.set_backup("/tmp/precious.txt");
  host.vfs.Put(kUndo, FormatUndo(planted));
  EXPECT_THAT(host.Apply(), StatusIs(absl::StatusCode::kDataLoss,
                                     AllOf(HasSubstr(kUndo), HasSubstr("/tmp/precious.txt"))));
  EXPECT_EQ(host.vfs.Get("/tmp/precious.txt"), "kept");
  planted.set_backup("backup-1.reg");
  planted.add_folders("D:\\Victim");
  host.vfs.Put(kUndo, FormatUndo(planted));
  EXPECT_THAT(host.Recover(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("Victim")));
  EXPECT_THAT(host.folders.folders(), ElementsAre("d:\\victim"));
}

TEST(Recover, UndoesAnApplyThatOnlyMadeTheFolder) {
  Host host;
  ASSERT_THAT(host.Apply(), IsOk());
  ASSERT_THAT(host.folders.RemoveIfEmpty("D:\\Dumps"), IsOk());
  const auto second = host.Apply();
  ASSERT_THAT(second, IsOk());
  EXPECT_THAT(host.folders.folders(), ElementsAre("d:\\dumps"));
  ASSERT_THAT(host.vfs.Rename(absl::StrCat(second->backup, ".undo"), kUndo), IsOk());
  EXPECT_THAT(host.Recover(), IsOk());
  EXPECT_THAT(host.folders.folders(), IsEmpty());
  EXPECT_EQ(host.registry.flushed(), NewState());
}

}  // namespace
}  // namespace dumpwarden
