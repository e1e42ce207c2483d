// SPDX-License-Identifier: Apache-2.0
// Findings compared with what was last known, as drift events.  Values in,
// values out: agent/reconciler.h makes the result durable before it writes to
// the registry, so that a kill neither loses an event nor doubles it.
#ifndef DUMPWARDEN_AGENT_DRIFT_H_
#define DUMPWARDEN_AGENT_DRIFT_H_

#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "agent/state.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

struct DriftStep {
  TrackedSettings tracked;
  std::vector<v1::DriftEvent> events;
};

// What the host shows now, before anything is written:
//   DRIFTED    it differs, and did not, or differs with another value than before.  An enforced
//              setting that is blocked counts too, when it left the value it last agreed with
//   CORRECTED  it agrees, and a write of ours was under way when the agent died
//   RESOLVED   it agrees, and we did not write it
// `next` is the first free event sequence.
DriftStep ObserveDrift(const TrackedSettings& before, const std::vector<v1::Finding>& findings,
                       std::uint64_t next, absl::Time now);

// An open drift of an earlier agent's state has no start: from now on it has one, always the same.
void MakeUpStarts(TrackedSettings& tracked, absl::Time now);

// `settings` are about to be written: from here on agreement may be our doing.
void MarkCorrecting(TrackedSettings& tracked, const std::set<std::string>& settings);

// After a successful apply that edited `settings`: CORRECTED for each of them
// that agrees now, with the status `corrected` unless a restart is pending.
DriftStep CorrectDrift(const TrackedSettings& before, std::vector<v1::Finding> findings,
                       const std::set<std::string>& settings, std::uint64_t next, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_DRIFT_H_
