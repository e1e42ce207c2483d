// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_BASE_YAML_READER_H_
#define DUMPWARDEN_CORE_BASE_YAML_READER_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/problems.h"
#include "core/base/yaml.h"

namespace dumpwarden::yaml {

// What stands there, for messages: a quoted scalar, or the kind of the rest.
std::string Found(const Node& node);

// MapReader reads a map whose keys are known: policies, facts, configuration.
// What is not a map, a required key that is missing, a value of another kind
// and (in Finish) every key that nobody took become problems, with the nearest
// known key as a suggestion.
class MapReader {
 public:
  // `node` and `problems` outlive this.  `path` is "" for the document itself.
  MapReader(const Node& node, absl::string_view path, Problems& problems);

  const Node* Take(absl::string_view key);     // null when absent
  const Node* Require(absl::string_view key);  // the absence is a problem
  // Scalars.  nullopt when absent or (after adding a problem) of another kind.
  std::optional<std::string> TakeText(absl::string_view key);
  std::optional<std::string> RequireText(absl::string_view key);
  // Decimal digits only: 0x2, 1e3, +5, 1_000 are problems.
  std::optional<std::int64_t> TakeInteger(absl::string_view key, std::int64_t min,
                                          std::int64_t max);
  // true | false.
  std::optional<bool> TakeBool(absl::string_view key);
  void Finish();

  std::string PathOf(absl::string_view key) const;

 private:
  std::optional<std::string> TextOf(const Node* value, absl::string_view key);

  const Node& node_;
  std::string path_;
  Problems& problems_;
  std::vector<std::string> known_;
};

}  // namespace dumpwarden::yaml

#endif  // DUMPWARDEN_CORE_BASE_YAML_READER_H_
