// SPDX-License-Identifier: Apache-2.0
// Tokens as operators see them, and how one that waits is taken back.
#ifndef DUMPWARDEN_SERVER_IDENTITY_TOKENS_H_
#define DUMPWARDEN_SERVER_IDENTITY_TOKENS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "dumpwarden/v1/admin.pb.h"
#include "server/store/store.h"

namespace dumpwarden {

absl::StatusOr<v1::ListTokensResponse> ListTokens(Store& store,
                                                  const v1::ListTokensRequest& request,
                                                  absl::Time now);
// As Store::RevokeToken.  `actor`, `source`: for the audit.
absl::StatusOr<v1::RevokeTokenResponse> RevokeToken(Store& store,
                                                    const v1::RevokeTokenRequest& request,
                                                    const std::string& actor,
                                                    const std::string& source, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_TOKENS_H_
