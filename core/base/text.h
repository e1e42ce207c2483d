// SPDX-License-Identifier: Apache-2.0
// Small text tools that several parts need: case folding as the registry does
// it, spelling help, UTF-16LE, and making foreign text safe to print.
#ifndef DUMPWARDEN_CORE_BASE_TEXT_H_
#define DUMPWARDEN_CORE_BASE_TEXT_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

// ASCII only: every name in the catalogue is ASCII.
bool EqualsIgnoreCase(absl::string_view a, absl::string_view b);
std::string LowerAscii(absl::string_view text);

// The candidate nearest to `word` by edit distance, or "" when none is near.
std::string NearestWord(absl::string_view word, const std::vector<std::string>& candidates);

// Takes the first code point off `rest`; nullopt (and one byte taken off) when
// it is not well-formed UTF-8.  `rest` is not empty.
std::optional<char32_t> TakeCodePoint(absl::string_view& rest);
// C0 (tab and line feed too), DEL, C1, bidirectional controls: what changes how
// a terminal shows the text around it.
bool IsControl(char32_t code_point);

// For messages and terminals: escapes control characters and bytes that are not
// UTF-8.  Quote also puts it in quotes and cuts it at 120 characters.
std::string Quote(absl::string_view text);
std::string Printable(absl::string_view text);

// kInvalidArgument when `utf8` is not UTF-8 or `utf16le` is odd or has a lone surrogate.
absl::StatusOr<std::string> Utf8ToUtf16Le(absl::string_view utf8);
absl::StatusOr<std::string> Utf16LeToUtf8(absl::string_view utf16le);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_TEXT_H_
