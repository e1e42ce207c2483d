// SPDX-License-Identifier: Apache-2.0
// What a row of the catalogue is: pure data, checked by the compiler.  What
// rows mean is in catalog.h; the rows are in settings.cc.
#ifndef DUMPWARDEN_CORE_CATALOG_SETTING_H_
#define DUMPWARDEN_CORE_CATALOG_SETTING_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/strings/string_view.h"
#include "core/catalog/registry_value.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxCells = 4;
inline constexpr std::size_t kMaxChoices = 8;

// A registry value that a setting stands for.
struct CellName {
  absl::string_view key;  // HKLM\SYSTEM\CurrentControlSet\...
  absl::string_view name;
  RegType type = RegType::kDword;
};

// What a choice wants of one DWORD cell.
struct Want {
  enum class Kind {
    kMissing,  // the row forgot this cell; CheckRows refuses it
    kNumber,   // this number
    kAbsent,   // written by deleting; absent and 0 read the same
    kCleared,  // written by deleting; not looked at when read
  };
  Kind kind = Kind::kMissing;
  std::uint32_t number = 0;
};
inline constexpr Want kAbsent{Want::Kind::kAbsent, 0};
inline constexpr Want kCleared{Want::Kind::kCleared, 0};
constexpr Want Number(std::uint32_t n) { return {Want::Kind::kNumber, n}; }

// A word of a one-of setting, and the cells that it stands for.
struct Choice {
  absl::string_view word;
  std::array<Want, kMaxCells> wants{};
  std::uint32_t min_build = 0;  // older Windows does not know this word
};

enum class Shape {
  kSwitch,   // on | off
  kOneOf,    // one of the row's words
  kInteger,  // min..max
  kText,     // checked by `text`
  kSize,     // stored in MB, rounded up
  kList,     // of `item`s
};

enum class TextKind { kNone, kDumpFile, kDumpFolder, kDedicatedDumpFile };
enum class ItemKind { kNone, kPageFile };

// When Windows starts to use a changed value.
enum class Effect { kImmediate, kNextBoot, kNextBootIfCreated };

// What an absent value means, from a build on.  Later entries win.
struct Fallback {
  std::uint32_t min_build = 0;
  absl::string_view value;  // canonical spelling
};

// Builds that honour the setting: min <= build < below (0 = no bound).
struct Builds {
  std::uint32_t min = 0;
  std::uint32_t below = 0;
  absl::string_view why;  // said to those outside
};

struct Setting {
  absl::string_view id;       // dump.type; never renamed, never reused
  absl::string_view summary;  // one sentence
  Shape shape = Shape::kSwitch;
  std::array<CellName, kMaxCells> cells{};  // used ones first
  std::array<Choice, kMaxChoices> choices{};
  std::uint64_t min = 0;  // kInteger: value; kSize: MiB; kText, kList: length
  std::uint64_t max = 0;
  TextKind text = TextKind::kNone;
  ItemKind item = ItemKind::kNone;
  std::array<Fallback, 2> fallback{};  // none = absent is "unset"
  Builds builds{};
  Effect effective = Effect::kNextBoot;
  absl::string_view source;  // section and tag of the reference
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_SETTING_H_
