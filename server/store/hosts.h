// SPDX-License-Identifier: Apache-2.0
// Rows of hosts and tokens, and how one becomes the other.
#ifndef DUMPWARDEN_SERVER_STORE_HOSTS_H_
#define DUMPWARDEN_SERVER_STORE_HOSTS_H_

#include <optional>
#include <string>
#include <utility>
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

absl::Status InsertToken(Database& db, const TokenRow& token);
absl::StatusOr<std::optional<absl::Time>> SelectNewestExpiry(Database& db, absl::Time now);
// A token as presented by somebody who wants to become `host`.
struct TokenClaim {
  std::string token_id;
  std::string secret_digest;
  HostRow host;
  absl::Time now;
};
// kPermissionDenied says why the token is not good.
absl::Status CheckToken(Database& db, const TokenClaim& claim);
// Burns a token that CheckToken found good, in the same transaction.
absl::StatusOr<HostRow> InsertHost(Database& db, const TokenClaim& claim);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_HOSTS_H_
