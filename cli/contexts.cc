// SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "cli/errors.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/yaml.h"
#include "core/base/yaml_reader.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxBytes = 64 * 1024;

std::string Beside(absl::string_view file, const std::string& path) {
  if (path.empty() || absl::StartsWith(path, "/")) return path;
  return absl::StrCat(FolderOf(file), "/", path);
}

Context ReadContext(const yaml::Node& node, const std::string& path, absl::string_view file,
                    Problems& problems) {
  yaml::MapReader reader(node, path, problems);
  Context context;
  context.name = reader.RequireText("name").value_or("");
  context.server = reader.RequireText("server").value_or("");
  context.ca = Beside(file, reader.RequireText("ca").value_or(""));
  context.certificate = Beside(file, reader.RequireText("certificate").value_or(""));
  context.key = Beside(file, reader.RequireText("key").value_or(""));
  reader.Finish();
  const absl::Status address = ParseServerAddress(context.server).status();
  if (!context.server.empty() && !address.ok()) {
    problems.Add(node.Find("server")->mark, reader.PathOf("server"), address.message());
  }
  return context;
}

std::vector<Context> ReadContexts(const yaml::Node& list, absl::string_view file,
                                  Problems& problems) {
  std::vector<Context> contexts;
  if (list.kind != yaml::Node::Kind::kList) {
    problems.Add(list.mark, "contexts",
                 absl::StrCat("found ", yaml::KindName(list.kind), "; accepted is a list"));
    return contexts;
  }
  std::set<std::string> names;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    const std::string path = absl::StrCat("contexts[", i, "]");
    contexts.push_back(ReadContext(list.items[i], path, file, problems));
    if (!names.insert(contexts.back().name).second) {
      problems.Add(list.items[i].mark, path,
                   absl::StrCat("a second context ", Quote(contexts.back().name)));
    }
  }
  return contexts;
}

// In single quotes: whatever it holds, it is one text.
std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

std::string RelativeTo(absl::string_view file, absl::string_view path) {
  absl::string_view rest = path;
  const std::string folder = absl::StrCat(FolderOf(file), "/");
  return Quoted(absl::ConsumePrefix(&rest, folder) ? rest : path);
}

absl::Status NoConfiguration(const std::string& path, const absl::Status& cause) {
  return Trouble(
      absl::StatusCode::kFailedPrecondition, "no context to work with",
      absl::StrCat(path, ": ", cause.message()),
      "log in with a code from an admin (dumpctl login), or name a file with --config or "
      "DUMPCTL_CONFIG; dumpwarden-server init writes the first operator's to "
      "operators/admin/dumpctl.yaml");
}

}  // namespace

absl::StatusOr<Configuration> ReadConfiguration(absl::string_view yaml, absl::string_view file) {
  Problems problems(file);
  const auto documents = yaml::Parse(yaml, yaml::Limits{.bytes = kMaxBytes}, problems);
  if (!documents) return problems.ToStatus();
  Configuration configuration;
  yaml::MapReader reader((*documents)[0], "", problems);
  configuration.current = reader.TakeText("current").value_or("");
  if (const yaml::Node* contexts = reader.Require("contexts")) {
    configuration.contexts = ReadContexts(*contexts, file, problems);
  }
  reader.Finish();
  RETURN_IF_ERROR(problems.ToStatus());
  return configuration;
}

std::string FormatConfiguration(const Configuration& configuration, absl::string_view file) {
  std::string text = "contexts:\n";
  for (const Context& context : configuration.contexts) {
    absl::StrAppend(&text, "  - name: ", Quoted(context.name),
                    "\n    server: ", Quoted(context.server),
                    "\n    ca: ", RelativeTo(file, context.ca),
                    "\n    certificate: ", RelativeTo(file, context.certificate),
                    "\n    key: ", RelativeTo(file, context.key), "\n");
  }
  if (configuration.current.empty()) return text;
  return absl::StrCat("current: ", Quoted(configuration.current), "\n", text);
}

absl::StatusOr<Configuration> LoadConfiguration(Vfs& vfs, const std::string& file) {
  const absl::StatusOr<std::string> yaml = vfs.Read(file, kMaxBytes);
  if (absl::IsNotFound(yaml.status())) return Configuration();
  RETURN_IF_ERROR(yaml.status());
  return ReadConfiguration(*yaml, file);
}

std::string ConfigurationPath(const std::string& option, const Environment& environment) {
  if (!option.empty()) return option;
  if (const auto path = environment("DUMPCTL_CONFIG")) return *path;
  const auto xdg = environment("XDG_CONFIG_HOME");
  const std::string folder =
      xdg ? *xdg : absl::StrCat(environment("HOME").value_or("."), "/.config");
  return absl::StrCat(folder, "/dumpwarden/dumpctl.yaml");
}

absl::StatusOr<Context> LoadContext(Vfs& vfs, const ServerOptions& options,
                                    const Environment& environment) {
  const std::string path = ConfigurationPath(options.config, environment);
  const absl::StatusOr<std::string> yaml = vfs.Read(path, kMaxBytes);
  if (!yaml.ok()) return NoConfiguration(path, yaml.status());
  ASSIGN_OR_RETURN(const Configuration configuration, ReadConfiguration(*yaml, path));
  const std::string wanted = options.context.empty() ? configuration.current : options.context;
  std::vector<std::string> names;
  for (const Context& context : configuration.contexts) {
    if (context.name == wanted) return context;
    names.push_back(context.name);
  }
  const std::string why = wanted.empty() ? "no --context is given and the file has no `current`"
                                         : absl::StrCat("there is no context ", Quote(wanted));
  return Trouble(absl::StatusCode::kFailedPrecondition, "no context to work with",
                 absl::StrCat(path, ": ", why),
                 absl::StrCat("choose one with --context: ", absl::StrJoin(names, ", ")));
}

}  // namespace dumpwarden
