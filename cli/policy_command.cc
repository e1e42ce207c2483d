// SPDX-License-Identifier: Apache-2.0
#include "cli/policy_command.h"

#include "absl/strings/str_cat.h"
#include "cli/output.h"
#include "cli/policy_files.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/status.h"
#include "core/report/fleet_plan_report.h"

namespace dumpwarden {
namespace {

CLI::Option* AddFiles(CLI::App& app, const std::string& name, std::vector<std::string>& paths) {
  return app
      .add_option(name, paths, "Policy file, folder of *.yaml files, or - for stdin; repeatable")
      ->type_name("FILE");
}

template <typename Request>
void AddSources(const std::vector<PolicyFile>& files, Request& request) {
  for (const PolicyFile& file : files) {
    v1::PolicySource& source = *request.add_policies();
    source.set_file(file.name);
    source.set_yaml(file.yaml);
  }
}

// --- check

Table CheckTable(const std::vector<PolicyFile>& files) {
  Table table{{{"file", "FILE"},
               {"name", "NAME"},
               {"mode", "MODE"},
               {"priority", "PRIORITY"},
               {"settings", "SETTINGS"}},
              {}};
  for (const PolicyFile& file : files) {
    table.rows.push_back({file.name, file.policy.name, std::string(ModeWord(file.policy.mode)),
                          std::int64_t{file.policy.priority}, Number(file.policy.settings.size())});
  }
  return table;
}

// --- plan

// From so many hosts on, a table sums up.
constexpr std::uint32_t kManyHosts = 50;

struct PlanOptions {
  std::vector<std::string> paths;
  std::string host;
  bool summary = false;
  bool changes = false;
  bool detailed = false;
};

void AddPlanOptions(CLI::App& app, PlanOptions& options) {
  AddFiles(app, "-f,--file", options.paths)->required();
  CLI::Option* summary = app.add_flag("--summary", options.summary, "Counts, however few hosts");
  CLI::Option* changes =
      app.add_flag("--changes", options.changes, "Every change, however many hosts");
  CLI::Option* host = app.add_option("--host", options.host, "Every change of this one: id or name")
                          ->type_name("NAME");
  summary->excludes(changes)->excludes(host);
  app.add_flag("--detailed-exitcode", options.detailed,
               "Exit 2 when there are changes, or hosts that need attention");
}

// A table of many hosts is a summary, unless all was asked for; what a program reads never is,
// unless a summary was.
absl::StatusOr<v1::PlanPoliciesResponse> AskForPlan(Client& client, const PlanOptions& options,
                                                    Format format,
                                                    v1::PlanPoliciesRequest request) {
  const bool all = options.changes || (format != Format::kTable && !options.summary);
  request.set_host(options.host);
  if (!all) {
    request.set_summary_from(options.summary ? 0 : kManyHosts);
    return client.Do(request);
  }
  v1::PlanPoliciesResponse response;
  RETURN_IF_ERROR(client.Stream(request, [&](v1::PlanPoliciesResponse::HostPlan plan) {
    *response.add_hosts() = std::move(plan);
  }));
  return response;
}

struct PlanCounts {
  std::uint64_t changes = 0;
  std::uint32_t changed_hosts = 0;
  std::uint32_t hosts = 0;
  bool attention = false;
};

PlanCounts CountSummary(const v1::PlanPoliciesResponse& response) {
  PlanCounts counts{response.change_count(), response.changed_hosts(), response.host_count(),
                    response.change_count() > 0};
  for (const auto& [word, hosts] : response.states()) {
    counts.attention = counts.attention || (hosts > 0 && NeedsAttention(StatusFromWord(word)));
  }
  return counts;
}

PlanCounts CountPlan(const v1::PlanPoliciesResponse& response) {
  if (response.summary()) return CountSummary(response);
  PlanCounts counts;
  counts.hosts = static_cast<std::uint32_t>(response.hosts_size());
  for (const auto& host : response.hosts()) {
    counts.changes += static_cast<std::uint64_t>(host.changes_size());
    counts.changed_hosts += host.changes().empty() ? 0 : 1;
    counts.attention = counts.attention || !host.changes().empty() || NeedsAttention(host.state());
  }
  return counts;
}

void SayPlanned(const v1::PlanPoliciesResponse& response, const PlanCounts& counts,
                std::ostream& err) {
  err << counts.changes << " changes on " << counts.changed_hosts << " of " << counts.hosts
      << " hosts; nothing was written\n";
  if (!response.summary() || counts.changes == 0) return;
  const auto listed = static_cast<std::uint32_t>(response.hosts_size());
  if (listed < counts.changed_hosts) err << "the first " << listed << " of them are listed; ";
  err << "--changes shows every change, --host NAME those of one\n";
}

// --- apply

Table AppliedTable(const v1::ApplyPoliciesResponse& response, bool dry_run) {
  Table table{
      {{"name", "NAME"}, {"version", "VERSION"}, {"changed", "CHANGED"}, {"dry_run", "DRY RUN"}},
      {}};
  for (const v1::AppliedPolicy& policy : response.policies()) {
    table.rows.push_back({policy.name(), Number(policy.version()), policy.changed(), dry_run});
  }
  return table;
}

void SayApplied(const v1::ApplyPoliciesResponse& response, bool dry_run, std::ostream& out) {
  for (const v1::AppliedPolicy& policy : response.policies()) {
    out << "policy/" << Printable(policy.name()) << (policy.changed() ? " applied" : " unchanged")
        << " (version " << policy.version() << ")" << (dry_run ? " (dry run)" : "") << "\n";
  }
}

// --- list, show

std::vector<Field> SummaryFields(const v1::PolicySummary& policy) {
  return {{{"name", "NAME"}, policy.name()},
          {{"version", "VERSION"}, Number(policy.version())},
          {{"mode", "MODE"}, policy.mode()},
          {{"priority", "PRIORITY"}, std::int64_t{policy.priority()}},
          {{"author", "AUTHOR"}, Word(policy.author())},
          {{"at", "AT"}, When(policy.has_at(), policy.at())},
          {{"digest", "DIGEST"}, policy.digest()},
          {{"description", "DESCRIPTION"}, Word(policy.description())}};
}

Table PolicyTable(const std::vector<v1::PolicySummary>& policies) {
  Table table;
  for (const Field& field : SummaryFields({})) table.columns.push_back(field.name);
  for (const v1::PolicySummary& policy : policies) {
    table.rows.emplace_back();
    for (Field& field : SummaryFields(policy)) table.rows.back().push_back(std::move(field.value));
  }
  return table;
}

void Show(const v1::GetPolicyResponse& response, Format format, std::ostream& out) {
  switch (format) {
    case Format::kTable:
      out << response.yaml();
      break;
    case Format::kCsv:
      out << Render(PolicyTable({response.policy()}), format);
      break;
    case Format::kJson: {
      Sheet sheet;
      sheet.fields = SummaryFields(response.policy());
      sheet.fields.push_back({{"yaml", "YAML"}, response.yaml()});
      out << Render(sheet, format);
      break;
    }
  }
}

}  // namespace

absl::StatusOr<int> RunPolicyCheck(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::vector<std::string> paths;
  AddFiles(invocation.app, "-f,--file,FILE", paths)->required();
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto files, ReadPolicyFiles(paths, invocation.console.in));
  invocation.console.out << Render(CheckTable(files), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunPolicyPlan(Invocation& invocation) {
  const OutputOption output(invocation.app);
  PlanOptions options;
  AddPlanOptions(invocation.app, options);
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto files, ReadPolicyFiles(options.paths, invocation.console.in));
  v1::PlanPoliciesRequest request;
  AddSources(files, request);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::PlanPoliciesResponse response,
                   AskForPlan(*client, options, output.format(), std::move(request)));
  const PlanCounts counts = CountPlan(response);
  invocation.console.out << Render(response, output.format());
  SayPlanned(response, counts, invocation.console.err);
  return options.detailed && counts.attention ? kExitChanges : kExitDone;
}

absl::StatusOr<int> RunPolicyApply(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::vector<std::string> paths;
  bool dry_run = false;
  AddFiles(invocation.app, "-f,--file", paths)->required();
  invocation.app.add_flag("--dry-run", dry_run, "Let the server check everything, keep nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto files, ReadPolicyFiles(paths, invocation.console.in));
  v1::ApplyPoliciesRequest request;
  AddSources(files, request);
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ApplyPoliciesResponse response, client->Do(request));
  Console& console = invocation.console;
  if (output.format() == Format::kTable) {
    SayApplied(response, dry_run, console.out);
  } else {
    console.out << Render(AppliedTable(response, dry_run), output.format());
  }
  if (!dry_run) console.err << "on its way to " << response.sessions() << " connected agents\n";
  return kExitDone;
}

absl::StatusOr<int> RunPolicyDelete(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::DeletePolicyRequest request;
  bool dry_run = false;
  invocation.app.add_option("NAME", *request.mutable_name(), "Policy to take out of force")
      ->required();
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::DeletePolicyResponse response, client->Do(request));
  Console& console = invocation.console;
  if (output.format() == Format::kTable) {
    console.out << "policy/" << Printable(request.name()) << " deleted (last version "
                << response.version() << ")" << (dry_run ? " (dry run)" : "") << "\n";
  } else {
    const Table table{{{"name", "NAME"}, {"version", "VERSION"}, {"dry_run", "DRY RUN"}},
                      {{request.name(), Number(response.version()), dry_run}}};
    console.out << Render(table, output.format());
  }
  console.err << "values on hosts stay as they are; nothing is put back\n";
  return kExitDone;
}

absl::StatusOr<int> RunPolicyList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListPoliciesResponse response, client->Do(v1::ListPoliciesRequest()));
  invocation.console.out << Render(
      PolicyTable({response.policies().begin(), response.policies().end()}), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunPolicyShow(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::GetPolicyRequest request;
  std::uint64_t version = 0;
  invocation.app.add_option("NAME", *request.mutable_name(), "Policy to print")->required();
  invocation.app.add_option("--version", version, "Not the one in force but this one")
      ->type_name("NUMBER");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_version(version);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::GetPolicyResponse response, client->Do(request));
  Show(response, output.format(), invocation.console.out);
  return kExitDone;
}

}  // namespace dumpwarden
