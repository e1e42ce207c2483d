// SPDX-License-Identifier: Apache-2.0
#include "core/base/sizes.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr std::uint64_t kTiB = std::uint64_t{1} << 40;
constexpr std::uint64_t kMaxBytes = 16 * kTiB;
// More memory than this is a mistake, and would overflow ram * 16.
constexpr std::uint64_t kMaxRam = 1024 * kMaxBytes;
constexpr std::uint64_t kMaxThousandths = 16000;

struct Unit {
  absl::string_view name;
  std::uint64_t bytes;
};
// Largest first.  B closes the round trip of a size that is no multiple of 1 KiB.
constexpr Unit kUnits[] = {
    {"TiB", kTiB}, {"GiB", kGiB}, {"MiB", kMiB}, {"KiB", std::uint64_t{1} << 10}, {"B", 1}};

absl::Status Bad(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      Quote(text), " is not a size: ", why,
      "; accepted: a whole number with KiB, MiB, GiB or TiB (16GiB), or an expression of ram "
      "(ram + 257MiB, ram * 1.5)"));
}

absl::string_view TakeDigits(absl::string_view& rest) {
  std::size_t count = 0;
  while (count < rest.size() && absl::ascii_isdigit(static_cast<unsigned char>(rest[count]))) {
    ++count;
  }
  const absl::string_view digits = rest.substr(0, count);
  rest.remove_prefix(count);
  return digits;
}

// Decimal, without leading zeros, because 010 is eight to some readers.
bool ParseWhole(absl::string_view digits, std::uint64_t* number) {
  if (digits.empty() || (digits.size() > 1 && digits[0] == '0')) return false;
  return absl::SimpleAtoi(digits, number);
}

// "257MiB"; `whole` is the text for messages.
absl::StatusOr<std::uint64_t> ParseAmount(absl::string_view text, absl::string_view whole) {
  absl::string_view unit_name = text;
  std::uint64_t number = 0;
  if (!ParseWhole(TakeDigits(unit_name), &number)) {
    return Bad(whole, "a whole decimal number is wanted");
  }
  if (unit_name.empty()) return Bad(whole, "it has no unit");
  for (const Unit& unit : kUnits) {
    if (unit_name != unit.name) continue;
    if (number > kMaxBytes / unit.bytes) return Bad(whole, "it is above 16TiB");
    return number * unit.bytes;
  }
  return Bad(whole, absl::StrCat(Quote(unit_name), " is not a unit"));
}

// "1.5" as 1500.
absl::StatusOr<std::uint32_t> ParseFactor(absl::string_view text, absl::string_view whole) {
  constexpr absl::string_view kWanted =
      "the factor of ram is a decimal number above 0, at most 16, with at most 3 decimals";
  std::uint64_t number = 0;
  if (!ParseWhole(TakeDigits(text), &number) || number > 16) return Bad(whole, kWanted);
  std::uint64_t thousandths = number * 1000;
  if (absl::ConsumePrefix(&text, ".")) {
    const absl::string_view decimals = TakeDigits(text);
    if (decimals.empty() || decimals.size() > 3) return Bad(whole, kWanted);
    std::uint64_t scale = 100;
    for (const char digit : decimals) {
      thousandths += static_cast<std::uint64_t>(digit - '0') * scale;
      scale /= 10;
    }
  }
  if (!text.empty() || thousandths == 0 || thousandths > kMaxThousandths) {
    return Bad(whole, kWanted);
  }
  return static_cast<std::uint32_t>(thousandths);
}

// What follows "ram": [* factor] [+|- amount].
absl::StatusOr<Size> ParseExpression(absl::string_view rest, absl::string_view whole) {
  Size size{1000, 0};
  rest = absl::StripLeadingAsciiWhitespace(rest);
  if (absl::ConsumePrefix(&rest, "*")) {
    const std::size_t end = std::min(rest.find_first_of("+-"), rest.size());
    ASSIGN_OR_RETURN(size.ram_thousandths,
                     ParseFactor(absl::StripAsciiWhitespace(rest.substr(0, end)), whole));
    rest.remove_prefix(end);
  }
  if (rest.empty()) return size;
  const bool minus = rest[0] == '-';
  if (!minus && rest[0] != '+') return Bad(whole, "after ram, one of * + - is wanted");
  ASSIGN_OR_RETURN(const std::uint64_t bytes,
                   ParseAmount(absl::StripAsciiWhitespace(rest.substr(1)), whole));
  size.bytes = minus ? -static_cast<std::int64_t>(bytes) : static_cast<std::int64_t>(bytes);
  return size;
}

std::string FormatFactor(std::uint32_t thousandths) {
  std::string decimals = absl::StrCat(thousandths % 1000);
  decimals.insert(0, 3 - decimals.size(), '0');
  while (!decimals.empty() && decimals.back() == '0') decimals.pop_back();
  return absl::StrCat(thousandths / 1000, decimals.empty() ? "" : ".", decimals);
}

}  // namespace

absl::StatusOr<Size> ParseSize(absl::string_view text) {
  absl::string_view rest = text;
  if (absl::ConsumePrefix(&rest, "ram")) return ParseExpression(rest, text);
  if (absl::StrContains(LowerAscii(text), "ram")) {
    return Bad(text, "an expression starts with ram, in lower case");
  }
  ASSIGN_OR_RETURN(const std::uint64_t bytes, ParseAmount(text, text));
  return Size{0, static_cast<std::int64_t>(bytes)};
}

std::string FormatBytes(std::uint64_t bytes) {
  if (bytes == 0) return "0MiB";
  for (const Unit& unit : kUnits) {
    if (bytes % unit.bytes == 0) return absl::StrCat(bytes / unit.bytes, unit.name);
  }
  return "";  // not reached: the last unit divides everything
}

std::string FormatSize(const Size& size) {
  const std::uint64_t magnitude =
      static_cast<std::uint64_t>(size.bytes < 0 ? -size.bytes : size.bytes);
  if (size.ram_thousandths == 0) return FormatBytes(magnitude);
  std::string text = "ram";
  if (size.ram_thousandths != 1000) {
    absl::StrAppend(&text, " * ", FormatFactor(size.ram_thousandths));
  }
  if (magnitude != 0) {
    absl::StrAppend(&text, size.bytes < 0 ? " - " : " + ", FormatBytes(magnitude));
  }
  return text;
}

absl::StatusOr<std::uint64_t> ResolveSize(const Size& size, std::optional<std::uint64_t> ram) {
  if (size.ram_thousandths == 0) return static_cast<std::uint64_t>(size.bytes);
  if (!ram) {
    return absl::FailedPreconditionError(absl::StrCat(
        FormatSize(size), " needs the host's memory, and the facts do not tell memory.bytes"));
  }
  if (*ram > kMaxRam) {
    return absl::OutOfRangeError(absl::StrCat("memory of ", *ram, " bytes is not believable"));
  }
  const std::uint64_t factor = size.ram_thousandths;
  const std::uint64_t share = *ram / 1000 * factor + *ram % 1000 * factor / 1000;
  const std::int64_t bytes = static_cast<std::int64_t>(share) + size.bytes;
  if (bytes < 0 || static_cast<std::uint64_t>(bytes) > kMaxBytes) {
    return absl::OutOfRangeError(absl::StrCat(FormatSize(size), " with ", FormatBytes(*ram),
                                              " of memory is ",
                                              bytes < 0 ? "below 0" : "above 16TiB"));
  }
  return static_cast<std::uint64_t>(bytes);
}

}  // namespace dumpwarden
