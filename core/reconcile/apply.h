// SPDX-License-Identifier: Apache-2.0
// Carrying out a plan, all or nothing.  The steps, each durable before the
// next: lock, observe and plan again, undo record, backup (.reg that regedit
// imports), deletions, folders, sets, flush, read-back, undo record filed
// beside the backup.  On failure cells that still hold our value are put back.
// After a crash Recover does the same from the undo record.  A value that another
// program changes in between is never overwritten: it starts again.
#ifndef DUMPWARDEN_CORE_RECONCILE_APPLY_H_
#define DUMPWARDEN_CORE_RECONCILE_APPLY_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/vfs.h"
#include "core/reconcile/folders.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/reg_file.h"
#include "core/reconcile/registry.h"
#include "dumpwarden/v1/undo.pb.h"

namespace dumpwarden {

// Where a registry's lock, undo record and backups are.  It belongs to the
// registry and not to the program, so that service and command line share it.
struct ApplyPlace {
  std::string folder;  // made when absent: lock, undo, backup-<UTC time>-<n>.reg, ...undo
  std::string host{};  // what the backup's comment says it is of: the host file
  // An apply whose backup would be larger is refused, as Restore could not read it.
  std::size_t max_backup_bytes = kMaxRegFileBytes;
};

struct Applied {
  Plan plan;           // what was done: the plan made under the lock
  std::string backup;  // path of the .reg file; empty when no value was changed
  // Restore: folders that the apply made and that this process cannot look at or remove, so that
  // they stay.
  std::vector<std::string> unseen{};
};

// Keys and folders that an apply made and its restore takes away when they are empty.
struct Obsolete {
  std::vector<std::string> keys;  // parents first
  std::vector<std::string> folders;
  std::vector<std::string> unseen;  // folders that this process cannot look at
  bool empty() const { return keys.empty() && folders.empty(); }
};

class Applier {
 public:
  // All must outlive this.
  Applier(Registry& registry, Folders& folders, Vfs& vfs, const Clock& clock, ApplyPlace place);

  // Finishes what a crash interrupted.  To be called before the first Observe.  True when
  // something was put back.
  absl::StatusOr<bool> Recover();
  // Folders that were made by what was last put back, and that could not be removed.
  const std::vector<std::string>& left_folders() const { return left_; }
  // What was to be said of Flushes that a kill cut off, since the last call.
  std::vector<std::string> TakeMended() { return std::exchange(mended_, {}); }

  // Is shown each plan that is made under the lock, before it is carried out; not when it fails.
  using BeforeWrite = std::function<absl::Status(const Plan&)>;
  // Applies what MakePlan gives for the state under the lock.  An edit list that is empty writes
  // nothing, not even the lock's folder; nor does one for a registry that cannot be
  // written, which is an error.  On error everything is as before, or the
  // message says which cell could not be put back.  kAborted when another program changed a value
  // in between three times in a row.
  absl::StatusOr<Applied> Apply(const Desired& desired, const v1::Facts& facts,
                                const v1::Observation* at_boot = nullptr,
                                const BeforeWrite& before_write = nullptr);

  // Puts back what a backup holds.  Refuses cells outside the table, and
  // deletions of anything but what the apply of that backup wrote.
  // Itself backed up and undoable.  kAborted as Apply.
  absl::StatusOr<Applied> Restore(const std::string& backup_path);

 private:
  // Fails when the plan cannot be carried out, before anything is touched.
  absl::Status CheckPlan(const Plan& plan) const;
  // Makes the folder and takes the lock; finishes what a crash left.
  absl::StatusOr<std::unique_ptr<FileLock>> Begin();
  absl::StatusOr<bool> RecoverLocked();
  absl::Status Mend();
  // Everything from the undo record to filing it.  `obsolete`: what goes with the edits.
  absl::StatusOr<Applied> Carry(Plan plan, const Obsolete& obsolete);
  absl::Status CarryRecorded(const Plan& plan, const v1::UndoRecord& record,
                             const Obsolete& obsolete);
  absl::Status WriteCells(const Plan& plan, const Obsolete& obsolete);
  absl::Status WriteCell(const Edit& edit);
  absl::Status DeleteKeys(const Obsolete& obsolete);
  absl::Status ReadBack(const Plan& plan);
  std::string BackupOf(const Plan& plan) const;
  absl::StatusOr<std::string> NewBackupName();
  absl::Status RecordCells(const Plan& plan, v1::UndoRecord& record);
  absl::Status RecordMissing(const Plan& plan, v1::UndoRecord& record);
  // True when something was put back.  The record goes last.
  absl::StatusOr<bool> RollBack(const v1::UndoRecord& record);
  absl::StatusOr<bool> PutBack(const v1::UndoRecord& record);
  // The deepest first, each when it is empty; those that fail are added to `left`.
  void RemoveFolders(const std::vector<std::string>& paths, std::vector<std::string>& left);
  absl::StatusOr<v1::UndoRecord> ReadUndo(const std::string& path);
  absl::StatusOr<Applied> RestoreOnce(const RegFile& backup, const v1::UndoRecord* undo,
                                      const std::string& path);
  absl::StatusOr<Plan> PlanRestore(const RegFile& backup, const v1::UndoRecord* undo,
                                   const std::string& path);
  absl::Status CheckDeletion(const RegLine& line, const std::optional<RegistryValue>& now,
                             const v1::UndoRecord* undo, const std::string& path) const;
  absl::StatusOr<Obsolete> FindObsolete(const v1::UndoRecord* undo);
  std::string BackupPath(const v1::UndoRecord& record) const;
  std::string UndoPath() const;

  Registry& registry_;
  Folders& folders_;
  Vfs& vfs_;
  const Clock& clock_;
  ApplyPlace place_;
  std::vector<std::string> left_;
  std::vector<std::string> mended_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_APPLY_H_
