// SPDX-License-Identifier: Apache-2.0
#include "agent/event_queue.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/reconcile/status.h"

namespace dumpwarden {
namespace {

std::string QueueKey(const v1::DriftEvent& event) {
  return absl::StrCat(ModeWord(event.mode()), " ", event.setting());
}

std::uint64_t CountOf(const v1::DriftEvent& event) {
  return event.kind() == v1::DriftEvent::KIND_COMPACTED ? event.count() : 1;
}

bool Ends(const v1::DriftEvent& end, const v1::DriftEvent& start) {
  return end.drift_sequence() != 0 && end.drift_sequence() == start.sequence();
}

// One event for queue[first] .. queue[last-1], all of one setting.
v1::DriftEvent Fold(const std::vector<v1::DriftEvent>& queue, std::size_t first, std::size_t last) {
  v1::DriftEvent compacted = queue[last - 1];
  compacted.set_kind(v1::DriftEvent::KIND_COMPACTED);
  compacted.set_old_value(queue[first].old_value());
  compacted.clear_drift_sequence();
  std::uint64_t count = 0;
  for (std::size_t i = first; i < last; ++i) count += CountOf(queue[i]);
  compacted.set_count(count);
  return compacted;
}

// A drift whose end were folded would stay open at the server for ever.
void CompactSetting(std::vector<v1::DriftEvent> queue, std::vector<v1::DriftEvent>& kept) {
  std::size_t first = 1;
  if (queue.size() > 1 && Ends(queue[1], queue[0])) first = 2;
  std::size_t last = queue.size() - 1;
  if (last > first && Ends(queue[last], queue[last - 1])) --last;
  for (std::size_t i = 0; i < queue.size(); ++i) {
    if (i == first && last > first + 1) {
      kept.push_back(Fold(queue, first, last));
      i = last;
    }
    kept.push_back(std::move(queue[i]));
  }
}

}  // namespace

std::vector<v1::DriftEvent> CompactEvents(std::vector<v1::DriftEvent> events, std::uint64_t sent) {
  std::map<std::string, std::vector<v1::DriftEvent>> by_setting;
  std::vector<v1::DriftEvent> kept;
  for (v1::DriftEvent& event : events) {
    auto& queue = event.sequence() <= sent ? kept : by_setting[QueueKey(event)];
    queue.push_back(std::move(event));
  }
  for (auto& [key, queue] : by_setting) CompactSetting(std::move(queue), kept);
  std::sort(kept.begin(), kept.end(), [](const v1::DriftEvent& a, const v1::DriftEvent& b) {
    return a.sequence() < b.sequence();
  });
  return kept;
}

}  // namespace dumpwarden
