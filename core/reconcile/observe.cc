// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/observe.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/catalog/windows_path.h"

namespace dumpwarden {
namespace {

v1::Cell ObserveCell(Registry& registry, const CellName& name) {
  v1::Cell cell;
  cell.set_key(std::string(name.key));
  cell.set_name(std::string(name.name));
  const absl::StatusOr<CellValue> value = registry.Read(name.key, name.name);
  if (!value.ok()) {
    cell.set_error(Printable(value.status().message()));
    return cell;
  }
  if (!value->has_value()) return cell;
  cell.set_present(true);
  cell.set_type(static_cast<std::uint32_t>((*value)->type));
  cell.set_data((*value)->data);
  return cell;
}

// In the order of the decisions.
std::vector<std::string> FoldersOf(const Desired& desired) {
  std::vector<std::string> folders;
  for (const Decision& decision : desired.decisions) {
    const Setting* setting = FindSetting(decision.setting);
    if (setting == nullptr || !decision.conflict.empty()) continue;
    folders.push_back(FolderNeededBy(*setting, decision.value));
  }
  return folders;
}

// A link or a file in the way makes the folder unusable; what cannot be looked at is only not
// known.
v1::Folder ObserveFolder(Folders& folders, const std::string& path, v1::Observation& observation) {
  v1::Folder folder;
  folder.set_path(path);
  const absl::StatusOr<Folders::Presence> presence = folders.Look(path);
  if (!presence.ok()) {
    const std::string why = Printable(presence.status().message());
    if (absl::IsFailedPrecondition(presence.status())) {
      folder.set_error(why);
    } else {
      observation.add_warnings(absl::StrCat(path, " could not be looked at: ", why));
    }
    return folder;
  }
  folder.set_known(*presence != Folders::Presence::kUnknown);
  folder.set_exists(*presence == Folders::Presence::kPresent);
  return folder;
}

bool IsObserved(absl::string_view path, const v1::Observation& observation) {
  return std::any_of(observation.folders().begin(), observation.folders().end(),
                     [path](const v1::Folder& folder) {
                       return dumpwarden::EqualsIgnoreCase(folder.path(), path);
                     });
}

// Upwards, as long as folders are absent; each once.
void ObservePath(Folders& folders, std::string path, v1::Observation& observation) {
  while (!path.empty() && !IsObserved(path, observation)) {
    v1::Folder folder = ObserveFolder(folders, path, observation);
    path = folder.known() && !folder.exists() ? FolderAbove(path) : "";
    *observation.add_folders() = std::move(folder);
  }
}

const v1::Cell* FindCell(const v1::Observation& observation, const CellName& name) {
  for (const v1::Cell& cell : observation.cells()) {
    if (dumpwarden::EqualsIgnoreCase(cell.name(), name.name) &&
        dumpwarden::EqualsIgnoreCase(cell.key(), name.key)) {
      return &cell;
    }
  }
  return nullptr;
}

std::string WhyUnusable(const v1::Cell* cell, const CellName& name) {
  if (cell == nullptr) {
    return absl::StrCat(name.name,
                        " is not in the observation, which an agent with another table "
                        "made; bring agent and server to one version");
  }
  if (cell->error().empty()) return "";
  return absl::StrCat(name.key, "\\", name.name, " could not be read: ", cell->error());
}

}  // namespace

v1::Observation Observe(Registry& registry, Folders& folders, const Desired& desired,
                        const v1::Facts&) {
  v1::Observation observation;
  for (const Setting& setting : AllSettings()) {
    for (std::size_t i = 0; i < CellCount(setting); ++i) {
      *observation.add_cells() = ObserveCell(registry, setting.cells[i]);
    }
  }
  for (const std::string& warning : registry.Warnings()) observation.add_warnings(warning);
  for (const std::string& path : FoldersOf(desired)) ObservePath(folders, path, observation);
  return observation;
}

std::string FolderAbove(absl::string_view folder) {
  std::string above = ParentFolder(folder);
  return IsVolumeRoot(above) ? "" : above;
}

std::string FolderNeededBy(const Setting& setting, absl::string_view value) {
  if (setting.text == TextKind::kNone || value == kUnset) return "";
  if (IsBelowSystemRoot(value)) return "";  // Windows looks after its own
  const bool folder = setting.text == TextKind::kDumpFolder;
  if (!folder) return FolderAbove(value);
  return IsVolumeRoot(value) ? "" : std::string(value);
}

ObservedCells CellsOf(const Setting& setting, const v1::Observation& observation) {
  ObservedCells cells;
  for (std::size_t i = 0; i < CellCount(setting); ++i) {
    const v1::Cell* cell = FindCell(observation, setting.cells[i]);
    if (cells.error.empty()) cells.error = WhyUnusable(cell, setting.cells[i]);
    CellValue value;
    if (cell != nullptr && cell->present()) {
      value = RegistryValue{static_cast<RegType>(cell->type()), cell->data()};
    }
    cells.values.push_back(std::move(value));
  }
  return cells;
}

}  // namespace dumpwarden
