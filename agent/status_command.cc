// SPDX-License-Identifier: Apache-2.0
// dumpwarden-agent status: what this host knows of itself, read from its own
// files, whether the service runs or not.
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "agent/identity.h"
#include "agent/service.h"
#include "agent/state.h"
#include "core/base/status_macros.h"
#include "core/reconcile/status.h"
#include "core/report/findings.h"
#include "core/report/table.h"
#include "platform/lock_probe.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

Datum TimeDatum(absl::Time time) {
  if (time == absl::InfinitePast()) return std::monostate();
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

Datum TextDatum(const std::string& text) {
  if (text.empty()) return std::monostate();
  return text;
}

void AddIdentity(const Identity& identity, absl::Time now, std::vector<Field>& fields) {
  fields.push_back({{"host", "HOST"}, identity.host_id});
  fields.push_back({{"trust_domain", "TRUST DOMAIN"}, identity.trust_domain});
  fields.push_back({{"server", "SERVER"}, identity.server});
  fields.push_back({{"labels", "LABELS"}, identity.labels});
  fields.push_back({{"certificate", "CERTIFICATE"}, DescribeCertificate(identity)});
  const absl::Status usable = CheckIdentity(identity, now);
  fields.push_back(
      {{"certificate_problem", "CERTIFICATE PROBLEM"}, TextDatum(std::string(usable.message()))});
}

// A service that was killed left "connected" behind.
absl::Status AddConnection(AgentState& state, bool running, std::vector<Field>& fields) {
  ASSIGN_OR_RETURN(ConnectionState connection, state.Connection());
  if (connection.connected && !running) {
    connection.connected = false;
    connection.last_error = "the service was killed while it was connected: dumpwarden-agent run";
  }
  fields.push_back({{"running", "RUNNING"}, running});
  fields.push_back({{"connected", "CONNECTED"}, connection.connected});
  fields.push_back({{"since", "SINCE"}, TimeDatum(connection.since)});
  fields.push_back({{"last_acknowledged", "LAST ACKNOWLEDGED"}, TimeDatum(connection.last_ack)});
  fields.push_back({{"last_error", "LAST ERROR"}, TextDatum(connection.last_error)});
  fields.push_back({{"last_error_at", "LAST ERROR AT"}, TimeDatum(connection.last_error_at)});
  ASSIGN_OR_RETURN(const std::size_t queued, state.EventCount());
  fields.push_back({{"queued_events", "QUEUED EVENTS"}, std::uint64_t{queued}});
  return absl::OkStatus();
}

absl::StatusOr<Table> PolicyTable(AgentState& state) {
  ASSIGN_OR_RETURN(const std::vector<StoredPolicy> policies, state.Policies());
  Table table;
  table.columns = {{"policy", "POLICY"}, {"version", "VERSION"}};
  for (const StoredPolicy& policy : policies) {
    table.rows.push_back({policy.name, policy.version});
  }
  return table;
}

// Enrolled, and not run since.
Sheet FreshSheet(const Identity& identity, absl::Time now, absl::string_view why) {
  Sheet sheet;
  AddIdentity(identity, now, sheet.fields);
  sheet.fields.push_back({{"running", "RUNNING"}, false});
  sheet.fields.push_back({{"connected", "CONNECTED"}, false});
  sheet.fields.push_back({{"last_error", "LAST ERROR"}, std::string(why)});
  return sheet;
}

absl::StatusOr<Sheet> MakeSheet(const Identity& identity, AgentState& state, bool running,
                                absl::Time now) {
  Sheet sheet;
  AddIdentity(identity, now, sheet.fields);
  RETURN_IF_ERROR(AddConnection(state, running, sheet.fields));
  ASSIGN_OR_RETURN(const std::string problems, state.PolicyProblems());
  if (!problems.empty()) {
    const std::vector<std::string> lines = absl::StrSplit(problems, '\n');
    sheet.fields.push_back({{"policy_problems", "POLICY PROBLEMS"}, lines});
  }
  ASSIGN_OR_RETURN(const TrackedSettings tracked, state.Tracked());
  std::vector<v1::Finding> findings;
  for (const auto& [key, setting] : tracked) findings.push_back(setting.finding);
  sheet.fields.push_back({{"state", "STATE"}, std::string(StatusWord(WorstOf(findings)))});
  ASSIGN_OR_RETURN(Table policies, PolicyTable(state));
  sheet.sections.push_back({{"findings", "FINDINGS"}, FindingTable(findings)});
  sheet.sections.push_back({{"policies", "POLICIES"}, std::move(policies)});
  return sheet;
}

absl::StatusOr<Sheet> Look(Vfs& vfs, const Clock& clock, const AgentConfig& config) {
  ASSIGN_OR_RETURN(Identity identity, LoadIdentity(vfs, config.data));
  if (!config.servers.empty()) identity.server = absl::StrJoin(config.servers, ", ");
  const absl::StatusOr<std::unique_ptr<AgentState>> state =
      AgentState::OpenReadOnly(StatePath(config));
  if (absl::IsNotFound(state.status())) {
    return FreshSheet(identity, clock.Now(), state.status().message());
  }
  RETURN_IF_ERROR(state.status());
  ASSIGN_OR_RETURN(const bool running, IsLockHeld(RunLockPath(config)));
  return MakeSheet(identity, **state, running, clock.Now());
}

}  // namespace

int RunStatus(Invocation& invocation) {
  ServiceOptions options;
  std::string format = "table";
  AddServiceOptions(invocation.app, options);
  invocation.app.add_option("-o,--output", format, "table | json")
      ->check(CLI::IsMember({"table", "json"}));
  if (const std::optional<int> code = ParseArguments(invocation)) return *code;
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const std::unique_ptr<Clock> clock = MakeSystemClock();
  const absl::StatusOr<AgentConfig> config = ConfigOf(*vfs, invocation.app, options);
  if (!config.ok()) return Fail(invocation, config.status());
  const absl::StatusOr<Sheet> sheet = Look(*vfs, *clock, *config);
  if (!sheet.ok()) return Fail(invocation, sheet.status());
  invocation.out << Render(*sheet, format == "json" ? Format::kJson : Format::kTable);
  return kExitDone;
}

}  // namespace dumpwarden
