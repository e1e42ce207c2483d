// SPDX-License-Identifier: Apache-2.0
#include "core/catalog/windows_path.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kSystemRoot = "%SystemRoot%\\";

absl::Status Refuse(absl::string_view why) { return absl::InvalidArgumentError(why); }

bool IsInvisible(char32_t c) {
  return IsControl(c) || c == 0x61C || (c >= 0x200B && c <= 0x200F) || c == 0x2028 || c == 0x2029 ||
         c == 0x2060 || c == 0xFEFF;
}

absl::Status CheckCharacters(absl::string_view text) {
  while (!text.empty()) {
    const std::optional<char32_t> c = TakeCodePoint(text);
    if (!c) return Refuse("it is not UTF-8");
    if (IsInvisible(*c)) return Refuse("it holds a control or invisible character");
    if (*c == '/') return Refuse("it holds a forward slash; write \\");
    if (*c < 0x80 && absl::StrContains("*?<>|\"", static_cast<char>(*c))) {
      return Refuse("it holds one of * ? < > | \", which no file name may");
    }
  }
  return absl::OkStatus();
}

// COM1 to COM9; Windows takes the superscripts 1, 2 and 3 for digits too.
bool IsNumberedDevice(absl::string_view lower) {
  if (!absl::StartsWith(lower, "com") && !absl::StartsWith(lower, "lpt")) return false;
  const absl::string_view number = lower.substr(3);
  if (number.size() == 1) return number[0] >= '1' && number[0] <= '9';
  return number == "\u00b9" || number == "\u00b2" || number == "\u00b3";
}

bool IsDeviceName(absl::string_view component) {
  const absl::string_view stem = component.substr(0, component.find('.'));
  const std::string lower = LowerAscii(absl::StripTrailingAsciiWhitespace(stem));
  for (const absl::string_view name : {"con", "prn", "aux", "nul", "conin$", "conout$"}) {
    if (lower == name) return true;
  }
  return IsNumberedDevice(lower);
}

absl::Status CheckComponent(absl::string_view component, const PathRules& rules) {
  if (component.empty()) return Refuse("a part between two \\ is empty");
  if (component == "." || component == "..") return Refuse("it holds . or ..");
  if (component.back() == '.' || component.back() == ' ') {
    return Refuse("a part ends in a dot or a blank, which Windows drops");
  }
  if (absl::StrContains(component, ':')) {
    return Refuse("it holds a colon after the drive, which names a stream of a file");
  }
  if (absl::StrContains(component, '%')) {
    return Refuse(rules.system_root ? "only %SystemRoot% at the start is expanded"
                                    : "Windows does not expand % in this value");
  }
  if (!rules.blanks && component.find_first_of(" ;") != absl::string_view::npos) {
    return Refuse("it holds a blank or a semicolon, at which Windows or this list would split it");
  }
  if (IsDeviceName(component)) {
    return Refuse(absl::StrCat(Quote(component), " is a device to Windows"));
  }
  return absl::OkStatus();
}

// C:\ or %SystemRoot%\ in canonical spelling; taken off `rest`.
absl::StatusOr<std::string> TakeRoot(absl::string_view& rest, const PathRules& rules) {
  if (absl::StartsWith(rest, "\\\\")) {
    return Refuse("it is a network or device path; Windows needs a local drive for a dump");
  }
  if (rules.system_root && absl::StartsWithIgnoreCase(rest, kSystemRoot)) {
    rest.remove_prefix(kSystemRoot.size());
    return std::string(kSystemRoot);
  }
  const bool drive = rest.size() >= 3 && rest[1] == ':' && rest[2] == '\\' &&
                     absl::ascii_isalpha(static_cast<unsigned char>(rest[0]));
  if (!drive) {
    return Refuse(rules.system_root ? "it starts with neither a drive (D:\\) nor %SystemRoot%\\"
                                    : "it does not start with a drive (D:\\)");
  }
  const char letter = absl::ascii_toupper(static_cast<unsigned char>(rest[0]));
  rest.remove_prefix(3);
  return std::string{letter, ':', '\\'};
}

}  // namespace

absl::StatusOr<std::string> ReadWindowsPath(absl::string_view text, const PathRules& rules) {
  RETURN_IF_ERROR(CheckCharacters(text));
  ASSIGN_OR_RETURN(const std::string units, Utf8ToUtf16Le(text));
  if (units.size() / 2 > rules.max_length) {
    return Refuse(absl::StrCat("it is longer than ", rules.max_length, " characters"));
  }
  absl::string_view rest = text;
  ASSIGN_OR_RETURN(const std::string root, TakeRoot(rest, rules));
  for (const absl::string_view component : absl::StrSplit(rest, '\\')) {
    RETURN_IF_ERROR(CheckComponent(component, rules));
  }
  return absl::StrCat(root, rest);
}

std::string ParentFolder(absl::string_view path) {
  const std::size_t slash = path.rfind('\\');
  if (slash == absl::string_view::npos) return std::string(path);
  const bool root = slash == 2 && path[1] == ':';
  return std::string(path.substr(0, root ? 3 : slash));
}

bool IsVolumeRoot(absl::string_view path) {
  return (path.size() == 3 && path[1] == ':') || absl::EqualsIgnoreCase(path, "%SystemRoot%");
}

bool IsBelowSystemRoot(absl::string_view path) {
  return absl::StartsWithIgnoreCase(path, "%SystemRoot%");
}

}  // namespace dumpwarden
