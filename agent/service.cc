// SPDX-License-Identifier: Apache-2.0
#include "agent/service.h"

#include <CLI/Option.hpp>

namespace dumpwarden {

void AddServiceOptions(CLI::App& app, ServiceOptions& options) {
  app.add_option("--config", options.config, "configuration file")->capture_default_str();
  app.add_option("--data", options.data,
                 "folder of identity and state (default: data: of the file)");
}

absl::StatusOr<AgentConfig> ConfigOf(Vfs& vfs, const CLI::App& app, const ServiceOptions& options) {
  absl::StatusOr<AgentConfig> config = LoadConfig(vfs, options.config);
  if (absl::IsNotFound(config.status()) && app.count("--config") == 0) config = AgentConfig();
  if (!config.ok()) return config.status();
  if (!options.data.empty()) config->data = options.data;
  if (config->data.empty()) {
    return absl::InvalidArgumentError(
        "no data folder is named; say data: in the configuration, or --data DIR");
  }
  return config;
}

}  // namespace dumpwarden
