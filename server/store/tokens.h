// SPDX-License-Identifier: Apache-2.0
// Rows of tokens, and how one becomes a host.
#ifndef DUMPWARDEN_SERVER_STORE_TOKENS_H_
#define DUMPWARDEN_SERVER_STORE_TOKENS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

absl::Status InsertToken(Database& db, const TokenRow& token);
absl::StatusOr<std::vector<TokenRecord>> SelectTokens(Database& db);
// As Store::RevokeToken; `row` gets the digest.
absl::StatusOr<bool> UpdateTokenRevoked(Database& db, const std::string& id, absl::Time now,
                                        Audit& row);
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

#endif  // DUMPWARDEN_SERVER_STORE_TOKENS_H_
