// SPDX-License-Identifier: Apache-2.0
// What tokens of hosts and codes of people have in common: a secret that is
// compared in constant time, and a refusal that only its holder may know.
#ifndef DUMPWARDEN_SERVER_STORE_SECRETS_H_
#define DUMPWARDEN_SERVER_STORE_SECRETS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/store/store.h"

namespace dumpwarden {

// Takes as long for a near miss as for a far one.
inline bool SameSecret(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

// `what`: "enrolment" or "login".
inline absl::Status RefusedSecret(absl::string_view what, absl::string_view why) {
  return absl::PermissionDeniedError(absl::StrCat(what, " refused: ", why));
}

// To who has shown the right secret.
inline absl::Status RefusedToHolder(absl::string_view what, absl::string_view why) {
  absl::Status refused = RefusedSecret(what, why);
  refused.SetPayload(kHolderMayKnow, absl::Cord());
  return refused;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_SECRETS_H_
