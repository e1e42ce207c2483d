// SPDX-License-Identifier: Apache-2.0
// The queue before the store when its disk stands still: at its limit, one
// above it, and a hundred times.  What is refused is not done, not even later.
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>

#include "server/store/group_commit.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

class CommitQueueCaps : public testing::TestWithParam<std::size_t> {};

TEST_P(CommitQueueCaps, RefuseWhatIsAboveAndDoTheRest) {
  TempFolder folder;
  std::promise<void> started, go;
  std::atomic<std::size_t> worked = 0, committed = 0, refused = 0;
  {
    GroupCommit writer(Database::Open(folder.File("db"), Database::Durability::kFull).value());
    writer.Submit(
        [&](Database&) {
          started.set_value();
          go.get_future().wait();
          return absl::OkStatus();
        },
        [](const absl::Status&) {});
    started.get_future().wait();
    for (std::size_t i = 0; i < GetParam(); ++i) {
      writer.Submit(
          [&](Database&) {
            ++worked;
            return absl::OkStatus();
          },
          [&](const absl::Status& status) { ++(status.ok() ? committed : refused); });
    }
    go.set_value();
  }
  EXPECT_EQ(worked, GroupCommit::kMaxQueued);
  EXPECT_EQ(committed, GroupCommit::kMaxQueued);
  EXPECT_EQ(refused, GetParam() - GroupCommit::kMaxQueued);
}

INSTANTIATE_TEST_SUITE_P(Counts, CommitQueueCaps,
                         testing::Values(GroupCommit::kMaxQueued, GroupCommit::kMaxQueued + 1,
                                         100 * GroupCommit::kMaxQueued));

}  // namespace
}  // namespace dumpwarden
