// SPDX-License-Identifier: Apache-2.0
// Rows of hosts.
#ifndef DUMPWARDEN_SERVER_STORE_HOSTS_H_
#define DUMPWARDEN_SERVER_STORE_HOSTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

absl::StatusOr<std::vector<HostRow>> SelectHosts(Database& db);
absl::StatusOr<HostRow> SelectHost(Database& db, const std::string& uuid);
absl::StatusOr<std::string> SelectHostDigest(Database& db, HostId host);
absl::Status UpdateLastSeen(Database& db, const std::vector<HostTouch>& seen);
absl::Status UpdateQuarantined(Database& db, HostId host);
// False when it was already.
absl::StatusOr<bool> UpdateRevoked(Database& db, HostId host);
absl::Status UpdateVersion(Database& db, HostId host, const std::string& agent_version);
// kPermissionDenied when it was revoked or quarantined.
absl::Status CheckRenewable(Database& db, HostId host);
absl::Status UpdateHold(Database& db, HostId host, bool hold);
// False when it is not held; kFailedPrecondition when it was revoked.
absl::StatusOr<bool> UpdateApproved(Database& db, HostId host);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_HOSTS_H_
