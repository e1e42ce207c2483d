// SPDX-License-Identifier: Apache-2.0
// The enrolment token as text: dwt1.<id>.<secret>.<root pin>.<expiry>, lower-case
// hex but for the decimal expiry (Unix seconds).  Shown once, kept as a digest.
// A person's login code is the same with another first word, so that neither is
// taken for the other.
#ifndef DUMPWARDEN_CORE_BASE_TOKEN_H_
#define DUMPWARDEN_CORE_BASE_TOKEN_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace dumpwarden {

struct SecretText {
  std::string id;        // 32 hex digits
  std::string secret;    // 64 hex digits
  std::string root_pin;  // SHA-256 of the root certificate's DER, 64 hex digits
  absl::Time expires;
};
using EnrollmentToken = SecretText;
using LoginCode = SecretText;

// Strict: FormatToken(*ParseToken(t)) == t.  Messages never hold the secret.
absl::StatusOr<EnrollmentToken> ParseToken(absl::string_view text);
std::string FormatToken(const EnrollmentToken& token);
// The same of dwl1.<id>.<secret>.<root pin>.<expiry>.
absl::StatusOr<LoginCode> ParseLoginCode(absl::string_view text);
std::string FormatLoginCode(const LoginCode& code);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_TOKEN_H_
