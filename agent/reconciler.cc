// SPDX-License-Identifier: Apache-2.0
#include "agent/reconciler.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/observe.h"

namespace dumpwarden {
namespace {

// What a host's registry holds may be of any size; what is reported may not.
constexpr std::size_t kMaxReportedText = 4 * 1024;
constexpr std::size_t kMaxReportedCell = 16 * 1024;

// The one way of foreign text into what is kept and sent: one byte that is not UTF-8 would make a
// message that nobody can read.
void Fit(std::string* text) {
  *text = Printable(*text);
  if (text->size() <= kMaxReportedText) return;
  std::size_t end = kMaxReportedText;
  while (end > 0 && (static_cast<unsigned char>((*text)[end]) & 0xC0) == 0x80) --end;
  text->resize(end);
  text->append("...");
}

void BoundFindings(std::vector<v1::Finding>& findings) {
  for (v1::Finding& finding : findings) {
    Fit(finding.mutable_desired());
    Fit(finding.mutable_configured());
    Fit(finding.mutable_reason());
  }
}

void FitTexts(v1::Observation& observation) {
  for (v1::Cell& cell : *observation.mutable_cells()) Fit(cell.mutable_error());
  for (v1::Folder& folder : *observation.mutable_folders()) {
    Fit(folder.mutable_path());
    Fit(folder.mutable_error());
  }
  for (std::string& warning : *observation.mutable_warnings()) Fit(&warning);
}

v1::Observation Bounded(v1::Observation observation) {
  FitTexts(observation);
  for (v1::Cell& cell : *observation.mutable_cells()) {
    if (cell.data().size() <= kMaxReportedCell) continue;
    cell.set_error(absl::StrCat("the value has ", cell.data().size(), " bytes; more than ",
                                kMaxReportedCell, " are not reported"));
    cell.clear_data();
  }
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
         a.agreed == b.agreed && a.finding.SerializeAsString() == b.finding.SerializeAsString();
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
  for (const auto& [key, setting] : tracked_) {
    if (setting.finding.status() != v1::STATUS_UNSPECIFIED) continue;
    log_.Error("what was known of a setting cannot be read; it is looked at anew",
               {{"setting", key}});
  }
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
    FitTexts(observed);
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
  if (recovered_.ok()) failed_.clear();  // what failed, failed because of it
  if (!put_back.ok()) {
    log_.Error("an interrupted apply could not be finished; nothing is written until it is",
               {{"why", std::string(put_back.status().message())}});
  } else if (*put_back) {
    log_.Warning("an interrupted apply was undone; it is tried again");
  }
  SayMended();
  for (const std::string& folder : applier_.left_folders()) {
    log_.Warning("a folder of an undone apply could not be removed", {{"folder", folder}});
  }
}

void Reconciler::SayMended() {
  for (const std::string& said : applier_.TakeMended()) log_.Warning(said);
}

absl::Status Reconciler::Run(Cause cause, std::span<const PolicyInForce> policies,
                             const v1::Facts& facts) {
  absl::Status kept = TakeSnapshot(facts);
  Recover();
  const Desired desired = Merge(policies, facts);
  const absl::Status reloaded = registry_.Reload();
  if (kept.ok() && reloaded.ok() && boot_id_ != facts.boot().id()) {
    kept = absl::UnavailableError("what Windows read at this boot could not be kept yet");
  }
  if (kept.ok()) {
    kept = reloaded.ok() ? Pass(cause, desired, facts) : ReportUnreadable(desired, reloaded);
  }
  if (kept.ok() && reloaded.ok()) {
    pass_.Succeeded();
  } else {
    pass_.Failed(clock_.Monotonic());
  }
  return kept;
}

absl::Status Reconciler::Pass(Cause cause, const Desired& desired, const v1::Facts& facts) {
  if (cause == Cause::kPolicies) failed_.clear();
  if (cause != Cause::kChange) {
    held_.clear();
    for (auto& [setting, failure] : failed_) failure.backoff.TryNow();
  }
  // Writing what new policies ask for is no fight with another writer.
  if (cause == Cause::kPolicies) corrections_.clear();
  Plan plan = Look(desired, facts);
  if (cause != Cause::kFullCheck) KeepCorrected(plan.findings);
  DriftStep step = ObserveDrift(tracked_, plan.findings, state_.next_event(), clock_.Now());
  ForgetFailures(SettingsOf(plan));
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
      applier_.Apply(Only(allowed, settings), facts, Snapshot(),
                     [this](const Plan& plan) { return RecordUnderLock(plan); });
  SayMended();
  if (!applied.ok()) return AfterFailure(settings, applied.status());
  CountCorrections(settings);
  return AfterApply(desired, settings, *applied, facts);
}

absl::Status Reconciler::BeginEpoch(Random& random) {
  TrackedSettings tracked = tracked_;
  MakeUpStarts(tracked, clock_.Now());
  RETURN_IF_ERROR(state_.BeginEpoch(random, tracked));
  tracked_ = std::move(tracked);
  return absl::OkStatus();
}

v1::OpenDrifts Reconciler::Open() const {
  v1::OpenDrifts open;
  for (const auto& [key, setting] : tracked_) {
    if (setting.drift == 0) continue;
    v1::OpenDrifts::Drift& drift = *open.add_drifts();
    drift.set_sequence(setting.drift);
    drift.set_setting(setting.finding.setting());
    drift.set_mode(setting.finding.mode());
  }
  return open;
}

void Reconciler::ForgetDrifts() {
  for (auto& [key, setting] : tracked_) setting.ForgetDrift();
}

absl::Duration Reconciler::RetryAt() const {
  if (pass_.failing()) return pass_.at();
  absl::Duration at = absl::InfiniteDuration();
  for (const auto& [setting, failure] : failed_) {
    if (!held_.contains(setting)) at = std::min(at, failure.backoff.at());
  }
  return at;
}

Plan Reconciler::Look(const Desired& desired, const v1::Facts& facts) {
  raw_ = Observe(registry_, folders_, desired, facts);
  current_.observation = Bounded(raw_);
  Plan plan = MakePlan(desired, raw_, facts, Snapshot());
  BoundFindings(plan.findings);
  return plan;
}

// What is planned again under the lock may differ from other values than were recorded before it.
absl::Status Reconciler::RecordUnderLock(const Plan& plan) {
  std::vector<v1::Finding> findings = plan.findings;
  BoundFindings(findings);
  KeepCorrected(findings);
  DriftStep step =
      ObserveDrift(tracked_, Overlay(tracked_, findings), state_.next_event(), clock_.Now());
  MarkCorrecting(step.tracked, SettingsOf(plan));
  return Record(std::move(step));
}

absl::Status Reconciler::AfterApply(const Desired& desired, const std::set<std::string>& tried,
                                    const Applied& applied, const v1::Facts& facts) {
  FAILPOINT("agent.applied");
  for (const std::string& setting : tried) failed_.erase(setting);
  const std::set<std::string> settings = SettingsOf(applied.plan);
  Plan plan = Look(desired, facts);
  KeepCorrected(plan.findings);
  DriftStep after =
      CorrectDrift(tracked_, std::move(plan.findings), settings, state_.next_event(), clock_.Now());
  ExplainHeldBack(after.tracked);
  log_.Info("corrected", {{"settings", absl::StrJoin(settings, " ")}, {"backup", applied.backup}});
  return Record(std::move(after));
}

absl::Status Reconciler::AfterFailure(const std::set<std::string>& settings,
                                      const absl::Status& why) {
  for (const std::string& setting : settings) Fail(setting, why);
  const absl::Duration next = absl::Ceil(RetryAt() - clock_.Monotonic(), absl::Seconds(1));
  log_.Error("the settings could not be written; they are tried again",
             {{"settings", absl::StrJoin(settings, " ")},
              {"why", std::string(why.message())},
              {"next", absl::FormatDuration(next)}});
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

std::vector<CellValue> Reconciler::CellsNow(const std::string& setting) const {
  const Setting* row = FindSetting(setting);
  return row == nullptr ? std::vector<CellValue>() : CellsOf(*row, raw_).values;
}

bool Reconciler::IsBlockedByFailure(const std::string& setting) const {
  const auto failure = failed_.find(setting);
  return failure != failed_.end() && clock_.Monotonic() < failure->second.backoff.at();
}

void Reconciler::Fail(const std::string& setting, const absl::Status& why) {
  Failure& failure = failed_[setting];
  failure.why = std::string(why.message());
  failure.cells = CellsNow(setting);
  failure.backoff.Failed(clock_.Monotonic());
}

void Reconciler::ForgetFailures(const std::set<std::string>& settings) {
  std::erase_if(failed_, [&](const auto& failed) {
    return !settings.contains(failed.first) || CellsNow(failed.first) != failed.second.cells;
  });
}

void Reconciler::HoldBack(const std::set<std::string>& settings) {
  const absl::Duration now = clock_.Monotonic();
  for (const std::string& setting : settings) {
    std::deque<absl::Duration>& times = corrections_[setting];
    while (!times.empty() && times.front() + kCorrectionWindow <= now) times.pop_front();
    if (times.size() >= kMaxCorrections) held_.insert(setting);
    if (!recovered_.ok() && !IsBlockedByFailure(setting)) Fail(setting, recovered_);
  }
}

void Reconciler::CountCorrections(const std::set<std::string>& settings) {
  for (const std::string& setting : settings) corrections_[setting].push_back(clock_.Monotonic());
}

Desired Reconciler::WithoutHeldBack(const Desired& desired) const {
  Desired allowed;
  for (const Decision& decision : desired.decisions) {
    const bool back = IsBlockedByFailure(decision.setting) || held_.contains(decision.setting);
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
      finding.set_reason(failed->second.why);
      Fit(finding.mutable_reason());
    } else if (held_.contains(finding.setting())) {
      finding.set_reason(absl::StrCat("written back ", kMaxCorrections,
                                      " times within a minute, and changed again each time; "
                                      "waiting for the next full check"));
    }
  }
}

}  // namespace dumpwarden
