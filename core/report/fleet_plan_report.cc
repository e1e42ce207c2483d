// SPDX-License-Identifier: Apache-2.0
#include "core/report/fleet_plan_report.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
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
    const std::uint64_t changes =
        plan.summary() ? host.change_count() : static_cast<std::uint64_t>(host.changes_size());
    table.rows.push_back(
        {host.host(), std::string(StatusWord(host.state())), changes, host.restart()});
  }
  return table;
}

// Worst first; unknown, of which nothing can be said, at the end.
Table CountsOfStates(const v1::PlanPoliciesResponse& plan) {
  std::vector<std::pair<std::string, std::uint32_t>> states(plan.states().begin(),
                                                            plan.states().end());
  std::sort(states.begin(), states.end(), [](const auto& a, const auto& b) {
    const v1::Status left = StatusFromWord(a.first);
    const v1::Status right = StatusFromWord(b.first);
    return left == right ? a.first < b.first : Worse(left, right) == left;
  });
  Table table{{{"state", "STATE"}, {"hosts", "HOSTS"}}, {}};
  for (const auto& [word, hosts] : states) table.rows.push_back({word, std::uint64_t{hosts}});
  return table;
}

Sheet SummarySheet(const v1::PlanPoliciesResponse& plan) {
  Sheet sheet;
  sheet.fields = {{{"host_count", "Hosts"}, std::uint64_t{plan.host_count()}},
                  {{"changed_hosts", "With changes"}, std::uint64_t{plan.changed_hosts()}},
                  {{"restart_hosts", "With a restart"}, std::uint64_t{plan.restart_hosts()}},
                  {{"change_count", "Changes"}, std::uint64_t{plan.change_count()}}};
  sheet.sections = {{{"states", "States"}, CountsOfStates(plan)},
                    {{"hosts", "Hosts with changes"}, StatesOfHosts(plan)}};
  return sheet;
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
  if (plan.summary()) return Render(SummarySheet(plan), format);
  if (format == Format::kJson) return ToJsonText(plan);
  Sheet sheet;
  sheet.sections = {{{"changes", "Changes"}, ChangesOfHosts(plan)},
                    {{"hosts", "Hosts"}, StatesOfHosts(plan)},
                    {{"findings", "Findings"}, FindingsOfHosts(plan)}};
  return Render(sheet, format);
}

}  // namespace dumpwarden
