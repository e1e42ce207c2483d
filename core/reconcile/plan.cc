// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/policy/facts.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/placement.h"

namespace dumpwarden {
namespace {

// One host as MakePlan is given it.
struct Host {
  const v1::Observation& observed;
  const v1::Facts& facts;
  const v1::Observation* at_boot;
  std::uint32_t Build() const { return facts.os().build(); }
};

// What is to be done and said about one decision.
struct Outcome {
  v1::Finding finding;
  std::vector<Edit> edits;
  std::string note;  // goes behind the reason
};

void Conclude(Outcome& outcome, v1::Status status, absl::string_view reason) {
  outcome.finding.set_status(status);
  outcome.finding.set_reason(std::string(reason));
}

v1::Finding FindingOf(const Decision& decision) {
  v1::Finding finding;
  finding.set_setting(decision.setting);
  finding.set_mode(decision.mode);
  finding.set_desired(decision.value);
  finding.set_policy(decision.policy);
  finding.set_policy_version(decision.version);
  return finding;
}

// --- what forbids writing

std::string ConflictReason(const Decision& decision) {
  return absl::StrCat("conflict ", absl::StrJoin(decision.conflict, ", "),
                      ": equal priority and different values; the present value stays until one "
                      "of them has a higher priority");
}

std::string BuildReason(const Setting& setting, absl::string_view value) {
  return absl::StrCat("the build of this host is not known, and whether Windows honours ",
                      setting.id, " ", value, " depends on it; pass facts with os.build");
}

std::string ResolveReason(const absl::Status& status) {
  const bool missing = status.code() == absl::StatusCode::kFailedPrecondition;
  return absl::StrCat(status.message(), missing ? "; pass facts with memory.bytes" : "");
}

// True when there is nothing more to say: the present value stays, whatever it is.
bool ConcludedBeforeValues(const Decision& decision, const Setting& setting,
                           const ObservedCells& cells, const Host& host, Outcome& outcome) {
  if (!cells.error.empty()) {
    Conclude(outcome, v1::STATUS_ERROR, cells.error);
    return true;
  }
  outcome.finding.set_configured(Describe(setting, cells.values, host.Build()));
  if (!decision.conflict.empty()) {
    Conclude(outcome, v1::STATUS_BLOCKED, ConflictReason(decision));
    return true;
  }
  if (host.Build() == 0 && DependsOnBuild(setting, decision.value)) {
    Conclude(outcome, v1::STATUS_BLOCKED, BuildReason(setting, decision.value));
    return true;
  }
  const std::string ignored = WhyIgnored(setting, decision.value, host.Build());
  if (!ignored.empty()) Conclude(outcome, v1::STATUS_NOT_APPLICABLE, ignored);
  return !ignored.empty();
}

InUse InUseOf(const Setting& setting, const std::string& configured, const Host& host) {
  if (host.at_boot == nullptr) return {configured, false};
  const ObservedCells cells = CellsOf(setting, *host.at_boot);
  return {cells.error.empty() ? Describe(setting, cells.values, host.Build()) : "", true};
}

// The value for this host; nullopt after concluding that it cannot be had.
std::optional<std::string> ResolvedValue(const Decision& decision, const Setting& setting,
                                         const Host& host, Outcome& outcome) {
  const absl::StatusOr<std::string> resolved = Resolve(setting, decision.value, RamOf(host.facts));
  if (!resolved.ok()) {
    Conclude(outcome, v1::STATUS_BLOCKED, ResolveReason(resolved.status()));
    return std::nullopt;
  }
  outcome.finding.set_desired(*resolved);
  Placement placement =
      Place(setting, *resolved, InUseOf(setting, outcome.finding.configured(), host), host.facts);
  if (!placement.blocked.empty()) {
    Conclude(outcome, v1::STATUS_BLOCKED, placement.blocked);
    return std::nullopt;
  }
  outcome.note = std::move(placement.note);
  return *resolved;
}

// --- edits

std::vector<Edit> CellEdits(const Setting& setting, const std::vector<CellValue>& present,
                            const std::vector<CellValue>& wanted) {
  std::vector<Edit> edits;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    if (present[i] == wanted[i]) continue;
    Edit edit;
    edit.action = wanted[i] ? Edit::Action::kSet : Edit::Action::kDelete;
    edit.setting = std::string(setting.id);
    edit.key = std::string(setting.cells[i].key);
    edit.name = std::string(setting.cells[i].name);
    edit.from = present[i];
    edit.to = wanted[i];
    edits.push_back(std::move(edit));
  }
  return edits;
}

struct FolderNeed {
  std::string path;                  // empty: none
  std::vector<std::string> missing;  // it and what leads to it, parents first
  bool unknown = false;
  std::string error;  // why it cannot be used
};

const v1::Folder* FindFolder(const v1::Observation& observed, absl::string_view path) {
  for (const v1::Folder& folder : observed.folders()) {
    if (dumpwarden::EqualsIgnoreCase(folder.path(), path)) return &folder;
  }
  return nullptr;
}

FolderNeed FolderNeedOf(const Setting& setting, absl::string_view resolved, const Host& host) {
  FolderNeed need;
  need.path = FolderNeededBy(setting, resolved);
  if (need.path.empty()) return need;
  const v1::Folder* folder = FindFolder(host.observed, need.path);
  need.unknown = folder == nullptr || !folder->known();
  if (folder != nullptr) need.error = folder->error();
  while (folder != nullptr && folder->known() && !folder->exists()) {
    need.missing.insert(need.missing.begin(), folder->path());
    folder = FindFolder(host.observed, FolderAbove(folder->path()));
  }
  return need;
}

std::string CellText(const CellValue& value, bool with_type) {
  if (!value) return "absent";
  return with_type ? absl::StrCat(TypeName(value->type), " ", ToText(*value)) : ToText(*value);
}

std::string EditText(const Edit& edit) {
  if (edit.action == Edit::Action::kMakeFolder) {
    return absl::StrCat("folder ", edit.key, " is missing");
  }
  const bool types_differ = edit.from && edit.to && edit.from->type != edit.to->type;
  return absl::StrCat(edit.name, " ", CellText(edit.from, types_differ), " -> ",
                      CellText(edit.to, types_differ));
}

std::string DriftReason(const std::vector<Edit>& edits, v1::Mode mode) {
  const std::string list = absl::StrJoin(edits, ", ", [](std::string* out, const Edit& edit) {
    absl::StrAppend(out, EditText(edit));
  });
  return absl::StrCat(mode == v1::MODE_AUDIT ? "audit only, would change: " : "to change: ", list);
}

std::string FolderNote(const FolderNeed& need) {
  if (!need.unknown) return "";
  return absl::StrCat("folder ", need.path,
                      " was not checked: it cannot be reached from here; make sure that it exists");
}

void AppendNote(absl::string_view note, v1::Finding& finding) {
  if (note.empty()) return;
  const absl::string_view gap = finding.reason().empty() ? "" : "; ";
  finding.set_reason(absl::StrCat(finding.reason(), gap, note));
}

// --- configured as desired, but in use?

bool UsedSinceBoot(const Setting& setting, const std::vector<CellValue>& at_boot,
                   absl::string_view resolved, std::uint32_t build) {
  switch (setting.effective) {
    case Effect::kImmediate:
      return true;
    case Effect::kNextBoot:
      return Means(setting, at_boot, resolved, build);
    case Effect::kNextBootIfCreated:
      return Means(setting, at_boot, resolved, build) ||
             std::all_of(at_boot.begin(), at_boot.end(),
                         [](const CellValue& cell) { return cell.has_value(); });
  }
  return false;
}

// Why a configured value waits for a restart; "" when it does not.
std::string WhyPending(const Setting& setting, absl::string_view resolved, const Host& host) {
  if (host.at_boot == nullptr || setting.effective == Effect::kImmediate) return "";
  const ObservedCells at_boot = CellsOf(setting, *host.at_boot);
  if (!at_boot.error.empty()) {
    return "what Windows read at this boot is not known; Windows uses it after the next restart "
           "at the latest";
  }
  if (UsedSinceBoot(setting, at_boot.values, resolved, host.Build())) return "";
  return absl::StrCat("Windows uses it after the next restart; at this boot it read ",
                      Describe(setting, at_boot.values, host.Build()));
}

std::string DefaultNote(const std::vector<CellValue>& cells, absl::string_view resolved) {
  const bool absent = std::none_of(cells.begin(), cells.end(),
                                   [](const CellValue& cell) { return cell.has_value(); });
  if (!absent || resolved == kUnset) return "";
  return absl::StrCat("absent, which Windows reads as ", resolved);
}

// --- one decision

void ConcludeAgreement(const Setting& setting, const std::vector<CellValue>& cells,
                       absl::string_view resolved, const Host& host, Outcome& outcome) {
  const std::string pending = WhyPending(setting, resolved, host);
  if (!pending.empty()) {
    Conclude(outcome, v1::STATUS_PENDING_REBOOT, pending);
  } else {
    Conclude(outcome, v1::STATUS_COMPLIANT, DefaultNote(cells, resolved));
  }
}

// Holds the registry and the folder against the value.
void Compare(const Setting& setting, const std::vector<CellValue>& cells,
             const std::string& resolved, const Host& host, Outcome& outcome) {
  const FolderNeed folder = FolderNeedOf(setting, resolved, host);
  if (!folder.error.empty()) {
    return Conclude(outcome, v1::STATUS_BLOCKED,
                    absl::StrCat("folder ", folder.path, " cannot be used: ", folder.error));
  }
  if (!Means(setting, cells, resolved, host.Build())) {
    const absl::StatusOr<std::vector<CellValue>> wanted = Encode(setting, resolved);
    if (!wanted.ok()) return Conclude(outcome, v1::STATUS_ERROR, wanted.status().message());
    outcome.edits = CellEdits(setting, cells, *wanted);
  }
  for (const std::string& path : folder.missing) {
    Edit make;
    make.action = Edit::Action::kMakeFolder;
    make.setting = std::string(setting.id);
    make.key = path;
    outcome.edits.push_back(std::move(make));
  }
  if (outcome.edits.empty()) {
    ConcludeAgreement(setting, cells, resolved, host, outcome);
  } else {
    Conclude(outcome, v1::STATUS_DRIFTED, DriftReason(outcome.edits, outcome.finding.mode()));
  }
  AppendNote(FolderNote(folder), outcome.finding);
}

Outcome Decide(const Decision& decision, const Host& host) {
  Outcome outcome{FindingOf(decision), {}, ""};
  const Setting* setting = FindSetting(decision.setting);
  if (setting == nullptr || !decision.known) {
    Conclude(outcome, v1::STATUS_UNSUPPORTED,
             absl::StrCat("this agent does not know the ", setting == nullptr ? "setting" : "value",
                          "; a newer one may"));
    return outcome;
  }
  const ObservedCells cells = CellsOf(*setting, host.observed);
  if (ConcludedBeforeValues(decision, *setting, cells, host, outcome)) return outcome;
  const std::optional<std::string> resolved = ResolvedValue(decision, *setting, host, outcome);
  if (resolved) Compare(*setting, cells.values, *resolved, host, outcome);
  AppendNote(outcome.note, outcome.finding);
  if (decision.mode == v1::MODE_AUDIT) outcome.edits.clear();
  return outcome;
}

// --- the whole

// The edit that makes the folder already, or null.
Edit* MakerOf(const Edit& edit, std::vector<Edit>& edits) {
  if (edit.action != Edit::Action::kMakeFolder) return nullptr;
  const auto maker = std::find_if(edits.begin(), edits.end(), [&](const Edit& other) {
    return other.action == Edit::Action::kMakeFolder &&
           dumpwarden::EqualsIgnoreCase(other.key, edit.key);
  });
  return maker == edits.end() ? nullptr : &*maker;
}

// A folder that two settings need is made once, for both.
void AddEdits(std::vector<Edit> edits, std::vector<Edit>& all) {
  for (Edit& edit : edits) {
    if (Edit* const maker = MakerOf(edit, all)) {
      maker->also.push_back(std::move(edit.setting));
    } else {
      all.push_back(std::move(edit));
    }
  }
}

// Deletions first, so that no moment has, say, an active dump's filter on another type.
int Turn(Edit::Action action) {
  switch (action) {
    case Edit::Action::kDelete:
      return 0;
    case Edit::Action::kMakeFolder:
      return 1;
    case Edit::Action::kSet:
      return 2;
  }
  return 3;
}

bool RunsBefore(const Edit& a, const Edit& b) {
  if (a.action != b.action) return Turn(a.action) < Turn(b.action);
  return a.setting < b.setting;  // table order is order of id
}

}  // namespace

absl::string_view ActionWord(Edit::Action action) {
  switch (action) {
    case Edit::Action::kDelete:
      return "delete";
    case Edit::Action::kSet:
      return "set";
    case Edit::Action::kMakeFolder:
      return "mkdir";
  }
  return "";
}

Plan MakePlan(const Desired& desired, const v1::Observation& observed, const v1::Facts& facts,
              const v1::Observation* at_boot) {
  const Host host{observed, facts, at_boot};
  Plan plan;
  for (const Decision& decision : desired.decisions) {
    Outcome outcome = Decide(decision, host);
    plan.findings.push_back(std::move(outcome.finding));
    AddEdits(std::move(outcome.edits), plan.edits);
  }
  std::stable_sort(plan.edits.begin(), plan.edits.end(), RunsBefore);
  return plan;
}

std::set<std::string> SettingsOf(const Plan& plan) {
  std::set<std::string> settings;
  for (const Edit& edit : plan.edits) {
    settings.insert(edit.setting);
    settings.insert(edit.also.begin(), edit.also.end());
  }
  return settings;
}

void MarkCorrected(const std::set<std::string>& written, std::vector<v1::Finding>& findings) {
  for (v1::Finding& finding : findings) {
    if (finding.mode() == v1::MODE_ENFORCE && finding.status() == v1::STATUS_COMPLIANT &&
        written.contains(finding.setting())) {
      finding.set_status(v1::STATUS_CORRECTED);
    }
  }
}

}  // namespace dumpwarden
