// SPDX-License-Identifier: Apache-2.0
// The agent's queue of events when no server is there: at its limit, one above
// it, and a hundred times.  First, last and number of each setting survive.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/state.h"
#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

constexpr const char* kSettings[] = {"dump.type", "dump.auto-reboot", "dump.overwrite"};

v1::DriftEvent Event(std::uint64_t sequence) {
  v1::DriftEvent event;
  event.set_sequence(sequence);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_setting(kSettings[sequence % 3]);
  event.set_mode(v1::MODE_ENFORCE);
  event.set_new_value(absl::StrCat("new", sequence));
  return event;
}

class EventQueueCaps : public testing::TestWithParam<std::uint64_t> {};

TEST_P(EventQueueCaps, HoldAndKeepFirstLastAndNumber) {
  const std::uint64_t total = GetParam();
  TempFolder folder;
  const auto random = MakeSystemRandom();
  ASSERT_OK_AND_ASSIGN(const auto state, AgentState::Open(folder.File("state.db"), *random));
  for (std::uint64_t next = 1; next <= total;) {
    std::vector<v1::DriftEvent> events;
    while (next <= total && events.size() < kMaxQueuedEvents) events.push_back(Event(next++));
    ASSERT_THAT(state->Record({}, events), IsOk());
    ASSERT_LE(*state->EventCount(), kMaxQueuedEvents);
  }
  ASSERT_OK_AND_ASSIGN(const std::vector<v1::DriftEvent> kept, state->Events(2 * kMaxQueuedEvents));
  EXPECT_EQ(kept.size() == total, total <= kMaxQueuedEvents) << "compacted when it is too much";
  std::map<std::string, std::uint64_t> number;
  std::map<std::string, std::string> first, last;
  for (const v1::DriftEvent& event : kept) {
    const bool compacted = event.kind() == v1::DriftEvent::KIND_COMPACTED;
    number[event.setting()] += compacted ? event.count() : 1;
    first.emplace(event.setting(), event.new_value());
    last[event.setting()] = event.new_value();
  }
  for (std::uint64_t i = 1; i <= 3; ++i) {
    const std::string setting = kSettings[i % 3];
    EXPECT_EQ(number[setting], (total - i) / 3 + 1) << setting;
    EXPECT_EQ(first[setting], absl::StrCat("new", i));
    EXPECT_EQ(last[setting], absl::StrCat("new", i + (total - i) / 3 * 3));
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, EventQueueCaps,
                         testing::Values(kMaxQueuedEvents, kMaxQueuedEvents + 1,
                                         100 * kMaxQueuedEvents));

}  // namespace
}  // namespace dumpwarden
