// SPDX-License-Identifier: Apache-2.0
// Layers of policies made into one value a setting, with who set it and who
// lost.  Audit policies are a second overlay and never win an enforced value.
// The result does not depend on the order of the policies.
#ifndef DUMPWARDEN_CORE_POLICY_MERGE_H_
#define DUMPWARDEN_CORE_POLICY_MERGE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/policy/policy.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// A policy in force, with the version that the server gave it (or its author).
struct PolicyInForce {
  Policy policy;
  std::uint64_t version = 0;
};

// One policy that names the setting and was looked at.
struct Layer {
  std::string policy;
  std::uint64_t version = 0;
  std::int32_t priority = 0;
  v1::Mode mode = v1::MODE_ENFORCE;
  std::string value;
  bool won = false;
  std::string why;  // "highest priority", "lower priority than sql-servers", "selector: ...",
                    // "conflict: a, b"
};

struct Decision {
  std::string setting;
  v1::Mode mode = v1::MODE_ENFORCE;
  std::string value;   // canonical; empty when there is a conflict
  std::string policy;  // whose value; of equals the first by name
  std::uint64_t version = 0;
  bool known = true;                  // the table has this row and accepts the value
  std::vector<std::string> conflict;  // names of the policies of one priority that differ
  std::vector<Layer> layers;          // winner first
};

struct Desired {
  std::vector<Decision> decisions;  // by setting, enforced before audited
};

Desired Merge(std::span<const PolicyInForce> policies, const v1::Facts& facts);

// Every layer that names `setting`, losers and unselected ones too, for explain.
std::vector<Layer> ExplainSetting(std::span<const PolicyInForce> policies, const v1::Facts& facts,
                                  absl::string_view setting);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_POLICY_MERGE_H_
