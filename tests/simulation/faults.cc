// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/faults.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dumpwarden::sim {
namespace {

constexpr std::array<absl::string_view, kFaults> kNames = {
    "agent-kill",       "agent-kill-in-call", "agent-kill-in-apply", "agent-power-cut",
    "agent-restart",    "server-kill",        "server-kill-in-call", "server-power-cut",
    "server-restart",   "unsent-ack",         "disk-error",          "disk-full",
    "short-write",      "lost-write",         "torn-write",          "lost-name",
    "registry-lost",    "registry-deaf",      "agent-clock-step",    "agent-day-ahead",
    "agent-day-behind", "server-clock-step",  "server-day-ahead",    "server-day-behind",
    "server-restored",  "server-away",        "vm-restored",         "clone",
    "outside-change",   "missed-watch",       "policy-apply",        "policy-delete",
    "policy-conflict",  "stale-policies",     "facts-change",        "stream-cut",
    "lost-message",     "half-open",          "partition",           "delay",
    "late-message",     "queue-overflow"};

bool Changes(absl::string_view call) {
  for (const absl::string_view word : {"Write", "Sync", "Rename", "Delete", "Remove", "Make",
                                       "Flush", "Truncate", "Send", "Lock"}) {
    if (absl::StrContains(call, word)) return true;
  }
  return false;
}

bool NeedsSpace(absl::string_view call) {
  return call == "Vfs::Write" || call == "Vfs::MakeFolder" || call == "Sqlite::Write";
}

}  // namespace

absl::string_view FaultName(Fault fault) { return kNames[static_cast<std::size_t>(fault)]; }

void FaultCounts::Add(const FaultCounts& other) {
  for (std::size_t i = 0; i < kFaults; ++i) counts_[i] += other.counts_[i];
}

std::string FaultCounts::ToText() const {
  std::string text;
  for (std::size_t i = 0; i < kFaults; ++i)
    absl::StrAppend(&text, kNames[i], " ", counts_[i], "\n");
  return text;
}

std::string FaultCounts::Missing() const {
  std::string names;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (counts_[i] == 0) absl::StrAppend(&names, names.empty() ? "" : " ", kNames[i]);
  }
  return names;
}

absl::Status MachineFaults::Check(absl::string_view call) {
  if (paused_ > 0) return absl::OkStatus();
  if (call == after_.call) {
    if (after_.kill_in > 0) KillAt(after_.kill_in);
    if (after_.fail_in > 0) FailAt(after_.fail_in, 0);
    after_ = {};
  }
  if (!dead_ && kill_in_ > 0 && Changes(call) && --kill_in_ == 0) {
    dead_ = true;
    killed_in_ = std::string(call);
  }
  if (dead_) return absl::InternalError("the machine is dead");
  if (full_ && NeedsSpace(call)) {
    ++fired_;
    counts_.Add(Fault::kDiskFull);
    return absl::ResourceExhaustedError(absl::StrCat(call, ": No space left on device"));
  }
  if (fail_in_ > 0) --fail_in_;
  if (fail_in_ > 0 || failing_ == 0) return absl::OkStatus();
  --failing_;
  ++fired_;
  counts_.Add(Fault::kDiskError);
  return absl::InternalError(absl::StrCat(call, ": Input/output error"));
}

void MachineFaults::Revive() {
  dead_ = false;
  kill_in_ = fail_in_ = failing_ = 0;
  after_ = {};
  killed_in_.clear();
}

void MachineFaults::Heal() {
  full_ = false;
  kill_in_ = fail_in_ = failing_ = 0;
  after_ = {};
}

}  // namespace dumpwarden::sim
