// SPDX-License-Identifier: Apache-2.0
#include "agent/reconnect.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace dumpwarden {
namespace {

class SeededRandom : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  std::string Bytes(std::size_t count) override { return std::string(count, 'r'); }
  double Fraction() override { return std::uniform_real_distribution<double>(0, 1)(engine_); }

 private:
  std::mt19937_64 engine_;
};

// The delays of attempt `n` (from 0) of many hosts.
std::vector<absl::Duration> AttemptOfMany(int n, absl::Duration window,
                                          std::uint64_t hosts = 2000) {
  std::vector<absl::Duration> delays;
  for (std::uint64_t host = 0; host < hosts; ++host) {
    SeededRandom random(host);
    Reconnect reconnect(random, window);
    for (int i = 0; i < n; ++i) reconnect.NextDelay();
    delays.push_back(reconnect.NextDelay());
  }
  std::sort(delays.begin(), delays.end());
  return delays;
}

TEST(Reconnect, SpreadsTheVeryFirstAttemptOverTheWholeWindow) {
  for (const absl::Duration window : {absl::Seconds(1), absl::Seconds(22), absl::Minutes(15)}) {
    const std::vector<absl::Duration> delays = AttemptOfMany(0, window);
    EXPECT_LE(delays.back(), window);
    EXPECT_GT(delays.back(), window * 0.95);
    EXPECT_LT(delays.front(), window * 0.05);
    EXPECT_NEAR(absl::FDivDuration(delays[delays.size() / 2], window), 0.5, 0.05);
  }
}

TEST(Reconnect, SpreadsEveryLaterAttemptAndTheCapToo) {
  const struct {
    int attempt;
    absl::Duration window;
    absl::Duration bound;
    const char* why;
  } kCases[] = {
      {1, absl::Seconds(1), absl::Seconds(2), "doubles"},
      {3, absl::Seconds(1), absl::Seconds(8), "doubles each time"},
      {2, absl::Seconds(20), absl::Seconds(80), "from the server's window on"},
      {12, absl::Seconds(1), kReconnectCap, "the cap"},
      {500, absl::Seconds(1), kReconnectCap, "no overflow after a weekend"},
      {5, absl::Minutes(15), absl::Minutes(15), "a window beyond the cap stays"},
      {4, absl::Milliseconds(10), absl::Seconds(16), "a tiny window does not mean a hot loop"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.why);
    const std::vector<absl::Duration> delays = AttemptOfMany(c.attempt, c.window);
    EXPECT_LE(delays.back(), c.bound);
    EXPECT_GT(delays.back(), c.bound * 0.95);
    EXPECT_LT(delays.front(), c.bound * 0.05);
  }
}

TEST(Reconnect, AtEachOfTheFirstThirtyAttemptsTheSpreadIsPositiveAndWithinTheWindow) {
  for (const absl::Duration window :
       {absl::Milliseconds(1), absl::Seconds(1), absl::Seconds(20), absl::Minutes(15)}) {
    for (int attempt = 0; attempt < 30; ++attempt) {
      SCOPED_TRACE(absl::FormatDuration(window) + ", attempt " + std::to_string(attempt + 1));
      const std::vector<absl::Duration> delays = AttemptOfMany(attempt, window, 200);
      EXPECT_GE(delays.front(), absl::ZeroDuration());
      EXPECT_LE(delays.back(), attempt == 0 ? window : std::max(kReconnectCap, window));
      // Of 200 hosts no two fifths come in the same tenth of what is used of the window.
      const absl::Duration spread = delays.back() - delays.front();
      EXPECT_GT(spread, delays.back() * 0.8);
      for (std::size_t i = 80; i < delays.size(); ++i) {
        EXPECT_GT(delays[i] - delays[i - 80], spread * 0.1);
      }
    }
  }
}

TEST(Reconnect, StartsAnewAfterAGoodSession) {
  SeededRandom random(7);
  Reconnect reconnect(random, absl::Seconds(1));
  for (int i = 0; i < 12; ++i) reconnect.NextDelay();
  reconnect.Succeeded();
  for (int i = 0; i < 100; ++i) {
    EXPECT_LE(reconnect.NextDelay(), absl::Seconds(1));
    reconnect.Succeeded();
  }
}

TEST(Reconnect, HoldsTheServersWindowToSaneBounds) {
  SeededRandom random(7);
  Reconnect reconnect(random, absl::ZeroDuration());
  EXPECT_EQ(reconnect.window(), absl::Milliseconds(1));
  reconnect.SetWindow(absl::Hours(1000));
  EXPECT_EQ(reconnect.window(), absl::Minutes(15));
}

TEST(Reconnect, DialsRarelyWhenParkedAndNeverAtOneMoment) {
  SeededRandom random(7);
  Reconnect reconnect(random, absl::Seconds(1));
  const absl::Duration first = reconnect.About(kReconnectCap);
  EXPECT_GE(first, absl::Minutes(8));
  EXPECT_LE(first, absl::Minutes(12));
  EXPECT_NE(first, reconnect.About(kReconnectCap));
}

}  // namespace
}  // namespace dumpwarden
