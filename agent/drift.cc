// SPDX-License-Identifier: Apache-2.0
#include "agent/drift.h"

#include <utility>

#include "core/base/timestamp.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/state_digest.h"

namespace dumpwarden {
namespace {

// Whether the host agrees with the policy is not known while a setting cannot
// be read or is blocked.
bool Agrees(v1::Status status) {
  return status == v1::STATUS_COMPLIANT || status == v1::STATUS_CORRECTED ||
         status == v1::STATUS_PENDING_REBOOT || status == v1::STATUS_NOT_APPLICABLE;
}

v1::DriftEvent MakeEvent(v1::DriftEvent::Kind kind, const v1::Finding& finding,
                         std::uint64_t sequence, absl::Time now) {
  v1::DriftEvent event;
  event.set_sequence(sequence);
  event.set_kind(kind);
  event.set_setting(finding.setting());
  event.set_mode(finding.mode());
  event.set_new_value(finding.configured());
  event.set_desired(finding.desired());
  event.set_policy(finding.policy());
  *event.mutable_at() = ToTimestamp(now);
  return event;
}

void Close(v1::DriftEvent::Kind kind, TrackedSetting& setting, std::uint64_t next, absl::Time now,
           DriftStep& step) {
  v1::DriftEvent event = MakeEvent(kind, setting.finding, next, now);
  event.set_old_value(setting.drifted_value);
  event.set_drift_sequence(setting.drift);
  setting.ForgetDrift();
  step.events.push_back(std::move(event));
}

// The setting differs.  Opens a drift, unless this very value is open already; a drift to another
// value is over.
void Open(TrackedSetting& setting, std::uint64_t next, absl::Time now, DriftStep& step) {
  const v1::Finding& finding = setting.finding;
  std::string previous = setting.agreed.value_or("");
  if (setting.drift != 0) {
    if (setting.drifted_value == finding.configured()) return;
    previous = setting.drifted_value;
    Close(v1::DriftEvent::KIND_RESOLVED, setting, next, now, step);
    ++next;
  }
  v1::DriftEvent event = MakeEvent(v1::DriftEvent::KIND_DRIFTED, finding, next, now);
  event.set_old_value(previous);
  setting.drift = next;
  setting.start = event;
  setting.drifted_value = finding.configured();
  setting.correcting = false;
  step.events.push_back(std::move(event));
}

// What is known of the setting so far; a row of an earlier agent has no `agreed`.
TrackedSetting Known(const TrackedSettings& before, const std::string& key) {
  const auto found = before.find(key);
  if (found == before.end()) return {};
  TrackedSetting known = found->second;
  if (!known.agreed.has_value() && Agrees(known.finding.status())) {
    known.agreed = known.finding.configured();
  }
  return known;
}

// What the policy wants cannot be had, but what stood there while it could is known.
bool LeftWhatItAgreedWith(const TrackedSetting& setting) {
  const v1::Finding& finding = setting.finding;
  return finding.status() == v1::STATUS_BLOCKED && finding.mode() == v1::MODE_ENFORCE &&
         setting.agreed.has_value() && !finding.configured().empty() &&
         finding.configured() != *setting.agreed;
}

// A drift that a policy began, by asking for another value, is none of these.
bool CameBack(const TrackedSetting& setting) {
  return setting.finding.status() == v1::STATUS_BLOCKED && setting.agreed.has_value() &&
         setting.finding.configured() == *setting.agreed &&
         setting.drifted_value != *setting.agreed;
}

}  // namespace

DriftStep ObserveDrift(const TrackedSettings& before, const std::vector<v1::Finding>& findings,
                       std::uint64_t next, absl::Time now) {
  DriftStep step;
  for (const v1::Finding& finding : findings) {
    const std::string key = FindingKey(finding);
    TrackedSetting& setting = step.tracked[key] = Known(before, key);
    setting.finding = finding;
    const std::uint64_t sequence = next + step.events.size();
    if (finding.status() == v1::STATUS_DRIFTED || LeftWhatItAgreedWith(setting)) {
      Open(setting, sequence, now, step);
    } else if (setting.drift != 0 && (Agrees(finding.status()) || CameBack(setting))) {
      Close(setting.correcting ? v1::DriftEvent::KIND_CORRECTED : v1::DriftEvent::KIND_RESOLVED,
            setting, sequence, now, step);
    }
    if (Agrees(finding.status())) setting.agreed = finding.configured();
  }
  for (const auto& [key, setting] : before) {
    if (setting.drift == 0 || step.tracked.contains(key)) continue;
    TrackedSetting unmanaged = setting;
    Close(v1::DriftEvent::KIND_RESOLVED, unmanaged, next + step.events.size(), now, step);
  }
  return step;
}

void MakeUpStarts(TrackedSettings& tracked, absl::Time now) {
  for (auto& [key, setting] : tracked) {
    if (setting.drift == 0 || setting.start.has_value()) continue;
    setting.start = MakeEvent(v1::DriftEvent::KIND_DRIFTED, setting.finding, setting.drift, now);
    setting.start->set_old_value(setting.agreed.value_or(""));
    setting.start->set_new_value(setting.drifted_value);
  }
}

void MarkCorrecting(TrackedSettings& tracked, const std::set<std::string>& settings) {
  for (auto& [key, setting] : tracked) {
    if (setting.finding.mode() == v1::MODE_ENFORCE && setting.drift != 0 &&
        settings.contains(setting.finding.setting())) {
      setting.correcting = true;
    }
  }
}

DriftStep CorrectDrift(const TrackedSettings& before, std::vector<v1::Finding> findings,
                       const std::set<std::string>& settings, std::uint64_t next, absl::Time now) {
  MarkCorrected(settings, findings);
  return ObserveDrift(before, findings, next, now);
}

}  // namespace dumpwarden
