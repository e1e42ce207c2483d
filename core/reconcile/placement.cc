// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/placement.h"

#include <cstdint>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/base/sizes.h"
#include "core/catalog/windows_path.h"
#include "core/policy/facts.h"

namespace dumpwarden {
namespace {

// Rounded: a reason that names every byte would change with every look.
std::string Gib(std::uint64_t bytes) {
  return absl::StrFormat("%.1fGiB", static_cast<double>(bytes) / static_cast<double>(kGiB));
}

std::string VolumesOf(const v1::Facts& facts) {
  std::vector<std::string> paths;
  for (const v1::Facts::Volume& volume : facts.volumes()) paths.push_back(volume.path());
  return paths.empty() ? "none" : absl::StrJoin(paths, ", ");
}

// windows-crash-dumps.md 3.5: neither page files nor dumps go to such a volume.
std::string WhyNotOnVolume(absl::string_view path, const v1::Facts& facts) {
  const v1::Facts::Volume* volume = VolumeOf(facts, path);
  if (volume == nullptr) {
    if (IsBelowSystemRoot(path)) return "";  // it exists, the facts only do not say which it is
    return absl::StrCat("the volume of ", path, " does not exist on this host (it has ",
                        VolumesOf(facts), "); name another volume, or select other hosts");
  }
  const std::string& kind = volume->kind();
  if (kind.empty() || kind == "fixed" || kind == "unknown") return "";
  return absl::StrCat("the volume of ", path, " is ", volume->kind(),
                      "; Windows writes dumps and page files to fixed disks only");
}

struct Demand {
  std::uint64_t initial = 0;
  std::uint64_t maximum = 0;
};

Demand DemandOn(const v1::Facts::Volume& volume, const std::vector<PageFile>& files,
                const v1::Facts& facts) {
  Demand demand;
  for (const PageFile& file : files) {
    if (VolumeOf(facts, file.path) != &volume) continue;
    demand.initial += file.initial.value_or(0);
    demand.maximum += file.maximum.value_or(0);
  }
  return demand;
}

// A volume of which the facts give no size has room for everything.
std::string WhyNoRoom(const v1::Facts::Volume& volume, const Demand& wanted,
                      const Demand& present) {
  if (volume.total() == 0) return "";
  if (wanted.maximum > volume.total()) {
    return absl::StrCat(volume.path(), " holds ", Gib(volume.total()),
                        " in all, and the page files on it may grow to ", Gib(wanted.maximum),
                        "; lower maximum, or name another volume");
  }
  if (wanted.initial <= volume.free() + present.initial) return "";
  const std::string credit =
      present.initial == 0
          ? ""
          : absl::StrCat(" and ", Gib(present.initial), " in the page files that are replaced");
  return absl::StrCat(volume.path(), " has ", Gib(volume.free()), " free", credit,
                      ", and the page files on it start with ", Gib(wanted.initial),
                      "; make room, or name another volume or size");
}

std::string WhyNoPageFiles(absl::string_view resolved, absl::string_view configured,
                           const v1::Facts& facts) {
  const std::vector<PageFile> wanted = PageFilesOf(resolved);
  for (const PageFile& file : wanted) {
    std::string why = WhyNotOnVolume(file.path, facts);
    if (!why.empty()) return why;
  }
  const std::vector<PageFile> present = PageFilesOf(configured);
  for (const v1::Facts::Volume& volume : facts.volumes()) {
    std::string why =
        WhyNoRoom(volume, DemandOn(volume, wanted, facts), DemandOn(volume, present, facts));
    if (!why.empty()) return why;
  }
  return "";
}

}  // namespace

std::string WhyNotPlaced(const Setting& setting, absl::string_view resolved,
                         absl::string_view configured, const v1::Facts& facts) {
  if (!facts.volumes_known() || resolved == kUnset) return "";
  if (setting.text != TextKind::kNone) return WhyNotOnVolume(resolved, facts);
  if (setting.item == ItemKind::kPageFile) return WhyNoPageFiles(resolved, configured, facts);
  return "";
}

}  // namespace dumpwarden
