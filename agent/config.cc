// SPDX-License-Identifier: Apache-2.0
#include "agent/config.h"

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/host_port.h"
#include "core/base/problems.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/yaml.h"
#include "core/base/yaml_reader.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxConfigBytes = 64 * 1024;
constexpr std::size_t kMaxServers = 16;

bool IsAbsolute(absl::string_view path) {
  return absl::StartsWith(path, "/") || absl::StartsWith(path, "\\") ||
         (path.size() > 1 && absl::ascii_isalpha(static_cast<unsigned char>(path[0])) &&
          path[1] == ':');
}

std::string Beside(absl::string_view file, absl::string_view path) {
  if (path.empty() || IsAbsolute(path)) return std::string(path);
  return absl::StrCat(FolderOf(file), "/", path);
}

std::string RegistryBeside(absl::string_view file, absl::string_view registry) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(registry, absl::MaxSplits(':', 1));
  std::vector<std::string> paths;
  for (absl::string_view path : absl::StrSplit(parts.second, ',')) {
    paths.push_back(Beside(file, path));
  }
  return absl::StrCat(parts.first, ":", absl::StrJoin(paths, ","));
}

Mark MarkOf(const yaml::Node& root, absl::string_view key) {
  const yaml::Node* node = root.Find(key);
  return node == nullptr ? root.mark : node->mark;
}

void AddServer(const std::string& text, Mark mark, AgentConfig& config, Problems& problems) {
  const absl::StatusOr<HostPort> parsed = ParseServerAddress(text);
  if (!parsed.ok()) problems.Add(mark, "server", parsed.status().message());
  config.servers.push_back(text);
}

void TakeServer(const yaml::Node& root, yaml::MapReader& reader, AgentConfig& config,
                Problems& problems) {
  const yaml::Node* node = root.Find("server");
  if (node == nullptr || node->kind != yaml::Node::Kind::kList) {
    const std::string one = reader.TakeText("server").value_or("");
    if (!one.empty()) AddServer(one, node->mark, config, problems);
    return;
  }
  reader.Take("server");
  if (node->items.empty() || node->items.size() > kMaxServers) {
    problems.Add(node->mark, "server",
                 absl::StrCat("found ", node->items.size(), " addresses; 1 to ", kMaxServers,
                              " are accepted"));
  }
  for (const yaml::Node& item : node->items) AddServer(item.scalar, item.mark, config, problems);
}

void TakeProxy(const yaml::Node& root, yaml::MapReader& reader, AgentConfig& config,
               Problems& problems) {
  config.proxy = reader.TakeText("proxy").value_or("");
  if (config.proxy.empty()) return;
  const absl::StatusOr<HostPort> parsed = ParseServerAddress(config.proxy);
  if (!parsed.ok()) problems.Add(MarkOf(root, "proxy"), "proxy", parsed.status().message());
}

void TakeRegistry(const yaml::Node& root, yaml::MapReader& reader, AgentConfig& config,
                  Problems& problems) {
  const std::string text = reader.TakeText("registry").value_or("");
  if (text.empty()) return;
  if (!absl::StartsWith(text, "reg:") && !absl::StartsWith(text, "hive:")) {
    problems.Add(
        MarkOf(root, "registry"), "registry",
        absl::StrCat("found ", Quote(text), "; accepted are reg:FILE and hive:FILE[,FILE]"));
    return;
  }
  config.registry = RegistryBeside(problems.file(), text);
}

}  // namespace

absl::StatusOr<AgentConfig> ReadConfig(absl::string_view yaml, absl::string_view file) {
  Problems problems(file);
  yaml::Limits limits;
  limits.bytes = kMaxConfigBytes;
  const std::optional<std::vector<yaml::Node>> documents = yaml::Parse(yaml, limits, problems);
  if (!documents.has_value()) return problems.ToStatus();
  AgentConfig config;
  if (documents->empty()) return config;
  const yaml::Node& root = documents->front();
  yaml::MapReader reader(root, "", problems);
  TakeServer(root, reader, config, problems);
  TakeProxy(root, reader, config, problems);
  TakeRegistry(root, reader, config, problems);
  config.facts = Beside(file, reader.TakeText("facts").value_or(""));
  config.data = Beside(file, reader.TakeText("data").value_or(""));
  config.check = absl::Seconds(reader.TakeInteger("check-seconds", 1, 86400).value_or(300));
  config.force_dirty = reader.TakeBool("force-dirty").value_or(false);
  reader.Finish();
  RETURN_IF_ERROR(problems.ToStatus());
  return config;
}

absl::StatusOr<AgentConfig> LoadConfig(Vfs& vfs, const std::string& path) {
  const absl::StatusOr<std::string> bytes = vfs.Read(path, kMaxConfigBytes);
  if (absl::IsNotFound(bytes.status())) {
    return absl::NotFoundError(
        absl::StrCat("there is no configuration ", path, "; name one with --config FILE"));
  }
  RETURN_IF_ERROR(bytes.status());
  return ReadConfig(*bytes, path);
}

}  // namespace dumpwarden
