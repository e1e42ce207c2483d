// SPDX-License-Identifier: Apache-2.0
// The only place in core that talks to the system, and not part of a release.
#include "core/base/failpoint.h"

#ifdef DUMPWARDEN_FAILPOINTS

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>

namespace dumpwarden {

void ReachFailpoint(const char* name) {
  static std::atomic<int> reached = 0;
  const char* wanted = std::getenv("DUMPWARDEN_FAILPOINT");
  const std::size_t length = std::strlen(name);
  if (wanted == nullptr || std::strncmp(wanted, name, length) != 0) return;
  const char* rest = wanted + length;
  if (*rest != '\0' && *rest != '@') return;
  const int nth = *rest == '@' ? std::atoi(rest + 1) : 1;
  if (++reached == nth) kill(getpid(), SIGKILL);
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_FAILPOINTS
