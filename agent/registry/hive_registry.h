// SPDX-License-Identifier: Apache-2.0
// A host that is offline: its SYSTEM hive, and its SOFTWARE hive when given.  CurrentControlSet
// is the control set that Select\Current names; a missing one is never made.
// A dirty hive is read, and written only when forced.
#ifndef DUMPWARDEN_AGENT_REGISTRY_HIVE_REGISTRY_H_
#define DUMPWARDEN_AGENT_REGISTRY_HIVE_REGISTRY_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/registry/hive.h"
#include "agent/registry/replace_file.h"
#include "core/base/vfs.h"
#include "core/reconcile/registry.h"

namespace dumpwarden {

// HiveRegistry keeps the hives open and its edits beside them; Flush makes the edits to
// what the files then hold and replaces the files.  SYSTEM is first, and stays written when
// SOFTWARE is refused.
class HiveRegistry : public Registry {
 public:
  // `software` may be empty.  `vfs` must outlive this.
  static absl::StatusOr<std::unique_ptr<HiveRegistry>> Open(const std::string& system,
                                                            const std::string& software, Vfs& vfs,
                                                            bool force_dirty);

  absl::StatusOr<std::optional<RegistryValue>> Read(absl::string_view key,
                                                    absl::string_view name) override;
  absl::StatusOr<bool> HasKey(absl::string_view key) override;
  // kFailedPrecondition for a dirty hive, unless forced.
  absl::Status Write(absl::string_view key, absl::string_view name,
                     const RegistryValue& value) override;
  absl::Status Delete(absl::string_view key, absl::string_view name) override;
  absl::Status DeleteKeyIfEmpty(absl::string_view key) override;
  absl::Status Flush() override;
  absl::Status CheckWritable(absl::string_view key) override;
  // Reads a file again only when it may have changed.
  absl::Status Reload() override;
  absl::StatusOr<bool> WasCutOff() override;
  absl::StatusOr<std::vector<std::string>> Mend() override;
  std::optional<absl::Time> LastWrite(absl::string_view key) override;
  std::vector<std::string> Warnings() override;

 private:
  // By what a replaced or rewritten file is told.
  struct Stamp {
    std::uint64_t device = 0;
    std::uint64_t inode = 0;
    std::int64_t size = 0;
    std::int64_t changed_ns = 0;  // st_ctim: unlike st_mtim, nobody can set it back
    // Changed so recently that a further change might not show.
    bool fresh = true;
  };
  struct File {
    std::string path;
    std::unique_ptr<Hive> hive;
    Stamp stamp;
    std::vector<HiveEdit> edits;
  };
  // A key in one of the files.
  struct Place {
    File* file = nullptr;
    std::string key;
  };

  HiveRegistry(Vfs& vfs, bool force_dirty) : vfs_(vfs), force_dirty_(force_dirty) {}
  static Stamp StampOf(const std::string& path);
  ReplacedFile Replaced(const File& file) const;
  absl::Status Load(File& file);
  struct ControlSet {
    std::string key;  // ControlSet001
    std::string warning;
  };
  absl::StatusOr<ControlSet> ControlSetOf(Hive& system) const;
  absl::StatusOr<Place> Locate(absl::string_view key);
  absl::StatusOr<bool> IsEmpty(const Place& place);
  absl::Status CheckClean(const Hive& hive, const std::string& path) const;
  absl::Status Edit(const Place& place, HiveEdit edit);
  absl::Status FlushFile(File& file);
  // What the edits make of a file that holds `found`.  kAborted when it differs in a value that
  // was edited.
  // `copy`: of what a forced write replaces; one of an earlier try is taken away.
  absl::StatusOr<std::string> MakeEdits(const File& file, const std::string& found,
                                        std::string& copy);
  absl::Status CheckUnchanged(const File& file, Hive& found) const;
  std::string FullKey(const File& file, absl::string_view key) const;
  absl::StatusOr<std::string> KeepCopy(const std::string& path, const std::string& bytes);

  Vfs& vfs_;
  bool force_dirty_;
  std::vector<File> files_;  // SYSTEM, SOFTWARE
  ControlSet control_set_;
  std::vector<std::string> copies_;  // what forced writing kept
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_HIVE_REGISTRY_H_
