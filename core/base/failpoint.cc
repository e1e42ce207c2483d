// SPDX-License-Identifier: Apache-2.0
// The only place in core that talks to the system, and not part of a release.
#include "core/base/failpoint.h"

#ifdef DUMPWARDEN_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace dumpwarden {

void ReachFailpoint(const char* name) {
  const char* wanted = std::getenv("DUMPWARDEN_FAILPOINT");
  if (wanted != nullptr && std::strcmp(wanted, name) == 0) kill(getpid(), SIGKILL);
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_FAILPOINTS
