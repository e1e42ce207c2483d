// SPDX-License-Identifier: Apache-2.0
// Compliance of the fleet out of what hosts reported last.  What a host found
// counts as unknown while the host's state is.  Read-only.
#ifndef DUMPWARDEN_SERVER_FLEET_COMPLIANCE_H_
#define DUMPWARDEN_SERVER_FLEET_COMPLIANCE_H_

#include <vector>

#include "absl/status/statusor.h"
#include "dumpwarden/v1/admin.pb.h"
#include "server/fleet/hosts.h"
#include "server/store/store.h"

namespace dumpwarden {

absl::StatusOr<v1::SummarizeComplianceResponse> SummarizeCompliance(
    Store& store, const Hosts& hosts, const v1::SummarizeComplianceRequest& request);

// By host name, host id, setting; enforced before audited.
absl::StatusOr<std::vector<v1::HostFinding>> ReportCompliance(
    Store& store, const Hosts& hosts, const v1::ReportComplianceRequest& request);

// Newest first; at most 10,000, and no more than fit into one answer: the next ones are before the
// last cursor.
absl::StatusOr<v1::ListDriftResponse> ListDrift(Store& store, const v1::ListDriftRequest& request);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_COMPLIANCE_H_
