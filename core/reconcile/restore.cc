// SPDX-License-Identifier: Apache-2.0
// What a restore writes and takes away; apply.cc carries it out.
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/problems.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/apply.h"
#include "core/reconcile/undo.h"

namespace dumpwarden {
namespace {

std::string CellText(absl::string_view key, absl::string_view name) {
  return absl::StrCat(key, "\\", name);
}

std::string ValueText(const std::optional<RegistryValue>& value) {
  return value ? ToText(*value) : "absent";
}

// What each cell of a backup is to be: of several lines the last.
std::vector<RegLine> LastLines(const RegFile& backup) {
  std::vector<RegLine> lines;
  std::map<std::string, std::size_t> known;
  for (RegLine& line : backup.Lines()) {
    const auto found = known.try_emplace(LowerAscii(CellText(line.key, line.name)), lines.size());
    if (found.second) {
      lines.push_back(std::move(line));
    } else {
      lines[found.first->second] = std::move(line);
    }
  }
  return lines;
}

absl::Status AtLine(const std::string& path, const Mark& mark, absl::string_view what) {
  Problems problems(path);
  problems.Add(mark, "", what);
  return problems.ToStatus();
}

}  // namespace

absl::StatusOr<Applied> Applier::RestoreOnce(const RegFile& backup, const v1::UndoRecord* undo,
                                             const std::string& path) {
  RETURN_IF_ERROR(registry_.Reload());
  ASSIGN_OR_RETURN(Plan plan, PlanRestore(backup, undo, path));
  ASSIGN_OR_RETURN(Obsolete obsolete, FindObsolete(undo));
  ASSIGN_OR_RETURN(Applied restored, Carry(std::move(plan), obsolete));
  restored.unseen = std::move(obsolete.unseen);
  // Last, because a folder that was taken away could not be rolled back to what it was.
  RemoveFolders(obsolete.folders, restored.unseen);
  return restored;
}

absl::StatusOr<Plan> Applier::PlanRestore(const RegFile& backup, const v1::UndoRecord* undo,
                                          const std::string& path) {
  if (const std::vector<std::string> keys = backup.DeletedKeys(); !keys.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": it deletes the key ", keys.front(),
                                                   "; a backup only deletes values"));
  }
  Plan plan;
  std::vector<Edit> sets;
  for (const RegLine& line : LastLines(backup)) {
    const Setting* setting = OwnerOfCell(line.key, line.name);
    if (setting == nullptr) {
      return AtLine(path, line.mark,
                    absl::StrCat(CellText(line.key, line.name),
                                 " is not in the table of this program, so it is not written"));
    }
    ASSIGN_OR_RETURN(const CellValue now, registry_.Read(line.key, line.name));
    if (!line.value) RETURN_IF_ERROR(CheckDeletion(line, now, undo, path));
    if (now == line.value) continue;
    const auto action = line.value ? Edit::Action::kSet : Edit::Action::kDelete;
    (line.value ? sets : plan.edits)
        .push_back(Edit{action, std::string(setting->id), line.key, line.name, now, line.value});
  }
  plan.edits.insert(plan.edits.end(), sets.begin(), sets.end());
  return plan;
}

absl::Status Applier::CheckDeletion(const RegLine& line, const CellValue& now,
                                    const v1::UndoRecord* undo, const std::string& path) const {
  const std::string cell_text = CellText(line.key, line.name);
  const v1::UndoRecord::Cell* cell =
      undo == nullptr ? nullptr : FindUndoCell(*undo, line.key, line.name);
  if (cell == nullptr || cell->before().present()) {
    return AtLine(path, line.mark,
                  absl::StrCat("deletes ", cell_text, ", which ", path,
                               ".undo does not say that its apply created; keep both files "
                               "together, or delete the line"));
  }
  const CellValue after = UndoValue(cell->after());
  if (!now || now == after) return absl::OkStatus();
  const absl::Status changed = AtLine(
      path, line.mark,
      absl::StrCat("deletes ", cell_text, ", which is ", ValueText(now), " now and no longer ",
                   ValueText(after),
                   " as its apply wrote it, so nothing was restored; restore the "
                   "newer backups first, or delete the value by hand, or delete the line to keep "
                   "the value"));
  return absl::FailedPreconditionError(changed.message());
}

absl::StatusOr<Obsolete> Applier::FindObsolete(const v1::UndoRecord* undo) {
  Obsolete obsolete;
  if (undo == nullptr) return obsolete;
  for (const std::string& key : undo->keys()) {
    ASSIGN_OR_RETURN(const bool exists, registry_.HasKey(key));
    if (exists) obsolete.keys.push_back(key);
  }
  for (const std::string& path : undo->folders()) {
    const Folders::Presence presence =
        folders_.Look(path).value_or(Folders::Presence::kUnknown);  // no reason to keep the values
    if (presence == Folders::Presence::kPresent) obsolete.folders.push_back(path);
    if (presence == Folders::Presence::kUnknown) obsolete.unseen.push_back(path);
  }
  return obsolete;
}

}  // namespace dumpwarden
