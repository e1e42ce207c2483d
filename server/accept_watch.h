// SPDX-License-Identifier: Apache-2.0
// AcceptWatch notices that our listener went deaf.  gRPC 1.51 stops accepting
// for ever when accept() fails once, as it does with no file descriptor left;
// the kernel goes on queueing connections, so clients only see silence.
#ifndef DUMPWARDEN_SERVER_ACCEPT_WATCH_H_
#define DUMPWARDEN_SERVER_ACCEPT_WATCH_H_

#include <atomic>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace dumpwarden {

class AcceptWatch {
 public:
  explicit AcceptWatch(const Clock& clock) : clock_(clock) {}

  // This process listens on `port` already, and goes on while this is asked.
  void Watch(int port);
  // A client's handshake came to its end, good or bad: somebody accepts.  From any thread.
  void NoteHandshake() { ++handshakes_; }
  // Every second, from one thread.  kUnavailable when for ten seconds connections waited, their
  // number never fell and no handshake ended.
  absl::Status Check();

 private:
  std::uint64_t Queued() const;

  const Clock& clock_;
  std::atomic<std::uint64_t> handshakes_ = 0;
  std::vector<int> sockets_;  // gRPC's
  std::uint64_t last_queued_ = 0;
  std::uint64_t last_handshakes_ = 0;
  int checks_ = 0;  // in a row that saw no progress: one that comes late proves nothing
  absl::Duration since_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_ACCEPT_WATCH_H_
