// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/undo.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/digest.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/catalog/windows_path.h"
#include "core/reconcile/observe.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kFormat = "dumpwarden-undo/1\n";
constexpr std::size_t kDigestLine = 65;  // 64 hex digits and the line end

constexpr std::size_t kMaxFolderLength = 260;

// A key that the table names, or one between it and the control set.
bool IsTableKey(absl::string_view key) {
  for (const Setting& setting : AllSettings()) {
    for (std::size_t i = 0; i < CellCount(setting); ++i) {
      const absl::string_view cell = setting.cells[i].key;
      if (dumpwarden::EqualsIgnoreCase(cell, key) ||
          absl::StartsWithIgnoreCase(cell, absl::StrCat(key, "\\"))) {
        return key.size() > kControlSetKey.size();
      }
    }
  }
  return false;
}

// The folders that the values after the apply need: of dump files and for small dumps.
std::vector<std::string> DumpFolders(const v1::UndoRecord& record) {
  std::vector<std::string> folders;
  for (const v1::UndoRecord::Cell& cell : record.cells()) {
    const Setting* setting = OwnerOfCell(cell.key(), cell.name());
    const std::vector<CellValue> after = {UndoValue(cell.after())};
    if (setting == nullptr || setting->text == TextKind::kNone || !after.front()) continue;
    std::string folder = FolderNeededBy(*setting, Describe(*setting, after, 0));
    if (!folder.empty()) folders.push_back(std::move(folder));
  }
  return folders;
}

// One of `known` or above one of them; a drive's root is no folder of ours.
bool LeadsToOneOf(absl::string_view folder, const std::vector<std::string>& known) {
  const PathRules rules = {/*system_root=*/false, /*blanks=*/true, kMaxFolderLength};
  if (IsVolumeRoot(folder) || !ReadWindowsPath(folder, rules).ok()) return false;
  return std::any_of(known.begin(), known.end(), [folder](const std::string& other) {
    return dumpwarden::EqualsIgnoreCase(folder, other) ||
           absl::StartsWithIgnoreCase(other, absl::StrCat(folder, "\\"));
  });
}

bool IsBackupName(absl::string_view name) {
  if (!absl::ConsumePrefix(&name, "backup-") || !absl::ConsumeSuffix(&name, ".reg")) return false;
  return std::all_of(name.begin(), name.end(),
                     [](unsigned char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

absl::Status NotInTable(absl::string_view what) {
  return absl::DataLossError(absl::StrCat(Quote(what), " is not in the table of this program"));
}

}  // namespace

std::string FormatUndo(const v1::UndoRecord& record) {
  const std::string body = record.SerializeAsString();
  return absl::StrCat(kFormat, Sha256Hex(body), "\n", body);
}

absl::StatusOr<v1::UndoRecord> ParseUndo(absl::string_view bytes) {
  v1::UndoRecord record;
  if (!absl::ConsumePrefix(&bytes, kFormat)) {
    return absl::DataLossError("it does not begin with dumpwarden-undo/1");
  }
  const absl::string_view body = bytes.size() < kDigestLine ? "" : bytes.substr(kDigestLine);
  if (bytes.substr(0, kDigestLine) != absl::StrCat(Sha256Hex(body), "\n") ||
      !record.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return absl::DataLossError("its content does not match its SHA-256");
  }
  return record;
}

absl::Status CheckUndo(const v1::UndoRecord& record) {
  for (const v1::UndoRecord::Cell& cell : record.cells()) {
    if (OwnerOfCell(cell.key(), cell.name()) == nullptr) {
      return NotInTable(absl::StrCat(cell.key(), "\\", cell.name()));
    }
  }
  for (const std::string& key : record.keys()) {
    if (!IsTableKey(key)) return NotInTable(key);
  }
  const std::vector<std::string> known = DumpFolders(record);
  for (const std::string& folder : record.folders()) {
    if (LeadsToOneOf(folder, known)) continue;
    return absl::DataLossError(
        absl::StrCat(Quote(folder), " is the folder of no dump path in the record"));
  }
  if (IsBackupName(record.backup())) return absl::OkStatus();
  return absl::DataLossError(
      absl::StrCat(Quote(record.backup()), " is not the name of a backup beside the record"));
}

void SetUndoValue(const std::optional<RegistryValue>& from, v1::UndoRecord::Value& to) {
  to.set_present(from.has_value());
  if (!from) return;
  to.set_type(static_cast<std::uint32_t>(from->type));
  to.set_data(from->data);
}

std::optional<RegistryValue> UndoValue(const v1::UndoRecord::Value& value) {
  if (!value.present()) return std::nullopt;
  return RegistryValue{static_cast<RegType>(value.type()), value.data()};
}

const v1::UndoRecord::Cell* FindUndoCell(const v1::UndoRecord& record, absl::string_view key,
                                         absl::string_view name) {
  for (const v1::UndoRecord::Cell& cell : record.cells()) {
    if (dumpwarden::EqualsIgnoreCase(cell.key(), key) &&
        dumpwarden::EqualsIgnoreCase(cell.name(), name)) {
      return &cell;
    }
  }
  return nullptr;
}

}  // namespace dumpwarden
