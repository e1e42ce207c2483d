// SPDX-License-Identifier: Apache-2.0
#include "core/report/plan_report.h"

#include "absl/strings/str_cat.h"
#include "core/reconcile/status.h"
#include "core/report/changes.h"
#include "core/report/findings.h"
#include "core/report/host_json.h"

namespace dumpwarden {
namespace {

std::string SymbolOf(const Edit& edit) {
  if (edit.action == Edit::Action::kDelete) return "-";
  return edit.from ? "~" : "+";
}

std::string WhereOf(const Edit& edit) {
  return edit.action == Edit::Action::kMakeFolder ? edit.key
                                                  : absl::StrCat(edit.key, "\\", edit.name);
}

std::string ChangeOf(const Edit& edit) {
  if (edit.action == Edit::Action::kMakeFolder) return "new folder";
  return absl::StrCat(ValueText(edit.from), " -> ", ValueText(edit.to));
}

// For people: + makes, ~ changes, - deletes.
Table ChangeLines(const Plan& plan) {
  Table table{{{"symbol", " "}, {"setting", "SETTING"}, {"change", "CHANGE"}, {"where", "WHERE"}},
              {}};
  for (const Edit& edit : plan.edits) {
    table.rows.push_back({SymbolOf(edit), edit.setting, ChangeOf(edit), WhereOf(edit)});
  }
  return table;
}

std::string StateOf(const Plan& plan) { return std::string(StatusWord(WorstOf(plan.findings))); }

Datum BackupOf(const PlanReport& report) {
  if (report.backup->empty()) return std::monostate();
  return *report.backup;
}

std::string ToJsonText(const PlanReport& report) {
  Json json = Json::object();
  json["host"] = HostToJson(report.host);
  json["host"]["state"] = StateOf(report.plan);
  json["changes"] = ToJson(ChangeTable(report.plan.edits));
  json["findings"] = ToJson(FindingTable(report.plan.findings));
  if (report.backup) json["backup"] = ToJson(BackupOf(report));
  return Dump(json);
}

// After an apply the findings are those of the host as it is now.
std::string ToText(const PlanReport& report) {
  const bool applied = report.backup.has_value();
  Sheet sheet;
  sheet.fields = {{{"registry", "Registry"}, report.host.registry},
                  {{"state", "State"}, StateOf(report.plan)},
                  {{"count", applied ? "Changes made" : "Changes to make"},
                   std::uint64_t{report.plan.edits.size()}}};
  if (applied) sheet.fields.push_back({{"backup", "Backup"}, BackupOf(report)});
  sheet.sections = {{{"changes", "Changes"}, ChangeLines(report.plan)},
                    {{"findings", "Findings"}, FindingTable(report.plan.findings)}};
  return Render(sheet, Format::kTable);
}

}  // namespace

std::string Render(const PlanReport& report, Format format) {
  switch (format) {
    case Format::kTable:
      return ToText(report);
    case Format::kJson:
      return ToJsonText(report);
    case Format::kCsv:
      return Render(ChangeTable(report.plan.edits), format);
  }
  return "";
}

}  // namespace dumpwarden
