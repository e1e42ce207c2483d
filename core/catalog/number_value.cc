// SPDX-License-Identifier: Apache-2.0
// Integers, and sizes that the registry keeps in MB: one DWORD cell.
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "core/base/sizes.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/catalog/shapes.h"

namespace dumpwarden {
namespace {

std::string AcceptsInteger(const Setting& setting) {
  return absl::StrCat("a whole number from ", setting.min, " to ", setting.max);
}

std::optional<std::uint64_t> ReadDecimal(absl::string_view text) {
  const bool digits = !text.empty() && text.size() <= 10 &&
                      std::all_of(text.begin(), text.end(), absl::ascii_isdigit);
  std::uint64_t number = 0;
  if (!digits || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  if (!absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

bool InRange(const Setting& setting, std::uint64_t number) {
  return number >= setting.min && number <= setting.max;
}

absl::StatusOr<std::string> SpellInteger(const Setting& setting, absl::string_view text) {
  const std::optional<std::uint64_t> number = ReadDecimal(text);
  if (number && InRange(setting, *number)) return absl::StrCat(*number);
  return absl::InvalidArgumentError(absl::StrCat("found ", Quote(text), "; accepted is ",
                                                 AcceptsInteger(setting), " in decimal digits"));
}

std::vector<CellValue> EncodeInteger(const Setting&, absl::string_view resolved) {
  return {DwordValue(static_cast<std::uint32_t>(ReadDecimal(resolved).value_or(0)))};
}

std::optional<std::string> DescribeInteger(const Setting& setting, std::span<const CellValue> cells,
                                           absl::string_view) {
  const std::optional<std::uint32_t> number = AsDword(*cells.front());
  if (!number || !InRange(setting, *number)) return std::nullopt;
  return absl::StrCat(*number);
}

std::string AcceptsSize(const Setting& setting) {
  return absl::StrCat("a size from ", FormatBytes(setting.min * kMiB), " to ",
                      FormatBytes(setting.max * kMiB),
                      ", as 16GiB, 4096MiB, ram + 257MiB or ram * 1.5");
}

std::uint64_t MibRoundedUp(std::uint64_t bytes) { return (bytes + kMiB - 1) / kMiB; }

absl::Status CheckSizeRange(const Setting& setting, absl::string_view text, std::uint64_t bytes) {
  if (InRange(setting, MibRoundedUp(bytes))) return absl::OkStatus();
  return absl::OutOfRangeError(absl::StrCat("found ", text, ", which is ", FormatBytes(bytes),
                                            "; accepted is ", AcceptsSize(setting)));
}

absl::StatusOr<std::string> SpellSize(const Setting& setting, absl::string_view text) {
  ASSIGN_OR_RETURN(const Size size, ParseSize(text));
  if (size.ram_thousandths == 0) {
    ASSIGN_OR_RETURN(const std::uint64_t bytes, ResolveSize(size, std::nullopt));
    RETURN_IF_ERROR(CheckSizeRange(setting, text, bytes));
  }
  return FormatSize(size);
}

absl::StatusOr<std::string> ResolveSizeText(const Setting& setting, absl::string_view canonical,
                                            std::optional<std::uint64_t> ram) {
  ASSIGN_OR_RETURN(const Size size, ParseSize(canonical));
  ASSIGN_OR_RETURN(const std::uint64_t bytes, ResolveSize(size, ram));
  RETURN_IF_ERROR(CheckSizeRange(setting, canonical, bytes));
  return FormatBytes(MibRoundedUp(bytes) * kMiB);
}

std::vector<CellValue> EncodeSize(const Setting&, absl::string_view resolved) {
  const absl::StatusOr<Size> size = ParseSize(resolved);
  const std::uint64_t bytes = size.ok() ? static_cast<std::uint64_t>(size->bytes) : 0;
  return {DwordValue(static_cast<std::uint32_t>(MibRoundedUp(bytes)))};
}

std::optional<std::string> DescribeSize(const Setting& setting, std::span<const CellValue> cells,
                                        absl::string_view) {
  const std::optional<std::uint32_t> mib = AsDword(*cells.front());
  if (!mib || !InRange(setting, *mib)) return std::nullopt;
  return FormatBytes(*mib * kMiB);
}

}  // namespace

const ShapeFunctions kIntegerShape = {AcceptsInteger, SpellInteger, ResolveAsSpelled, EncodeInteger,
                                      DescribeInteger};
const ShapeFunctions kSizeShape = {AcceptsSize, SpellSize, ResolveSizeText, EncodeSize,
                                   DescribeSize};

}  // namespace dumpwarden
