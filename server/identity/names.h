// SPDX-License-Identifier: Apache-2.0
// What may be called what.  Names end up in certificates, whose extension
// syntax gives meaning to commas and colons, so only these characters pass.
#ifndef DUMPWARDEN_SERVER_IDENTITY_NAMES_H_
#define DUMPWARDEN_SERVER_IDENTITY_NAMES_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

bool IsUuid(absl::string_view text);                     // lower case, 8-4-4-4-12
bool IsDnsName(absl::string_view text);                  // labels of letters, digits, inner hyphens
bool IsAddress(absl::string_view text);                  // IPv4 or IPv6
absl::Status CheckTrustDomain(absl::string_view text);   // a lower-case DNS name
absl::Status CheckOperatorName(absl::string_view text);  // alice, alice@corp.example

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_NAMES_H_
