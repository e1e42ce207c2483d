// SPDX-License-Identifier: Apache-2.0
#include "server/identity/refusals.h"

#include <vector>

namespace dumpwarden {
namespace {

constexpr absl::Duration kBetweenLines = absl::Minutes(1);

}  // namespace

void Refusals::Count(const Refusal& refusal) {
  Refusal now;
  {
    std::lock_guard lock(mutex_);
    Entry& entry = entries_[{refusal.action, refusal.reason}];
    const std::uint64_t held = entry.held.count;
    entry.held = refusal;
    entry.held.count = held + 1;
    const bool first = entry.total++ == 0;
    if (!first && clock_.Monotonic() - entry.said < kBetweenLines) return;
    now = entry.held;
    entry.said = clock_.Monotonic();
    entry.held.count = 0;
  }
  say_(now);
}

void Refusals::Tick() { SayHeld(kBetweenLines); }

void Refusals::Flush() { SayHeld(absl::ZeroDuration()); }

void Refusals::SayHeld(absl::Duration at_least) {
  std::vector<Refusal> due;
  {
    std::lock_guard lock(mutex_);
    for (auto& [key, entry] : entries_) {
      if (entry.held.count == 0 || clock_.Monotonic() - entry.said < at_least) continue;
      due.push_back(entry.held);
      entry.said = clock_.Monotonic();
      entry.held.count = 0;
    }
  }
  for (const Refusal& refusal : due) say_(refusal);
}

std::uint64_t Refusals::Total(const std::string& action, const std::string& reason) const {
  std::lock_guard lock(mutex_);
  const auto at = entries_.find({action, reason});
  return at == entries_.end() ? 0 : at->second.total;
}

}  // namespace dumpwarden
