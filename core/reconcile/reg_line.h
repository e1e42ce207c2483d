// SPDX-License-Identifier: Apache-2.0
// The lines of a .reg file: from text and back.  A value with continuation
// lines, or with line ends inside its quotes, is one line here.
#ifndef DUMPWARDEN_CORE_RECONCILE_REG_LINE_H_
#define DUMPWARDEN_CORE_RECONCILE_REG_LINE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/problems.h"
#include "core/catalog/registry_value.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxRegValueBytes = 1024 * 1024;
inline constexpr int kMaxKeyDepth = 512;

// Version 5 holds texts in hex as UTF-16LE; REGEDIT4 holds them as one byte a character.
enum class RegDialect { kVersion5, kRegedit4 };

// One value line of a .reg file: `value` absent is a deletion ("Name"=-).
struct RegLine {
  std::string key;   // HKLM\... (HKEY_LOCAL_MACHINE is spelled out in the file only)
  std::string name;  // empty = the default value, @
  std::optional<RegistryValue> value;
  Mark mark;
};

struct RegTextLine {
  enum class Kind { kOther, kKey, kDeletedKey, kValue };
  Kind kind = Kind::kOther;
  std::string raw;  // UTF-8, with its line end
  RegLine parsed;   // kKey, kDeletedKey: key only
};

struct RegText {
  RegDialect dialect = RegDialect::kVersion5;
  std::vector<RegTextLine> lines;  // the first is the header
};

// kInvalidArgument: file:line:column: what is wrong and what is accepted.
absl::StatusOr<RegText> ParseRegText(absl::string_view utf8, absl::string_view file);

// "Windows Registry Editor Version 5.00", without a line end.
absl::string_view RegHeader();
// [HKEY_LOCAL_MACHINE\...], without a line end.
std::string RenderRegKey(absl::string_view key);
// "Name"=..., hex wrapped at 80 columns as regedit does, without the last line end.
std::string RenderRegValue(absl::string_view name, const std::optional<RegistryValue>& value,
                           absl::string_view line_end);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_REG_LINE_H_
