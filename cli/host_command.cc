// SPDX-License-Identifier: Apache-2.0
#include "cli/host_command.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/status.h"
#include "core/report/findings.h"

namespace dumpwarden {
namespace {

Datum Known(bool known, std::uint64_t number) {
  if (!known) return std::monostate();
  return Number(number);
}

std::vector<Field> SummaryFields(const v1::HostSummary& host) {
  return {{{"name", "NAME"}, host.name()},
          {{"state", "STATE"}, Word(host.state())},
          {{"policies", "POLICIES"}, Word(host.policies())},
          {{"connected", "CONNECTED"}, host.connected()},
          {{"last_seen", "LAST SEEN"}, When(host.has_last_seen(), host.last_seen())},
          {{"os_build", "BUILD"}, Known(host.os_build() != 0, host.os_build())},
          {{"labels", "LABELS"}, Labels(host.labels())},
          {{"agent_version", "AGENT"}, Word(host.agent_version())},
          {{"enrolled", "ENROLLED"}, When(host.has_enrolled(), host.enrolled())},
          {{"id", "ID"}, host.id()}};
}

Table HostTable(const v1::ListHostsResponse& response) {
  Table table;
  for (const Field& field : SummaryFields({})) table.columns.push_back(field.name);
  for (const v1::HostSummary& host : response.hosts()) {
    table.rows.emplace_back();
    for (Field& field : SummaryFields(host)) table.rows.back().push_back(std::move(field.value));
  }
  return table;
}

// The names are those that selectors ask for; what is not known is left out.
std::vector<Field> FactFields(const v1::Facts& facts) {
  std::vector<Field> fields;
  if (facts.os().build() != 0) {
    fields.push_back({{"os.build", "os.build"}, Number(facts.os().build())});
  }
  if (!facts.os().product().empty()) {
    fields.push_back({{"os.product", "os.product"}, facts.os().product()});
  }
  if (facts.memory().bytes() != 0) {
    fields.push_back({{"memory.bytes", "memory.bytes"}, Number(facts.memory().bytes())});
  }
  if (!facts.boot().id().empty()) {
    fields.push_back({{"boot.id", "boot.id"}, facts.boot().id()});
    fields.push_back({{"boot.at", "boot.at"}, When(facts.boot().has_at(), facts.boot().at())});
  }
  return fields;
}

Table VolumeTable(const v1::Facts& facts) {
  Table table{
      {{"path", "PATH"}, {"kind", "KIND"}, {"total", "TOTAL"}, {"free", "FREE"}, {"boot", "BOOT"}},
      {}};
  for (const v1::Facts::Volume& volume : facts.volumes()) {
    table.rows.push_back({volume.path(), volume.kind(), Known(volume.total() != 0, volume.total()),
                          Known(volume.has_free(), volume.free()), volume.boot()});
  }
  return table;
}

Sheet HostSheet(const v1::GetHostResponse& response) {
  std::vector<Field> host = SummaryFields(response.host());
  host.push_back({{"host_key", "HOST KEY"}, Word(response.host_key())});
  host.push_back({{"warnings", "WARNINGS"},
                  std::vector<std::string>(response.observation().warnings().begin(),
                                           response.observation().warnings().end())});
  const std::vector<v1::Finding> findings(response.findings().begin(), response.findings().end());
  Sheet sheet;
  sheet.sections = {{{"host", "Host"}, host},
                    {{"facts", "Facts"}, FactFields(response.facts())},
                    {{"findings", "Findings"}, FindingTable(findings)},
                    {{"volumes", "Volumes"}, VolumeTable(response.facts())}};
  return sheet;
}

// What the host said of a layer's overlay: of its winner, and of each that conflicts.
const v1::Finding* FindingOf(const v1::ExplainedSetting& setting, const v1::ExplainedLayer& layer) {
  const bool speaks = layer.won() || absl::StartsWith(layer.why(), "conflict");
  for (const v1::Finding& finding : setting.findings()) {
    if (speaks && ModeWord(finding.mode()) == layer.mode()) return &finding;
  }
  return nullptr;
}

Table ExplainTable(const v1::ExplainHostResponse& response) {
  Table table{{{"setting", "SETTING"},
               {"won", "WON"},
               {"policy", "POLICY"},
               {"version", "VERSION"},
               {"priority", "PRIORITY"},
               {"mode", "MODE"},
               {"value", "VALUE"},
               {"why", "WHY"},
               {"status", "STATUS"},
               {"configured", "CONFIGURED"}},
              {}};
  for (const v1::ExplainedSetting& setting : response.settings()) {
    for (const v1::ExplainedLayer& layer : setting.layers()) {
      const v1::Finding* finding = FindingOf(setting, layer);
      table.rows.push_back({setting.setting(), layer.won(), layer.policy(), Number(layer.version()),
                            std::int64_t{layer.priority()}, layer.mode(), layer.value(),
                            layer.why(),
                            finding != nullptr ? Word(StatusWord(finding->status())) : Datum(),
                            finding != nullptr ? Word(finding->configured()) : Datum()});
    }
  }
  return table;
}

Table RevokedTable(const v1::RevokeHostResponse& response, bool dry_run) {
  return {
      {{"name", "NAME"},
       {"id", "ID"},
       {"changed", "CHANGED"},
       {"sessions", "SESSIONS"},
       {"dry_run", "DRY RUN"}},
      {{response.name(), response.id(), response.changed(), Number(response.sessions()), dry_run}}};
}

Table ApprovedTable(const v1::ApproveHostResponse& response, bool dry_run) {
  return {{{"name", "NAME"}, {"id", "ID"}, {"changed", "CHANGED"}, {"dry_run", "DRY RUN"}},
          {{response.name(), response.id(), response.changed(), dry_run}}};
}

}  // namespace

absl::StatusOr<int> RunHostList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::ListHostsRequest request;
  invocation.app
      .add_option("-l,--selector", *request.mutable_label_selector(),
                  "Only hosts with these labels, as role=sql,site=a")
      ->type_name("K=V,...");
  invocation.app
      .add_option("--state", *request.mutable_state(),
                  "Only hosts in this state, as drifted or unknown")
      ->type_name("STATE");
  if (const auto code = ParseArguments(invocation)) return *code;
  RETURN_IF_ERROR(CheckSelector(request.label_selector()));
  RETURN_IF_ERROR(CheckState(request.state()));
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListHostsResponse response, client->Do(request));
  invocation.console.out << Render(HostTable(response), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunHostShow(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::GetHostRequest request;
  invocation.app.add_option("HOST", *request.mutable_host(), "Id, or a name that one host has")
      ->required();
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::GetHostResponse response, client->Do(request));
  invocation.console.out << Render(HostSheet(response), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunHostRevoke(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::RevokeHostRequest request;
  bool dry_run = false;
  invocation.app.add_option("HOST", *request.mutable_host(), "Id, or a name that one host has")
      ->required();
  invocation.app.add_option("--reason", *request.mutable_reason(), "Why, for the audit log")
      ->required()
      ->type_name("TEXT");
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  if (absl::StripAsciiWhitespace(request.reason()).empty()) {
    return Misuse(absl::StrCat("--reason ", Quote(request.reason())), "the reason is empty",
                  "say why; it is kept in the audit log");
  }
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::RevokeHostResponse response, client->Do(request));
  Console& console = invocation.console;
  if (output.format() != Format::kTable) {
    console.out << Render(RevokedTable(response, dry_run), output.format());
  } else {
    console.out << "host/" << Printable(response.name()) << " " << Printable(response.id())
                << (response.changed() ? " revoked" : " was revoked before")
                << (dry_run ? " (dry run)" : "") << "\n";
  }
  console.err
      << "its agent goes on enforcing the policies that it has; to let the machine in again, "
         "enrol it anew\n";
  return kExitDone;
}

absl::StatusOr<int> RunHostApprove(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::ApproveHostRequest request;
  bool dry_run = false;
  invocation.app.add_option("HOST", *request.mutable_host(), "Id, or a name that one host has")
      ->required();
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ApproveHostResponse response, client->Do(request));
  Console& console = invocation.console;
  if (output.format() != Format::kTable) {
    console.out << Render(ApprovedTable(response, dry_run), output.format());
  } else {
    console.out << "host/" << Printable(response.name()) << " " << Printable(response.id())
                << (response.changed() ? " approved" : " is not held")
                << (dry_run ? " (dry run)" : "") << "\n";
  }
  if (response.changed() && !dry_run) {
    console.err << "its agent asks again within six minutes, and at once when it is restarted\n";
  }
  return kExitDone;
}

absl::StatusOr<int> RunHostExplain(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::ExplainHostRequest request;
  invocation.app.add_option("HOST", *request.mutable_host(), "Id, or a name that one host has")
      ->required();
  invocation.app.add_option("SETTING", *request.mutable_setting(), "Only this setting");
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ExplainHostResponse response, client->Do(request));
  invocation.console.out << Render(ExplainTable(response), output.format());
  return kExitDone;
}

}  // namespace dumpwarden
