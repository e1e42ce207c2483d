// SPDX-License-Identifier: Apache-2.0
// The real inotify, below a folder of its own.
#include "agent/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <set>
#include <string>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;

class WatchTest : public testing::Test {
 protected:
  WatchTest() {
    fs::create_directory(folder_);
    Write(file_);
    Write(other_);
    auto watch =
        MakeWatch({file_, other_}, {[this](const std::string& file) { Note(file); }, [] {}});
    EXPECT_THAT(watch.status(), IsOk());
    if (watch.ok()) watch_ = *std::move(watch);
  }

  static void Write(const std::string& path) { std::ofstream(path) << "content"; }
  // Whether a change of `file` is told within ten seconds; forgets it and everything before.
  bool Tells(const std::string& file) {
    std::unique_lock lock(mutex_);
    const bool told =
        changed_.wait_for(lock, std::chrono::seconds(10), [&] { return files_.contains(file); });
    files_.clear();
    return told;
  }
  void Note(const std::string& file) {
    const std::lock_guard lock(mutex_);
    files_.insert(file);
    changed_.notify_all();
  }

  TempFolder temp_;
  std::string folder_ = temp_.File("watched");
  std::string file_ = folder_ + "/host.reg";
  std::string other_ = folder_ + "/facts.yaml";
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> files_;
  std::unique_ptr<Watch> watch_;  // last: it uses all of the above
};

TEST_F(WatchTest, TellsOfAFileThatIsWrittenOrRenamedThere) {
  Write(file_);
  EXPECT_TRUE(Tells(file_));
  Write(folder_ + "/new");
  fs::rename(folder_ + "/new", other_);
  EXPECT_TRUE(Tells(other_));
}

TEST_F(WatchTest, TellsOfAFileThatIsLinkedThere) {
  fs::remove(file_);
  EXPECT_TRUE(Tells(file_));
  Write(temp_.File("elsewhere"));
  ASSERT_EQ(link(temp_.File("elsewhere").c_str(), file_.c_str()), 0);
  EXPECT_TRUE(Tells(file_));
}

// It went on watching the folder that was moved away.
TEST_F(WatchTest, FollowsThePathWhenItsFolderIsReplaced) {
  const std::string fresh = temp_.File("fresh");
  for (int round = 0; round < 3; ++round) {
    SCOPED_TRACE(round);
    fs::create_directory(fresh);
    Write(fresh + "/host.reg");
    fs::rename(folder_, temp_.File("old"));
    fs::rename(fresh, folder_);
    EXPECT_TRUE(Tells(other_)) << "all of its files may be others";
    fs::remove_all(temp_.File("old"));
    Write(other_);
    EXPECT_TRUE(Tells(other_));
  }
}

TEST_F(WatchTest, WaitsForAFolderThatIsGone) {
  fs::remove_all(folder_);
  EXPECT_TRUE(Tells(file_));
  fs::create_directory(folder_);
  Write(other_);
  EXPECT_TRUE(Tells(other_));
  Write(file_);
  EXPECT_TRUE(Tells(file_));
}

}  // namespace
}  // namespace dumpwarden
