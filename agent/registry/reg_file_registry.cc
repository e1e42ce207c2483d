// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/reg_file_registry.h"

#include <utility>

#include "agent/registry/replace_file.h"
#include "core/base/status_macros.h"

namespace dumpwarden {

absl::StatusOr<std::unique_ptr<RegFileRegistry>> RegFileRegistry::Open(const std::string& path,
                                                                       Vfs& vfs) {
  std::unique_ptr<RegFileRegistry> registry(new RegFileRegistry(path, vfs));
  RETURN_IF_ERROR(registry->Reload());
  return registry;
}

RegFileRegistry::RegFileRegistry(std::string path, Vfs& vfs)
    : path_(std::move(path)), vfs_(vfs), file_(RegFile::New()) {}

absl::StatusOr<std::optional<RegistryValue>> RegFileRegistry::Read(absl::string_view key,
                                                                   absl::string_view name) {
  return file_.Read(key, name);
}

absl::StatusOr<bool> RegFileRegistry::HasKey(absl::string_view key) { return file_.HasKey(key); }

absl::Status RegFileRegistry::Write(absl::string_view key, absl::string_view name,
                                    const RegistryValue& value) {
  if (value.data.size() > kMaxRegValueBytes) {
    return absl::InvalidArgumentError("a registry value is larger than 1 MiB");
  }
  if (file_.Read(key, name) == value) return absl::OkStatus();
  Do([k = std::string(key), n = std::string(name), value](RegFile& file) {
    file.Write(k, n, value);
  });
  return absl::OkStatus();
}

absl::Status RegFileRegistry::Delete(absl::string_view key, absl::string_view name) {
  if (!file_.Read(key, name)) return absl::OkStatus();
  Do([k = std::string(key), n = std::string(name)](RegFile& file) { file.Delete(k, n); });
  return absl::OkStatus();
}

absl::Status RegFileRegistry::DeleteKeyIfEmpty(absl::string_view key) {
  if (!file_.HasKey(key)) return absl::OkStatus();
  Do([k = std::string(key)](RegFile& file) { file.DeleteKeyIfEmpty(k); });
  return absl::OkStatus();
}

absl::Status RegFileRegistry::CheckWritable(absl::string_view) { return absl::OkStatus(); }

absl::Status RegFileRegistry::Flush() {
  if (edits_.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string found, vfs_.Read(path_, kMaxRegFileBytes));
  if (found != bytes_) {
    ASSIGN_OR_RETURN(file_, RegFile::Parse(found, path_));
    for (const EditFile& edit : edits_) edit(file_);
    bytes_ = found;
  }
  std::string edited = file_.Serialize();
  if (edited != bytes_) RETURN_IF_ERROR(ReplaceFile(vfs_, path_, edited));
  bytes_ = std::move(edited);
  edits_.clear();
  return absl::OkStatus();
}

absl::Status RegFileRegistry::Reload() {
  ASSIGN_OR_RETURN(std::string found, vfs_.Read(path_, kMaxRegFileBytes));
  if (edits_.empty() && found == bytes_) return absl::OkStatus();
  ASSIGN_OR_RETURN(file_, RegFile::Parse(found, path_));
  bytes_ = std::move(found);
  edits_.clear();
  return absl::OkStatus();
}

std::optional<absl::Time> RegFileRegistry::LastWrite(absl::string_view) { return std::nullopt; }

std::vector<std::string> RegFileRegistry::Warnings() { return {}; }

void RegFileRegistry::Do(EditFile edit) {
  edit(file_);
  edits_.push_back(std::move(edit));
}

}  // namespace dumpwarden
