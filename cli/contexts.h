// SPDX-License-Identifier: Apache-2.0
// dumpctl.yaml: the servers that an operator works with, and with which
// certificate.  Read strictly; relative paths are relative to the file.
#ifndef DUMPWARDEN_CLI_CONTEXTS_H_
#define DUMPWARDEN_CLI_CONTEXTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/commands.h"
#include "core/base/vfs.h"

namespace dumpwarden {

struct Context {
  std::string name;
  std::string server;  // host:port
  std::string ca;      // files, PEM
  std::string certificate;
  std::string key;
};

struct Configuration {
  std::string current;
  std::vector<Context> contexts;
};

// kInvalidArgument with every problem, a line each.
absl::StatusOr<Configuration> ReadConfiguration(absl::string_view yaml, absl::string_view file);

// As ReadConfiguration reads it back from `file`; paths below its folder are written relative.
std::string FormatConfiguration(const Configuration& configuration, absl::string_view file);
// What `file` holds; empty when it is absent.
absl::StatusOr<Configuration> LoadConfiguration(Vfs& vfs, const std::string& file);

// --config, else DUMPCTL_CONFIG, else dumpwarden/dumpctl.yaml under XDG_CONFIG_HOME or ~/.config.
std::string ConfigurationPath(const std::string& option, const Environment& environment);

// The context to work with: --context, else the current one.
absl::StatusOr<Context> LoadContext(Vfs& vfs, const ServerOptions& options,
                                    const Environment& environment);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_CONTEXTS_H_
