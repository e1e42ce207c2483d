// SPDX-License-Identifier: Apache-2.0
// What happens to this process from outside: files change, somebody asks it to
// stop.  POSIX; the Windows service has its own.
#ifndef DUMPWARDEN_AGENT_WATCH_H_
#define DUMPWARDEN_AGENT_WATCH_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace dumpwarden {

// Watch calls from a thread of its own until it is destroyed.
class Watch {
 public:
  virtual ~Watch() = default;
};

struct WatchEvents {
  std::function<void(const std::string& file)> changed;  // one of `files`, as it was given
  std::function<void()> stop;                            // SIGTERM or SIGINT
};

// To be called before other threads are made, which inherit the blocked
// signals.  Files are replaced rather than written, so their folders are
// watched; a folder that is replaced itself is watched anew, and all its files
// count as changed then.
absl::StatusOr<std::unique_ptr<Watch>> MakeWatch(const std::vector<std::string>& files,
                                                 WatchEvents events);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_WATCH_H_
