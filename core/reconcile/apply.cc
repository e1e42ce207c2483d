// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/apply.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/reg_file.h"
#include "core/reconcile/undo.h"

namespace dumpwarden {
namespace {

constexpr int kMaxTries = 3;
constexpr int kMaxBackupsASecond = 10000;

std::string ParentOf(absl::string_view path) {
  const std::size_t slash = path.rfind('\\');
  return std::string(path.substr(0, slash == absl::string_view::npos ? 0 : slash));
}

std::string CellText(absl::string_view key, absl::string_view name) {
  return absl::StrCat(key, "\\", name);
}

absl::Status Put(Registry& registry, absl::string_view key, absl::string_view name,
                 const std::optional<RegistryValue>& value) {
  return value ? registry.Write(key, name, *value) : registry.Delete(key, name);
}

std::string ValueText(const std::optional<RegistryValue>& value) {
  return value ? ToText(*value) : "absent";
}

// The deepest of `absent` last; a path is kept once.
void AddAbsent(std::vector<std::string> deepest_first, std::vector<std::string>& absent) {
  for (auto path = deepest_first.rbegin(); path != deepest_first.rend(); ++path) {
    const bool known = std::any_of(absent.begin(), absent.end(), [&path](const std::string& other) {
      return dumpwarden::EqualsIgnoreCase(other, *path);
    });
    if (!known) absent.push_back(*path);
  }
}

void AddCell(const CellName& name, const CellValue& before, const CellValue& after,
             v1::UndoRecord& record) {
  if (FindUndoCell(record, name.key, name.name) != nullptr) return;
  v1::UndoRecord::Cell& cell = *record.add_cells();
  cell.set_key(std::string(name.key));
  cell.set_name(std::string(name.name));
  SetUndoValue(before, *cell.mutable_before());
  SetUndoValue(after, *cell.mutable_after());
}

const absl::Status& StatusOf(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& StatusOf(const absl::StatusOr<T>& result) {
  return result.status();
}

// What another program did in between is seen, and taken into account, by the next attempt.
template <typename Attempt>
auto WhileAborted(const Attempt& attempt) {
  auto result = attempt();
  for (int tries = 1; tries < kMaxTries && absl::IsAborted(StatusOf(result)); ++tries) {
    result = attempt();
  }
  return result;
}

absl::Status CheckSize(absl::string_view what, std::size_t size, std::size_t limit) {
  if (size <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the ", what, " of the values to be replaced would have ", size,
                   " bytes, and at most ", limit, " can be read again; nothing was changed"));
}

}  // namespace

Applier::Applier(Registry& registry, Folders& folders, Vfs& vfs, const Clock& clock,
                 ApplyPlace place)
    : registry_(registry), folders_(folders), vfs_(vfs), clock_(clock), place_(std::move(place)) {}

absl::Status Applier::CheckPlan(const Plan& plan) const {
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder) continue;
    if (absl::Status status = registry_.CheckWritable(edit.key); !status.ok()) {
      return absl::Status(status.code(), absl::StrCat(status.message(), "; nothing was touched"));
    }
  }
  return CheckSize("backup", BackupOf(plan).size(), place_.max_backup_bytes);
}

absl::StatusOr<bool> Applier::Recover() {
  ASSIGN_OR_RETURN(const bool interrupted, vfs_.Exists(UndoPath()));
  ASSIGN_OR_RETURN(const bool cut_off, registry_.WasCutOff());
  if (!interrupted && !cut_off) return false;
  RETURN_IF_ERROR(vfs_.CheckPrivateFolder(place_.folder));
  // Held by a running apply, the record is not ours to undo: the lock tells.
  ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock,
                   vfs_.Lock(absl::StrCat(place_.folder, "/lock")));
  return RecoverLocked();
}

absl::StatusOr<Applied> Applier::Apply(const Desired& desired, const v1::Facts& facts,
                                       const v1::Observation* at_boot,
                                       const BeforeWrite& before_write) {
  const auto plan = [&] {
    return MakePlan(desired, Observe(registry_, folders_, desired, facts), facts, at_boot);
  };
  Plan first = plan();
  if (first.edits.empty()) return Applied{std::move(first), ""};
  RETURN_IF_ERROR(CheckPlan(first));
  ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, Begin());
  return WhileAborted([&]() -> absl::StatusOr<Applied> {
    RETURN_IF_ERROR(registry_.Reload());
    Plan next = plan();
    if (before_write) RETURN_IF_ERROR(before_write(next));
    return Carry(std::move(next), Obsolete{});
  });
}

absl::StatusOr<Applied> Applier::Restore(const std::string& backup_path) {
  ASSIGN_OR_RETURN(const std::string bytes, vfs_.Read(backup_path, place_.max_backup_bytes));
  ASSIGN_OR_RETURN(const RegFile backup, RegFile::Parse(bytes, backup_path));
  const std::string undo_path = absl::StrCat(backup_path, ".undo");
  ASSIGN_OR_RETURN(const bool has_undo, vfs_.Exists(undo_path));
  std::optional<v1::UndoRecord> undo;
  if (has_undo) {
    ASSIGN_OR_RETURN(undo, ReadUndo(undo_path));
  }
  const v1::UndoRecord* of_apply = undo ? &*undo : nullptr;
  ASSIGN_OR_RETURN(Plan first, PlanRestore(backup, of_apply, backup_path));
  ASSIGN_OR_RETURN(Obsolete obsolete, FindObsolete(of_apply));
  if (first.edits.empty() && obsolete.empty()) {
    return Applied{std::move(first), "", std::move(obsolete.unseen)};
  }
  RETURN_IF_ERROR(CheckPlan(first));
  ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, Begin());
  return WhileAborted([&] { return RestoreOnce(backup, of_apply, backup_path); });
}

absl::StatusOr<std::unique_ptr<FileLock>> Applier::Begin() {
  RETURN_IF_ERROR(vfs_.MakeFolder(place_.folder));
  RETURN_IF_ERROR(vfs_.CheckPrivateFolder(place_.folder));
  RETURN_IF_ERROR(vfs_.SyncFolder(FolderOf(place_.folder)));
  ASSIGN_OR_RETURN(std::unique_ptr<FileLock> lock, vfs_.Lock(absl::StrCat(place_.folder, "/lock")));
  RETURN_IF_ERROR(RecoverLocked().status());
  return lock;
}

absl::StatusOr<bool> Applier::RecoverLocked() {
  RETURN_IF_ERROR(Mend());
  ASSIGN_OR_RETURN(const bool interrupted, vfs_.Exists(UndoPath()));
  if (!interrupted) return false;
  ASSIGN_OR_RETURN(const v1::UndoRecord record, ReadUndo(UndoPath()));
  return RollBack(record);
}

// Before anything is put back: the whole file of another program counts for more than our record.
absl::Status Applier::Mend() {
  ASSIGN_OR_RETURN(const bool cut_off, registry_.WasCutOff());
  if (!cut_off) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> said, registry_.Mend());
  mended_.insert(mended_.end(), said.begin(), said.end());
  return absl::OkStatus();
}

absl::StatusOr<Applied> Applier::Carry(Plan plan, const Obsolete& obsolete) {
  if (plan.edits.empty()) {  // what goes is empty, so there is nothing to back up
    RETURN_IF_ERROR(DeleteKeys(obsolete));
    RETURN_IF_ERROR(registry_.Flush());
    return Applied{std::move(plan), ""};
  }
  RETURN_IF_ERROR(CheckPlan(plan));
  v1::UndoRecord record;
  RETURN_IF_ERROR(RecordCells(plan, record));
  RETURN_IF_ERROR(RecordMissing(plan, record));
  ASSIGN_OR_RETURN(*record.mutable_backup(), NewBackupName());
  const std::string undo = FormatUndo(record);
  RETURN_IF_ERROR(CheckSize("undo record", undo.size(), kMaxUndoBytes));
  if (absl::Status status = WriteDurably(vfs_, UndoPath(), undo); !status.ok()) {
    vfs_.Remove(UndoPath()).IgnoreError();  // may be there, and not durably
    return absl::Status(status.code(), absl::StrCat(status.message(), "; nothing was changed"));
  }
  FAILPOINT("apply.undo-written");
  const absl::Status done = CarryRecorded(plan, record, obsolete);
  if (done.ok()) return Applied{std::move(plan), BackupPath(record)};
  const absl::StatusOr<bool> back = RollBack(record);
  if (back.ok()) {
    const std::string but =
        left_.empty()
            ? ""
            : absl::StrCat(", but that these folders were made and could not be removed: ",
                           absl::StrJoin(left_, ", "));
    return absl::Status(done.code(),
                        absl::StrCat(done.message(), "; everything is as before", but));
  }
  // Not to be tried again before the undo record is gone.
  return absl::Status(
      absl::IsAborted(done) ? absl::StatusCode::kInternal : done.code(),
      absl::StrCat(done.message(), "; and putting things back failed: ", back.status().message(),
                   "; it is tried again at the next start"));
}

absl::Status Applier::CarryRecorded(const Plan& plan, const v1::UndoRecord& record,
                                    const Obsolete& obsolete) {
  RETURN_IF_ERROR(WriteDurably(vfs_, BackupPath(record), BackupOf(plan)));
  FAILPOINT("apply.backup-written");
  RETURN_IF_ERROR(WriteCells(plan, obsolete));
  RETURN_IF_ERROR(registry_.Flush());
  FAILPOINT("apply.flushed");
  RETURN_IF_ERROR(ReadBack(plan));
  FAILPOINT("apply.read-back");
  RETURN_IF_ERROR(vfs_.Rename(UndoPath(), absl::StrCat(BackupPath(record), ".undo")));
  // Done, synced or not: to roll back now would be to write without a record.  Should a power cut
  // bring the record back, Recover puts back all of it.
  vfs_.SyncFolder(place_.folder).IgnoreError();
  FAILPOINT("apply.done");
  return absl::OkStatus();
}

absl::Status Applier::WriteCells(const Plan& plan, const Obsolete& obsolete) {
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kDelete) RETURN_IF_ERROR(WriteCell(edit));
  }
  RETURN_IF_ERROR(DeleteKeys(obsolete));
  FAILPOINT("apply.deleted");
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder) RETURN_IF_ERROR(folders_.Make(edit.key));
  }
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kSet) RETURN_IF_ERROR(WriteCell(edit));
  }
  FAILPOINT("apply.set");
  return absl::OkStatus();
}

absl::Status Applier::WriteCell(const Edit& edit) {
  ASSIGN_OR_RETURN(const CellValue now, registry_.Read(edit.key, edit.name));
  if (now != edit.from) return ChangedMeanwhile(edit.key, edit.name);
  return Put(registry_, edit.key, edit.name, edit.to);
}

absl::Status Applier::DeleteKeys(const Obsolete& obsolete) {
  for (auto key = obsolete.keys.rbegin(); key != obsolete.keys.rend(); ++key) {
    RETURN_IF_ERROR(registry_.DeleteKeyIfEmpty(*key));
  }
  return absl::OkStatus();
}

absl::Status Applier::ReadBack(const Plan& plan) {
  RETURN_IF_ERROR(registry_.Reload());
  absl::Status refused;
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder) continue;
    ASSIGN_OR_RETURN(const CellValue found, registry_.Read(edit.key, edit.name));
    if (found == edit.to) continue;
    // Neither what stood there nor ours: a whole file of another program's may have come, in which
    // other cells are as before.
    if (found != edit.from) return ChangedMeanwhile(edit.key, edit.name);
    refused.Update(
        absl::DataLossError(absl::StrCat(CellText(edit.key, edit.name), " reads back as ",
                                         ValueText(found), " instead of ", ValueText(edit.to))));
  }
  return refused;
}

std::string Applier::BackupOf(const Plan& plan) const {
  RegFile backup = RegFile::New();
  backup.AddComment(
      absl::StrCat("Dumpwarden backup: what stood here before the change of ",
                   absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", clock_.Now(), absl::UTCTimeZone())));
  if (!place_.host.empty()) backup.AddComment(absl::StrCat("Host: ", Printable(place_.host)));
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder) continue;
    if (edit.from) {
      backup.Write(edit.key, edit.name, *edit.from);
    } else {
      backup.WriteDeletion(edit.key, edit.name);
    }
  }
  return backup.Serialize();
}

absl::StatusOr<std::string> Applier::NewBackupName() {
  const std::string stem = absl::StrCat(
      "backup-", absl::FormatTime("%Y%m%dT%H%M%SZ", clock_.Now(), absl::UTCTimeZone()), "-");
  for (int n = 1; n <= kMaxBackupsASecond; ++n) {
    std::string name = absl::StrCat(stem, n, ".reg");
    const std::string path = absl::StrCat(place_.folder, "/", name);
    ASSIGN_OR_RETURN(const bool taken, vfs_.Exists(path));
    ASSIGN_OR_RETURN(const bool undo_taken, vfs_.Exists(absl::StrCat(path, ".undo")));
    if (!taken && !undo_taken) return name;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat("too many backups ", place_.folder, "/", stem, "*"));
}

// A folder is recorded with the values that lead to it, also when only the folder is missing.
absl::Status Applier::RecordCells(const Plan& plan, v1::UndoRecord& record) {
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder) continue;
    AddCell({edit.key, edit.name}, edit.from, edit.to, record);
  }
  for (const Edit& edit : plan.edits) {
    if (edit.action != Edit::Action::kMakeFolder) continue;
    const CellName& cell = FindSetting(edit.setting)->cells.front();
    ASSIGN_OR_RETURN(const CellValue now, registry_.Read(cell.key, cell.name));
    AddCell(cell, now, now, record);
  }
  return absl::OkStatus();
}

absl::Status Applier::RecordMissing(const Plan& plan, v1::UndoRecord& record) {
  std::vector<std::string> keys;
  std::vector<std::string> folders;
  for (const Edit& edit : plan.edits) {
    std::vector<std::string> missing;
    if (edit.action == Edit::Action::kSet) {
      for (std::string key = edit.key; key.size() > kControlSetKey.size(); key = ParentOf(key)) {
        ASSIGN_OR_RETURN(const bool exists, registry_.HasKey(key));
        if (exists) break;
        missing.push_back(key);
      }
      AddAbsent(std::move(missing), keys);
    } else if (edit.action == Edit::Action::kMakeFolder) {
      for (std::string path = edit.key; path.size() > 3; path = ParentOf(path)) {
        ASSIGN_OR_RETURN(const Folders::Presence presence, folders_.Look(path));
        if (presence != Folders::Presence::kAbsent) break;
        missing.push_back(path);
      }
      AddAbsent(std::move(missing), folders);
    }
  }
  record.mutable_keys()->Assign(keys.begin(), keys.end());
  record.mutable_folders()->Assign(folders.begin(), folders.end());
  return absl::OkStatus();
}

absl::StatusOr<bool> Applier::RollBack(const v1::UndoRecord& record) {
  bool changed = false;
  RETURN_IF_ERROR(Mend());
  RETURN_IF_ERROR(WhileAborted([&]() -> absl::Status {
    RETURN_IF_ERROR(registry_.Reload());
    ASSIGN_OR_RETURN(changed, PutBack(record));
    return registry_.Flush();
  }));
  left_.clear();
  RemoveFolders({record.folders().begin(), record.folders().end()}, left_);
  for (const std::string& path :
       {absl::StrCat(BackupPath(record), ".undo"), BackupPath(record), UndoPath()}) {
    RETURN_IF_ERROR(RemoveDurably(vfs_, path));
  }
  return changed;
}

absl::StatusOr<bool> Applier::PutBack(const v1::UndoRecord& record) {
  bool changed = false;
  std::vector<std::string> failed;
  const auto keep = [&failed](absl::string_view what, const absl::Status& status) {
    failed.push_back(absl::StrCat(what, ": ", status.message()));
  };
  for (const v1::UndoRecord::Cell& cell : record.cells()) {
    const CellValue before = UndoValue(cell.before());
    const CellValue after = UndoValue(cell.after());
    const absl::StatusOr<CellValue> now = registry_.Read(cell.key(), cell.name());
    absl::Status status = now.status();
    const bool ours = now.ok() && *now == after && after != before;
    if (ours) status = Put(registry_, cell.key(), cell.name(), before);
    if (!status.ok()) keep(CellText(cell.key(), cell.name()), status);
    changed = changed || ours;
  }
  for (auto key = record.keys().rbegin(); key != record.keys().rend(); ++key) {
    if (absl::Status status = registry_.DeleteKeyIfEmpty(*key); !status.ok()) keep(*key, status);
  }
  if (failed.empty()) return changed;
  registry_.Flush().IgnoreError();  // what could be put back should stay so
  return absl::InternalError(absl::StrJoin(failed, "; "));
}

void Applier::RemoveFolders(const std::vector<std::string>& paths, std::vector<std::string>& left) {
  for (auto path = paths.rbegin(); path != paths.rend(); ++path) {
    if (!folders_.RemoveIfEmpty(*path).ok()) left.push_back(*path);
  }
}

absl::StatusOr<v1::UndoRecord> Applier::ReadUndo(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, vfs_.Read(path, kMaxUndoBytes));
  absl::StatusOr<v1::UndoRecord> record = ParseUndo(bytes);
  const absl::Status status = record.ok() ? CheckUndo(*record) : record.status();
  if (status.ok()) return record;
  return absl::DataLossError(
      absl::StrCat("the undo record ", path, " cannot be used (", status.message(),
                   "); compare the registry with the newest backup in ", place_.folder,
                   ", put back by hand what is wrong, then remove the record and start again"));
}

std::string Applier::BackupPath(const v1::UndoRecord& record) const {
  return absl::StrCat(place_.folder, "/", record.backup());
}

std::string Applier::UndoPath() const { return absl::StrCat(place_.folder, "/undo"); }

}  // namespace dumpwarden
