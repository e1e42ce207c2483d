// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/status.h"

#include <gtest/gtest.h>

#include <vector>

namespace dumpwarden {
namespace {

// Design section 4: worst first.
constexpr const char* kWorstFirst[] = {
    "error",       "blocked", "contested",      "drifted",   "pending-reboot",
    "unsupported", "waived",  "not-applicable", "corrected", "compliant"};

TEST(Status, EveryWordIsAStatusAndBack) {
  for (const char* word : kWorstFirst) {
    const v1::Status status = StatusFromWord(word);
    EXPECT_NE(status, v1::STATUS_UNSPECIFIED) << word;
    EXPECT_EQ(StatusWord(status), word);
  }
  EXPECT_EQ(StatusFromWord("fine"), v1::STATUS_UNSPECIFIED);
  EXPECT_EQ(StatusWord(static_cast<v1::Status>(99)), "unknown");
  for (int number = v1::Status_MIN + 1; number <= v1::Status_MAX; ++number) {
    EXPECT_NE(StatusWord(static_cast<v1::Status>(number)), "unknown") << number;
  }
}

TEST(Status, TheWorseOneWinsBothWays) {
  for (std::size_t i = 0; i < std::size(kWorstFirst); ++i) {
    for (std::size_t j = i; j < std::size(kWorstFirst); ++j) {
      const v1::Status worse = StatusFromWord(kWorstFirst[i]);
      const v1::Status better = StatusFromWord(kWorstFirst[j]);
      EXPECT_EQ(Worse(worse, better), worse);
      EXPECT_EQ(Worse(better, worse), worse);
    }
  }
}

TEST(Status, AHostIsAsBadAsItsWorstSetting) {
  std::vector<v1::Finding> findings(3);
  EXPECT_EQ(WorstOf({}), v1::STATUS_COMPLIANT);
  findings[0].set_status(v1::STATUS_COMPLIANT);
  findings[1].set_status(v1::STATUS_DRIFTED);
  findings[2].set_status(v1::STATUS_NOT_APPLICABLE);
  EXPECT_EQ(WorstOf(findings), v1::STATUS_DRIFTED);
}

TEST(Status, FromBlockedToPendingRebootNeedsAttention) {
  std::vector<std::string> words;
  for (const char* word : kWorstFirst) {
    if (NeedsAttention(StatusFromWord(word))) words.emplace_back(word);
  }
  EXPECT_EQ(words, (std::vector<std::string>{"blocked", "contested", "drifted", "pending-reboot"}));
}

TEST(Status, ModesHaveWords) {
  EXPECT_EQ(ModeWord(v1::MODE_ENFORCE), "enforce");
  EXPECT_EQ(ModeWord(v1::MODE_AUDIT), "audit");
}

}  // namespace
}  // namespace dumpwarden
