// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/hive_registry.h"

#include <sys/stat.h>

#include <algorithm>
#include <ctime>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kSystem = "HKLM\\SYSTEM\\";
constexpr absl::string_view kSoftware = "HKLM\\SOFTWARE\\";
constexpr absl::string_view kCurrent = "CurrentControlSet";
constexpr std::int64_t kFreshNs = 2'000'000'000;

bool IsBelow(absl::string_view key, absl::string_view parent) {
  return absl::StartsWithIgnoreCase(key, absl::StrCat(parent, "\\"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<HiveRegistry>> HiveRegistry::Open(const std::string& system,
                                                                 const std::string& software,
                                                                 Vfs& vfs, bool force_dirty) {
  std::unique_ptr<HiveRegistry> registry(new HiveRegistry(vfs, force_dirty));
  for (const std::string& path : {system, software}) {
    if (path.empty()) continue;
    registry->files_.push_back(File{path, nullptr, Stamp{}, {}});
  }
  RETURN_IF_ERROR(registry->Reload());
  return registry;
}

absl::StatusOr<std::optional<RegistryValue>> HiveRegistry::Read(absl::string_view key,
                                                                absl::string_view name) {
  ASSIGN_OR_RETURN(const Place place, Locate(key));
  const std::vector<HiveEdit>& edits = place.file->edits;
  for (auto edit = edits.rbegin(); edit != edits.rend(); ++edit) {
    if (edit->kind == HiveEdit::Kind::kDeleteKey ||
        !dumpwarden::EqualsIgnoreCase(edit->key, place.key) ||
        !dumpwarden::EqualsIgnoreCase(edit->name, name)) {
      continue;
    }
    if (edit->kind == HiveEdit::Kind::kDelete) return std::nullopt;
    return edit->value;
  }
  return place.file->hive->Read(place.key, name);
}

absl::StatusOr<bool> HiveRegistry::HasKey(absl::string_view key) {
  ASSIGN_OR_RETURN(const Place place, Locate(key));
  ASSIGN_OR_RETURN(bool exists, place.file->hive->HasKey(place.key));
  for (const HiveEdit& edit : place.file->edits) {
    const bool same = dumpwarden::EqualsIgnoreCase(edit.key, place.key);
    if (edit.kind == HiveEdit::Kind::kSet && (same || IsBelow(edit.key, place.key))) exists = true;
    if (edit.kind == HiveEdit::Kind::kDeleteKey && same) exists = false;
  }
  return exists;
}

absl::Status HiveRegistry::Write(absl::string_view key, absl::string_view name,
                                 const RegistryValue& value) {
  if (value.data.size() > kMaxHiveValueBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a value of a hive has at most ", kMaxHiveValueBytes, " bytes; found ", value.data.size()));
  }
  ASSIGN_OR_RETURN(const std::optional<RegistryValue> now, Read(key, name));
  if (now == value) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Place place, Locate(key));
  return Edit(place, {HiveEdit::Kind::kSet, place.key, std::string(name), value});
}

absl::Status HiveRegistry::Delete(absl::string_view key, absl::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<RegistryValue> now, Read(key, name));
  if (!now) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Place place, Locate(key));
  return Edit(place, {HiveEdit::Kind::kDelete, place.key, std::string(name), {}});
}

absl::Status HiveRegistry::DeleteKeyIfEmpty(absl::string_view key) {
  ASSIGN_OR_RETURN(const bool exists, HasKey(key));
  if (!exists) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Place place, Locate(key));
  ASSIGN_OR_RETURN(const bool empty, IsEmpty(place));
  if (!empty) return absl::OkStatus();
  return Edit(place, {HiveEdit::Kind::kDeleteKey, place.key, "", {}});
}

absl::Status HiveRegistry::Flush() {
  for (File& file : files_) {
    if (!file.edits.empty()) RETURN_IF_ERROR(FlushFile(file));
  }
  return absl::OkStatus();
}

absl::Status HiveRegistry::Reload() {
  for (File& file : files_) {
    file.edits.clear();
    const Stamp now = StampOf(file.path);
    const Stamp& then = file.stamp;
    const bool same = file.hive != nullptr && !then.fresh && now.device == then.device &&
                      now.inode == then.inode && now.size == then.size &&
                      now.changed_ns == then.changed_ns;
    if (!same) RETURN_IF_ERROR(Load(file));
  }
  ASSIGN_OR_RETURN(control_set_, ControlSetOf(*files_.front().hive));
  return absl::OkStatus();
}

// Both notes are in the place of SYSTEM.
ReplacedFile HiveRegistry::Replaced(const File& file) const {
  const bool first = &file == &files_.front();
  return {file.path,
          absl::StrCat(PlaceOfFile(files_.front().path), first ? "/replacing" : "/replacing-2"),
          kMaxHiveBytes};
}

absl::StatusOr<bool> HiveRegistry::WasCutOff() {
  bool cut_off = false;
  for (const File& file : files_) {
    ASSIGN_OR_RETURN(const bool noted, vfs_.Exists(Replaced(file).note));
    cut_off = cut_off || noted;
  }
  return cut_off;
}

absl::StatusOr<std::vector<std::string>> HiveRegistry::Mend() {
  std::vector<std::string> said;
  for (const File& file : files_) RETURN_IF_ERROR(MendFile(vfs_, Replaced(file), said));
  RETURN_IF_ERROR(Reload());
  return said;
}

// libhivex leaves the times of keys as they are, so they say nothing.
std::optional<absl::Time> HiveRegistry::LastWrite(absl::string_view) { return std::nullopt; }

std::vector<std::string> HiveRegistry::Warnings() {
  std::vector<std::string> warnings;
  for (const File& file : files_) {
    if (file.hive->dirt().empty()) continue;
    warnings.push_back(absl::StrCat(
        "hive ", file.path, " is dirty (", file.hive->dirt(),
        "): Windows will replay its transaction logs first, so values may be older than it sees"));
  }
  if (!control_set_.warning.empty()) warnings.push_back(control_set_.warning);
  warnings.insert(warnings.end(), copies_.begin(), copies_.end());
  return warnings;
}

HiveRegistry::Stamp HiveRegistry::StampOf(const std::string& path) {
  struct stat info {};
  Stamp stamp;
  if (stat(path.c_str(), &info) != 0) return stamp;  // reading it will say why
  stamp.device = info.st_dev;
  stamp.inode = info.st_ino;
  stamp.size = info.st_size;
  const auto nanoseconds = [](const timespec& t) {
    return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
  };
  stamp.changed_ns = nanoseconds(info.st_ctim);
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  stamp.fresh = nanoseconds(now) - stamp.changed_ns < kFreshNs;
  return stamp;
}

absl::Status HiveRegistry::Load(File& file) {
  const Stamp stamp = StampOf(file.path);
  ASSIGN_OR_RETURN(const std::string bytes, vfs_.Read(file.path, kMaxHiveBytes));
  ASSIGN_OR_RETURN(file.hive, Hive::Open(bytes, file.path));
  file.stamp = stamp;
  return absl::OkStatus();
}

absl::StatusOr<HiveRegistry::ControlSet> HiveRegistry::ControlSetOf(Hive& system) const {
  const auto select = [&system](const char* name) -> absl::StatusOr<std::uint32_t> {
    ASSIGN_OR_RETURN(const std::optional<RegistryValue> value, system.Read("Select", name));
    return value ? AsDword(*value).value_or(0) : 0;
  };
  ASSIGN_OR_RETURN(const std::uint32_t current, select("Current"));
  ASSIGN_OR_RETURN(const std::uint32_t next, select("Default"));
  ControlSet set{absl::StrFormat("ControlSet%03u", current), ""};
  ASSIGN_OR_RETURN(const bool exists, system.HasKey(set.key));
  if (current == 0 || !exists) {
    return absl::FailedPreconditionError(absl::StrCat(
        files_.front().path, ": not the SYSTEM hive of a Windows: ",
        current == 0 ? std::string("it has no Select\\Current")
                     : absl::StrCat("Select\\Current names ", set.key, ", which is not there"),
        "; give the hive \\Windows\\System32\\config\\SYSTEM"));
  }
  if (next != current) {
    set.warning = absl::StrFormat(
        "Select\\Default is %u and Select\\Current is %u: the next start uses ControlSet%03u, what "
        "is read and written here is %s",
        next, current, next, set.key);
  }
  return set;
}

absl::StatusOr<HiveRegistry::Place> HiveRegistry::Locate(absl::string_view key) {
  if (absl::StartsWithIgnoreCase(key, kSystem)) {
    const absl::string_view rest = key.substr(kSystem.size());
    const bool current = dumpwarden::EqualsIgnoreCase(rest, kCurrent) || IsBelow(rest, kCurrent);
    return Place{&files_[0], current ? absl::StrCat(control_set_.key, rest.substr(kCurrent.size()))
                                     : std::string(rest)};
  }
  if (absl::StartsWithIgnoreCase(key, kSoftware) && files_.size() > 1) {
    return Place{&files_[1], std::string(key.substr(kSoftware.size()))};
  }
  return absl::FailedPreconditionError(absl::StrCat(
      key, " is in none of the hives given; give both as --registry hive:SYSTEM,SOFTWARE"));
}

absl::StatusOr<bool> HiveRegistry::IsEmpty(const Place& place) {
  Hive& hive = *place.file->hive;
  std::vector<std::string> names;
  std::vector<std::string> children;
  ASSIGN_OR_RETURN(const bool existed, hive.HasKey(place.key));
  if (existed) {
    ASSIGN_OR_RETURN(const std::vector<Hive::Value> values, hive.Values(place.key));
    for (const Hive::Value& value : values) names.push_back(value.name);
    ASSIGN_OR_RETURN(children, hive.SubKeys(place.key));
    for (std::string& child : children) child = absl::StrCat(place.key, "\\", child);
  }
  for (const HiveEdit& edit : place.file->edits) {
    if (dumpwarden::EqualsIgnoreCase(edit.key, place.key)) names.push_back(edit.name);
    if (IsBelow(edit.key, place.key)) children.push_back(edit.key);
  }
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto value, Read(FullKey(*place.file, place.key), name));
    if (value) return false;
  }
  for (const std::string& child : children) {
    ASSIGN_OR_RETURN(const bool exists, HasKey(FullKey(*place.file, child)));
    if (exists) return false;
  }
  return true;
}

std::string HiveRegistry::FullKey(const File& file, absl::string_view key) const {
  const bool current = &file == &files_[0] && IsBelow(key, control_set_.key);
  return absl::StrCat(&file == &files_[0] ? kSystem : kSoftware, current ? kCurrent : key,
                      current ? key.substr(control_set_.key.size()) : "");
}

absl::Status HiveRegistry::CheckWritable(absl::string_view key) {
  ASSIGN_OR_RETURN(const Place place, Locate(key));
  return CheckClean(*place.file->hive, place.file->path);
}

absl::Status HiveRegistry::CheckClean(const Hive& hive, const std::string& path) const {
  const std::string& dirt = hive.dirt();
  if (dirt.empty() || force_dirty_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "hive ", path, " is dirty (", dirt,
      ") and was not written: Windows has transaction logs to replay, and would skip them after a "
      "write; start that Windows and shut it down cleanly, or use --force-dirty to give the logs "
      "up (a copy of the hive is kept beside it)"));
}

absl::Status HiveRegistry::Edit(const Place& place, HiveEdit edit) {
  RETURN_IF_ERROR(CheckClean(*place.file->hive, place.file->path));
  place.file->edits.push_back(std::move(edit));
  return absl::OkStatus();
}

absl::Status HiveRegistry::FlushFile(File& file) {
  std::string written;
  std::string copy;  // of the dirty hive that was found last
  RETURN_IF_ERROR(
      EditFile(vfs_, Replaced(file), [&](const std::string& found) -> absl::StatusOr<std::string> {
        ASSIGN_OR_RETURN(written, MakeEdits(file, found, copy));
        return written;
      }));
  if (!copy.empty()) {
    copies_.push_back(absl::StrCat("hive ", file.path,
                                   " was dirty when it was written: what it was is kept in ", copy,
                                   ", and Windows will not replay its old logs"));
  }
  ASSIGN_OR_RETURN(file.hive, Hive::Open(written, file.path));
  file.stamp = Stamp{};
  file.edits.clear();
  return absl::OkStatus();
}

absl::StatusOr<std::string> HiveRegistry::MakeEdits(const File& file, const std::string& found,
                                                    std::string& copy) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Hive> hive, Hive::Open(found, file.path));
  RETURN_IF_ERROR(CheckUnchanged(file, *hive));
  RETURN_IF_ERROR(CheckClean(*hive, file.path));
  ASSIGN_OR_RETURN(std::string edited, hive->Edited(file.edits));
  if (!copy.empty()) RETURN_IF_ERROR(vfs_.Remove(std::exchange(copy, "")));
  if (edited != found && !hive->dirt().empty()) {
    ASSIGN_OR_RETURN(copy, KeepCopy(file.path, found));
  }
  return edited;
}

absl::Status HiveRegistry::CheckUnchanged(const File& file, Hive& found) const {
  if (&file == &files_[0]) {
    ASSIGN_OR_RETURN(const ControlSet set, ControlSetOf(found));
    if (set.key != control_set_.key) {
      return absl::AbortedError(absl::StrCat(file.path, ": Select\\Current changed from ",
                                             control_set_.key, " to ", set.key, " meanwhile"));
    }
  }
  for (const HiveEdit& edit : file.edits) {
    if (edit.kind == HiveEdit::Kind::kDeleteKey) continue;
    ASSIGN_OR_RETURN(const std::optional<RegistryValue> before,
                     file.hive->Read(edit.key, edit.name));
    ASSIGN_OR_RETURN(const std::optional<RegistryValue> now, found.Read(edit.key, edit.name));
    if (now != before) return ChangedMeanwhile(FullKey(file, edit.key), edit.name);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> HiveRegistry::KeepCopy(const std::string& path,
                                                   const std::string& bytes) {
  for (int n = 1;; ++n) {
    const std::string copy = absl::StrCat(path, ".dirty-", n);
    ASSIGN_OR_RETURN(const bool taken, vfs_.Exists(copy));
    if (taken) continue;
    RETURN_IF_ERROR(WriteDurably(vfs_, copy, bytes));
    return copy;
  }
}

}  // namespace dumpwarden
