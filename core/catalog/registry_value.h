// SPDX-License-Identifier: Apache-2.0
// A registry value exactly as the registry holds it.  Text is UTF-16LE with its
// terminators, so that what is read, backed up and put back is the same bytes.
#ifndef DUMPWARDEN_CORE_CATALOG_REGISTRY_VALUE_H_
#define DUMPWARDEN_CORE_CATALOG_REGISTRY_VALUE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace dumpwarden {

// Numbers of winnt.h.  A registry may hold other numbers: they are kept.
enum class RegType : std::uint32_t {
  kNone = 0,
  kSz = 1,
  kExpandSz = 2,
  kBinary = 3,
  kDword = 4,
  kMultiSz = 7,
  kQword = 11,
};

struct RegistryValue {
  RegType type = RegType::kNone;
  std::string data;
  bool operator==(const RegistryValue&) const = default;
};

RegistryValue DwordValue(std::uint32_t number);
RegistryValue SzValue(absl::string_view utf8);
RegistryValue ExpandSzValue(absl::string_view utf8);
RegistryValue MultiSzValue(const std::vector<std::string>& utf8);

// nullopt when type or data is not what the name says.  Text ends at its first
// terminator, as Windows reads it; a missing terminator is accepted.
std::optional<std::uint32_t> AsDword(const RegistryValue& value);
std::optional<std::string> AsText(const RegistryValue& value);  // SZ or EXPAND_SZ
std::optional<std::vector<std::string>> AsMultiSz(const RegistryValue& value);

std::string TypeName(RegType type);  // "REG_DWORD", "REG_0x63"
// For people: 7, "text", ["a","b"], hex:0102; cut when long.
std::string ToText(const RegistryValue& value);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_REGISTRY_VALUE_H_
