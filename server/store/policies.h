// SPDX-License-Identifier: Apache-2.0
// Policy versions, and which of them is in force.  Versions stay for ever, so
// numbering goes on when a deleted policy comes back.
#ifndef DUMPWARDEN_SERVER_STORE_POLICIES_H_
#define DUMPWARDEN_SERVER_STORE_POLICIES_H_

#include <cstdint>
#include <map>
#include <set>
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
// By name, what hosts say is in force there: a server restored from an older copy learns from it
// which numbers it gave out meanwhile.
using ReportedVersions = std::map<std::string, std::set<std::uint64_t>>;
absl::StatusOr<ReportedVersions> SelectReportedVersions(Database& db);  // reads every finding

// Version 0 becomes the one above the newest, the highest reported and VersionFloor.
// kInvalidArgument for one that is too far above them.
absl::StatusOr<PutOutcome> PutPolicy(Database& db, const PolicyRow& policy,
                                     const ReportedVersions& reported, absl::Time at);
// kResourceExhausted when more is in force than every host can be given.
absl::Status CheckPolicyLimits(Database& db);
// The row that was in force.
absl::StatusOr<PolicyRow> WithdrawPolicy(Database& db, const std::string& name);

absl::StatusOr<std::vector<PolicyRow>> SelectPoliciesInForce(Database& db);
absl::StatusOr<PolicyRow> SelectPolicy(Database& db, const std::string& name,
                                       std::uint64_t version);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_POLICIES_H_
