// SPDX-License-Identifier: Apache-2.0
// server.yaml: read strictly, every problem said at once.  Relative paths are
// relative to the file.
#ifndef DUMPWARDEN_SERVER_CONFIG_H_
#define DUMPWARDEN_SERVER_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/vfs.h"
#include "server/store/store.h"

namespace dumpwarden {

struct ServerConfig {
  std::string trust_domain;
  std::string agents_listener;      // host:port; port 0 = any free one
  std::string enrollment_listener;  // open only while a token waits
  std::string store;
  std::string tls_chain;
  std::string tls_key;
  std::string ca;                  // folder
  std::vector<std::string> names;  // of this server; the first is told to hosts and operators
  std::size_t max_sessions = 100'000;
  std::uint32_t check_in_seconds = 60;
  int messages_per_second = 20;  // of one host
  absl::Duration reconnect_window_max = absl::Minutes(15);
  Retention retention;
};

// kInvalidArgument: file:line:column, a line each.
absl::StatusOr<ServerConfig> ParseServerConfig(absl::string_view yaml, const std::string& file);
absl::StatusOr<ServerConfig> ReadServerConfig(Vfs& vfs, const std::string& file);
// The file that `init` writes.  Paths are written as they are.
std::string FormatServerConfig(const ServerConfig& config);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_CONFIG_H_
