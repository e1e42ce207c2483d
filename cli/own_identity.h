// SPDX-License-Identifier: Apache-2.0
// The operator's own side, before dialling: what is wrong with a certificate is
// said here, because gRPC would only say that the handshake failed.
#ifndef DUMPWARDEN_CLI_OWN_IDENTITY_H_
#define DUMPWARDEN_CLI_OWN_IDENTITY_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/contexts.h"
#include "core/base/vfs.h"

namespace dumpwarden {

// PEM.
struct OwnIdentity {
  std::string ca;
  std::string certificate;
  std::string key;
};

// kUnauthenticated says what is wrong with the context's files.
absl::StatusOr<OwnIdentity> LoadOwnIdentity(Vfs& vfs, const Context& context, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_OWN_IDENTITY_H_
