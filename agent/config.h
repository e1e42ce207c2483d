// SPDX-License-Identifier: Apache-2.0
// agent.yaml, read strictly: an unknown key is an error.  Relative paths are
// relative to the file.
#ifndef DUMPWARDEN_AGENT_CONFIG_H_
#define DUMPWARDEN_AGENT_CONFIG_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/vfs.h"

namespace dumpwarden {

inline constexpr char kDefaultConfigPath[] = "/etc/dumpwarden/agent.yaml";

struct AgentConfig {
  // host:port of session listeners, in the order in which they are tried; empty = as enrolled
  std::vector<std::string> servers;
  std::string proxy;     // host:port that is asked to CONNECT to them; empty = none
  std::string registry;  // reg:FILE | hive:FILE[,FILE]
  std::string facts;     // FILE
  std::string data;      // DIR: identity and state
  absl::Duration check = absl::Minutes(5);  // between full checks
  bool force_dirty = false;                 // write hives that have logs to replay
};

// kInvalidArgument with every problem, a line each.  `file` is for messages and
// for relative paths.
absl::StatusOr<AgentConfig> ReadConfig(absl::string_view yaml, absl::string_view file);

// The file as configuration.  kNotFound says how to name another one.
absl::StatusOr<AgentConfig> LoadConfig(Vfs& vfs, const std::string& path);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_CONFIG_H_
