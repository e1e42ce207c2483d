// SPDX-License-Identifier: Apache-2.0
// simulation_test --seed=N [--trace] runs one seed; without, a range of them:
// DUMPWARDEN_SIM_SEEDS (20) from DUMPWARDEN_SIM_FIRST (1) on.
#include "tests/simulation/simulation.h"

#include <gmock/gmock.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dumpwarden::sim {
namespace {

// Seeds that failed once, and what they found.
constexpr std::uint64_t kPastFailures[] = {3, 4, 6, 8, 43, 68, 2005, 2026, 11757, 1001105, 1010177};

std::uint64_t FromEnvironment(const char* name, std::uint64_t fallback) {
  std::uint64_t number = 0;
  const char* text = std::getenv(name);
  return text != nullptr && absl::SimpleAtoi(text, &number) ? number : fallback;
}

std::string Repro(std::uint64_t seed) {
  return absl::StrCat("build/dev/tests/simulation_test --seed=", seed);
}

bool RunSeed(std::uint64_t seed, FaultCounts& counts) {
  Simulation simulation(seed);
  const bool held = simulation.Run();
  counts.Add(simulation.world().counts);
  if (!held) {
    ADD_FAILURE() << simulation.world().failure() << "\n  again: " << Repro(seed);
  }
  return held;
}

TEST(Simulation, HoldsOverSeeds) {
  const std::uint64_t first = FromEnvironment("DUMPWARDEN_SIM_FIRST", 1);
  const std::uint64_t seeds = FromEnvironment("DUMPWARDEN_SIM_SEEDS", 20);
  FaultCounts counts;
  int failures = 0;
  for (std::uint64_t seed = first; seed < first + seeds && failures < 5; ++seed) {
    if (!RunSeed(seed, counts)) ++failures;
  }
  if (std::getenv("DUMPWARDEN_SIM_COUNTS") != nullptr) std::fputs(counts.ToText().c_str(), stdout);
  if (seeds < 100 || failures > 0) return;
  EXPECT_EQ(counts.Missing(), "") << "never happened";
}

TEST(Simulation, HoldsOverSeedsThatFailedOnce) {
  FaultCounts counts;
  for (const std::uint64_t seed : kPastFailures) RunSeed(seed, counts);
}

// FSYNC BEFORE EVERY ACK: both ends start again from what was synced.
TEST(Simulation, WhatWasAcknowledgedSurvivesAPowerCutOfBothMachines) {
  const std::uint64_t first = FromEnvironment("DUMPWARDEN_SIM_FIRST", 1);
  int power_failures = 0;
  int acks_checked = 0;
  for (std::uint64_t seed = first; seed < first + 5; ++seed) {
    Simulation simulation(seed);
    simulation.FailPowerAtAcks();
    ASSERT_TRUE(simulation.Run()) << "seed " << seed << ": " << simulation.world().failure();
    power_failures += simulation.power_failures();
    acks_checked += simulation.acks_checked();
  }
  EXPECT_GT(power_failures, 100);
  EXPECT_GT(acks_checked, 200);
}

TEST(Simulation, AWeekWithoutAServerLosesNothingAndEnforcesEverything) {
  for (const std::uint64_t seed : {1u, 2u}) {
    Simulation simulation(seed);
    EXPECT_TRUE(simulation.RunAWeekAlone())
        << "seed " << seed << ": " << simulation.world().failure();
    EXPECT_GT(simulation.world().counts.Of(Fault::kQueueOverflow), 0u);
  }
}

TEST(Simulation, IsTheSameEachTime) {
  std::uint64_t digests[2] = {};
  for (std::uint64_t& digest : digests) {
    Simulation simulation(7);
    simulation.Run();
    digest = simulation.world().digest();
  }
  EXPECT_EQ(digests[0], digests[1]);
}

int RunOne(std::uint64_t seed, bool trace) {
  Simulation simulation(seed);
  if (trace) simulation.world().EchoTrace();
  if (simulation.Run()) {
    std::printf("seed %llu holds\n", static_cast<unsigned long long>(seed));
    return 0;
  }
  const std::deque<std::string>& lines = simulation.world().trace();
  const std::size_t first = lines.size() > 40 ? lines.size() - 40 : 0;
  for (std::size_t i = first; !trace && i < lines.size(); ++i)
    std::printf("%s\n", lines[i].c_str());
  std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
              simulation.world().failure().c_str());
  return 1;
}

}  // namespace
}  // namespace dumpwarden::sim

int main(int argc, char** argv) {
  testing::InitGoogleMock(&argc, argv);
  std::uint64_t seed = 0;
  bool one = false;
  bool trace = false;
  for (int i = 1; i < argc; ++i) {
    absl::string_view argument = argv[i];
    trace = trace || argument == "--trace";
    if (!absl::ConsumePrefix(&argument, "--seed=")) continue;
    one = true;
    if (absl::SimpleAtoi(argument, &seed)) continue;
    std::fprintf(stderr, "%s: a seed is a number, as in --seed=7\n", argv[i]);
    return 64;
  }
  return one ? dumpwarden::sim::RunOne(seed, trace) : RUN_ALL_TESTS();
}
