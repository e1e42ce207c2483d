// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/world.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace dumpwarden::sim {
namespace {

constexpr std::size_t kMaxTrace = 400;

}  // namespace

World::World(std::uint64_t seed_of_all)
    : seed(seed_of_all), chance(seed_of_all), random(seed_of_all ^ 0x9E3779B97F4A7C15u) {}

void World::At(absl::Duration when, std::function<void()> what) {
  events_.emplace(std::pair(std::max(when, now_), next_++), std::move(what));
}

void World::Pass(absl::Duration time) {
  const absl::Duration end = now_ + time;
  while (!failed() && !events_.empty() && events_.begin()->first.first <= end) {
    now_ = events_.begin()->first.first;
    const std::function<void()> what = std::move(events_.begin()->second);
    events_.erase(events_.begin());
    what();
  }
  now_ = end;
}

void World::Trace(const std::string& line) {
  const std::string now = absl::FormatDuration(absl::Trunc(now_, absl::Milliseconds(1)));
  trace_.push_back(absl::StrCat(now, " ", line));
  if (!hidden_.empty()) {
    trace_.back() = absl::StrReplaceAll(trace_.back(), {{hidden_, ""}});
  }
  for (const char c : trace_.back()) {
    digest_ = (digest_ ^ static_cast<unsigned char>(c)) * 1099511628211u;
  }
  if (echo_) std::fprintf(stderr, "%s\n", trace_.back().c_str());
  if (trace_.size() > kMaxTrace) trace_.pop_front();
}

const absl::StatusOr<Policy>& World::ReadPolicyOnce(const std::string& name,
                                                    const std::string& yaml) {
  const auto [at, is_new] = policies_.try_emplace({name, yaml}, absl::UnknownError(""));
  if (is_new) at->second = ReadPolicy(yaml, name, UnknownSettings::kKeep);
  return at->second;
}

void World::Fail(const std::string& what) {
  if (failed()) return;
  failure_ = what;
  Trace(absl::StrCat("FAILED: ", what));
}

}  // namespace dumpwarden::sim
