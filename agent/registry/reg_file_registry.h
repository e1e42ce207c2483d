// SPDX-License-Identifier: Apache-2.0
// A host that is a .reg file: what a host's registry exports to, and what the
// agent reconciles off Windows.  Its keys say CurrentControlSet, as an export
// of a running Windows does; ControlSet001 is another key here and is left alone.
#ifndef DUMPWARDEN_AGENT_REGISTRY_REG_FILE_REGISTRY_H_
#define DUMPWARDEN_AGENT_REGISTRY_REG_FILE_REGISTRY_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/registry/replace_file.h"
#include "core/base/vfs.h"
#include "core/reconcile/reg_file.h"
#include "core/reconcile/registry.h"

namespace dumpwarden {

// RegFileRegistry edits a copy in memory; Flush replaces the file.  When another program
// changed other values of the file in between, our edits are made to what it left.
class RegFileRegistry : public Registry {
 public:
  // kNotFound, kInvalidArgument (file:line:column).  `vfs` must outlive this.
  static absl::StatusOr<std::unique_ptr<RegFileRegistry>> Open(const std::string& path, Vfs& vfs);

  absl::StatusOr<std::optional<RegistryValue>> Read(absl::string_view key,
                                                    absl::string_view name) override;
  absl::StatusOr<bool> HasKey(absl::string_view key) override;
  absl::Status Write(absl::string_view key, absl::string_view name,
                     const RegistryValue& value) override;
  absl::Status Delete(absl::string_view key, absl::string_view name) override;
  absl::Status DeleteKeyIfEmpty(absl::string_view key) override;
  absl::Status CheckWritable(absl::string_view key) override;
  absl::Status Flush() override;
  absl::Status Reload() override;
  absl::StatusOr<bool> WasCutOff() override;
  absl::StatusOr<std::vector<std::string>> Mend() override;
  std::optional<absl::Time> LastWrite(absl::string_view key) override;
  std::vector<std::string> Warnings() override;

 private:
  struct Edit {
    std::string key;
    std::optional<std::string> name;  // none: the key itself
    std::function<void(RegFile&)> make;
  };
  RegFileRegistry(std::string path, Vfs& vfs);
  void Do(Edit edit);
  // kAborted when `found` differs in a value that was edited.
  absl::StatusOr<RegFile> MakeEdits(const std::string& found) const;

  ReplacedFile Replaced() const;

  std::string path_;
  Vfs& vfs_;
  std::string bytes_;  // as read or written last
  RegFile file_;       // with our edits
  std::vector<Edit> edits_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_REG_FILE_REGISTRY_H_
