// SPDX-License-Identifier: Apache-2.0
#include "core/report/registry_data.h"

#include <cstddef>

#include "absl/strings/escaping.h"

namespace dumpwarden {
namespace {

std::optional<std::uint64_t> AsQword(const RegistryValue& value) {
  if (value.type != RegType::kQword || value.data.size() != 8) return std::nullopt;
  std::uint64_t number = 0;
  for (std::size_t i = 8; i-- > 0;) {
    number = number << 8 | static_cast<unsigned char>(value.data[i]);
  }
  return number;
}

}  // namespace

Datum RegistryData(const std::optional<RegistryValue>& value) {
  if (!value) return std::monostate();
  if (const auto number = AsDword(*value)) return std::uint64_t{*number};
  if (const auto number = AsQword(*value)) return *number;
  if (const auto text = AsText(*value)) return *text;
  if (const auto texts = AsMultiSz(*value)) return *texts;
  return absl::BytesToHexString(value->data);
}

}  // namespace dumpwarden
