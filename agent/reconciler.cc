// SPDX-License-Identifier: Apache-2.0
#include "agent/reconciler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/reconcile/observe.h"

namespace dumpwarden {
namespace {

// What a host's registry holds may be of any size; what is reported may not.
constexpr std::size_t kMaxReportedText = 4 * 1024;
constexpr std::size_t kMaxReportedCell = 16 * 1024;

void Cut(std::string* text) {
  if (text->size() <= kMaxReportedText) return;
  std::size_t end = kMaxReportedText;
  while (end > 0 && (static_cast<unsigned char>((*text)[end]) & 0xC0) == 0x80) --end;
  text->resize(end);
  text->append("...");
}

void BoundFindings(std::vector<v1::Finding>& findings) {
  for (v1::Finding& finding : findings) {
    Cut(finding.mutable_desired());
    Cut(finding.mutable_configured());
    Cut(finding.mutable_reason());
  }
}

v1::Observation Bounded(v1::Observation observation) {
  for (v1::Cell& cell : *observation.mutable_cells()) {
    Cut(cell.mutable_error());
    if (cell.data().size() <= kMaxReportedCell) continue;
    cell.set_error(absl::StrCat("the value has ", cell.data().size(), " bytes; more than ",
                                kMaxReportedCell, " are not reported"));
    cell.clear_data();
  }
  for (v1::Folder& folder : *observation.mutable_folders()) {
    Cut(folder.mutable_path());
    Cut(folder.mutable_error());
  }
  for (std::string& warning : *observation.mutable_warnings()) Cut(&warning);
  return observation;
}

std::vector<v1::Finding> FindingsOf(const TrackedSettings& tracked) {
  std::vector<v1::Finding> findings;
  for (const auto& [key, setting] : tracked) findings.push_back(setting.finding);
  std::sort(findings.begin(), findings.end(), [](const v1::Finding& a, const v1::Finding& b) {
    return std::pair(a.mode(), a.setting()) < std::pair(b.mode(), b.setting());
  });
  return findings;
}

bool Same(const TrackedSetting& a, const TrackedSetting& b) {
  return a.drift == b.drift && a.correcting == b.correcting && a.drifted_value == b.drifted_value &&
         a.finding.SerializeAsString() == b.finding.SerializeAsString();
}

bool Same(const TrackedSettings& a, const TrackedSettings& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& x, const auto& y) {
    return x.first == y.first && Same(x.second, y.second);
  });
}

v1::Finding UnreadableFinding(const Decision& decision, const absl::Status& why) {
  v1::Finding finding;
  finding.set_setting(decision.setting);
  finding.set_status(v1::STATUS_ERROR);
  finding.set_mode(decision.mode);
  finding.set_desired(decision.value);
  finding.set_policy(decision.policy);
  finding.set_policy_version(decision.version);
  finding.set_reason(std::string(why.message()));
  return finding;
}

Desired Only(const Desired& desired, const std::set<std::string>& settings) {
  Desired only;
  for (const Decision& decision : desired.decisions) {
    if (settings.contains(decision.setting)) only.decisions.push_back(decision);
  }
  return only;
}

// Findings of `under_lock` in place of those of the same key in `tracked`.
std::vector<v1::Finding> Overlay(const TrackedSettings& tracked,
                                 const std::vector<v1::Finding>& under_lock) {
  TrackedSettings merged = tracked;
  for (const v1::Finding& finding : under_lock) merged[FindingKey(finding)].finding = finding;
  return FindingsOf(merged);
}

}  // namespace

Reconciler::Reconciler(Registry& registry, Folders& folders, Applier& applier, AgentState& state,
                       const Clock& clock, Log& log)
    : registry_(registry),
      folders_(folders),
      applier_(applier),
      state_(state),
      clock_(clock),
      log_(log) {}

absl::Status Reconciler::Start(const v1::Facts& facts) {
  ASSIGN_OR_RETURN(tracked_, state_.Tracked());
  current_.findings = FindingsOf(tracked_);
  // Before Recover: Windows started with what an interrupted apply left.
  RETURN_IF_ERROR(TakeSnapshot(facts));
  Recover();
  return absl::OkStatus();
}

absl::Status Reconciler::TakeSnapshot(const v1::Facts& facts) {
  if (facts.boot().id() == boot_id_) return absl::OkStatus();
  at_boot_.reset();
  boot_id_.clear();
  const std::string& id = facts.boot().id();
  if (id.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(at_boot_, state_.BootSnapshot(id));
  if (!at_boot_.has_value()) {
    if (!registry_.Reload().ok()) return absl::OkStatus();  // Run says so and tries again
    v1::Observation observed = Observe(registry_, folders_, Desired(), facts);
    RETURN_IF_ERROR(state_.SetBootSnapshot(id, observed));
    at_boot_ = std::move(observed);
  }
  boot_id_ = id;
  return absl::OkStatus();
}

void Reconciler::Recover() {
  if (recovered_.ok()) return;
  const absl::StatusOr<bool> put_back = applier_.Recover();
  recovered_ = put_back.status();
  if (!put_back.ok()) {
    log_.Error("an interrupted apply could not be finished; nothing is written until it is",
               {{"why", std::string(put_back.status().message())}});
  } else if (*put_back) {
    log_.Warning("an interrupted apply was undone; it is tried again");
  }
}

absl::Status Reconciler::Run(Cause cause, std::span<const PolicyInForce> policies,
                             const v1::Facts& facts) {
  RETURN_IF_ERROR(TakeSnapshot(facts));
  Recover();
  if (cause != Cause::kChange) {
    failed_.clear();
    held_.clear();
  }
  // Writing what new policies ask for is no fight with another writer.
  if (cause == Cause::kPolicies) corrections_.clear();
  const Desired desired = Merge(policies, facts);
  const absl::Status reloaded = registry_.Reload();
  if (!reloaded.ok()) return ReportUnreadable(desired, reloaded);
  Plan plan = Look(desired, facts);
  if (cause != Cause::kFullCheck) KeepCorrected(plan.findings);
  DriftStep step = ObserveDrift(tracked_, plan.findings, state_.next_event(), clock_.Now());
  HoldBack(SettingsOf(plan));
  const Desired allowed = WithoutHeldBack(desired);
  const std::set<std::string> settings = SettingsOf(MakePlan(allowed, raw_, facts, Snapshot()));
  MarkCorrecting(step.tracked, settings);
  ExplainHeldBack(step.tracked);
  RETURN_IF_ERROR(Record(std::move(step)));
  FAILPOINT("agent.drift-recorded");
  if (settings.empty()) return absl::OkStatus();
  // Only these: what shows a difference first under the lock is not on record yet.
  const absl::StatusOr<Applied> applied =
      applier_.Apply(Only(allowed, settings), facts, Snapshot());
  CountCorrections(settings);
  if (!applied.ok()) return AfterFailure(settings, applied.status());
  return AfterApply(desired, *applied, facts);
}

Plan Reconciler::Look(const Desired& desired, const v1::Facts& facts) {
  raw_ = Observe(registry_, folders_, desired, facts);
  current_.observation = Bounded(raw_);
  Plan plan = MakePlan(desired, raw_, facts, Snapshot());
  BoundFindings(plan.findings);
  return plan;
}

// What was planned again under the lock may differ from other values than
// were recorded before it: such drift is recorded now, before its correction.
absl::Status Reconciler::AfterApply(const Desired& desired, const Applied& applied,
                                    const v1::Facts& facts) {
  FAILPOINT("agent.applied");
  const absl::Time now = clock_.Now();
  const std::set<std::string> settings = SettingsOf(applied.plan);
  std::vector<v1::Finding> under_lock = applied.plan.findings;
  BoundFindings(under_lock);
  DriftStep seen = ObserveDrift(tracked_, Overlay(tracked_, under_lock), state_.next_event(), now);
  MarkCorrecting(seen.tracked, settings);
  Plan plan = Look(desired, facts);
  KeepCorrected(plan.findings);
  DriftStep after = CorrectDrift(seen.tracked, std::move(plan.findings), settings,
                                 state_.next_event() + seen.events.size(), now);
  after.events.insert(after.events.begin(), seen.events.begin(), seen.events.end());
  ExplainHeldBack(after.tracked);
  log_.Info("corrected", {{"settings", absl::StrJoin(settings, " ")}, {"backup", applied.backup}});
  return Record(std::move(after));
}

absl::Status Reconciler::AfterFailure(const std::set<std::string>& settings,
                                      const absl::Status& why) {
  log_.Error("the settings could not be written; tried again at the next full check",
             {{"settings", absl::StrJoin(settings, " ")}, {"why", std::string(why.message())}});
  for (const std::string& setting : settings) failed_[setting] = std::string(why.message());
  DriftStep step;
  step.tracked = tracked_;
  for (auto& [key, setting] : step.tracked) setting.correcting = false;
  ExplainHeldBack(step.tracked);
  return Record(std::move(step));
}

absl::Status Reconciler::ReportUnreadable(const Desired& desired, const absl::Status& why) {
  log_.Error("the registry could not be read", {{"why", std::string(why.message())}});
  std::vector<v1::Finding> findings;
  for (const Decision& decision : desired.decisions) {
    findings.push_back(UnreadableFinding(decision, why));
  }
  BoundFindings(findings);
  return Record(ObserveDrift(tracked_, findings, state_.next_event(), clock_.Now()));
}

absl::Status Reconciler::Record(DriftStep step) {
  if (!step.events.empty() || !Same(step.tracked, tracked_)) {
    RETURN_IF_ERROR(state_.Record(step.tracked, step.events));
    tracked_ = std::move(step.tracked);
  }
  current_.findings = FindingsOf(tracked_);
  return absl::OkStatus();
}

void Reconciler::KeepCorrected(std::vector<v1::Finding>& findings) const {
  for (v1::Finding& finding : findings) {
    const auto known = tracked_.find(FindingKey(finding));
    if (known == tracked_.end()) continue;
    const v1::Finding& before = known->second.finding;
    if (finding.status() == v1::STATUS_COMPLIANT && before.status() == v1::STATUS_CORRECTED &&
        finding.configured() == before.configured()) {
      finding.set_status(v1::STATUS_CORRECTED);
    }
  }
}

void Reconciler::HoldBack(const std::set<std::string>& settings) {
  const absl::Duration now = clock_.Monotonic();
  for (const std::string& setting : settings) {
    std::deque<absl::Duration>& times = corrections_[setting];
    while (!times.empty() && times.front() + kCorrectionWindow <= now) times.pop_front();
    if (times.size() >= kMaxCorrections) held_.insert(setting);
    if (!recovered_.ok()) failed_[setting] = std::string(recovered_.message());
  }
}

void Reconciler::CountCorrections(const std::set<std::string>& settings) {
  for (const std::string& setting : settings) corrections_[setting].push_back(clock_.Monotonic());
}

Desired Reconciler::WithoutHeldBack(const Desired& desired) const {
  Desired allowed;
  for (const Decision& decision : desired.decisions) {
    const bool back = failed_.contains(decision.setting) || held_.contains(decision.setting);
    if (!back) allowed.decisions.push_back(decision);
  }
  return allowed;
}

void Reconciler::ExplainHeldBack(TrackedSettings& tracked) const {
  for (auto& [key, setting] : tracked) {
    v1::Finding& finding = setting.finding;
    if (finding.mode() != v1::MODE_ENFORCE || finding.status() != v1::STATUS_DRIFTED) continue;
    const auto failed = failed_.find(finding.setting());
    if (failed != failed_.end()) {
      finding.set_status(v1::STATUS_ERROR);
      finding.set_reason(failed->second);
      Cut(finding.mutable_reason());
    } else if (held_.contains(finding.setting())) {
      finding.set_reason(absl::StrCat("written back ", kMaxCorrections,
                                      " times within a minute, and changed again each time; "
                                      "waiting for the next full check"));
    }
  }
}

}  // namespace dumpwarden
