// SPDX-License-Identifier: Apache-2.0
// Time, chance and what is to happen next, all of one seed.  Nothing happens
// but what was scheduled, one thing at a time.
#ifndef DUMPWARDEN_TESTS_SIMULATION_WORLD_H_
#define DUMPWARDEN_TESTS_SIMULATION_WORLD_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <random>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/policy/policy.h"
#include "tests/simulation/faults.h"

namespace dumpwarden::sim {

class Chance {
 public:
  explicit Chance(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t Bits() { return engine_(); }
  int Below(int limit) { return static_cast<int>(engine_() % static_cast<std::uint64_t>(limit)); }
  int Between(int low, int high) { return low + Below(high - low + 1); }
  double Fraction() { return static_cast<double>(engine_() >> 11) * 0x1.0p-53; }
  bool Happens(double probability) { return Fraction() < probability; }
  // Small values often, large ones now and then.
  int Skewed(int limit) { return 1 + Below(1 + Below(1 + Below(limit))); }

 private:
  std::mt19937_64 engine_;
};

// What the product draws.
class ProductRandom : public Random {
 public:
  explicit ProductRandom(std::uint64_t seed) : chance_(seed) {}
  std::string Bytes(std::size_t count) override {
    std::string bytes(count, 0);
    for (char& byte : bytes) byte = static_cast<char>(chance_.Bits());
    return bytes;
  }
  double Fraction() override { return chance_.Fraction(); }

 private:
  Chance chance_;
};

class World {
 public:
  explicit World(std::uint64_t seed);

  absl::Duration now() const { return now_; }
  void At(absl::Duration when, std::function<void()> what);
  void After(absl::Duration delay, std::function<void()> what) {
    At(now_ + delay, std::move(what));
  }
  // Lets time pass; ends early when something failed.
  void Pass(absl::Duration time);

  void Trace(const std::string& line);
  // The first one counts.
  void Fail(const std::string& what);
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }
  const std::deque<std::string>& trace() const { return trace_; }
  // Of everything that was traced: two runs of a seed give the same.
  std::uint64_t digest() const { return digest_; }
  void EchoTrace() { echo_ = true; }
  // Twenty hosts and the checks read the same few again and again.
  const absl::StatusOr<Policy>& ReadPolicyOnce(const std::string& name, const std::string& yaml);
  // What differs from run to run, a folder's name, is not traced.
  void Hide(std::string text) { hidden_ = std::move(text); }

  std::uint64_t seed;
  Chance chance;
  ProductRandom random;
  FaultCounts counts;

 private:
  absl::Duration now_ = absl::Seconds(1000);
  std::uint64_t next_ = 0;
  std::map<std::pair<absl::Duration, std::uint64_t>, std::function<void()>> events_;
  std::deque<std::string> trace_;
  std::uint64_t digest_ = 14695981039346656037u;
  std::string failure_;
  bool echo_ = false;
  std::string hidden_;
  std::map<std::pair<std::string, std::string>, absl::StatusOr<Policy>> policies_;  // as read
};

// One machine's: the wall clock may be wrong by any amount.
class MachineClock : public Clock {
 public:
  explicit MachineClock(const World& world) : world_(world) {}
  absl::Time Now() const override {
    return absl::FromUnixSeconds(1795366800) + world_.now() + wrong_;
  }
  absl::Duration Monotonic() const override { return world_.now(); }
  void Step(absl::Duration by) { wrong_ += by; }

 private:
  const World& world_;
  absl::Duration wrong_ = absl::ZeroDuration();
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_WORLD_H_
