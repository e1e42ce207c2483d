// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/folders.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using Presence = Folders::Presence;

class MountedFoldersTest : public testing::Test {
 protected:
  void SetUp() override {
    fs::create_directory(folder_.File("c"));
    fs::create_directory(folder_.File("outside"));
    AddVolume("C:\\", folder_.File("c"));
    AddVolume("E:\\", "");
    folders_ = std::make_unique<MountedFolders>(facts_);
  }
  void AddVolume(const std::string& path, const std::string& mount) {
    v1::Facts::Volume& volume = *facts_.add_volumes();
    volume.set_path(path);
    volume.set_mount(mount);
    volume.set_boot(path == "C:\\");
  }
  std::string OnC(const std::string& path) { return folder_.File("c/" + path); }

  TempFolder folder_;
  v1::Facts facts_;
  std::unique_ptr<MountedFolders> folders_;
};

TEST_F(MountedFoldersTest, KnowsNothingOfAVolumeThatIsNotMounted) {
  EXPECT_EQ(*folders_->Look("E:\\Dumps"), Presence::kUnknown);
  EXPECT_EQ(*folders_->Look("X:\\Dumps"), Presence::kUnknown);
  EXPECT_THAT(folders_->Make("E:\\Dumps"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("not mounted")));
  EXPECT_THAT(folders_->RemoveIfEmpty("E:\\Dumps"), IsOk());
}

TEST_F(MountedFoldersTest, FindsNamesWithoutCase) {
  fs::create_directories(OnC("Dumps/KERNEL"));
  EXPECT_EQ(*folders_->Look("c:\\dumps\\Kernel"), Presence::kPresent);
  EXPECT_EQ(*folders_->Look("C:\\dumps\\other"), Presence::kAbsent);
  EXPECT_EQ(*folders_->Look("C:\\"), Presence::kPresent);
  ASSERT_THAT(folders_->Make("C:\\DUMPS\\New"), IsOk());
  EXPECT_TRUE(fs::is_directory(OnC("Dumps/New")));
}

TEST_F(MountedFoldersTest, MakesParentsForTheOwnerOnly) {
  ASSERT_THAT(folders_->Make("C:\\A\\B"), IsOk());
  struct stat info {};
  ASSERT_EQ(stat(OnC("A/B").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0700u);
  EXPECT_THAT(folders_->Make("C:\\a\\b"), IsOk()) << "again is no error";
}

TEST_F(MountedFoldersTest, SystemRootIsTheWindowsOfTheBootVolume) {
  fs::create_directories(OnC("WINDOWS/Minidump"));
  EXPECT_EQ(*folders_->Look("%SystemRoot%\\Minidump"), Presence::kPresent);
}

TEST_F(MountedFoldersTest, FollowsNoLinkAndLeavesNoMount) {
  fs::create_directory_symlink(folder_.File("outside"), OnC("Link"));
  std::ofstream(OnC("File")) << "x";
  for (const char* path : {"C:\\Link", "C:\\link\\Dumps", "C:\\File", "C:\\File\\Dumps"}) {
    EXPECT_THAT(folders_->Look(path),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("link")))
        << path;
    EXPECT_THAT(folders_->Make(path),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("link")))
        << path;
  }
  for (const char* path : {"C:\\..\\outside\\x", "C:\\a/../../outside/x", "C:\\."}) {
    EXPECT_FALSE(folders_->Make(path).ok()) << path;
    EXPECT_FALSE(folders_->Look(path).ok()) << path;
  }
  EXPECT_TRUE(fs::is_empty(folder_.File("outside")));
}

TEST_F(MountedFoldersTest, RemovesOnlyWhatIsEmpty) {
  fs::create_directories(OnC("A/B"));
  EXPECT_THAT(folders_->RemoveIfEmpty("C:\\a"), IsOk());
  EXPECT_TRUE(fs::exists(OnC("A/B")));
  EXPECT_THAT(folders_->RemoveIfEmpty("C:\\a\\b"), IsOk());
  EXPECT_FALSE(fs::exists(OnC("A/B")));
  EXPECT_THAT(folders_->RemoveIfEmpty("C:\\absent\\b"), IsOk());
  EXPECT_THAT(folders_->RemoveIfEmpty("C:\\"), IsOk());
  EXPECT_TRUE(fs::exists(OnC("")));
}

}  // namespace
}  // namespace dumpwarden
