// SPDX-License-Identifier: Apache-2.0
#include "core/catalog/catalog.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/text.h"
#include "core/catalog/list_value.h"
#include "core/catalog/shapes.h"

namespace dumpwarden {
namespace {

// What an absent value means on this build: a spelling, or "unset" when that is
// not known.
absl::string_view FallbackOf(const Setting& setting, std::uint32_t build) {
  absl::string_view value = kUnset;
  for (const Fallback& fallback : setting.fallback) {
    if (fallback.value.empty()) continue;
    if (build == 0 && fallback.min_build > 0) return kUnset;
    if (build >= fallback.min_build) value = fallback.value;
  }
  return value;
}

// Says the type when that is what is wrong.
std::string CustomText(const CellName& cell, const RegistryValue& value) {
  if (value.type != cell.type) return absl::StrCat(TypeName(value.type), " ", ToText(value));
  const std::optional<std::uint32_t> number = AsDword(value);
  return number ? absl::StrCat("0x", absl::Hex(*number)) : ToText(value);
}

// custom (0x5); names are said when the first cell does not stand alone.
std::string DescribeCustom(const Setting& setting, std::span<const CellValue> cells) {
  const bool alone = std::all_of(cells.begin() + 1, cells.end(),
                                 [](const CellValue& cell) { return !cell.has_value(); });
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    if (!cells[i]) continue;
    const std::string text = CustomText(setting.cells[i], *cells[i]);
    texts.push_back(alone ? text : absl::StrCat(setting.cells[i].name, " ", text));
  }
  return absl::StrCat("custom (", absl::StrJoin(texts, ", "), ")");
}

bool AllAbsent(std::span<const CellValue> cells) {
  return std::none_of(cells.begin(), cells.end(),
                      [](const CellValue& cell) { return cell.has_value(); });
}

const Choice* ChoiceOf(const Setting& setting, absl::string_view word) {
  for (const Choice& choice : setting.choices) {
    if (!choice.word.empty() && choice.word == word) return &choice;
  }
  return nullptr;
}

bool OutsideBuilds(const Setting& setting, std::uint32_t build) {
  return build < setting.builds.min || (setting.builds.below != 0 && build >= setting.builds.below);
}

// Fields end with a NUL, so that no two rows spell the same.
void AppendField(std::string& out, absl::string_view field) {
  absl::StrAppend(&out, field, absl::string_view("\0", 1));
}

void AppendRow(std::string& out, const Setting& row) {
  AppendField(out, row.id);
  AppendField(out, absl::StrCat(static_cast<int>(row.shape), ",", row.min, ",", row.max, ",",
                                static_cast<int>(row.text), ",", static_cast<int>(row.item), ",",
                                row.builds.min, ",", row.builds.below, ",",
                                static_cast<int>(row.effective)));
  for (std::size_t i = 0; i < CellCount(row); ++i) {
    AppendField(out, row.cells[i].key);
    AppendField(out, row.cells[i].name);
    AppendField(out, absl::StrCat(static_cast<std::uint32_t>(row.cells[i].type)));
  }
  for (const Choice& choice : row.choices) {
    AppendField(out, choice.word);
    AppendField(out, absl::StrCat(choice.min_build));
    for (const Want& want : choice.wants) {
      AppendField(out, absl::StrCat(static_cast<int>(want.kind), ",", want.number));
    }
  }
  for (const Fallback& fallback : row.fallback) {
    AppendField(out, absl::StrCat(fallback.min_build, ",", fallback.value));
  }
}

}  // namespace

const ShapeFunctions& FunctionsOf(Shape shape) {
  switch (shape) {
    case Shape::kSwitch:
      return kSwitchShape;
    case Shape::kOneOf:
      return kOneOfShape;
    case Shape::kInteger:
      return kIntegerShape;
    case Shape::kText:
      return kTextShape;
    case Shape::kSize:
      return kSizeShape;
    case Shape::kList:
      return kListShape;
  }
  return kSwitchShape;
}

absl::StatusOr<std::string> ResolveAsSpelled(const Setting& setting, absl::string_view canonical,
                                             std::optional<std::uint64_t>) {
  return FunctionsOf(setting.shape).spell(setting, canonical);
}

const Setting* FindSetting(absl::string_view id) {
  const std::span<const Setting> rows = AllSettings();
  const auto row = std::lower_bound(
      rows.begin(), rows.end(), id,
      [](const Setting& setting, absl::string_view wanted) { return setting.id < wanted; });
  return row != rows.end() && row->id == id ? &*row : nullptr;
}

std::vector<std::string> SettingIds() {
  std::vector<std::string> ids;
  for (const Setting& row : AllSettings()) ids.emplace_back(row.id);
  return ids;
}

std::size_t CellCount(const Setting& setting) {
  const auto unused = std::find_if(setting.cells.begin(), setting.cells.end(),
                                   [](const CellName& cell) { return cell.name.empty(); });
  return static_cast<std::size_t>(unused - setting.cells.begin());
}

std::string Accepts(const Setting& setting) { return FunctionsOf(setting.shape).accepts(setting); }

std::string CatalogDigest() {
  std::string text;
  for (const Setting& row : AllSettings()) AppendRow(text, row);
  return Sha256(text);
}

const Setting* OwnerOfCell(absl::string_view key, absl::string_view name) {
  for (const Setting& row : AllSettings()) {
    for (const CellName& cell : std::span(row.cells).first(CellCount(row))) {
      if (absl::EqualsIgnoreCase(cell.key, key) && absl::EqualsIgnoreCase(cell.name, name))
        return &row;
    }
  }
  return nullptr;
}

std::optional<std::string> ReadValue(const Setting& setting, const yaml::Node& node,
                                     absl::string_view path, Problems& problems) {
  const bool list = setting.shape == Shape::kList;
  if (list && node.kind == yaml::Node::Kind::kList) return ReadList(setting, node, path, problems);
  if (node.kind != yaml::Node::Kind::kScalar) {
    problems.Add(node.mark, path,
                 absl::StrCat("found ", yaml::KindName(node.kind), "; accepted is ",
                              Accepts(setting), ", or unset"));
    return std::nullopt;
  }
  if (node.scalar == kUnset) return std::string(kUnset);
  absl::StatusOr<std::string> spelled = FunctionsOf(setting.shape).spell(setting, node.scalar);
  if (spelled.ok()) return *std::move(spelled);
  problems.Add(node.mark, path, spelled.status().message());
  return std::nullopt;
}

absl::StatusOr<std::string> Resolve(const Setting& setting, absl::string_view canonical,
                                    std::optional<std::uint64_t> ram) {
  if (canonical == kUnset) return std::string(kUnset);
  return FunctionsOf(setting.shape).resolve(setting, canonical, ram);
}

absl::StatusOr<std::vector<CellValue>> Encode(const Setting& setting, absl::string_view resolved) {
  if (resolved == kUnset) return std::vector<CellValue>(CellCount(setting));
  const ShapeFunctions& shape = FunctionsOf(setting.shape);
  const absl::StatusOr<std::string> checked = shape.resolve(setting, resolved, std::nullopt);
  if (!checked.ok()) return checked.status();
  return shape.encode(setting, *checked);
}

std::string Describe(const Setting& setting, std::span<const CellValue> cells,
                     std::uint32_t build) {
  const absl::string_view fallback = FallbackOf(setting, build);
  if (AllAbsent(cells)) return std::string(fallback);
  const std::optional<std::string> text =
      FunctionsOf(setting.shape).describe(setting, cells, fallback);
  return text ? *text : DescribeCustom(setting, cells);
}

bool Means(const Setting& setting, std::span<const CellValue> cells, absl::string_view resolved,
           std::uint32_t build) {
  if (resolved == kUnset) return AllAbsent(cells);
  const std::string configured = Describe(setting, cells, build);
  const bool paths = setting.shape == Shape::kText || setting.shape == Shape::kList;
  return paths ? absl::EqualsIgnoreCase(configured, resolved) : configured == resolved;
}

std::string WhyIgnored(const Setting& setting, absl::string_view resolved, std::uint32_t build) {
  if (build == 0) return "";
  if (OutsideBuilds(setting, build)) return std::string(setting.builds.why);
  const Choice* choice = ChoiceOf(setting, resolved);
  if (choice == nullptr || build >= choice->min_build) return "";
  return absl::StrCat("Windows knows ", resolved, " from build ", choice->min_build,
                      " on; this host is build ", build);
}

bool DependsOnBuild(const Setting& setting, absl::string_view resolved) {
  const Choice* choice = ChoiceOf(setting, resolved);
  return setting.builds.min != 0 || setting.builds.below != 0 ||
         (choice != nullptr && choice->min_build != 0);
}

}  // namespace dumpwarden
