// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/apply_check.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/state_digest.h"
#include "core/reconcile/undo.h"

namespace dumpwarden::sim {
namespace {

using Cells = std::map<std::string, RegistryValue>;  // "key\nname", lower case

std::string CellId(absl::string_view key, absl::string_view name) {
  return LowerAscii(absl::StrCat(key, "\n", name));
}

Cells CellsIn(const FakeRegistry::Keys& keys) {
  Cells cells;
  for (const auto& [key, values] : keys) {
    for (const auto& [name, value] : values.values) cells[CellId(key, name)] = value.value;
  }
  return cells;
}

bool SameCell(const v1::UndoRecord::Cell& cell, const Edit& edit) {
  return CellId(cell.key(), cell.name()) == CellId(edit.key, edit.name);
}

std::string Text(const std::optional<RegistryValue>& value) {
  return value ? ToText(*value) : "absent";
}

}  // namespace

Desired DesiredOf(AgentState& state, const v1::Facts& facts, World& world) {
  std::vector<PolicyInForce> policies;
  const absl::StatusOr<std::vector<StoredPolicy>> stored = state.Policies();
  if (!stored.ok()) {
    world.Fail(absl::StrCat("the agent's policies cannot be read: ", stored.status().ToString()));
    return {};
  }
  for (const StoredPolicy& policy : *stored) {
    absl::StatusOr<Policy> read = world.ReadPolicyOnce(policy.name, policy.yaml);
    if (read.ok()) policies.push_back({*std::move(read), policy.version});
  }
  return Merge(policies, facts);
}

Plan FreshPlan(AgentState& state, Machine& machine) {
  const MachineFaults::Pause pause(machine.faults);
  const Desired desired = DesiredOf(state, machine.facts, machine.world);
  const v1::Observation observed =
      Observe(machine.registry, machine.folders, desired, machine.facts);
  const auto at_boot = state.BootSnapshot(machine.facts.boot().id());
  const bool known = at_boot.ok() && at_boot->has_value();
  return MakePlan(desired, observed, machine.facts, known ? &**at_boot : nullptr);
}

void ApplyCheck::Fail(const std::string& what) {
  machine_.world.Fail(absl::StrCat("host ", machine_.number, ": ", what));
}

void ApplyCheck::Attach() {
  machine_.registry.Interfere([this](FakeRegistry&) { OnWrite(); });
}

void ApplyCheck::Begin(AgentState* state) {
  state_ = state;
  wrote_ = false;
  undo_seen_ = machine_.vfs->Get(kUndoPath).value_or("");
  vfs_changes_ = machine_.vfs->changes();
  errors_ = machine_.faults.fired();
  folders_ = machine_.folders.folders().size();
  // What stood there at the end of an earlier life may be lost, or written by somebody else, since.
  before_ = interrupted_ ? machine_.registry.now() : FakeRegistry::Keys();
}

void ApplyCheck::OnWrite() {
  wrote_ = true;
  const MachineFaults::Pause pause(machine_.faults);
  const std::optional<std::string> undo = machine_.vfs->Get(kUndoPath);
  if (!undo) return Fail("P3: the registry is written without an undo record");
  if (*undo == undo_seen_) return;  // a later write of the same apply, or its roll-back
  undo_seen_ = *undo;
  CheckRecovered();
  const absl::StatusOr<v1::UndoRecord> record = ParseUndo(*undo);
  if (!record.ok()) return Fail(absl::StrCat("P3: ", record.status().message()));
  before_ = machine_.registry.now();
  interrupted_ = *record;
  touched_.clear();
  if (state_ == nullptr) return Fail("P2: an apply before the agent's state is open");
  on_write_();
  CheckPlan(*record, FreshPlan(*state_, machine_));
  CheckDriftIsKept(*record);
}

// The record's cells are the plan's edits, setting by setting; settings may be held back.
void ApplyCheck::CheckPlan(const v1::UndoRecord& record, const Plan& plan) {
  std::set<std::string> settings;
  for (const v1::UndoRecord::Cell& cell : record.cells()) {
    const std::optional<RegistryValue> before = UndoValue(cell.before());
    const std::optional<RegistryValue> after = UndoValue(cell.after());
    if (before == after) continue;  // stands for a folder
    const auto edit = std::find_if(plan.edits.begin(), plan.edits.end(),
                                   [&cell](const Edit& e) { return SameCell(cell, e); });
    if (edit == plan.edits.end()) {
      return Fail(absl::StrCat("P1, P2: ", cell.key(), "\\", cell.name(),
                               " is written and is in no plan: from ", Text(before), " to ",
                               Text(after)));
    }
    if (edit->from != before || edit->to != after) {
      return Fail(absl::StrCat("P2: ", cell.name(), " is written from ", Text(before), " to ",
                               Text(after), ", planned is ", Text(edit->from), " to ",
                               Text(edit->to)));
    }
    settings.insert(edit->setting);
  }
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder || !settings.contains(edit.setting)) continue;
    if (FindUndoCell(record, edit.key, edit.name) == nullptr) {
      Fail(absl::StrCat("P2: ", edit.setting, " is written without ", edit.name));
    }
  }
}

void ApplyCheck::CheckDriftIsKept(const v1::UndoRecord& record) {
  const absl::StatusOr<TrackedSettings> tracked = state_->Tracked();
  if (!tracked.ok()) return Fail(absl::StrCat("P6: ", tracked.status().ToString()));
  for (const v1::UndoRecord::Cell& cell : record.cells()) {
    if (UndoValue(cell.before()) == UndoValue(cell.after())) continue;
    const Setting* setting = OwnerOfCell(cell.key(), cell.name());
    if (setting == nullptr) return Fail("P2: a cell outside the table is written");
    const auto known = tracked->find(absl::StrCat("enforce ", std::string(setting->id)));
    if (known == tracked->end() || known->second.drift == 0) {
      Fail(absl::StrCat(
          "P6: ", std::string(setting->id), " is written back, and its drift is not on disk: ",
          known == tracked->end() ? "not tracked" : known->second.finding.ShortDebugString()));
    }
  }
}

void ApplyCheck::CheckNothingElse() {
  Cells before = CellsIn(before_);
  Cells now = CellsIn(machine_.registry.now());
  for (const v1::UndoRecord::Cell& cell : interrupted_->cells()) {
    before.erase(CellId(cell.key(), cell.name()));
    now.erase(CellId(cell.key(), cell.name()));
  }
  if (before != now) Fail("P2: an apply changed cells that are not in its record");
}

void ApplyCheck::CheckRecovered() {
  if (!interrupted_) return;
  std::string old_cells;
  std::string new_cells;
  for (const v1::UndoRecord::Cell& cell : interrupted_->cells()) {
    const std::optional<RegistryValue> before = UndoValue(cell.before());
    const std::optional<RegistryValue> after = UndoValue(cell.after());
    if (before == after || touched_.contains(CellId(cell.key(), cell.name()))) continue;
    const std::optional<RegistryValue> now = machine_.registry.Get(cell.key(), cell.name());
    if (now != before && now != after) {
      Fail(absl::StrCat("P3: ", cell.name(), " is ", Text(now), ", neither ", Text(before), " nor ",
                        Text(after)));
    }
    absl::StrAppend(now == before ? &old_cells : &new_cells, " ", cell.name());
  }
  if (!old_cells.empty() && !new_cells.empty()) {
    Fail(absl::StrCat("P3: half of an apply is left: old are", old_cells, "; new are", new_cells));
  }
  interrupted_.reset();
}

void ApplyCheck::End() {
  if (machine_.faults.dead()) return;  // the next start shows what is left
  const bool undo_left = machine_.vfs->Get(kUndoPath).has_value();
  if (interrupted_ && !undo_left) {
    if (wrote_ && !before_.empty()) CheckNothingElse();
    CheckRecovered();
  }
  before_.clear();
  const bool touched_disk = machine_.vfs->changes() != vfs_changes_;
  const bool excused = wrote_ || !undo_seen_.empty() || machine_.faults.fired() != errors_ ||
                       machine_.folders.folders().size() != folders_;
  if (touched_disk && !excused) Fail("P1: there is nothing to write, and the disk was touched");
}

}  // namespace dumpwarden::sim
