// SPDX-License-Identifier: Apache-2.0
// Policy versions, and which of them is in force.  Versions stay for ever, so
// numbering goes on when a deleted policy comes back.
#ifndef DUMPWARDEN_SERVER_STORE_POLICIES_H_
#define DUMPWARDEN_SERVER_STORE_POLICIES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// What became of a policy that was put.
struct PutOutcome {
  v1::AppliedPolicy applied;
  std::string before;  // digest of what was in force, or ""
};
absl::StatusOr<PutOutcome> PutPolicy(Database& db, const PolicyRow& policy, absl::Time at);
// kResourceExhausted when more is in force than every host can be given.
absl::Status CheckPolicyLimits(Database& db);
// The row that was in force.
absl::StatusOr<PolicyRow> WithdrawPolicy(Database& db, const std::string& name);

absl::StatusOr<std::vector<PolicyRow>> SelectPoliciesInForce(Database& db);
absl::StatusOr<PolicyRow> SelectPolicy(Database& db, const std::string& name,
                                       std::uint64_t version);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_POLICIES_H_
