// SPDX-License-Identifier: Apache-2.0
// OpenSSL's error queue as a Status.  The queue belongs to the thread, so both
// calls leave it empty: a later call must not report an older failure.
#ifndef DUMPWARDEN_PLATFORM_KEYS_ERROR_H_
#define DUMPWARDEN_PLATFORM_KEYS_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

void ClearErrors();
// kInvalidArgument: `what`, then OpenSSL's words.
absl::Status CryptoError(absl::string_view what);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_KEYS_ERROR_H_
