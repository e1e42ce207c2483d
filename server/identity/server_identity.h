// SPDX-License-Identifier: Apache-2.0
// The server's own key and certificate on disk: made at init, its certificate
// renewed by `serve` when little life is left.
#ifndef DUMPWARDEN_SERVER_IDENTITY_SERVER_IDENTITY_H_
#define DUMPWARDEN_SERVER_IDENTITY_SERVER_IDENTITY_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/vfs.h"
#include "server/identity/authority.h"

namespace dumpwarden {

struct ServerIdentityFiles {
  std::string chain;
  std::string key;
};

absl::Status MakeServerIdentity(Vfs& vfs, Authority& authority, const ServerIdentityFiles& files,
                                const std::vector<std::string>& names, absl::Time now);

// For the audit log.  Digests are SHA-256 of a leaf's DER.
struct Renewal {
  std::string before;
  std::string after;
  std::string detail;
};
using RecordRenewal = std::function<absl::Status(const Renewal&)>;

// Checks both; issues the certificate anew (same key) when it lives less than a quarter of its life
// any more, or does not hold one of `names`; it takes the old one's place only once `record` has
// said so.  When the one on disk then expires.
absl::StatusOr<absl::Time> RefreshServerIdentity(Vfs& vfs, Authority& authority,
                                                 const ServerIdentityFiles& files,
                                                 const std::vector<std::string>& names,
                                                 absl::Time now, const RecordRenewal& record);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_SERVER_IDENTITY_H_
