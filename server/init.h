// SPDX-License-Identifier: Apache-2.0
// `dumpwarden-server init`: a folder with everything that `serve` needs, and
// the first operator.
#ifndef DUMPWARDEN_SERVER_INIT_H_
#define DUMPWARDEN_SERVER_INIT_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/vfs.h"

namespace dumpwarden {

struct InitOptions {
  std::string folder;
  std::string trust_domain = "dumpwarden.internal";
  std::vector<std::string> names;  // localhost and 127.0.0.1 are added
  std::string operator_name = "admin";
  std::string listen = "0.0.0.0:7443";
  std::string enroll_listen = "0.0.0.0:7444";
};

// What was made and what to run next, for people.  kFailedPrecondition when the folder holds
// anything: nothing is overwritten.
absl::StatusOr<std::string> Init(const InitOptions& options, Vfs& vfs, const Clock& clock,
                                 Random& random);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_INIT_H_
