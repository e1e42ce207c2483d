// SPDX-License-Identifier: Apache-2.0
// Functions over rows of the catalogue.  Everything that the product says or
// does about a setting comes through here.
#ifndef DUMPWARDEN_CORE_CATALOG_CATALOG_H_
#define DUMPWARDEN_CORE_CATALOG_CATALOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/problems.h"
#include "core/base/yaml.h"
#include "core/catalog/registry_value.h"
#include "core/catalog/setting.h"

namespace dumpwarden {

// A cell's value, or absent.
using CellValue = std::optional<RegistryValue>;

// "The value must be absent", in policies and in reports.
inline constexpr absl::string_view kUnset = "unset";

std::span<const Setting> AllSettings();            // in order of id
const Setting* FindSetting(absl::string_view id);  // null when there is no such row
std::vector<std::string> SettingIds();
std::size_t CellCount(const Setting& setting);
// What a policy may say, for messages and for people: "on or off".
std::string Accepts(const Setting& setting);
// SHA-256 over all rows, to tell agents with another table apart.
std::string CatalogDigest();

// The row that owns a cell (names compare without case), or null.
const Setting* OwnerOfCell(absl::string_view key, absl::string_view name);

// What a policy says, in its canonical one-line spelling ("ram + 257MiB" stays
// as it is), or nullopt after adding to `problems`.
std::optional<std::string> ReadValue(const Setting& setting, const yaml::Node& node,
                                     absl::string_view path, Problems& problems);

// Expressions of memory worked out: the spelling that Describe would give.
// kFailedPrecondition when memory is needed and not known, kOutOfRange when
// the result is outside the row's range.
absl::StatusOr<std::string> Resolve(const Setting& setting, absl::string_view canonical,
                                    std::optional<std::uint64_t> ram);

// The cells to write for a resolved value, one for each of the row's cells.
absl::StatusOr<std::vector<CellValue>> Encode(const Setting& setting, absl::string_view resolved);

// The inverse, for compliance and reports.  `build` 0 = not known.  Data that
// no spelling stands for reads "custom (...)".
std::string Describe(const Setting& setting, std::span<const CellValue> cells, std::uint32_t build);

// Do the cells mean `resolved`?  By meaning, never cell by cell: see Describe.
// kUnset is met only by cells that are all absent.
bool Means(const Setting& setting, std::span<const CellValue> cells, absl::string_view resolved,
           std::uint32_t build);

// Why Windows of this build ignores the setting (kUnset too), or this value of it; "" when it does
// not.
std::string WhyIgnored(const Setting& setting, absl::string_view resolved, std::uint32_t build);
// Whether WhyIgnored can only be answered for a known build.
bool DependsOnBuild(const Setting& setting, absl::string_view resolved);

// One page file of a resolved pagefile.files value.
struct PageFile {
  std::string path;                      // C:\pagefile.sys
  std::optional<std::uint64_t> initial;  // bytes; absent = system-managed
  std::optional<std::uint64_t> maximum;
};
// Empty for automatic and none.
std::vector<PageFile> PageFilesOf(absl::string_view resolved);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_CATALOG_H_
