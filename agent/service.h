// SPDX-License-Identifier: Apache-2.0
// run, enroll, status: what dumpwarden-agent does with a server.
#ifndef DUMPWARDEN_AGENT_SERVICE_H_
#define DUMPWARDEN_AGENT_SERVICE_H_

#include "absl/status/statusor.h"
#include "agent/commands.h"
#include "agent/config.h"
#include "core/base/vfs.h"

namespace dumpwarden {

int RunService(Invocation& invocation);
int RunEnroll(Invocation& invocation);
int RunStatus(Invocation& invocation);

// What these three take alike: --config, and --data, which overrides it.
struct ServiceOptions {
  std::string config = kDefaultConfigPath;
  std::string data;
};
void AddServiceOptions(CLI::App& app, ServiceOptions& options);
// A default configuration that is not there is an empty one.  kInvalidArgument
// when there is no data folder.
absl::StatusOr<AgentConfig> ConfigOf(Vfs& vfs, const CLI::App& app, const ServiceOptions& options);

// Held by the service as long as it runs.
inline std::string RunLockPath(const AgentConfig& config) { return config.data + "/run.lock"; }
inline std::string StatePath(const AgentConfig& config) { return config.data + "/state.db"; }

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_SERVICE_H_
