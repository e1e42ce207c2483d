// SPDX-License-Identifier: Apache-2.0
// Places where a test may kill the process.  Compiled to nothing unless the
// build says DUMPWARDEN_FAILPOINTS (dev, asan, tsan): a release has no such door.
#ifndef DUMPWARDEN_CORE_BASE_FAILPOINT_H_
#define DUMPWARDEN_CORE_BASE_FAILPOINT_H_

#ifdef DUMPWARDEN_FAILPOINTS
namespace dumpwarden {
// Ends the process as kill -9 would when the environment names this point:
// DUMPWARDEN_FAILPOINT=apply.flushed, or apply.flushed@3 for the third time that it is reached.
void ReachFailpoint(const char* name);
}  // namespace dumpwarden
#define FAILPOINT(name) ::dumpwarden::ReachFailpoint(name)
#else
#define FAILPOINT(name) \
  do {                  \
  } while (false)
#endif

#endif  // DUMPWARDEN_CORE_BASE_FAILPOINT_H_
