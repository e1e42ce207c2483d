// SPDX-License-Identifier: Apache-2.0
#include "core/base/text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kQuoted = 120;   // characters that Quote shows
constexpr std::size_t kMaxWord = 100;  // longer ones have no neighbour

// Edit distance in which two swapped neighbours count as one.
std::size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), now(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    now[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      now[j] =
          std::min({last[j] + 1, now[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) now[j] = std::min(now[j], before[j - 2] + 1);
    }
    before.swap(last);
    last.swap(now);
  }
  return last[b.size()];
}

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; }

// The length that a lead byte promises; 0 when it is none.
std::size_t SequenceLength(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead >= 0xC2 && lead <= 0xDF) return 2;
  if (lead >= 0xE0 && lead <= 0xEF) return 3;
  if (lead >= 0xF0 && lead <= 0xF4) return 4;
  return 0;
}

bool IsScalarValue(char32_t c, std::size_t length) {
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  return c >= kSmallest[length] && c <= 0x10FFFF && !(c >= 0xD800 && c <= 0xDFFF);
}

void AppendUtf8(char32_t c, std::string& out) {
  if (c < 0x80) {
    out.push_back(static_cast<char>(c));
    return;
  }
  const int continuations = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  const unsigned lead = continuations == 1 ? 0xC0 : continuations == 2 ? 0xE0 : 0xF0;
  out.push_back(static_cast<char>(lead | (c >> (6 * continuations))));
  for (int i = continuations - 1; i >= 0; --i) {
    out.push_back(static_cast<char>(0x80 | ((c >> (6 * i)) & 0x3F)));
  }
}

void AppendUnit(char32_t unit, std::string& out) {
  out.push_back(static_cast<char>(unit & 0xFF));
  out.push_back(static_cast<char>((unit >> 8) & 0xFF));
}

// Takes one character off `rest` and gives it as it may be shown.
std::string TakeShown(absl::string_view& rest) {
  const absl::string_view before = rest;
  const std::optional<char32_t> c = TakeCodePoint(rest);
  if (!c) return absl::StrFormat("\\x%02x", static_cast<unsigned char>(before[0]));
  if (*c == '\n') return "\\n";
  if (*c == '\t') return "\\t";
  if (!IsControl(*c)) return std::string(before.substr(0, before.size() - rest.size()));
  if (*c < 0x100) return absl::StrFormat("\\x%02x", static_cast<unsigned>(*c));
  return absl::StrFormat("\\u%04x", static_cast<unsigned>(*c));
}

}  // namespace

bool EqualsIgnoreCase(absl::string_view a, absl::string_view b) {
  return absl::EqualsIgnoreCase(a, b);
}

std::string LowerAscii(absl::string_view text) { return absl::AsciiStrToLower(text); }

std::string NearestWord(absl::string_view word, const std::vector<std::string>& candidates) {
  if (word.size() > kMaxWord) return "";
  std::string nearest;
  std::size_t limit = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t distance = Distance(LowerAscii(word), LowerAscii(candidate));
    if (distance < limit) {
      limit = distance;
      nearest = candidate;
    }
  }
  return nearest;
}

std::optional<char32_t> TakeCodePoint(absl::string_view& rest) {
  const unsigned char lead = static_cast<unsigned char>(rest[0]);
  const std::size_t length = SequenceLength(lead);
  char32_t c = length <= 1 ? lead : lead & (0x7Fu >> length);
  bool good = length >= 1 && rest.size() >= length;
  for (std::size_t i = 1; good && i < length; ++i) {
    good = IsContinuation(rest[i]);
    c = (c << 6) | (static_cast<unsigned char>(rest[i]) & 0x3F);
  }
  good = good && IsScalarValue(c, length);
  rest.remove_prefix(good ? length : 1);
  if (!good) return std::nullopt;
  return c;
}

bool IsControl(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c <= 0x9F) || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

std::string Quote(absl::string_view text) {
  std::string out = "\"";
  for (std::size_t shown = 0; !text.empty(); ++shown) {
    if (shown == kQuoted) return absl::StrCat(out, "...\"");
    const std::string next = TakeShown(text);
    absl::StrAppend(&out, next == "\"" ? "\\\"" : next);
  }
  return absl::StrCat(out, "\"");
}

std::string Printable(absl::string_view text) {
  std::string out;
  while (!text.empty()) out += TakeShown(text);
  return out;
}

absl::StatusOr<std::string> Utf8ToUtf16Le(absl::string_view utf8) {
  std::string out;
  out.reserve(utf8.size() * 2);
  while (!utf8.empty()) {
    const std::optional<char32_t> c = TakeCodePoint(utf8);
    if (!c) return absl::InvalidArgumentError("text is not valid UTF-8");
    if (*c < 0x10000) {
      AppendUnit(*c, out);
    } else {
      AppendUnit(0xD800 + ((*c - 0x10000) >> 10), out);
      AppendUnit(0xDC00 + ((*c - 0x10000) & 0x3FF), out);
    }
  }
  return out;
}

absl::StatusOr<std::string> Utf16LeToUtf8(absl::string_view utf16le) {
  if (utf16le.size() % 2 != 0) {
    return absl::InvalidArgumentError("UTF-16 text has an odd number of bytes");
  }
  const auto unit = [&](std::size_t at) -> char32_t {
    return static_cast<unsigned char>(utf16le[at]) |
           static_cast<char32_t>(static_cast<unsigned char>(utf16le[at + 1])) << 8;
  };
  std::string out;
  for (std::size_t at = 0; at < utf16le.size(); at += 2) {
    char32_t c = unit(at);
    if (c >= 0xD800 && c <= 0xDFFF) {
      const char32_t low = at + 2 < utf16le.size() ? unit(at + 2) : 0;
      if (c > 0xDBFF || low < 0xDC00 || low > 0xDFFF) {
        return absl::InvalidArgumentError("UTF-16 text has a lone surrogate");
      }
      c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
      at += 2;
    }
    AppendUtf8(c, out);
  }
  return out;
}

}  // namespace dumpwarden
