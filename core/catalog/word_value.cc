// SPDX-License-Identifier: Apache-2.0
// Switches and one-ofs: a word that stands for DWORD cells.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/catalog/shapes.h"

namespace dumpwarden {
namespace {

std::vector<std::string> WordsOf(const Setting& setting) {
  if (setting.shape == Shape::kSwitch) return {"on", "off"};
  std::vector<std::string> words;
  for (const Choice& choice : setting.choices) {
    if (!choice.word.empty()) words.emplace_back(choice.word);
  }
  return words;
}

std::string AcceptsWords(const Setting& setting) {
  std::vector<std::string> words = WordsOf(setting);
  const std::string last = words.back();
  words.pop_back();
  return absl::StrCat(absl::StrJoin(words, ", "), " or ", last);
}

absl::StatusOr<std::string> SpellWord(const Setting& setting, absl::string_view text) {
  const std::vector<std::string> words = WordsOf(setting);
  if (std::find(words.begin(), words.end(), text) != words.end()) return std::string(text);
  const std::string near = NearestWord(text, words);
  return absl::InvalidArgumentError(
      absl::StrCat("found ", Quote(text), "; accepted is ", AcceptsWords(setting),
                   near.empty() ? "" : absl::StrCat("; did you mean ", near, "?")));
}

std::vector<CellValue> EncodeSwitch(const Setting& setting, absl::string_view resolved) {
  return std::vector<CellValue>(CellCount(setting), DwordValue(resolved == "on" ? 1 : 0));
}

std::optional<std::string> SwitchWord(const CellValue& cell, absl::string_view fallback) {
  if (!cell) return std::string(fallback);
  const std::optional<std::uint32_t> number = AsDword(*cell);
  if (!number || *number > 1) return std::nullopt;
  return *number == 1 ? "on" : "off";
}

std::optional<std::string> DescribeSwitch(const Setting&, std::span<const CellValue> cells,
                                          absl::string_view fallback) {
  const std::optional<std::string> word = SwitchWord(cells.front(), fallback);
  const bool agree = std::all_of(cells.begin(), cells.end(), [&](const CellValue& cell) {
    return SwitchWord(cell, fallback) == word;
  });
  return agree ? word : std::nullopt;
}

const Choice* FindChoice(const Setting& setting, absl::string_view word) {
  for (const Choice& choice : setting.choices) {
    if (!word.empty() && choice.word == word) return &choice;
  }
  return nullptr;
}

std::vector<CellValue> EncodeOneOf(const Setting& setting, absl::string_view resolved) {
  std::vector<CellValue> cells(CellCount(setting));
  const Choice* choice = FindChoice(setting, resolved);
  for (std::size_t i = 0; choice != nullptr && i < cells.size(); ++i) {
    const Want& want = choice->wants[i];
    if (want.kind == Want::Kind::kNumber) cells[i] = DwordValue(want.number);
  }
  return cells;
}

bool Meets(const CellValue& cell, const Want& want) {
  switch (want.kind) {
    case Want::Kind::kMissing:
      return false;
    case Want::Kind::kNumber:
      return cell && AsDword(*cell) == want.number;
    case Want::Kind::kAbsent:
      return !cell || AsDword(*cell) == 0U;
    case Want::Kind::kCleared:
      return true;
  }
  return false;
}

// Cells from `begin` on.
bool MeetsAll(std::span<const CellValue> cells, const Choice& choice, std::size_t begin) {
  for (std::size_t i = begin; i < cells.size(); ++i) {
    if (!Meets(cells[i], choice.wants[i])) return false;
  }
  return true;
}

std::optional<std::string> DescribeOneOf(const Setting& setting, std::span<const CellValue> cells,
                                         absl::string_view fallback) {
  if (!cells.front()) {  // the rest only refines the first
    const Choice* choice = FindChoice(setting, fallback);
    if (choice == nullptr || !MeetsAll(cells, *choice, 1)) return std::nullopt;
    return std::string(fallback);
  }
  for (const Choice& choice : setting.choices) {
    if (!choice.word.empty() && MeetsAll(cells, choice, 0)) return std::string(choice.word);
  }
  return std::nullopt;
}

}  // namespace

const ShapeFunctions kSwitchShape = {AcceptsWords, SpellWord, ResolveAsSpelled, EncodeSwitch,
                                     DescribeSwitch};
const ShapeFunctions kOneOfShape = {AcceptsWords, SpellWord, ResolveAsSpelled, EncodeOneOf,
                                    DescribeOneOf};

}  // namespace dumpwarden
