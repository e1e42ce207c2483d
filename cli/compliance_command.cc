// SPDX-License-Identifier: Apache-2.0
#include "cli/compliance_command.h"

#include <algorithm>

#include "cli/output.h"
#include "core/base/status_macros.h"
#include "core/reconcile/status.h"
#include "core/report/findings.h"

namespace dumpwarden {
namespace {

using Counts = google::protobuf::Map<std::string, std::uint32_t>;

std::uint64_t Total(const Counts& counts) {
  std::uint64_t total = 0;
  for (const auto& entry : counts) total += entry.second;
  return total;
}

// Worst first; words that are no status ("unknown", "hold", "quarantined") before all.
std::vector<std::string> InOrder(const Counts& counts) {
  std::vector<std::string> words;
  for (const auto& entry : counts) words.push_back(entry.first);
  std::sort(words.begin(), words.end(), [](const std::string& a, const std::string& b) {
    const v1::Status left = StatusFromWord(a);
    const v1::Status right = StatusFromWord(b);
    if (left == right) return a < b;
    if (left == v1::STATUS_UNSPECIFIED || right == v1::STATUS_UNSPECIFIED) return left < right;
    return Worse(left, right) == left;
  });
  return words;
}

void AddCounts(const std::string& scope, const Counts& counts, Table& table) {
  for (const std::string& word : InOrder(counts)) {
    table.rows.push_back({scope, word, Number(counts.at(word))});
  }
}

Sheet SummarySheet(const v1::SummarizeComplianceResponse& response) {
  Table counts{{{"of", "OF"}, {"status", "STATUS"}, {"count", "COUNT"}}, {}};
  AddCounts("hosts", response.states(), counts);
  AddCounts("settings", response.findings(), counts);
  Sheet sheet;
  sheet.fields = {{{"hosts", "Hosts"}, Number(response.hosts())},
                  {{"settings", "Settings"}, Number(Total(response.findings()))}};
  sheet.sections = {{{"counts", "Counts"}, counts}};
  return sheet;
}

Table ReportColumns() {
  Table table{{{"host", "HOST"}}, {}};
  for (Column& column : FindingColumns()) table.columns.push_back(std::move(column));
  table.columns.push_back({"policy_version", "VERSION"});
  table.columns.push_back({"host_id", "HOST ID"});
  table.columns.push_back({"host_state", "HOST STATE"});
  return table;
}

std::vector<Datum> ReportRow(const v1::HostFinding& found) {
  std::vector<Datum> row = {found.host()};
  for (Datum& datum : FindingRow(found.finding())) row.push_back(std::move(datum));
  row.push_back(Number(found.finding().policy_version()));
  row.push_back(found.host_id());
  row.push_back(Word(found.host_state()));
  return row;
}

void AddSelector(CLI::App& app, std::string& selector) {
  app.add_option("-l,--selector", selector, "Only hosts with these labels, as role=sql,site=a")
      ->type_name("K=V,...");
}

}  // namespace

absl::StatusOr<int> RunComplianceSummary(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::SummarizeComplianceRequest request;
  AddSelector(invocation.app, *request.mutable_label_selector());
  if (const auto code = ParseArguments(invocation)) return *code;
  RETURN_IF_ERROR(CheckSelector(request.label_selector()));
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::SummarizeComplianceResponse response, client->Do(request));
  invocation.console.out << Render(SummarySheet(response), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunComplianceReport(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::ReportComplianceRequest request;
  bool detailed = false;
  AddSelector(invocation.app, *request.mutable_label_selector());
  invocation.app
      .add_option("--status", *request.mutable_status(), "Only findings with this status")
      ->type_name("STATUS");
  invocation.app.add_flag("--detailed-exitcode", detailed,
                          "Exit 2 when a finding is blocked, contested, drifted or pending-reboot");
  if (const auto code = ParseArguments(invocation)) return *code;
  RETURN_IF_ERROR(CheckSelector(request.label_selector()));
  RETURN_IF_ERROR(CheckStatus(request.status()));
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  Table table = ReportColumns();
  bool attention = false;
  RETURN_IF_ERROR(client->Stream(request, [&](const v1::HostFinding& found) {
    table.rows.push_back(ReportRow(found));
    attention = attention || NeedsAttention(found.finding().status());
  }));
  invocation.console.out << Render(table, output.format());
  return detailed && attention ? kExitChanges : kExitDone;
}

}  // namespace dumpwarden
