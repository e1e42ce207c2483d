// SPDX-License-Identifier: Apache-2.0
#include "core/base/failpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>

namespace dumpwarden {
namespace {

#ifdef DUMPWARDEN_FAILPOINTS
TEST(FailpointDeathTest, KillsAtTheNamedPointOnly) {
  ASSERT_EQ(setenv("DUMPWARDEN_FAILPOINT", "apply.flushed", 1), 0);
  FAILPOINT("apply.started");
  EXPECT_EXIT(FAILPOINT("apply.flushed"), testing::KilledBySignal(SIGKILL), "");
  ASSERT_EQ(unsetenv("DUMPWARDEN_FAILPOINT"), 0);
  FAILPOINT("apply.flushed");
}

TEST(FailpointDeathTest, KillsTheTimeThatIsAskedFor) {
  ASSERT_EQ(setenv("DUMPWARDEN_FAILPOINT", "apply.set@3", 1), 0);
  FAILPOINT("apply");
  FAILPOINT("apply.se");
  FAILPOINT("apply.set");
  FAILPOINT("apply.set");
  EXPECT_EXIT(FAILPOINT("apply.set"), testing::KilledBySignal(SIGKILL), "");
  ASSERT_EQ(unsetenv("DUMPWARDEN_FAILPOINT"), 0);
}
#else
TEST(Failpoint, IsNotThereInARelease) {
  ASSERT_EQ(setenv("DUMPWARDEN_FAILPOINT", "apply.flushed", 1), 0);
  FAILPOINT("apply.flushed");
  ASSERT_EQ(unsetenv("DUMPWARDEN_FAILPOINT"), 0);
}
#endif

}  // namespace
}  // namespace dumpwarden
