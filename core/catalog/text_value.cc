// SPDX-License-Identifier: Apache-2.0
// Texts: the paths of dump files and folders, one SZ or EXPAND_SZ cell.
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/text.h"
#include "core/catalog/shapes.h"
#include "core/catalog/windows_path.h"

namespace dumpwarden {
namespace {

std::string AcceptsPath(const Setting& setting) {
  const std::string length = absl::StrCat("of at most ", setting.max, " characters");
  switch (setting.text) {
    case TextKind::kNone:
      return "";
    case TextKind::kDumpFile:
      return absl::StrCat(
          "a .dmp file on a local drive (D:\\Dumps\\MEMORY.DMP) or below "
          "%SystemRoot%\\, ",
          length);
    case TextKind::kDumpFolder:
      return absl::StrCat("a folder on a local drive (D:\\Dumps) or below %SystemRoot%\\, ",
                          length);
    case TextKind::kDedicatedDumpFile:
      return absl::StrCat("a file on a local drive (D:\\DedicatedDumpFile.sys), ", length);
  }
  return "";
}

absl::StatusOr<std::string> ReadText(const Setting& setting, absl::string_view text) {
  const bool expanded = setting.cells.front().type == RegType::kExpandSz;
  absl::StatusOr<std::string> path =
      ReadWindowsPath(text, {expanded, /*blanks=*/true, static_cast<std::size_t>(setting.max)});
  if (!path.ok()) return path;
  if (setting.text == TextKind::kDumpFile && !absl::EndsWithIgnoreCase(*path, ".dmp")) {
    return absl::InvalidArgumentError("it does not end in .dmp");
  }
  return path;
}

absl::StatusOr<std::string> SpellText(const Setting& setting, absl::string_view text) {
  absl::StatusOr<std::string> path = ReadText(setting, text);
  if (path.ok()) return path;
  return absl::InvalidArgumentError(absl::StrCat("found ", Quote(text), ": ",
                                                 path.status().message(), "; accepted is ",
                                                 AcceptsPath(setting)));
}

std::vector<CellValue> EncodeText(const Setting& setting, absl::string_view resolved) {
  const bool expanded = setting.cells.front().type == RegType::kExpandSz;
  return {expanded ? ExpandSzValue(resolved) : SzValue(resolved)};
}

std::optional<std::string> DescribeText(const Setting& setting, std::span<const CellValue> cells,
                                        absl::string_view) {
  const RegistryValue& value = *cells.front();
  const std::optional<std::string> text = AsText(value);
  if (value.type != setting.cells.front().type || !text) return std::nullopt;
  absl::StatusOr<std::string> path = ReadText(setting, *text);
  if (!path.ok()) return std::nullopt;
  return *std::move(path);
}

}  // namespace

const ShapeFunctions kTextShape = {AcceptsPath, SpellText, ResolveAsSpelled, EncodeText,
                                   DescribeText};

}  // namespace dumpwarden
