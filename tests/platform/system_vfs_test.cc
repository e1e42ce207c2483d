// SPDX-License-Identifier: Apache-2.0
// The real disk: modes, links, limits, and messages that name the path.
#include <sys/stat.h>
#include <unistd.h>

#include <set>

#include "platform/lock_probe.h"
#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

class SystemVfsTest : public testing::Test {
 protected:
  static mode_t ModeOf(const std::string& path) {
    struct stat info {};
    EXPECT_EQ(stat(path.c_str(), &info), 0);
    return info.st_mode & 0777;
  }
  TempFolder folder_;
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::string file_ = folder_.File("file");
};

TEST_F(SystemVfsTest, WritesForTheOwnerOnly) {
  ASSERT_THAT(vfs_->Write(file_, "one"), IsOk());
  EXPECT_EQ(ModeOf(file_), 0600u);
  ASSERT_EQ(chmod(file_.c_str(), 0644), 0);
  ASSERT_THAT(vfs_->Write(file_, "2"), IsOk());
  EXPECT_EQ(ModeOf(file_), 0600u);
  EXPECT_EQ(vfs_->Read(file_, 10).value(), "2");
  ASSERT_THAT(vfs_->MakeFolder(folder_.File("sub")), IsOk());
  EXPECT_EQ(ModeOf(folder_.File("sub")), 0700u);
  EXPECT_THAT(vfs_->MakeFolder(folder_.File("sub")), IsOk());
  EXPECT_FALSE(vfs_->MakeFolder(file_).ok()) << "a file is no folder";
}

// In a folder that others may write, the name of a temp file can be waiting as a link.
TEST_F(SystemVfsTest, APlantedNameDoesNotLeadTheWriteToAnotherFile) {
  ASSERT_THAT(vfs_->Write(file_, "kept"), IsOk());
  ASSERT_EQ(chmod(file_.c_str(), 0640), 0);
  const std::string planted = folder_.File("planted");
  for (const bool hard : {false, true}) {
    SCOPED_TRACE(hard ? "hard link" : "symbolic link");
    unlink(planted.c_str());
    ASSERT_EQ(hard ? link(file_.c_str(), planted.c_str()) : symlink(file_.c_str(), planted.c_str()),
              0);
    ASSERT_THAT(vfs_->Write(planted, "new"), IsOk());
    EXPECT_EQ(vfs_->Read(planted, 10).value(), "new");
    EXPECT_EQ(vfs_->Read(file_, 10).value(), "kept");
    EXPECT_EQ(ModeOf(file_), 0640u);
  }
}

TEST_F(SystemVfsTest, AFolderThatOthersMayWriteOrOwnIsNotPrivate) {
  const std::string sub = folder_.File("sub");
  const std::string link = folder_.File("link");
  ASSERT_THAT(vfs_->MakeFolder(sub), IsOk());
  EXPECT_THAT(vfs_->CheckPrivateFolder(sub), IsOk());
  ASSERT_EQ(symlink(sub.c_str(), link.c_str()), 0);
  EXPECT_THAT(vfs_->CheckPrivateFolder(link), StatusIs(absl::StatusCode::kFailedPrecondition,
                                                       AllOf(HasSubstr(link), HasSubstr("link"))));
  for (const mode_t mode : {0770u, 0707u}) {
    ASSERT_EQ(chmod(sub.c_str(), mode), 0);
    EXPECT_THAT(vfs_->CheckPrivateFolder(sub),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("other users")));
  }
  EXPECT_THAT(vfs_->CheckPrivateFolder(folder_.File("absent")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent")));
  if (geteuid() != 0) GTEST_SKIP() << "only root can give a folder away";
  ASSERT_EQ(chmod(sub.c_str(), 0700), 0);
  ASSERT_EQ(chown(sub.c_str(), 65534, 65534), 0);
  EXPECT_THAT(vfs_->CheckPrivateFolder(sub),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("belongs to user 65534")));
}

TEST_F(SystemVfsTest, ReadsNoMoreThanIsAccepted) {
  ASSERT_THAT(vfs_->Write(file_, "12345"), IsOk());
  EXPECT_EQ(vfs_->Read(file_, 5).value(), "12345");
  EXPECT_THAT(vfs_->Read(file_, 4), StatusIs(absl::StatusCode::kResourceExhausted,
                                             AllOf(HasSubstr(file_), HasSubstr("4 bytes"))));
}

TEST_F(SystemVfsTest, NamesThePathInEveryFailure) {
  const std::string absent = folder_.File("absent");
  const std::string below = absent + "/file";
  const absl::Status failures[] = {
      vfs_->Read(absent, 1).status(), vfs_->Write(below, ""),      vfs_->Sync(absent),
      vfs_->SyncFolder(absent),       vfs_->Rename(absent, below), vfs_->MakeFolder(below),
      vfs_->List(absent).status(),    vfs_->Lock(below).status(),  vfs_->Exchange(absent, file_),
  };
  for (const absl::Status& failure : failures) {
    EXPECT_THAT(failure, StatusIs(absl::StatusCode::kNotFound,
                                  AllOf(HasSubstr(absent), HasSubstr("No such file"))));
  }
  EXPECT_THAT(vfs_->Remove(absent), IsOk());
  EXPECT_FALSE(vfs_->Exists(absent).value());
}

TEST_F(SystemVfsTest, ListsSortedAndReplacesByRename) {
  for (const char* name : {"b", "a", "c"})
    ASSERT_THAT(vfs_->Write(folder_.File(name), name), IsOk());
  ASSERT_THAT(vfs_->Rename(folder_.File("b"), folder_.File("a")), IsOk());
  EXPECT_THAT(vfs_->List(folder_.path()).value(), ElementsAre("a", "c"));
  EXPECT_EQ(vfs_->Read(folder_.File("a"), 10).value(), "b");
}

TEST_F(SystemVfsTest, ExchangesTwoNames) {
  const std::string other = folder_.File("other");
  ASSERT_THAT(vfs_->Write(file_, "one"), IsOk());
  EXPECT_THAT(vfs_->Exchange(file_, other),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr(other)));
  ASSERT_THAT(vfs_->Write(other, "two"), IsOk());
  ASSERT_THAT(vfs_->Exchange(file_, other), IsOk());
  EXPECT_EQ(vfs_->Read(file_, 10).value(), "two");
  EXPECT_EQ(vfs_->Read(other, 10).value(), "one");
}

TEST_F(SystemVfsTest, LocksOutAnother) {
  {
    ASSERT_OK_AND_ASSIGN(const auto held, vfs_->Lock(file_));
    EXPECT_THAT(vfs_->Lock(file_), StatusIs(absl::StatusCode::kUnavailable,
                                            AllOf(HasSubstr(file_), HasSubstr("Dumpwarden"))));
  }
  EXPECT_THAT(vfs_->Lock(file_), IsOk());
}

TEST_F(SystemVfsTest, LetsOneLookAtALockWithoutTakingIt) {
  EXPECT_EQ(IsLockHeld(file_).value(), false) << "there is no such file";
  {
    ASSERT_OK_AND_ASSIGN(const auto held, vfs_->Lock(file_));
    EXPECT_EQ(IsLockHeld(file_).value(), true);
  }
  EXPECT_EQ(IsLockHeld(file_).value(), false);
  EXPECT_THAT(vfs_->Lock(file_), IsOk());
}

TEST(SystemRandom, DoesNotRepeat) {
  const auto random = MakeSystemRandom();
  std::set<std::string> seen;
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(seen.insert(random->Bytes(16)).second);
  EXPECT_EQ(random->Bytes(0), "");
  for (int i = 0; i < 100; ++i) {
    const double fraction = random->Fraction();
    EXPECT_TRUE(fraction >= 0 && fraction < 1) << fraction;
  }
}

}  // namespace
}  // namespace dumpwarden
