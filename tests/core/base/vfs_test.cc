// SPDX-License-Identifier: Apache-2.0
// The order of calls is the behaviour here, so they are recorded.  What the
// real disk does with them is tests/platform/system_vfs_test.cc.
#include "core/base/vfs.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;

class RecordingVfs : public Vfs {
 public:
  explicit RecordingVfs(std::string failing = "") : failing_(std::move(failing)) {}
  absl::StatusOr<std::string> Read(const std::string&, std::size_t) override { return ""; }
  absl::Status Write(const std::string& path, absl::string_view bytes) override {
    return Did(absl::StrCat("write ", path, " ", bytes));
  }
  absl::Status Sync(const std::string& path) override { return Did("sync " + path); }
  absl::Status SyncFolder(const std::string& path) override { return Did("sync folder " + path); }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    return Did(absl::StrCat("rename ", from, " ", to));
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    return Did(absl::StrCat("exchange ", a, " ", b));
  }
  absl::Status Remove(const std::string& path) override { return Did("remove " + path); }
  absl::StatusOr<bool> Exists(const std::string&) override { return true; }
  absl::Status MakeFolder(const std::string&) override { return absl::OkStatus(); }
  absl::Status CheckPrivateFolder(const std::string&) override { return absl::OkStatus(); }
  absl::StatusOr<std::vector<std::string>> List(const std::string&) override {
    return std::vector<std::string>{};
  }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string&) override {
    return absl::UnimplementedError("not used here");
  }
  std::vector<std::string> done;

 private:
  absl::Status Did(const std::string& what) {
    done.push_back(what);
    if (failing_.empty() || what.find(failing_) != 0) return absl::OkStatus();
    return absl::DataLossError("disk full");
  }
  std::string failing_;
};

TEST(Vfs, WritesDurablyInTheOneOrderThatSurvivesAPowerCut) {
  RecordingVfs vfs;
  EXPECT_THAT(WriteDurably(vfs, "/a/b", "x"), IsOk());
  EXPECT_THAT(vfs.done, ElementsAre("write /a/b.tmp x", "sync /a/b.tmp", "rename /a/b.tmp /a/b",
                                    "sync folder /a"));
}

TEST(Vfs, LeavesTheOldFileAndNoTempFileWhenWritingFails) {
  for (const char* failing : {"write", "sync /", "rename"}) {
    RecordingVfs vfs(failing);
    EXPECT_THAT(WriteDurably(vfs, "/a/b", "x"), StatusIs(absl::StatusCode::kDataLoss, "disk full"));
    EXPECT_EQ(vfs.done.back(), "remove /a/b.tmp") << failing;
  }
}

TEST(Vfs, SaysWhenTheFolderCouldNotBeSynced) {
  RecordingVfs vfs("sync folder");
  EXPECT_THAT(WriteDurably(vfs, "/a/b", "x"), StatusIs(absl::StatusCode::kDataLoss, "disk full"));
  EXPECT_THAT(RemoveDurably(vfs, "/a/b"), StatusIs(absl::StatusCode::kDataLoss, "disk full"));
}

TEST(Vfs, RemovesDurably) {
  RecordingVfs vfs;
  EXPECT_THAT(RemoveDurably(vfs, "b"), IsOk());
  EXPECT_THAT(vfs.done, ElementsAre("remove b", "sync folder ."));
}

TEST(Vfs, KnowsTheFolderOfAPath) {
  EXPECT_EQ(FolderOf("/a/b"), "/a");
  EXPECT_EQ(FolderOf("/b"), "/");
  EXPECT_EQ(FolderOf("b"), ".");
  EXPECT_EQ(FolderOf("a/b/c"), "a/b");
}

}  // namespace
}  // namespace dumpwarden
