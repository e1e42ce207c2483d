// SPDX-License-Identifier: Apache-2.0
#include "core/base/problems.h"

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;

TEST(Problems, IsOkWhenNothingIsWrong) { EXPECT_THAT(Problems("f.yaml").ToStatus(), IsOk()); }

TEST(Problems, SaysThemInTheOrderOfTheFile) {
  Problems problems("f.yaml");
  problems.Add({9, 1}, "spec", "late");
  problems.Add({2, 7}, "", "early");
  problems.Add({9, 1}, "spec", "later still");
  EXPECT_THAT(problems.messages(), ElementsAre("f.yaml:2:7: early", "f.yaml:9:1: spec: late",
                                               "f.yaml:9:1: spec: later still"));
  EXPECT_THAT(problems.ToStatus(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       "f.yaml:2:7: early\nf.yaml:9:1: spec: late\nf.yaml:9:1: spec: later still"));
}

TEST(Problems, StopsAfterAHundredAndSaysSo) {
  Problems problems("f.yaml");
  for (int line = 1; line <= 5000; ++line) problems.Add({line, 1}, "", "wrong");
  ASSERT_EQ(problems.messages().size(), 101u);
  EXPECT_THAT(problems.messages().back(), testing::HasSubstr("there are more problems"));
}

}  // namespace
}  // namespace dumpwarden
