// SPDX-License-Identifier: Apache-2.0
#include "server/config.h"

#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/yaml_reader.h"
#include "server/identity/names.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxConfigBytes = 256 * 1024;
constexpr std::int64_t kMaxSessions = 1'000'000;
constexpr std::int64_t kMaxCheckInSeconds = 3600;
constexpr std::int64_t kMaxMessagesPerSecond = 10'000;
constexpr std::int64_t kMaxRetentionDays = 36500;
constexpr std::int64_t kMaxWindowSeconds = 24 * 3600;

// Keeps what readers of sections share.
struct Reading {
  const std::string& file;
  Problems& problems;
};

std::string Resolve(const std::string& file, const std::string& path) {
  if (path.empty() || path.front() == '/') return path;
  return absl::StrCat(FolderOf(file), "/", path);
}

std::string RequirePath(yaml::MapReader& reader, absl::string_view key, const Reading& reading) {
  const std::optional<std::string> path = reader.RequireText(key);
  return path.has_value() ? Resolve(reading.file, *path) : "";
}

std::string RequireListener(const yaml::Node& node, yaml::MapReader& reader, absl::string_view key,
                            const Reading& reading) {
  const std::optional<std::string> text = reader.RequireText(key);
  if (!text.has_value()) return "";
  if (const auto parsed = ParseHostPort(*text); !parsed.ok()) {
    const yaml::Node* at = node.Find(key);
    reading.problems.Add(at->mark, reader.PathOf(key), parsed.status().message());
  }
  return *text;
}

void ReadListeners(const yaml::Node& node, const Reading& reading, ServerConfig& config) {
  yaml::MapReader reader(node, "listeners", reading.problems);
  config.agents_listener = RequireListener(node, reader, "agents", reading);
  config.enrollment_listener = RequireListener(node, reader, "enrollment", reading);
  reader.Finish();
}

void ReadTls(const yaml::Node& node, const Reading& reading, ServerConfig& config) {
  yaml::MapReader reader(node, "tls", reading.problems);
  config.tls_chain = RequirePath(reader, "chain", reading);
  config.tls_key = RequirePath(reader, "key", reading);
  reader.Finish();
}

void ReadLimits(const yaml::Node& node, const Reading& reading, ServerConfig& config) {
  yaml::MapReader reader(node, "limits", reading.problems);
  if (const auto sessions = reader.TakeInteger("sessions", 1, kMaxSessions)) {
    config.max_sessions = static_cast<std::size_t>(*sessions);
  }
  if (const auto seconds = reader.TakeInteger("check-in-seconds", 1, kMaxCheckInSeconds)) {
    config.check_in_seconds = static_cast<std::uint32_t>(*seconds);
  }
  if (const auto messages = reader.TakeInteger("messages-per-second", 5, kMaxMessagesPerSecond)) {
    config.messages_per_second = static_cast<int>(*messages);
  }
  if (const auto seconds =
          reader.TakeInteger("reconnect-window-max-seconds", 1, kMaxWindowSeconds)) {
    config.reconnect_window_max = absl::Seconds(*seconds);
  }
  reader.Finish();
}

void TakeDays(yaml::MapReader& reader, absl::string_view key, absl::Duration& kept) {
  const auto days = reader.TakeInteger(key, 1, kMaxRetentionDays);
  if (days.has_value()) kept = absl::Hours(24 * *days);
}

void ReadRetention(const yaml::Node& node, const Reading& reading, ServerConfig& config) {
  yaml::MapReader reader(node, "retention", reading.problems);
  TakeDays(reader, "tokens-days", config.retention.tokens);
  TakeDays(reader, "policy-versions-days", config.retention.policy_versions);
  TakeDays(reader, "drift-days", config.retention.drift);
  TakeDays(reader, "audit-days", config.retention.audit);
  reader.Finish();
}

std::string FormatDays(absl::string_view key, absl::Duration kept) {
  if (kept == absl::InfiniteDuration()) return "";
  return absl::StrCat("  ", key, ": ", absl::ToInt64Hours(kept) / 24, "\n");
}

std::string FormatRetention(const Retention& retention) {
  const std::string lines = absl::StrCat(
      FormatDays("tokens-days", retention.tokens),
      FormatDays("policy-versions-days", retention.policy_versions),
      FormatDays("drift-days", retention.drift), FormatDays("audit-days", retention.audit));
  return lines.empty() ? "" : absl::StrCat("retention:\n", lines);
}

void ReadNames(const yaml::Node& node, Problems& problems, ServerConfig& config) {
  if (node.kind != yaml::Node::Kind::kList || node.items.empty()) {
    problems.Add(node.mark, "names",
                 absl::StrCat("found ", yaml::KindName(node.kind),
                              "; a list of DNS names and addresses is accepted"));
    return;
  }
  for (const yaml::Node& item : node.items) {
    if (item.kind != yaml::Node::Kind::kScalar ||
        !(IsDnsName(item.scalar) || IsAddress(item.scalar))) {
      problems.Add(item.mark, "names",
                   absl::StrCat(Quote(item.scalar), " is no DNS name and no address"));
    }
    config.names.push_back(item.scalar);
  }
}

void ReadTrustDomain(const yaml::Node& node, yaml::MapReader& reader, Problems& problems,
                     ServerConfig& config) {
  const std::optional<std::string> text = reader.RequireText("trust-domain");
  if (!text.has_value()) return;
  if (const absl::Status good = CheckTrustDomain(*text); !good.ok()) {
    problems.Add(node.Find("trust-domain")->mark, "trust-domain", good.message());
  }
  config.trust_domain = *text;
}

}  // namespace

absl::StatusOr<ServerConfig> ParseServerConfig(absl::string_view yaml, const std::string& file) {
  Problems problems(file);
  ServerConfig config;
  const auto documents = yaml::Parse(yaml, {}, problems);
  if (!documents.has_value()) return problems.ToStatus();
  const yaml::Node empty;
  const yaml::Node& node = documents->empty() ? empty : documents->front();
  const Reading reading{file, problems};
  yaml::MapReader reader(node, "", problems);
  ReadTrustDomain(node, reader, problems, config);
  if (const yaml::Node* at = reader.Require("listeners")) ReadListeners(*at, reading, config);
  if (const yaml::Node* at = reader.Require("tls")) ReadTls(*at, reading, config);
  if (const yaml::Node* at = reader.Require("names")) ReadNames(*at, problems, config);
  if (const yaml::Node* at = reader.Take("limits")) ReadLimits(*at, reading, config);
  if (const yaml::Node* at = reader.Take("retention")) ReadRetention(*at, reading, config);
  config.store = RequirePath(reader, "store", reading);
  config.ca = RequirePath(reader, "ca", reading);
  reader.Finish();
  RETURN_IF_ERROR(problems.ToStatus());
  return config;
}

absl::StatusOr<ServerConfig> ReadServerConfig(Vfs& vfs, const std::string& file) {
  ASSIGN_OR_RETURN(const std::string text, vfs.Read(file, kMaxConfigBytes));
  return ParseServerConfig(text, file);
}

std::string FormatServerConfig(const ServerConfig& config) {
  return absl::StrCat(
      "# dumpwarden-server.  Relative paths are relative to this file.\n",
      "trust-domain: ", config.trust_domain, "\n", "listeners:\n", "  agents: '",
      config.agents_listener, "'\n", "  # Open only while an unused token waits.\n",
      "  enrollment: '", config.enrollment_listener, "'\n",
      "# Of this server, in its certificate; the first is told to hosts and operators.\n",
      "names: ['", absl::StrJoin(config.names, "', '"), "']\n", "store: ", config.store, "\n",
      "ca: ", config.ca, "\n", "tls: { chain: ", config.tls_chain, ", key: ", config.tls_key,
      " }\n", "limits:\n", "  sessions: ", config.max_sessions, "\n",
      "  check-in-seconds: ", config.check_in_seconds, "\n",
      "  messages-per-second: ", config.messages_per_second, "\n",
      "  reconnect-window-max-seconds: ", absl::ToInt64Seconds(config.reconnect_window_max), "\n",
      FormatRetention(config.retention));
}

}  // namespace dumpwarden
