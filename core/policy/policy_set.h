// SPDX-License-Identifier: Apache-2.0
// The set of policies in force as name -> (version, digest), and its digest,
// by which agent and server see at once that they agree.
#ifndef DUMPWARDEN_CORE_POLICY_POLICY_SET_H_
#define DUMPWARDEN_CORE_POLICY_POLICY_SET_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dumpwarden/v1/policy.pb.h"

namespace dumpwarden {

inline constexpr int kMaxPolicies = 1000;
inline constexpr std::size_t kMaxPolicySetBytes = 4 * 1024 * 1024;
// Of every version, wherever it is read, stored, sent or reported.  JSON readers keep it exact.
inline constexpr std::uint64_t kMaxPolicyVersion = std::uint64_t{1} << 53;

// Sorts by name and fills in the digest.
v1::PolicySet MakePolicySet(std::vector<v1::PolicyEntry> entries);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_POLICY_POLICY_SET_H_
