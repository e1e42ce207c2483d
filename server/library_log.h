// SPDX-License-Identifier: Apache-2.0
// LibraryLog puts what gRPC and protobuf would write to stderr into the log, so
// that it is JSON lines and nothing else, at a bounded rate: strangers cause
// most of it.  One at a time, as the libraries have one place for it.
#ifndef DUMPWARDEN_SERVER_LIBRARY_LOG_H_
#define DUMPWARDEN_SERVER_LIBRARY_LOG_H_

#include "core/base/clock.h"
#include "platform/log.h"
#include "server/identity/refusals.h"

namespace dumpwarden {

class LibraryLog {
 public:
  // Both must outlive this.  Afterwards the libraries are silent.
  LibraryLog(Log& log, const Clock& clock);
  ~LibraryLog();
  LibraryLog(const LibraryLog&) = delete;
  LibraryLog& operator=(const LibraryLog&) = delete;

  // Every second or so.
  void Tick() { lines_.Tick(); }

 private:
  Refusals lines_;  // by the place in the library's source
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_LIBRARY_LOG_H_
