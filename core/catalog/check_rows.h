// SPDX-License-Identifier: Apache-2.0
// The compiler's check of the catalogue: static_assert(CheckRows(kSettings)).
// A wrong row stops the build at a `throw` whose text names the fault.
#ifndef DUMPWARDEN_CORE_CATALOG_CHECK_ROWS_H_
#define DUMPWARDEN_CORE_CATALOG_CHECK_ROWS_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "absl/strings/string_view.h"
#include "core/catalog/setting.h"

namespace dumpwarden {
namespace row_check {

constexpr bool IsLower(char c) { return c >= 'a' && c <= 'z'; }
constexpr bool IsDigit(char c) { return c >= '0' && c <= '9'; }
constexpr char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

constexpr bool SameName(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (Lower(a[i]) != Lower(b[i])) return false;
  }
  return true;
}

constexpr std::size_t Cells(const Setting& row) {
  std::size_t count = 0;
  while (count < kMaxCells && !row.cells[count].name.empty()) ++count;
  return count;
}

constexpr std::size_t Choices(const Setting& row) {
  std::size_t count = 0;
  while (count < kMaxChoices && !row.choices[count].word.empty()) ++count;
  return count;
}

// words of [a-z0-9-] joined by dots, at least two
constexpr bool IsId(absl::string_view id) {
  std::size_t dots = 0;
  char before = '.';
  for (const char c : id) {
    const bool mark = c == '.' || c == '-';
    if (!mark && !IsLower(c) && !IsDigit(c)) return false;
    if (mark && (before == '.' || before == '-')) return false;
    if (c == '.') ++dots;
    before = c;
  }
  return dots > 0 && before != '.' && before != '-';
}

constexpr bool IsSentence(absl::string_view text) {
  return text.size() >= 10 && text[0] >= 'A' && text[0] <= 'Z' && text[text.size() - 1] == '.';
}

constexpr bool FitsShape(const Setting& row, RegType type) {
  switch (row.shape) {
    case Shape::kSwitch:
    case Shape::kOneOf:
    case Shape::kInteger:
    case Shape::kSize:
      return type == RegType::kDword;
    case Shape::kText:
      return type == RegType::kSz || type == RegType::kExpandSz;
    case Shape::kList:
      return type == RegType::kMultiSz;
  }
  return false;
}

constexpr void CheckCells(const Setting& row) {
  constexpr absl::string_view kRoot = "HKLM\\SYSTEM\\CurrentControlSet\\";
  if (Cells(row) == 0) throw "cells: none";
  const bool several = row.shape == Shape::kSwitch || row.shape == Shape::kOneOf;
  if (!several && Cells(row) != 1) throw "cells: this shape has one";
  for (std::size_t i = 0; i < kMaxCells; ++i) {
    const CellName& cell = row.cells[i];
    if (i >= Cells(row)) {
      if (!cell.key.empty() || !cell.name.empty()) throw "cells: used ones come first";
      continue;
    }
    if (cell.key.substr(0, kRoot.size()) != kRoot) throw "cells: key is outside the control set";
    if (!FitsShape(row, cell.type)) throw "cells: type does not fit the shape";
  }
}

constexpr bool SameWants(const Setting& row, const Choice& a, const Choice& b) {
  for (std::size_t i = 0; i < Cells(row); ++i) {
    if (a.wants[i].kind != b.wants[i].kind || a.wants[i].number != b.wants[i].number) return false;
  }
  return true;
}

constexpr void CheckChoice(const Setting& row, std::size_t index) {
  const Choice& choice = row.choices[index];
  if (choice.wants[0].kind != Want::Kind::kNumber) throw "choices: first cell is not a number";
  for (std::size_t i = 0; i < kMaxCells; ++i) {
    const bool missing = choice.wants[i].kind == Want::Kind::kMissing;
    if (i < Cells(row) && missing) throw "choices: a cell is not filled";
    if (i >= Cells(row) && !missing) throw "choices: more wants than cells";
  }
  for (std::size_t other = 0; other < index; ++other) {
    if (row.choices[other].word == choice.word) throw "choices: word twice";
    if (SameWants(row, row.choices[other], choice)) throw "choices: same cells twice";
  }
}

constexpr void CheckChoices(const Setting& row) {
  if (row.shape != Shape::kOneOf) {
    if (Choices(row) != 0) throw "choices: only one-of has them";
    return;
  }
  if (Choices(row) < 2) throw "choices: fewer than two";
  for (std::size_t i = 0; i < Choices(row); ++i) CheckChoice(row, i);
}

constexpr void CheckRange(const Setting& row) {
  const bool ranged = row.shape != Shape::kSwitch && row.shape != Shape::kOneOf;
  if (ranged && (row.max == 0 || row.min > row.max)) throw "range: empty";
  if (!ranged && (row.min != 0 || row.max != 0)) throw "range: this shape has none";
  if (row.shape == Shape::kInteger && row.max > 0xffffffffU) throw "range: above a DWORD";
  if (row.shape == Shape::kSize && row.max > 0xffffffffU) throw "range: above a DWORD";
  if (row.builds.below != 0 && row.builds.min >= row.builds.below) throw "range: empty builds";
  const bool bounded = row.builds.min != 0 || row.builds.below != 0;
  if (bounded == row.builds.why.empty()) throw "builds: a bound and its why go together";
  if ((row.shape == Shape::kText) != (row.text != TextKind::kNone)) throw "text: kind missing";
  if ((row.shape == Shape::kList) != (row.item != ItemKind::kNone)) throw "list: item missing";
}

constexpr bool IsNumberIn(absl::string_view text, std::uint64_t min, std::uint64_t max) {
  if (text.empty() || text.size() > 10 || (text.size() > 1 && text[0] == '0')) return false;
  std::uint64_t number = 0;
  for (const char c : text) {
    if (!IsDigit(c)) return false;
    number = number * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return number >= min && number <= max;
}

constexpr bool IsSizeIn(absl::string_view text, std::uint64_t min, std::uint64_t max) {
  if (text.size() < 4 || text.substr(text.size() - 2) != "iB") return false;
  const char unit = text[text.size() - 3];
  const std::uint64_t mib = unit == 'M' ? 1 : unit == 'G' ? 1024 : 0;
  if (mib == 0) return false;
  return IsNumberIn(text.substr(0, text.size() - 3), (min + mib - 1) / mib, max / mib);
}

constexpr bool IsSpelling(const Setting& row, absl::string_view value) {
  switch (row.shape) {
    case Shape::kSwitch:
      return value == "on" || value == "off";
    case Shape::kOneOf:
      for (std::size_t i = 0; i < Choices(row); ++i) {
        if (row.choices[i].word == value) return true;
      }
      return false;
    case Shape::kInteger:
      return IsNumberIn(value, row.min, row.max);
    case Shape::kText:
      return value.size() >= row.min && value.size() <= row.max;
    case Shape::kSize:
      return IsSizeIn(value, row.min, row.max);
    case Shape::kList:
      return value == "automatic" || value == "none";
  }
  return false;
}

constexpr void CheckFallback(const Setting& row) {
  bool ended = false;
  std::uint32_t before = 0;
  for (const Fallback& fallback : row.fallback) {
    if (fallback.value.empty()) {
      ended = true;
      continue;
    }
    if (ended) throw "fallback: used ones come first";
    if (!IsSpelling(row, fallback.value)) throw "fallback: not a spelling of the row";
    if (fallback.min_build < before) throw "fallback: builds out of order";
    before = fallback.min_build;
  }
}

constexpr void CheckOwners(std::span<const Setting> rows, std::size_t index) {
  for (std::size_t mine = 0; mine < Cells(rows[index]); ++mine) {
    const CellName& cell = rows[index].cells[mine];
    for (std::size_t other = 0; other <= index; ++other) {
      const std::size_t count = other == index ? mine : Cells(rows[other]);
      for (std::size_t i = 0; i < count; ++i) {
        const CellName& theirs = rows[other].cells[i];
        if (SameName(cell.key, theirs.key) && SameName(cell.name, theirs.name)) {
          throw "cells: owned twice";
        }
      }
    }
  }
}

}  // namespace row_check

// True, or does not compile (at run time, in its test: throws the text).
constexpr bool CheckRows(std::span<const Setting> rows) {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Setting& row = rows[i];
    if (!row_check::IsId(row.id)) throw "id: malformed";
    if (i > 0 && !(rows[i - 1].id < row.id)) throw "id: out of order";
    if (!row_check::IsSentence(row.summary)) throw "summary: not a sentence";
    if (row.source.empty()) throw "source: missing";
    row_check::CheckCells(row);
    row_check::CheckChoices(row);
    row_check::CheckRange(row);
    row_check::CheckFallback(row);
    row_check::CheckOwners(rows, i);
  }
  return true;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_CHECK_ROWS_H_
