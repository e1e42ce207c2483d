// SPDX-License-Identifier: Apache-2.0
// What each shape of value does.  catalog.cc picks the functions by the row's
// shape and deals itself with what all shapes share: unset, absent, custom.
#ifndef DUMPWARDEN_CORE_CATALOG_SHAPES_H_
#define DUMPWARDEN_CORE_CATALOG_SHAPES_H_

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/catalog/catalog.h"

namespace dumpwarden {

struct ShapeFunctions {
  // "on or off"
  std::string (*accepts)(const Setting& setting);
  // The canonical spelling of one line; kInvalidArgument says what was found.
  absl::StatusOr<std::string> (*spell)(const Setting& setting, absl::string_view text);
  // Of a canonical spelling.
  absl::StatusOr<std::string> (*resolve)(const Setting& setting, absl::string_view canonical,
                                         std::optional<std::uint64_t> ram);
  std::vector<CellValue> (*encode)(const Setting& setting, absl::string_view resolved);
  // nullopt when no spelling stands for the cells, not all of which are absent.
  // `fallback` is what an absent value means, or "unset".
  std::optional<std::string> (*describe)(const Setting& setting, std::span<const CellValue> cells,
                                         absl::string_view fallback);
};

const ShapeFunctions& FunctionsOf(Shape shape);

extern const ShapeFunctions kSwitchShape;   // word_value.cc
extern const ShapeFunctions kOneOfShape;    // word_value.cc
extern const ShapeFunctions kIntegerShape;  // number_value.cc
extern const ShapeFunctions kSizeShape;     // number_value.cc
extern const ShapeFunctions kTextShape;     // text_value.cc
extern const ShapeFunctions kListShape;     // list_value.cc

// resolve of shapes whose spellings hold no expressions.
absl::StatusOr<std::string> ResolveAsSpelled(const Setting& setting, absl::string_view canonical,
                                             std::optional<std::uint64_t> ram);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_SHAPES_H_
