// SPDX-License-Identifier: Apache-2.0
// `dumpwarden-server admit`: a login code for an admin, made on the server's own
// machine.  Who can read its keys is the server anyway; without this nobody could
// come in again when no admin has a good certificate any more.
#ifndef DUMPWARDEN_SERVER_ADMIT_H_
#define DUMPWARDEN_SERVER_ADMIT_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/vfs.h"

namespace dumpwarden {

struct AdmitOptions {
  std::string config;
  std::string name = "admin";
};

struct Admitted {
  std::string code;    // shown once
  std::string server;  // for dumpctl login
};

// Adds the person, or lets one who was revoked come back, or gives the role to one who lacks it; in
// the audit as "local".  A server that runs opens its enrolment listener within a second or so.
absl::StatusOr<Admitted> Admit(const AdmitOptions& options, Vfs& vfs, const Clock& clock,
                               Random& random);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_ADMIT_H_
