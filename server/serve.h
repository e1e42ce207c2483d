// SPDX-License-Identifier: Apache-2.0
// `dumpwarden-server serve`: everything put together, until SIGTERM or SIGINT.
#ifndef DUMPWARDEN_SERVER_SERVE_H_
#define DUMPWARDEN_SERVER_SERVE_H_

#include <string>

#include "absl/status/status.h"

namespace dumpwarden {

// Call it before any thread is started: it blocks the signals that it waits for.  kUnavailable when
// it went deaf: start it anew.
absl::Status Serve(const std::string& config_file);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_SERVE_H_
