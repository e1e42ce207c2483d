// SPDX-License-Identifier: Apache-2.0
// A DumpPolicy as read.  Reading is strict and says everything that is wrong
// with a file at once; it changes nothing and needs no host.
#ifndef DUMPWARDEN_CORE_POLICY_POLICY_H_
#define DUMPWARDEN_CORE_POLICY_POLICY_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/problems.h"
#include "core/policy/selector.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

struct DesiredValue {
  std::string setting;
  std::string value;  // canonical spelling, expressions not worked out, or "unset"
  bool known = true;  // false: this program's table has no such row or value (kept by agents)
};

struct Policy {
  std::string name;  // [a-z0-9]([-a-z0-9.]*[a-z0-9])?, at most 63 characters
  std::string description;
  std::optional<std::uint64_t> version;  // as its author wrote it
  std::int32_t priority = 0;             // -1,000,000 .. 1,000,000; the higher one wins
  v1::Mode mode = v1::MODE_ENFORCE;
  Selector selector;
  std::vector<DesiredValue> settings;  // in order of id
};

inline constexpr std::size_t kMaxPolicyBytes = 256 * 1024;

// What to do with a setting id that the table lacks.
enum class UnknownSettings {
  kRefuse,  // where people write policies
  kKeep,    // on an agent with an older table: reported as unsupported.  So is a value that the
            // table does not accept, and an unknown fact in the selector is no error either
};

// kInvalidArgument with every problem, a line each.  `file` is for messages.
absl::StatusOr<Policy> ReadPolicy(absl::string_view yaml, absl::string_view file,
                                  UnknownSettings unknown = UnknownSettings::kRefuse);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_POLICY_POLICY_H_
