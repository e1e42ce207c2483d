// SPDX-License-Identifier: Apache-2.0
// Lists: the page files, one MULTI_SZ cell.  One line reads
//   automatic | none | C:\pagefile.sys 16GiB 16GiB; D:\pagefile.sys system
// Windows' own reading of the value is windows-crash-dumps.md section 3.2.
#include "core/catalog/list_value.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/sizes.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/yaml_reader.h"
#include "core/catalog/shapes.h"
#include "core/catalog/windows_path.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kAutomatic = "automatic";
constexpr absl::string_view kNone = "none";
constexpr absl::string_view kSystem = "system";
constexpr absl::string_view kAnyDrive = "?:\\pagefile.sys";
constexpr PathRules kPageFilePath = {false, /*blanks=*/false, 200};
constexpr std::uint64_t kMaxMib = 16 * 1024 * 1024;  // ResolveSize's bound

// A page file as a policy says it; no sizes = system-managed.
struct Entry {
  std::string path;
  std::optional<Size> initial;
  std::optional<Size> maximum;
};

std::string AcceptsPageFiles(const Setting& setting) {
  return absl::StrCat("automatic, none, or a list of at most ", setting.max,
                      " page files, each with path (C:\\pagefile.sys) and with both initial and "
                      "maximum or neither (system-managed)");
}

std::uint64_t MibOf(std::uint64_t bytes) { return (bytes + kMiB - 1) / kMiB; }

// Whether `a` is less than `b` whatever the memory.
bool AlwaysBelow(const Size& a, const Size& b) {
  return a.ram_thousandths <= b.ram_thousandths && a.bytes <= b.bytes && a != b;
}

absl::Status CheckSizes(const Entry& entry) {
  if (entry.initial->ram_thousandths == 0 && entry.initial->bytes == 0) {
    return absl::InvalidArgumentError(
        "initial is 0, which Windows reads as system-managed; leave initial and maximum out for "
        "that");
  }
  if (AlwaysBelow(*entry.maximum, *entry.initial)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "maximum ", FormatSize(*entry.maximum), " is below initial ", FormatSize(*entry.initial)));
  }
  return absl::OkStatus();
}

std::string SpellEntry(const Entry& entry) {
  if (!entry.initial) return absl::StrCat(entry.path, " ", kSystem);
  return absl::StrCat(entry.path, " ", FormatSize(*entry.initial), " ", FormatSize(*entry.maximum));
}

std::string SpellEntries(const std::vector<Entry>& entries) {
  return absl::StrJoin(entries, "; ", [](std::string* out, const Entry& entry) {
    absl::StrAppend(out, SpellEntry(entry));
  });
}

bool HasPath(const std::vector<Entry>& entries, absl::string_view path) {
  return std::any_of(entries.begin(), entries.end(),
                     [&](const Entry& entry) { return absl::EqualsIgnoreCase(entry.path, path); });
}

// --- the one-line spelling

bool IsOperator(absl::string_view word) { return word == "+" || word == "-" || word == "*"; }

// Takes a size off `words`: a word, and what operators tie to it.
absl::StatusOr<Size> TakeSize(std::vector<absl::string_view>& words) {
  if (words.empty()) return absl::InvalidArgumentError("a size is missing");
  std::size_t count = 1;
  while (count + 1 < words.size() && IsOperator(words[count])) count += 2;
  const std::string text =
      absl::StrJoin(words.begin(), words.begin() + static_cast<long>(count), " ");
  words.erase(words.begin(), words.begin() + static_cast<long>(count));
  return ParseSize(text);
}

absl::StatusOr<Entry> ParseEntry(absl::string_view text) {
  std::vector<absl::string_view> words = absl::StrSplit(text, ' ');
  Entry entry;
  ASSIGN_OR_RETURN(entry.path, ReadWindowsPath(words.front(), kPageFilePath));
  words.erase(words.begin());
  if (words.size() == 1 && words.front() == kSystem) return entry;
  ASSIGN_OR_RETURN(entry.initial, TakeSize(words));
  ASSIGN_OR_RETURN(entry.maximum, TakeSize(words));
  if (!words.empty()) return absl::InvalidArgumentError("something follows the sizes");
  RETURN_IF_ERROR(CheckSizes(entry));
  return entry;
}

// Of neither automatic nor none.
absl::StatusOr<std::vector<Entry>> ParseEntries(const Setting& setting, absl::string_view line) {
  std::vector<Entry> entries;
  for (const absl::string_view text : absl::StrSplit(line, "; ")) {
    ASSIGN_OR_RETURN(Entry entry, ParseEntry(text));
    if (HasPath(entries, entry.path)) {
      return absl::InvalidArgumentError(absl::StrCat(entry.path, " is named twice"));
    }
    entries.push_back(std::move(entry));
  }
  if (entries.size() > setting.max) {
    return absl::InvalidArgumentError(absl::StrCat("more than ", setting.max, " page files"));
  }
  return entries;
}

absl::StatusOr<std::string> SpellPageFiles(const Setting& setting, absl::string_view text) {
  if (text == kAutomatic || text == kNone) return std::string(text);
  const absl::StatusOr<std::vector<Entry>> entries = ParseEntries(setting, text);
  if (entries.ok()) return SpellEntries(*entries);
  return absl::InvalidArgumentError(absl::StrCat("found ", Quote(text), ": ",
                                                 entries.status().message(), "; accepted is ",
                                                 AcceptsPageFiles(setting)));
}

// --- with the memory of a host

absl::Status ResolveEntry(Entry& entry, std::optional<std::uint64_t> ram) {
  if (!entry.initial) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::uint64_t initial, ResolveSize(*entry.initial, ram));
  ASSIGN_OR_RETURN(const std::uint64_t maximum, ResolveSize(*entry.maximum, ram));
  if (initial == 0) {
    return absl::OutOfRangeError(
        absl::StrCat(entry.path, ": initial ", FormatSize(*entry.initial),
                     " is 0 on this host, which Windows reads as system-managed"));
  }
  if (maximum < initial) {
    return absl::OutOfRangeError(
        absl::StrCat(entry.path, ": on this host maximum ", FormatSize(*entry.maximum), " (",
                     FormatBytes(maximum), ") is below initial ", FormatSize(*entry.initial), " (",
                     FormatBytes(initial), ")"));
  }
  entry.initial = Size{0, static_cast<std::int64_t>(MibOf(initial) * kMiB)};
  entry.maximum = Size{0, static_cast<std::int64_t>(MibOf(maximum) * kMiB)};
  return absl::OkStatus();
}

absl::StatusOr<std::string> ResolvePageFiles(const Setting& setting, absl::string_view canonical,
                                             std::optional<std::uint64_t> ram) {
  if (canonical == kAutomatic || canonical == kNone) return std::string(canonical);
  ASSIGN_OR_RETURN(std::vector<Entry> entries, ParseEntries(setting, canonical));
  for (Entry& entry : entries) RETURN_IF_ERROR(ResolveEntry(entry, ram));
  return SpellEntries(entries);
}

// --- the registry value

std::vector<CellValue> EncodePageFiles(const Setting&, absl::string_view resolved) {
  if (resolved == kNone) return {MultiSzValue({})};
  if (resolved == kAutomatic) return {MultiSzValue({std::string(kAnyDrive)})};
  std::vector<std::string> lines;
  for (const PageFile& file : PageFilesOf(resolved)) {
    lines.push_back(absl::StrCat(file.path, " ", MibOf(file.initial.value_or(0)), " ",
                                 MibOf(file.maximum.value_or(0))));
  }
  return {MultiSzValue(lines)};
}

// The sizes in MB; none of them = all zero or missing.
std::optional<std::vector<std::uint64_t>> ReadMib(std::span<const absl::string_view> words) {
  std::vector<std::uint64_t> numbers;
  for (const absl::string_view word : words) {
    std::uint64_t number = 0;
    const bool digits = std::all_of(word.begin(), word.end(), absl::ascii_isdigit);
    if (!digits || !absl::SimpleAtoi(word, &number) || number > kMaxMib) return std::nullopt;
    numbers.push_back(number);
  }
  const bool zero =
      std::all_of(numbers.begin(), numbers.end(), [](std::uint64_t n) { return n == 0; });
  if (zero) numbers.clear();
  return numbers;
}

// One line of PagingFiles, or nullopt when no spelling stands for it.  Its path
// may be kAnyDrive.  One size alone is an initial size with a maximum of
// Windows' choice, which policies cannot say.
std::optional<Entry> ReadLine(absl::string_view line) {
  absl::ConsumePrefix(&line, "\\??\\");
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.empty() || words.size() > 3) return std::nullopt;
  const auto sizes = ReadMib(std::span(words).subspan(1));
  if (!sizes || (!sizes->empty() && sizes->size() != 2)) return std::nullopt;
  Entry entry;
  if (!sizes->empty()) {
    if ((*sizes)[0] == 0 || (*sizes)[1] < (*sizes)[0]) return std::nullopt;
    entry.initial = Size{0, static_cast<std::int64_t>((*sizes)[0] * kMiB)};
    entry.maximum = Size{0, static_cast<std::int64_t>((*sizes)[1] * kMiB)};
  }
  if (absl::EqualsIgnoreCase(words[0], kAnyDrive)) {
    entry.path = std::string(kAnyDrive);
    return entry;
  }
  absl::StatusOr<std::string> path = ReadWindowsPath(words[0], kPageFilePath);
  if (!path.ok()) return std::nullopt;
  entry.path = *std::move(path);
  return entry;
}

// `?` is any drive; Windows skips a second such line.
bool IsAutomatic(const std::vector<Entry>& entries) {
  return std::all_of(entries.begin(), entries.end(),
                     [](const Entry& entry) { return entry.path == kAnyDrive && !entry.initial; });
}

std::optional<std::string> DescribePageFiles(const Setting& setting,
                                             std::span<const CellValue> cells, absl::string_view) {
  const auto lines = AsMultiSz(*cells.front());
  if (!lines || lines->size() > setting.max) return std::nullopt;
  if (lines->empty()) return std::string(kNone);
  std::vector<Entry> entries;
  for (const std::string& line : *lines) {
    std::optional<Entry> entry = ReadLine(line);
    if (!entry) return std::nullopt;
    entries.push_back(*std::move(entry));
  }
  if (IsAutomatic(entries)) return std::string(kAutomatic);
  const std::string spelled = SpellEntries(entries);
  if (!ParseEntries(setting, spelled).ok()) return std::nullopt;  // ? among others, or twice
  return spelled;
}

// --- the policy's YAML

std::optional<Size> ReadSize(const yaml::Node& node, const std::string& path, Problems& problems) {
  if (node.kind != yaml::Node::Kind::kScalar) {
    problems.Add(node.mark, path,
                 absl::StrCat("found ", yaml::KindName(node.kind),
                              "; accepted is a size, as 16GiB or ram + 257MiB"));
    return std::nullopt;
  }
  const absl::StatusOr<Size> size = ParseSize(node.scalar);
  if (!size.ok()) {
    problems.Add(node.mark, path, size.status().message());
    return std::nullopt;
  }
  return *size;
}

// False after adding to `problems`.
bool ReadSizes(yaml::MapReader& reader, const yaml::Node& item, absl::string_view path,
               Entry& entry, Problems& problems) {
  const yaml::Node* initial = reader.Take("initial");
  const yaml::Node* maximum = reader.Take("maximum");
  if (initial == nullptr && maximum == nullptr) return true;
  if (initial == nullptr || maximum == nullptr) {
    problems.Add(item.mark, path,
                 absl::StrCat(initial == nullptr ? "initial" : "maximum",
                              " is missing; accepted are both initial and maximum, or neither "
                              "(system-managed)"));
    return false;
  }
  entry.initial = ReadSize(*initial, reader.PathOf("initial"), problems);
  entry.maximum = ReadSize(*maximum, reader.PathOf("maximum"), problems);
  if (!entry.initial || !entry.maximum) return false;
  const absl::Status sizes = CheckSizes(entry);
  if (!sizes.ok()) problems.Add(maximum->mark, reader.PathOf("maximum"), sizes.message());
  return sizes.ok();
}

// False after adding to `problems`.
bool ReadPath(yaml::MapReader& reader, const std::vector<Entry>& before, Entry& entry,
              Problems& problems) {
  const yaml::Node* node = reader.Require("path");
  if (node == nullptr) return false;
  const std::string where = reader.PathOf("path");
  if (node->kind != yaml::Node::Kind::kScalar) {
    problems.Add(node->mark, where,
                 absl::StrCat("found ", yaml::KindName(node->kind),
                              "; accepted is a path, as C:\\pagefile.sys"));
    return false;
  }
  absl::StatusOr<std::string> path = ReadWindowsPath(node->scalar, kPageFilePath);
  if (!path.ok()) {
    problems.Add(node->mark, where,
                 absl::StrCat("found ", Quote(node->scalar), ": ", path.status().message(),
                              "; accepted is a path without blanks, as C:\\pagefile.sys"));
    return false;
  }
  if (HasPath(before, *path)) {
    problems.Add(node->mark, where, absl::StrCat(*path, " is named twice; keep one"));
    return false;
  }
  entry.path = *std::move(path);
  return true;
}

std::optional<Entry> ReadItem(const yaml::Node& item, const std::string& path,
                              const std::vector<Entry>& before, Problems& problems) {
  yaml::MapReader reader(item, path, problems);
  Entry entry;
  if (item.kind != yaml::Node::Kind::kMap) return std::nullopt;  // the reader has said so
  const bool path_good = ReadPath(reader, before, entry, problems);
  const bool sizes_good = ReadSizes(reader, item, path, entry, problems);
  const std::size_t problems_before = problems.messages().size();
  reader.Finish();
  const bool good = path_good && sizes_good && problems.messages().size() == problems_before;
  return good ? std::optional<Entry>(std::move(entry)) : std::nullopt;
}

}  // namespace

std::optional<std::string> ReadList(const Setting& setting, const yaml::Node& node,
                                    absl::string_view path, Problems& problems) {
  const std::size_t count = node.items.size();
  if (count < setting.min || count > setting.max) {
    problems.Add(
        node.mark, path,
        absl::StrCat("found a list of ", count, "; accepted is ", AcceptsPageFiles(setting)));
    return std::nullopt;
  }
  std::vector<Entry> entries;
  for (std::size_t i = 0; i < count; ++i) {
    std::optional<Entry> entry =
        ReadItem(node.items[i], absl::StrCat(path, "[", i, "]"), entries, problems);
    if (entry) entries.push_back(*std::move(entry));
  }
  if (entries.size() != count) return std::nullopt;
  return SpellEntries(entries);
}

std::vector<PageFile> PageFilesOf(absl::string_view resolved) {
  std::vector<PageFile> files;
  if (resolved == kAutomatic || resolved == kNone) return files;
  for (const absl::string_view text : absl::StrSplit(resolved, "; ")) {
    const absl::StatusOr<Entry> entry = ParseEntry(text);
    if (!entry.ok()) return {};
    PageFile file{entry->path, std::nullopt, std::nullopt};
    if (entry->initial) {
      file.initial = ResolveSize(*entry->initial, std::nullopt).value_or(0);
      file.maximum = ResolveSize(*entry->maximum, std::nullopt).value_or(0);
    }
    files.push_back(std::move(file));
  }
  return files;
}

const ShapeFunctions kListShape = {AcceptsPageFiles, SpellPageFiles, ResolvePageFiles,
                                   EncodePageFiles, DescribePageFiles};

}  // namespace dumpwarden
