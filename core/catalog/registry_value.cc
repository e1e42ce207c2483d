// SPDX-License-Identifier: Apache-2.0
#include "core/catalog/registry_value.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxShownBytes = 32;

// What is not UTF-8 becomes U+FFFD a byte: readers of files have refused it long before.
std::string Units(absl::string_view utf8) {
  absl::StatusOr<std::string> units = Utf8ToUtf16Le(utf8);
  if (units.ok()) return *std::move(units);
  std::string replaced;
  for (const char c : utf8) {
    const bool ascii = static_cast<unsigned char>(c) < 0x80;
    replaced.append(ascii ? std::string{c, '\0'} : std::string{'\xfd', '\xff'});
  }
  return replaced;
}

const std::string& Terminator() {
  static const std::string kTerminator(2, '\0');
  return kTerminator;
}

// The units up to the first terminator from `begin` on, which is moved behind it.
std::string TakeUnits(absl::string_view data, std::size_t& begin) {
  std::size_t end = begin;
  while (end + 1 < data.size() && (data[end] != '\0' || data[end + 1] != '\0')) end += 2;
  std::string units(data.substr(begin, end - begin));
  begin = end + 2;
  return units;
}

std::string HexText(absl::string_view data) {
  const std::string shown = absl::BytesToHexString(data.substr(0, kMaxShownBytes));
  return absl::StrCat("hex:", shown, data.size() > kMaxShownBytes ? "..." : "");
}

}  // namespace

RegistryValue DwordValue(std::uint32_t number) {
  std::string data(4, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) {
    data[i] = static_cast<char>((number >> (8 * i)) & 0xff);
  }
  return {RegType::kDword, data};
}

RegistryValue SzValue(absl::string_view utf8) {
  return {RegType::kSz, absl::StrCat(Units(utf8), Terminator())};
}

RegistryValue ExpandSzValue(absl::string_view utf8) {
  return {RegType::kExpandSz, absl::StrCat(Units(utf8), Terminator())};
}

RegistryValue MultiSzValue(const std::vector<std::string>& utf8) {
  std::string data;
  for (const std::string& text : utf8) absl::StrAppend(&data, Units(text), Terminator());
  return {RegType::kMultiSz, absl::StrCat(data, Terminator())};
}

std::optional<std::uint32_t> AsDword(const RegistryValue& value) {
  if (value.type != RegType::kDword || value.data.size() != 4) return std::nullopt;
  std::uint32_t number = 0;
  for (std::size_t i = 4; i-- > 0;) {
    number = number << 8 | static_cast<unsigned char>(value.data[i]);
  }
  return number;
}

std::optional<std::string> AsText(const RegistryValue& value) {
  if (value.type != RegType::kSz && value.type != RegType::kExpandSz) return std::nullopt;
  if (value.data.size() % 2 != 0) return std::nullopt;
  std::size_t begin = 0;
  absl::StatusOr<std::string> text = Utf16LeToUtf8(TakeUnits(value.data, begin));
  if (!text.ok()) return std::nullopt;
  return *std::move(text);
}

std::optional<std::vector<std::string>> AsMultiSz(const RegistryValue& value) {
  if (value.type != RegType::kMultiSz || value.data.size() % 2 != 0) return std::nullopt;
  std::vector<std::string> texts;
  for (std::size_t begin = 0; begin < value.data.size();) {
    const std::string units = TakeUnits(value.data, begin);
    if (units.empty()) break;
    absl::StatusOr<std::string> text = Utf16LeToUtf8(units);
    if (!text.ok()) return std::nullopt;
    texts.push_back(*std::move(text));
  }
  return texts;
}

std::string TypeName(RegType type) {
  switch (type) {
    case RegType::kNone:
      return "REG_NONE";
    case RegType::kSz:
      return "REG_SZ";
    case RegType::kExpandSz:
      return "REG_EXPAND_SZ";
    case RegType::kBinary:
      return "REG_BINARY";
    case RegType::kDword:
      return "REG_DWORD";
    case RegType::kMultiSz:
      return "REG_MULTI_SZ";
    case RegType::kQword:
      return "REG_QWORD";
  }
  return absl::StrCat("REG_0x", absl::Hex(static_cast<std::uint32_t>(type)));
}

std::string ToText(const RegistryValue& value) {
  if (const auto number = AsDword(value)) return absl::StrCat(*number);
  if (const auto text = AsText(value)) return Quote(*text);
  if (const auto texts = AsMultiSz(value)) {
    const auto quote = [](std::string* out, const std::string& text) {
      absl::StrAppend(out, Quote(text));
    };
    return absl::StrCat("[", absl::StrJoin(*texts, ",", quote), "]");
  }
  return HexText(value.data);
}

}  // namespace dumpwarden
