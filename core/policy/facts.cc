// SPDX-License-Identifier: Apache-2.0
#include "core/policy/facts.h"

#include <algorithm>
#include <array>
#include <limits>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "core/base/problems.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"
#include "core/base/yaml.h"
#include "core/base/yaml_reader.h"

namespace dumpwarden {
namespace {

constexpr std::int64_t kMostBytes = std::numeric_limits<std::int64_t>::max();
constexpr std::size_t kMaxLabels = 32;
constexpr std::size_t kMaxLabelLength = 63;
constexpr std::size_t kMaxVolumes = 64;
constexpr std::array<absl::string_view, 3> kFactPrefixes = {"os.", "memory.", "boot."};
constexpr std::array<absl::string_view, 3> kProducts = {"workstation", "domain-controller",
                                                        "server"};
constexpr std::array<absl::string_view, 6> kVolumeKinds = {"fixed", "removable", "remote",
                                                           "cdrom", "ramdisk",   "unknown"};

bool IsKeyEnd(char c) {
  return absl::ascii_islower(static_cast<unsigned char>(c)) ||
         absl::ascii_isdigit(static_cast<unsigned char>(c));
}
bool IsKeyInner(char c) { return IsKeyEnd(c) || absl::StrContains("-._/", c); }

absl::Status CheckLabel(absl::string_view key, absl::string_view value) {
  if (absl::Status status = CheckLabelKey(key); !status.ok()) return status;
  const bool printable = std::all_of(value.begin(), value.end(), [](char c) {
    return absl::ascii_isprint(static_cast<unsigned char>(c));
  });
  if (printable && value.size() <= kMaxLabelLength) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("label ", Quote(key), " has the value ", Quote(value),
                   "; at most 63 printable ASCII characters are accepted"));
}

template <std::size_t N>
std::string TakeWord(yaml::MapReader& reader, const yaml::Node& node, absl::string_view key,
                     const std::array<absl::string_view, N>& words, Problems& problems) {
  const std::optional<std::string> word = reader.TakeText(key);
  if (!word || std::find(words.begin(), words.end(), *word) != words.end()) {
    return word.value_or("");
  }
  problems.Add(node.Find(key)->mark, reader.PathOf(key),
               absl::StrCat("found ", Quote(*word), "; accepted: ", absl::StrJoin(words, ", ")));
  return "";
}

std::uint64_t TakeBytes(yaml::MapReader& reader, absl::string_view key, std::int64_t min) {
  return static_cast<std::uint64_t>(reader.TakeInteger(key, min, kMostBytes).value_or(0));
}

void ReadOs(const yaml::Node& node, Problems& problems, v1::Facts::Os& os) {
  yaml::MapReader reader(node, "os", problems);
  const auto build = reader.TakeInteger("build", 1, std::numeric_limits<std::uint32_t>::max());
  os.set_build(static_cast<std::uint32_t>(build.value_or(0)));
  os.set_product(TakeWord(reader, node, "product", kProducts, problems));
  reader.Finish();
}

void ReadMemory(const yaml::Node& node, Problems& problems, v1::Facts::Memory& memory) {
  yaml::MapReader reader(node, "memory", problems);
  memory.set_bytes(TakeBytes(reader, "bytes", 1));
  reader.Finish();
}

void ReadBoot(const yaml::Node& node, Problems& problems, v1::Facts::Boot& boot) {
  yaml::MapReader reader(node, "boot", problems);
  boot.set_id(reader.RequireText("id").value_or(""));
  if (boot.id().size() > kMaxBootIdBytes) {
    problems.Add(node.Find("id")->mark, "boot.id",
                 absl::StrCat("found ", boot.id().size(), " bytes; at most ", kMaxBootIdBytes,
                              " are accepted"));
  }
  if (const std::optional<std::string> at = reader.TakeText("at")) {
    absl::Time time;
    std::string error;
    const bool read = absl::ParseTime(absl::RFC3339_full, *at, &time, &error) &&
                      time > absl::InfinitePast() && time < absl::InfiniteFuture();
    if (read) *boot.mutable_at() = ToTimestamp(time);
    if (!read || !IsSendable(boot.at())) {
      problems.Add(node.Find("at")->mark, "boot.at",
                   absl::StrCat("found ", Quote(*at),
                                "; a time such as 2026-11-22T17:00:00Z, "
                                "from 1970 to 9999, is accepted"));
    }
  }
  reader.Finish();
}

// "C:\" for c:, c:\ and C:\; "" for what is no drive.
std::string DriveOf(absl::string_view path) {
  const bool drive = (path.size() == 2 || (path.size() == 3 && path[2] == '\\')) &&
                     absl::ascii_isalpha(static_cast<unsigned char>(path[0])) && path[1] == ':';
  if (!drive) return "";
  return {absl::ascii_toupper(static_cast<unsigned char>(path[0])), ':', '\\'};
}

// What the file does not say stays unknown, which is not 0.
void ReadSizes(yaml::MapReader& reader, const yaml::Node& node, Problems& problems,
               v1::Facts::Volume& volume) {
  const std::optional<std::int64_t> total = reader.TakeInteger("total", 0, kMostBytes);
  const std::optional<std::int64_t> free = reader.TakeInteger("free", 0, kMostBytes);
  if (total) volume.set_total(static_cast<std::uint64_t>(*total));
  if (free) volume.set_free(static_cast<std::uint64_t>(*free));
  if (free && node.Find("total") == nullptr) {
    problems.Add(node.Find("free")->mark, reader.PathOf("free"),
                 "`free` says nothing without `total`; give both in bytes, or leave `free` out");
  } else if (free && total && *free > *total) {
    problems.Add(node.Find("free")->mark, reader.PathOf("free"),
                 "more is free than the volume holds; give `total` and `free` in bytes");
  }
}

void ReadVolume(const yaml::Node& node, absl::string_view path, Problems& problems,
                v1::Facts::Volume& volume) {
  yaml::MapReader reader(node, path, problems);
  if (const std::optional<std::string> text = reader.RequireText("path")) {
    volume.set_path(DriveOf(*text));
    if (volume.path().empty()) {
      problems.Add(node.Find("path")->mark, reader.PathOf("path"),
                   absl::StrCat("found ", Quote(*text), "; a drive such as 'C:\\' is accepted"));
    }
  }
  volume.set_kind(TakeWord(reader, node, "kind", kVolumeKinds, problems));
  ReadSizes(reader, node, problems, volume);
  volume.set_boot(reader.TakeBool("boot").value_or(false));
  volume.set_mount(reader.TakeText("mount").value_or(""));
  if (!volume.mount().empty() && volume.mount()[0] != '/') {
    problems.Add(node.Find("mount")->mark, reader.PathOf("mount"),
                 "an absolute folder (/mnt/c) is accepted");
  }
  reader.Finish();
}

void CheckVolumes(const yaml::Node& node, const v1::Facts& facts, Problems& problems) {
  std::set<std::string> seen;
  int boots = 0;
  for (int i = 0; i < facts.volumes_size(); ++i) {
    const v1::Facts::Volume& volume = facts.volumes(i);
    const Mark mark = node.items[static_cast<std::size_t>(i)].mark;
    const std::string path = absl::StrCat("volumes[", i, "]");
    if (!volume.path().empty() && !seen.insert(volume.path()).second) {
      problems.Add(mark, path, absl::StrCat("volume ", volume.path(), " is listed already"));
    }
    if (volume.boot() && ++boots > 1) {
      problems.Add(mark, path, "another volume has `boot: true` already; Windows lies on one");
    }
  }
}

void ReadVolumes(const yaml::Node& node, Problems& problems, v1::Facts& facts) {
  if (node.kind != yaml::Node::Kind::kList || node.items.size() > kMaxVolumes) {
    problems.Add(node.mark, "volumes", "a list of at most 64 volumes is accepted");
    return;
  }
  facts.set_volumes_known(true);
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    ReadVolume(node.items[i], absl::StrCat("volumes[", i, "]"), problems, *facts.add_volumes());
  }
  CheckVolumes(node, facts, problems);
}

void ReadLabels(const yaml::Node& node, Problems& problems, v1::Facts& facts) {
  yaml::MapReader reader(node, "labels", problems);
  if (node.entries.size() > kMaxLabels) {
    problems.Add(node.mark, "labels", "at most 32 labels are accepted");
    return;
  }
  for (const yaml::Entry& entry : node.entries) {
    const std::optional<std::string> value = reader.TakeText(entry.key);
    if (!value) continue;
    if (absl::Status status = CheckLabel(entry.key, *value); !status.ok()) {
      problems.Add(entry.mark, "labels", status.message());
    }
    (*facts.mutable_labels())[entry.key] = *value;
  }
}

void ReadDocument(const yaml::Node& node, Problems& problems, v1::Facts& facts) {
  yaml::MapReader reader(node, "", problems);
  if (const yaml::Node* os = reader.Take("os")) ReadOs(*os, problems, *facts.mutable_os());
  if (const yaml::Node* memory = reader.Take("memory")) {
    ReadMemory(*memory, problems, *facts.mutable_memory());
  }
  if (const yaml::Node* volumes = reader.Take("volumes")) ReadVolumes(*volumes, problems, facts);
  if (const yaml::Node* labels = reader.Take("labels")) ReadLabels(*labels, problems, facts);
  if (const yaml::Node* boot = reader.Take("boot"))
    ReadBoot(*boot, problems, *facts.mutable_boot());
  reader.TakeText("events");  // where crash evidence is read from; no fact of the host
  reader.Finish();
}

}  // namespace

absl::StatusOr<v1::Facts> ReadFacts(absl::string_view yaml, absl::string_view file) {
  Problems problems(file);
  v1::Facts facts;
  if (const auto documents = yaml::Parse(yaml, yaml::Limits{}, problems)) {
    ReadDocument(documents->front(), problems, facts);
  }
  if (!problems.empty()) return problems.ToStatus();
  return facts;
}

const std::vector<std::string>& FactKeys() {
  static const auto& kKeys =
      *new std::vector<std::string>{"os.build", "os.product", "memory.bytes"};
  return kKeys;
}

bool IsFactKey(absl::string_view key) {
  return std::any_of(kFactPrefixes.begin(), kFactPrefixes.end(),
                     [key](absl::string_view prefix) { return absl::StartsWith(key, prefix); });
}

std::optional<std::string> LookUpFact(const v1::Facts& facts, absl::string_view key) {
  const auto known = [](auto value) -> std::optional<std::string> {
    if (value == decltype(value){}) return std::nullopt;
    return absl::StrCat(value);
  };
  if (key == "os.build") return known(facts.os().build());
  if (key == "os.product") return known(facts.os().product());
  if (key == "memory.bytes") return known(facts.memory().bytes());
  if (IsFactKey(key)) return std::nullopt;
  const auto label = facts.labels().find(std::string(key));
  if (label == facts.labels().end()) return std::nullopt;
  return label->second;
}

absl::Status CheckLabelKey(absl::string_view key) {
  const bool good = !key.empty() && key.size() <= kMaxLabelLength && IsKeyEnd(key.front()) &&
                    IsKeyEnd(key.back()) && std::all_of(key.begin(), key.end(), IsKeyInner) &&
                    !IsFactKey(key);
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("label key ", Quote(key),
                   " is not accepted; a key is at most 63 of a-z 0-9 - . _ /, begins and ends with "
                   "a letter or digit, and does not begin with os. memory. boot."));
}

absl::Status CheckLabels(const std::map<std::string, std::string>& labels) {
  if (labels.size() > kMaxLabels) {
    return absl::InvalidArgumentError(
        absl::StrCat(labels.size(), " labels; at most ", kMaxLabels, " are accepted"));
  }
  for (const auto& label : labels) {
    if (absl::Status status = CheckLabel(label.first, label.second); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::optional<std::uint64_t> RamOf(const v1::Facts& facts) {
  if (facts.memory().bytes() == 0) return std::nullopt;
  return facts.memory().bytes();
}

const v1::Facts::Volume* VolumeOf(const v1::Facts& facts, absl::string_view path) {
  const bool on_boot_volume = absl::StartsWithIgnoreCase(path, "%SystemRoot%\\") ||
                              absl::StartsWithIgnoreCase(path, "%SystemDrive%\\") ||
                              absl::StartsWithIgnoreCase(path, "%windir%\\");
  const std::string drive = DriveOf(path.substr(0, 3));
  for (const v1::Facts::Volume& volume : facts.volumes()) {
    if (on_boot_volume ? volume.boot() : !drive.empty() && volume.path() == drive) return &volume;
  }
  return nullptr;
}

}  // namespace dumpwarden
