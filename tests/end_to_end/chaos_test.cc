// SPDX-License-Identifier: Apache-2.0
// kill -9 of everything at random moments, while policies and registries change.
//   DUMPWARDEN_CHAOS_AGENTS (8), DUMPWARDEN_CHAOS_SECONDS (20), DUMPWARDEN_CHAOS_SEED (random);
//   DUMPWARDEN_BIN_DIR for the programs of another build.
#include "tests/end_to_end/chaos.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <iostream>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "tests/end_to_end/chaos_checks.h"

namespace dumpwarden {
namespace {

int Given(const char* name, int otherwise) {
  const char* text = getenv(name);
  int number = otherwise;
  if (text != nullptr && !absl::SimpleAtoi(text, &number))
    ADD_FAILURE() << name << "=" << text << " is not a number";
  return number;
}

TEST(Chaos, AfterKillsOfEverythingTheServerKnowsEveryHostAndEachDriftOnce) {
  ChaosOptions options;
  options.agents = Given("DUMPWARDEN_CHAOS_AGENTS", 8);
  options.time = absl::Seconds(Given("DUMPWARDEN_CHAOS_SECONDS", 20));
  options.seed = static_cast<unsigned>(
      Given("DUMPWARDEN_CHAOS_SEED", static_cast<int>(std::random_device{}() >> 1)));
  ASSERT_FALSE(HasFailure());
  std::cout << "DUMPWARDEN_CHAOS_SEED=" << options.seed << std::endl;
  Chaos chaos(options);
  const auto since = [start = absl::Now()] { return absl::ToInt64Seconds(absl::Now() - start); };
  ASSERT_NO_FATAL_FAILURE(chaos.Build());
  std::cout << "built after " << since() << " s" << std::endl;
  chaos.Run();
  ASSERT_TRUE(chaos.problems.empty()) << chaos.problems[0];
  ASSERT_NO_FATAL_FAILURE(chaos.Repair());
  std::cout << "repaired after " << since() << " s" << std::endl;
  ASSERT_NO_FATAL_FAILURE(CheckFindings(chaos, /*limit=*/absl::Minutes(3) + options.time));
  std::cout << "settled after " << since() << " s" << std::endl;
  CheckDrifts(chaos);
  CheckAnswers(chaos);
  CheckRegistries(chaos);
  CheckEnds(chaos);
  for (const auto& [what, count] : chaos.counts) std::cout << what << " " << count << "\n";
  // What is excused, as a lost race of the test's own writing, is the smaller part.
  EXPECT_GT(chaos.counts["drifts made"], 0);
  EXPECT_GE(2 * chaos.counts["drifts that must be told"], chaos.counts["drifts made"]);
  EXPECT_GT(chaos.counts["agents killed"], 0);
  EXPECT_GT(chaos.counts["servers killed"], 0);
}

}  // namespace
}  // namespace dumpwarden
