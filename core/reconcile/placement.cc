// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/placement.h"

#include <algorithm>
#include <cstdint>
#include <utility>
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

// What the page files in use give back on a volume, at least and at most: a fixed one has grown
// anywhere up to its maximum, and of one that Windows sizes nothing is known but that it fits.
struct Credit {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

Credit CreditOn(const v1::Facts::Volume& volume, absl::string_view in_use, const v1::Facts& facts) {
  if (in_use == "none") return {};
  const std::uint64_t used = volume.total() - std::min(volume.free(), volume.total());
  const std::vector<PageFile> files = PageFilesOf(in_use);
  Credit credit;
  bool sized = !files.empty();  // automatic, unset, custom: anywhere
  for (const PageFile& file : files) {
    if (VolumeOf(facts, file.path) != &volume) continue;
    sized = sized && file.initial.has_value();
    credit.least += file.initial.value_or(0);
    credit.most += file.maximum.value_or(0);
  }
  return {std::min(credit.least, used), sized ? std::min(credit.most, used) : used};
}

std::string CreditText(std::uint64_t bytes, bool at_boot) {
  return absl::StrCat(Gib(bytes), " in the page files ",
                      at_boot ? "of this boot" : "that are configured");
}

// A volume of which the facts give no size has room for everything.
std::string WhyNoRoom(const v1::Facts::Volume& volume, const Demand& wanted, const Credit& credit,
                      bool at_boot) {
  if (volume.total() == 0) return "";
  if (wanted.maximum > volume.total()) {
    return absl::StrCat(volume.path(), " holds ", Gib(volume.total()),
                        " in all, and the page files on it may grow to ", Gib(wanted.maximum),
                        "; lower maximum, or name another volume");
  }
  if (!volume.has_free() || wanted.initial <= volume.free() + credit.most) return "";
  std::string replaced;
  if (credit.most > 0) {
    replaced = absl::StrCat(" and ", CreditText(credit.most, at_boot));
  } else if (at_boot) {
    replaced = " and no page file of this boot to replace";
  }
  return absl::StrCat(volume.path(), " has ", Gib(volume.free()), " free", replaced,
                      ", and the page files on it start with ", Gib(wanted.initial),
                      "; make room, or name another volume or size");
}

// What the room for new page files rests on, when it is not free already.
std::string RoomNote(const v1::Facts::Volume& volume, const Demand& wanted, const Credit& credit,
                     bool at_boot) {
  if (!volume.has_free() || wanted.initial <= volume.free()) return "";
  if (wanted.initial <= volume.free() + credit.least) {
    return absl::StrCat("the room on ", volume.path(), " counts ",
                        CreditText(credit.least, at_boot));
  }
  return absl::StrCat("the size of the present page file on ", volume.path(),
                      " is not known, so whether ", Gib(wanted.initial),
                      " fit shows at the next restart");
}

Placement PlacePageFiles(absl::string_view resolved, const InUse& in_use, const v1::Facts& facts) {
  const std::vector<PageFile> wanted = PageFilesOf(resolved);
  for (const PageFile& file : wanted) {
    std::string why = WhyNotOnVolume(file.path, facts);
    if (!why.empty()) return {std::move(why), ""};
  }
  std::vector<std::string> notes;
  for (const v1::Facts::Volume& volume : facts.volumes()) {
    const Demand demand = DemandOn(volume, wanted, facts);
    const Credit credit = CreditOn(volume, in_use.value, facts);
    std::string why = WhyNoRoom(volume, demand, credit, in_use.at_boot);
    if (!why.empty()) return {std::move(why), ""};
    std::string note = RoomNote(volume, demand, credit, in_use.at_boot);
    if (!note.empty() && resolved != in_use.value) notes.push_back(std::move(note));
  }
  return {"", absl::StrJoin(notes, "; ")};
}

}  // namespace

Placement Place(const Setting& setting, absl::string_view resolved, const InUse& in_use,
                const v1::Facts& facts) {
  if (!facts.volumes_known() || resolved == kUnset) return {};
  if (setting.text != TextKind::kNone) return {WhyNotOnVolume(resolved, facts), ""};
  if (setting.item == ItemKind::kPageFile) return PlacePageFiles(resolved, in_use, facts);
  return {};
}

}  // namespace dumpwarden
