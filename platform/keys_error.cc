// SPDX-License-Identifier: Apache-2.0
#include "platform/keys_error.h"

#include <openssl/err.h>

#include "absl/strings/str_cat.h"

namespace dumpwarden {

void ClearErrors() { ERR_clear_error(); }

absl::Status CryptoError(absl::string_view what) {
  const unsigned long code = ERR_get_error();
  char text[256] = "no reason given";
  if (code != 0) ERR_error_string_n(code, text, sizeof(text));
  ClearErrors();
  return absl::InvalidArgumentError(absl::StrCat(what, ": ", text));
}

}  // namespace dumpwarden
