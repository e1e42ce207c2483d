// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/reg_file_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "platform/system.h"
#include "tests/support/memory_vfs.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kPath[] = "/host/web.reg";
constexpr char kKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
constexpr char kHost[] =
    "Windows Registry Editor Version 5.00\n\n"
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\n"
    "; ours\n\"AutoReboot\"=dword:00000001\n"
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\ControlSet001\\Control\\CrashControl]\n"
    "\"AutoReboot\"=dword:00000005\n";

class RegFileRegistryTest : public testing::Test {
 protected:
  void SetUp() override {
    vfs_.Put(kPath, kHost);
    ASSERT_OK_AND_ASSIGN(registry_, RegFileRegistry::Open(kPath, vfs_));
  }
  MemoryVfs vfs_;
  std::unique_ptr<RegFileRegistry> registry_;
};

TEST_F(RegFileRegistryTest, SpeaksCurrentControlSetAndLeavesOthersAlone) {
  EXPECT_EQ(*registry_->Read(kKey, "AutoReboot"), DwordValue(1));
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
  ASSERT_THAT(registry_->Flush(), IsOk());
  EXPECT_THAT(*vfs_.Get(kPath), HasSubstr("; ours\n\"AutoReboot\"=dword:00000000\n"));
  EXPECT_THAT(*vfs_.Get(kPath), HasSubstr("\"AutoReboot\"=dword:00000005\n"));
}

TEST_F(RegFileRegistryTest, NothingNewIsNoWrite) {
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(1)), IsOk());
  ASSERT_THAT(registry_->Write(kKey, "LogEvent", DwordValue(1)), IsOk());
  ASSERT_THAT(registry_->Delete(kKey, "LogEvent"), IsOk());
  ASSERT_THAT(registry_->Flush(), IsOk());
  EXPECT_EQ(vfs_.changes(), 0) << "a value written and taken back";
}

// In a folder that others may write, the name of the temp file can be waiting as a link.
TEST(RegFileRegistryOnDisk, APlantedTempNameLeavesTheOtherFileAlone) {
  const TempFolder folder;
  const auto vfs = MakeSystemVfs();
  const std::string host = folder.File("host.reg");
  const std::string other = folder.File("other");
  ASSERT_THAT(vfs->Write(host, kHost), IsOk());
  ASSERT_THAT(vfs->Write(other, "kept"), IsOk());
  ASSERT_EQ(chmod(host.c_str(), 0644), 0);
  for (const bool hard : {false, true}) {
    SCOPED_TRACE(hard ? "hard link" : "symbolic link");
    const std::string planted = absl::StrCat(host, ".dumpwarden-tmp");
    ASSERT_EQ(hard ? link(other.c_str(), planted.c_str()) : symlink(other.c_str(), planted.c_str()),
              0);
    ASSERT_OK_AND_ASSIGN(const auto registry, RegFileRegistry::Open(host, *vfs));
    ASSERT_THAT(registry->Write(kKey, "LogEvent", DwordValue(hard ? 1 : 0)), IsOk());
    ASSERT_THAT(registry->Flush(), IsOk());
    struct stat info {};
    ASSERT_EQ(stat(other.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777u, 0600u);
    EXPECT_EQ(vfs->Read(other, 10).value(), "kept");
    ASSERT_EQ(stat(host.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777u, 0644u);
  }
}

TEST_F(RegFileRegistryTest, KeepsAnEditThatSomebodyElseMadeMeanwhile) {
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
  vfs_.Put(kPath, absl::StrCat(kHost, "; theirs\n\"Other\"=dword:00000007\n"));
  ASSERT_THAT(registry_->Flush(), IsOk());
  EXPECT_THAT(*vfs_.Get(kPath), HasSubstr("; theirs\n\"Other\"=dword:00000007\n"));
  EXPECT_THAT(*vfs_.Get(kPath), HasSubstr("\"AutoReboot\"=dword:00000000\n"));
}

// The other program writes its whole file when ours is written and waits to be put in place, and
// once more while the first of its files is put back.
TEST_F(RegFileRegistryTest, AFileThatComesBetweenReadingAndReplacingIsNotLost) {
  for (const bool can_exchange : {true, false}) {
    SCOPED_TRACE(can_exchange);
    SetUp();
    if (!can_exchange) vfs_.RefuseExchange();
    ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
    int left = 2;
    vfs_.Interfere([&](MemoryVfs& vfs) {
      if (left-- > 0) vfs.Put(kPath, absl::StrCat(kHost, "; theirs ", left, "\n"));
    });
    ASSERT_THAT(registry_->Flush(), IsOk());
    EXPECT_THAT(*vfs_.Get(kPath), HasSubstr("; theirs 0\n"));
    EXPECT_THAT(*vfs_.Get(kPath), HasSubstr("\"AutoReboot\"=dword:00000000\n"));
    EXPECT_THAT(vfs_.Paths(), testing::ElementsAre(kPath));
  }
}

TEST_F(RegFileRegistryTest, GivesUpAgainstOneWhoNeverStopsAndLosesNothing) {
  for (const bool can_exchange : {true, false}) {
    SCOPED_TRACE(can_exchange);
    SetUp();
    if (!can_exchange) vfs_.RefuseExchange();
    ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
    int written = 0;
    vfs_.Interfere([&](MemoryVfs& vfs) {
      const bool ours = absl::StrContains(*vfs.Get(kPath), "dword:00000000");
      if (!ours) vfs.Put(kPath, absl::StrCat(kHost, "; theirs ", ++written, "\n"));
    });
    EXPECT_THAT(registry_->Flush(),
                StatusIs(absl::StatusCode::kAborted, HasSubstr("by another program meanwhile")));
    EXPECT_EQ(vfs_.Get(kPath), absl::StrCat(kHost, "; theirs ", written, "\n")) << "the last one";
    EXPECT_THAT(vfs_.Paths(), testing::ElementsAre(kPath));
  }
}

TEST_F(RegFileRegistryTest, AFileThatCannotBeComparedGoesBack) {
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
  Faults faults;
  vfs_.UseFaults(faults);
  vfs_.Interfere([&](MemoryVfs&) { faults.FailOnce(2); });  // the read behind the exchange
  EXPECT_THAT(registry_->Flush(),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("/host/web.reg.dumpwarden-tmp")));
  EXPECT_EQ(vfs_.Get(kPath), kHost);
}

// A kill between the exchange and the removal of what came out.
TEST_F(RegFileRegistryTest, ATempFileLeftBehindGoesWithTheNextWrite) {
  vfs_.Put(absl::StrCat(kPath, ".dumpwarden-tmp"), "an old host");
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
  ASSERT_THAT(registry_->Flush(), IsOk());
  EXPECT_THAT(vfs_.Paths(), testing::ElementsAre(kPath));
}

TEST_F(RegFileRegistryTest, WhatSomebodyElseBrokeIsAnErrorAndStays) {
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
  vfs_.Put(kPath, "half a li");
  EXPECT_THAT(registry_->Flush(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("/host/web.reg:1:1")));
  EXPECT_EQ(vfs_.Get(kPath), "half a li");
}

TEST_F(RegFileRegistryTest, FlushSurvivesAPowerCut) {
  ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
  ASSERT_THAT(registry_->Flush(), IsOk());
  for (const auto entries : {MemoryVfs::Entries::kAsWritten, MemoryVfs::Entries::kAsSynced}) {
    vfs_.Crash(entries);
    ASSERT_THAT(registry_->Reload(), IsOk());
    EXPECT_EQ(*registry_->Read(kKey, "AutoReboot"), DwordValue(0));
  }
}

TEST_F(RegFileRegistryTest, FailedFlushLeavesTheOldFile) {
  Faults faults;
  for (int nth = 1;; ++nth) {
    vfs_.Put(kPath, kHost);
    ASSERT_THAT(registry_->Reload(), IsOk());
    ASSERT_THAT(registry_->Write(kKey, "AutoReboot", DwordValue(0)), IsOk());
    vfs_.UseFaults(faults);
    faults.FailFrom(nth);
    const absl::Status flushed = registry_->Flush();
    const bool fired = faults.fired();
    faults.Clear();
    vfs_.Crash();
    if (!fired) break;
    // Flushed, only what came out of the exchange stays behind.
    EXPECT_EQ(vfs_.Get(kPath) == kHost, !flushed.ok()) << "call " << nth;
  }
}

TEST_F(RegFileRegistryTest, AbsentFileIsNotFound) {
  EXPECT_THAT(RegFileRegistry::Open("/host/none.reg", vfs_),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/host/none.reg")));
}

}  // namespace
}  // namespace dumpwarden
