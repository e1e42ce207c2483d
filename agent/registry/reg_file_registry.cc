// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/reg_file_registry.h"

#include <utility>

#include "absl/strings/str_cat.h"
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
  const std::string k(key);
  const std::string n(name);
  Do({k, n, [k, n, value](RegFile& file) { file.Write(k, n, value); }});
  return absl::OkStatus();
}

absl::Status RegFileRegistry::Delete(absl::string_view key, absl::string_view name) {
  if (!file_.Read(key, name)) return absl::OkStatus();
  const std::string k(key);
  const std::string n(name);
  Do({k, n, [k, n](RegFile& file) { file.Delete(k, n); }});
  return absl::OkStatus();
}

absl::Status RegFileRegistry::DeleteKeyIfEmpty(absl::string_view key) {
  if (!file_.HasKey(key)) return absl::OkStatus();
  const std::string k(key);
  Do({k, std::nullopt, [k](RegFile& file) { file.DeleteKeyIfEmpty(k); }});
  return absl::OkStatus();
}

absl::Status RegFileRegistry::CheckWritable(absl::string_view) { return absl::OkStatus(); }

absl::Status RegFileRegistry::Flush() {
  if (edits_.empty()) return absl::OkStatus();
  std::optional<RegFile> merged;
  std::string written;
  RETURN_IF_ERROR(
      EditFile(vfs_, Replaced(), [&](const std::string& found) -> absl::StatusOr<std::string> {
        merged.reset();
        if (found != bytes_) {
          ASSIGN_OR_RETURN(merged, MakeEdits(found));
        }
        written = (merged ? *merged : file_).Serialize();
        return written;
      }));
  if (merged) file_ = std::move(*merged);
  bytes_ = std::move(written);
  edits_.clear();
  return absl::OkStatus();
}

absl::StatusOr<RegFile> RegFileRegistry::MakeEdits(const std::string& found) const {
  ASSIGN_OR_RETURN(const RegFile before, RegFile::Parse(bytes_, path_));
  ASSIGN_OR_RETURN(RegFile file, RegFile::Parse(found, path_));
  for (const Edit& edit : edits_) {
    if (edit.name && file.Read(edit.key, *edit.name) != before.Read(edit.key, *edit.name)) {
      return ChangedMeanwhile(edit.key, *edit.name);
    }
  }
  for (const Edit& edit : edits_) edit.make(file);
  return file;
}

absl::Status RegFileRegistry::Reload() {
  ASSIGN_OR_RETURN(std::string found, vfs_.Read(path_, kMaxRegFileBytes));
  if (edits_.empty() && found == bytes_) return absl::OkStatus();
  ASSIGN_OR_RETURN(file_, RegFile::Parse(found, path_));
  bytes_ = std::move(found);
  edits_.clear();
  return absl::OkStatus();
}

ReplacedFile RegFileRegistry::Replaced() const {
  return {path_, absl::StrCat(PlaceOfFile(path_), "/replacing"), kMaxRegFileBytes};
}

absl::StatusOr<bool> RegFileRegistry::WasCutOff() { return vfs_.Exists(Replaced().note); }

absl::StatusOr<std::vector<std::string>> RegFileRegistry::Mend() {
  std::vector<std::string> said;
  RETURN_IF_ERROR(MendFile(vfs_, Replaced(), said));
  RETURN_IF_ERROR(Reload());
  return said;
}

std::optional<absl::Time> RegFileRegistry::LastWrite(absl::string_view) { return std::nullopt; }

std::vector<std::string> RegFileRegistry::Warnings() { return {}; }

void RegFileRegistry::Do(Edit edit) {
  edit.make(file_);
  edits_.push_back(std::move(edit));
}

}  // namespace dumpwarden
