// SPDX-License-Identifier: Apache-2.0
// HOST:PORT, as addresses are written in configurations, options and tokens.
#ifndef DUMPWARDEN_CORE_BASE_HOST_PORT_H_
#define DUMPWARDEN_CORE_BASE_HOST_PORT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

struct HostPort {
  std::string host;  // without brackets
  int port = 0;
};

// "0.0.0.0:7443", "[::1]:7443", "name:0"; kInvalidArgument says what is accepted.
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);
// The same of a server that is to be dialled: port 0 is none.
absl::StatusOr<HostPort> ParseServerAddress(absl::string_view text);
// With brackets around an IPv6 address.
std::string JoinHostPort(absl::string_view host, int port);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_HOST_PORT_H_
