// SPDX-License-Identifier: Apache-2.0
// Facts as a file (design section 9, --facts): os, memory, volumes, labels, boot.
#ifndef DUMPWARDEN_CORE_POLICY_FACTS_H_
#define DUMPWARDEN_CORE_POLICY_FACTS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxBootIdBytes = 256;

// kInvalidArgument with every problem, a line each.
absl::StatusOr<v1::Facts> ReadFacts(absl::string_view yaml, absl::string_view file);

// The facts that selectors know by name, and whether `key` is kept for facts (os.* memory.*
// boot.*).
const std::vector<std::string>& FactKeys();
bool IsFactKey(absl::string_view key);

// What a selector sees of a fact key or label; nullopt when it does not exist.
std::optional<std::string> LookUpFact(const v1::Facts& facts, absl::string_view key);

// Label keys: [a-z0-9]([-a-z0-9._/]*[a-z0-9])?, at most 63, not os.* memory.* boot.*; values
// printable ASCII, at most 63; at most 32 labels.
absl::Status CheckLabelKey(absl::string_view key);
absl::Status CheckLabels(const std::map<std::string, std::string>& labels);

std::optional<std::uint64_t> RamOf(const v1::Facts& facts);
// The volume that a Windows path lies on, or null.  "%SystemRoot%\..." lies on the boot volume.
const v1::Facts::Volume* VolumeOf(const v1::Facts& facts, absl::string_view path);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_POLICY_FACTS_H_
