// SPDX-License-Identifier: Apache-2.0
#include "server/operator_calls.h"

#include <gtest/gtest.h>

#include <vector>

namespace dumpwarden {
namespace {

TEST(OperatorCalls, OfOneAreLimitedAndOthersDoNotFeelIt) {
  OperatorCalls calls(8);
  std::vector<std::unique_ptr<OperatorCalls::Running>> running;
  for (int i = 0; i < 8; ++i) {
    running.push_back(calls.Begin("alice"));
    EXPECT_NE(running.back(), nullptr);
  }
  for (int i = 8; i < 800; ++i) EXPECT_EQ(calls.Begin("alice"), nullptr);
  EXPECT_NE(calls.Begin("bob"), nullptr);
  running.pop_back();
  running.push_back(calls.Begin("alice"));
  EXPECT_NE(running.back(), nullptr) << "one that ended makes room";
  EXPECT_EQ(calls.Begin("alice"), nullptr);
}

}  // namespace
}  // namespace dumpwarden
