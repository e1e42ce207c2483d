// SPDX-License-Identifier: Apache-2.0
// What hosts would do under draft policies, and why a host has the values that
// it has: out of what is stored, without asking a host.  Read-only.
#ifndef DUMPWARDEN_SERVER_FLEET_PLANNING_H_
#define DUMPWARDEN_SERVER_FLEET_PLANNING_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "dumpwarden/v1/admin.pb.h"
#include "server/fleet/hosts.h"
#include "server/store/store.h"

namespace dumpwarden {

// Of a summary: the first hosts with changes that it names.
inline constexpr int kHostsInSummary = 100;

// Drafts take the place of policies of the same name.  Hosts by name, then id; one that never
// reported has no changes and no state.
absl::StatusOr<v1::PlanPoliciesResponse> PlanPolicies(Store& store,
                                                      const v1::PlanPoliciesRequest& request);

// The same, host by host until `each` fails: holds a few hosts at a time, and nothing open in the
// store while `each` works.
absl::Status PlanHosts(
    Store& store, const v1::PlanPoliciesRequest& request,
    const std::function<absl::Status(const v1::PlanPoliciesResponse::HostPlan& plan)>& each);

absl::StatusOr<v1::ExplainHostResponse> ExplainHost(Store& store, const Hosts& hosts,
                                                    const v1::ExplainHostRequest& request);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_PLANNING_H_
