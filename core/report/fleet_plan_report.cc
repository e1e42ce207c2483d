// SPDX-License-Identifier: Apache-2.0
#include "core/report/fleet_plan_report.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/reconcile/status.h"
#include "core/report/changes.h"
#include "core/report/findings.h"
#include "core/report/json.h"

namespace dumpwarden {
namespace {

using HostPlan = v1::PlanPoliciesResponse::HostPlan;

std::optional<RegistryValue> ValueOf(const v1::Cell& cell) {
  if (!cell.present()) return std::nullopt;
  return RegistryValue{static_cast<RegType>(cell.type()), cell.data()};
}

Edit::Action ActionOf(const v1::PlannedChange& change) {
  for (const Edit::Action action : {Edit::Action::kDelete, Edit::Action::kMakeFolder}) {
    if (change.action() == ActionWord(action)) return action;
  }
  return Edit::Action::kSet;
}

std::vector<Edit> EditsOf(const HostPlan& host) {
  std::vector<Edit> edits;
  for (const v1::PlannedChange& change : host.changes()) {
    edits.push_back({ActionOf(change), change.setting(), change.key(), change.name(),
                     ValueOf(change.before()), ValueOf(change.after())});
  }
  return edits;
}

Json HostToJson(const HostPlan& host) {
  Json json = Json::object();
  json["host"] = host.host();
  json["id"] = host.id();
  json["state"] = std::string(StatusWord(host.state()));
  json["restart"] = host.restart();
  json["changes"] = ToJson(ChangeTable(EditsOf(host)));
  const std::vector<v1::Finding> findings(host.findings().begin(), host.findings().end());
  json["findings"] = ToJson(FindingTable(findings));
  return json;
}

std::string ToJsonText(const v1::PlanPoliciesResponse& plan) {
  Json json = Json::object();
  json["hosts"] = Json::array();
  for (const HostPlan& host : plan.hosts()) json["hosts"].push_back(HostToJson(host));
  return Dump(json);
}

Datum NameOf(const Edit& edit) {
  if (edit.action == Edit::Action::kMakeFolder) return std::monostate();
  return edit.name;
}

Datum TextOf(const Edit& edit, const std::optional<RegistryValue>& value) {
  if (edit.action == Edit::Action::kMakeFolder) return std::monostate();
  return ValueText(value);
}

Table ChangesOfHosts(const v1::PlanPoliciesResponse& plan) {
  Table table{{{"host", "HOST"},
               {"setting", "SETTING"},
               {"action", "ACTION"},
               {"from", "FROM"},
               {"to", "TO"},
               {"key", "KEY"},
               {"name", "NAME"}},
              {}};
  for (const HostPlan& host : plan.hosts()) {
    for (const Edit& edit : EditsOf(host)) {
      table.rows.push_back({host.host(), edit.setting, std::string(ActionWord(edit.action)),
                            TextOf(edit, edit.from), TextOf(edit, edit.to), edit.key,
                            NameOf(edit)});
    }
  }
  return table;
}

Table StatesOfHosts(const v1::PlanPoliciesResponse& plan) {
  Table table{
      {{"host", "HOST"}, {"state", "STATE"}, {"changes", "CHANGES"}, {"restart", "RESTART"}}, {}};
  for (const HostPlan& host : plan.hosts()) {
    table.rows.push_back({host.host(), std::string(StatusWord(host.state())),
                          static_cast<std::uint64_t>(host.changes_size()), host.restart()});
  }
  return table;
}

Table FindingsOfHosts(const v1::PlanPoliciesResponse& plan) {
  Table table{{{"host", "HOST"}}, {}};
  for (Column& column : FindingColumns()) table.columns.push_back(std::move(column));
  for (const HostPlan& host : plan.hosts()) {
    for (const v1::Finding& finding : host.findings()) {
      table.rows.push_back({host.host()});
      for (Datum& datum : FindingRow(finding)) table.rows.back().push_back(std::move(datum));
    }
  }
  return table;
}

}  // namespace

std::string Render(const v1::PlanPoliciesResponse& plan, Format format) {
  if (format == Format::kJson) return ToJsonText(plan);
  Sheet sheet;
  sheet.sections = {{{"changes", "Changes"}, ChangesOfHosts(plan)},
                    {{"hosts", "Hosts"}, StatesOfHosts(plan)},
                    {{"findings", "Findings"}, FindingsOfHosts(plan)}};
  return Render(sheet, format);
}

}  // namespace dumpwarden
