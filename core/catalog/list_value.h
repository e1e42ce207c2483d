// SPDX-License-Identifier: Apache-2.0
// Reading a list from a policy: the one shape that is not a scalar in YAML.
#ifndef DUMPWARDEN_CORE_CATALOG_LIST_VALUE_H_
#define DUMPWARDEN_CORE_CATALOG_LIST_VALUE_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "core/base/problems.h"
#include "core/base/yaml.h"
#include "core/catalog/setting.h"

namespace dumpwarden {

// The canonical spelling of a list node, or nullopt after adding to `problems`.
std::optional<std::string> ReadList(const Setting& setting, const yaml::Node& node,
                                    absl::string_view path, Problems& problems);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_LIST_VALUE_H_
