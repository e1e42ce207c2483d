// SPDX-License-Identifier: Apache-2.0
#include "server/operator_calls.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

constexpr CallLimit kCalls{8, 12, "run", "wait", "calls-of-one", "calls"};
constexpr CallLimit kOthers{1, 1, "follow", "end one", "followers-of-one", "followers"};

class OperatorCallsTest : public testing::Test {
 protected:
  absl::Status Begin(const std::string& id, const CallLimit& limit = kCalls) {
    auto running = calls_.Begin(limit, id, [this, id] { cut_off_.push_back(id); });
    if (running.ok()) running_.push_back(*std::move(running));
    return running.status();
  }

  OperatorCalls calls_;
  std::vector<std::string> cut_off_;
  std::vector<std::unique_ptr<OperatorCalls::Running>> running_;
};

TEST_F(OperatorCallsTest, OfOneAreLimitedAndOthersDoNotFeelIt) {
  for (int i = 0; i < 8; ++i) EXPECT_THAT(Begin("alice"), IsOk());
  for (int i = 8; i < 800; ++i) {
    EXPECT_THAT(Begin("alice"), StatusIs(absl::StatusCode::kResourceExhausted,
                                         "8 calls of this operator run already; wait"));
  }
  EXPECT_THAT(Begin("bob"), IsOk());
  EXPECT_THAT(Begin("alice", kOthers), IsOk()) << "another kind counts apart";
  running_.erase(running_.begin());
  EXPECT_THAT(Begin("alice"), IsOk()) << "one that ended makes room";
  EXPECT_FALSE(Begin("alice").ok());
}

TEST_F(OperatorCallsTest, OfAllAreLimited) {
  for (int i = 0; i < 8; ++i) EXPECT_THAT(Begin("alice"), IsOk());
  for (int i = 0; i < 4; ++i) EXPECT_THAT(Begin("bob"), IsOk());
  for (int i = 12; i < 1200; ++i) {
    EXPECT_THAT(Begin("carol"),
                StatusIs(absl::StatusCode::kResourceExhausted, "12 calls run already; wait"));
  }
  running_.pop_back();
  EXPECT_THAT(Begin("carol"), IsOk());
}

TEST_F(OperatorCallsTest, AreCutOffByWhoseTheyAre) {
  ASSERT_THAT(Begin("alice"), IsOk());
  ASSERT_THAT(Begin("alice", kOthers), IsOk());
  ASSERT_THAT(Begin("bob"), IsOk());
  EXPECT_EQ(calls_.CutOff("alice"), 2);
  EXPECT_THAT(cut_off_, testing::ElementsAre("alice", "alice"));
  running_.clear();
  EXPECT_EQ(calls_.CutOff("alice"), 0) << "they have ended";
}

}  // namespace
}  // namespace dumpwarden
