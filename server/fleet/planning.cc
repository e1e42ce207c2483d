// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/planning.h"

#include <algorithm>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/status.h"
#include "server/fleet/answers.h"
#include "server/fleet/policies.h"

namespace dumpwarden {
namespace {

using HostPlan = v1::PlanPoliciesResponse::HostPlan;

constexpr std::size_t kHostsAtOnce = 256;  // read of the store, so that memory is bounded

void SetCell(const RegistryValue& value, v1::Cell& cell) {
  cell.set_present(true);
  cell.set_type(static_cast<std::uint32_t>(value.type));
  cell.set_data(value.data);
}

v1::PlannedChange ChangeOf(const Edit& edit) {
  v1::PlannedChange change;
  change.set_setting(edit.setting);
  change.set_action(std::string(ActionWord(edit.action)));
  change.set_key(edit.key);
  change.set_name(edit.name);
  if (edit.from) SetCell(*edit.from, *change.mutable_before());
  if (edit.to) SetCell(*edit.to, *change.mutable_after());
  return change;
}

bool NeedsRestart(const Edit& edit) {
  const Setting* setting = FindSetting(edit.setting);
  return edit.action != Edit::Action::kMakeFolder && setting != nullptr &&
         setting->effective != Effect::kImmediate;
}

// A plan without a boot snapshot takes for effective what is configured; the host knew better.
void KeepPending(const HostState& state, std::vector<v1::Finding>& findings) {
  for (v1::Finding& finding : findings) {
    if (finding.status() != v1::STATUS_COMPLIANT) continue;
    const auto told = std::find_if(
        state.findings.begin(), state.findings.end(), [&](const v1::Finding& reported) {
          return reported.status() == v1::STATUS_PENDING_REBOOT &&
                 reported.mode() == finding.mode() && reported.setting() == finding.setting();
        });
    if (told != state.findings.end() && told->configured() == finding.configured()) {
      finding.set_status(v1::STATUS_PENDING_REBOOT);
      finding.set_reason(told->reason());
    }
  }
}

HostPlan PlanHost(const std::vector<PolicyInForce>& policies, const HostRow& row,
                  HostReport report) {
  HostPlan out;
  out.set_host(row.name);
  out.set_id(row.uuid);
  if (row.epoch.empty()) return out;
  AddLabels(row, report.facts);
  Plan plan = MakePlan(Merge(policies, report.facts), report.state.observation, report.facts);
  KeepPending(report.state, plan.findings);
  for (const Edit& edit : plan.edits) {
    *out.add_changes() = ChangeOf(edit);
    out.set_restart(out.restart() || NeedsRestart(edit));
  }
  out.set_change_count(static_cast<std::uint32_t>(plan.edits.size()));
  out.set_state(WorstOf(plan.findings));
  for (v1::Finding& finding : plan.findings) *out.add_findings() = std::move(finding);
  return out;
}

// Whom to plan for, and under what.
struct Inputs {
  std::vector<PolicyInForce> policies;
  std::vector<HostRow> hosts;  // by name, then id
};

absl::StatusOr<Inputs> ReadInputs(Store& store, const v1::PlanPoliciesRequest& request) {
  Inputs inputs;
  ASSIGN_OR_RETURN(const std::vector<Draft> drafts, ReadDrafts(request.policies()));
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> rows, store.PoliciesInForce());
  ASSIGN_OR_RETURN(PoliciesByName in_force, ReadInForce(rows));
  inputs.policies = AsList(WithDrafts(std::move(in_force), drafts));
  if (!request.host().empty()) {
    ASSIGN_OR_RETURN(HostRow host, FindHostByText(store, request.host()));
    inputs.hosts.push_back(std::move(host));
    return inputs;
  }
  ASSIGN_OR_RETURN(inputs.hosts, HostsInFleet(store));
  std::sort(inputs.hosts.begin(), inputs.hosts.end(), [](const HostRow& a, const HostRow& b) {
    return std::tie(a.name, a.uuid) < std::tie(b.name, b.uuid);
  });
  return inputs;
}

absl::Status PlanAll(Store& store, const Inputs& inputs,
                     const std::function<absl::Status(HostPlan)>& each) {
  const std::span<const HostRow> all(inputs.hosts);
  for (std::size_t first = 0; first < all.size(); first += kHostsAtOnce) {
    const auto hosts = all.subspan(first, std::min(kHostsAtOnce, all.size() - first));
    std::vector<HostId> ids;
    for (const HostRow& host : hosts) ids.push_back(host.id);
    ASSIGN_OR_RETURN(std::vector<HostReport> reports, store.ReadReports(ids));
    for (std::size_t i = 0; i < hosts.size(); ++i) {
      RETURN_IF_ERROR(each(PlanHost(inputs.policies, hosts[i], std::move(reports[i]))));
    }
  }
  return absl::OkStatus();
}

void Count(const HostPlan& plan, v1::PlanPoliciesResponse& response) {
  const bool reported = plan.state() != v1::STATUS_UNSPECIFIED;
  ++(*response.mutable_states())[reported ? std::string(StatusWord(plan.state())) : "unknown"];
  response.set_host_count(response.host_count() + 1);
  response.set_changed_hosts(response.changed_hosts() + (plan.change_count() > 0 ? 1 : 0));
  response.set_restart_hosts(response.restart_hosts() + (plan.restart() ? 1 : 0));
  response.set_change_count(response.change_count() + plan.change_count());
}

void AddToSummary(HostPlan plan, v1::PlanPoliciesResponse& response) {
  if (plan.change_count() == 0 || response.hosts_size() >= kHostsInSummary) return;
  plan.clear_changes();
  plan.clear_findings();
  *response.add_hosts() = std::move(plan);
}

v1::ExplainedLayer LayerOf(const Layer& layer) {
  v1::ExplainedLayer out;
  out.set_policy(layer.policy);
  out.set_version(layer.version);
  out.set_priority(layer.priority);
  out.set_mode(std::string(ModeWord(layer.mode)));
  out.set_value(layer.value);
  out.set_won(layer.won);
  out.set_why(layer.why);
  return out;
}

// The enforced winner's value, else the audited one's.
std::string ValueOf(const std::vector<Layer>& layers) {
  const Layer* winner = nullptr;
  for (const Layer& layer : layers) {
    if (!layer.won) continue;
    if (winner == nullptr || layer.mode == v1::MODE_ENFORCE) winner = &layer;
    if (layer.mode == v1::MODE_ENFORCE) break;
  }
  return winner == nullptr ? "" : winner->value;
}

v1::ExplainedSetting ExplainOne(const std::string& setting, const std::vector<Layer>& layers,
                                const HostState& state) {
  v1::ExplainedSetting out;
  out.set_setting(setting);
  out.set_value(ValueOf(layers));
  for (const Layer& layer : layers) *out.add_layers() = LayerOf(layer);
  for (const v1::Finding& finding : state.findings) {
    if (finding.setting() == setting) *out.add_findings() = finding;
  }
  return out;
}

// The one asked for; else every one that a policy names.
absl::StatusOr<std::set<std::string>> SettingsAsked(const std::string& asked,
                                                    const std::vector<PolicyInForce>& policies) {
  std::set<std::string> named;
  for (const PolicyInForce& in_force : policies) {
    for (const DesiredValue& value : in_force.policy.settings) named.insert(value.setting);
  }
  if (asked.empty()) return named;
  if (FindSetting(asked) != nullptr || named.contains(asked)) return std::set{asked};
  const std::string near = NearestWord(asked, SettingIds());
  return absl::NotFoundError(absl::StrCat("there is no setting ", Quote(asked),
                                          near.empty()
                                              ? "; `dumpwarden-agent settings` lists them"
                                              : absl::StrCat("; did you mean ", near, "?")));
}

}  // namespace

absl::StatusOr<v1::PlanPoliciesResponse> PlanPolicies(Store& store,
                                                      const v1::PlanPoliciesRequest& request) {
  ASSIGN_OR_RETURN(const Inputs inputs, ReadInputs(store, request));
  v1::PlanPoliciesResponse response;
  response.set_summary(request.has_summary_from() && inputs.hosts.size() >= request.summary_from());
  std::size_t bytes = 0;
  RETURN_IF_ERROR(PlanAll(store, inputs, [&](HostPlan plan) -> absl::Status {
    Count(plan, response);
    if (response.summary()) {
      AddToSummary(std::move(plan), response);
      return absl::OkStatus();
    }
    bytes += plan.ByteSizeLong();
    if (bytes > kMaxAnswerBytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "the plan for ", inputs.hosts.size(), " hosts does not fit one answer of ",
          kMaxAnswerBytes, " bytes; ask for a summary, for one host, or plan fewer settings"));
    }
    *response.add_hosts() = std::move(plan);
    return absl::OkStatus();
  }));
  return response;
}

absl::Status PlanHosts(Store& store, const v1::PlanPoliciesRequest& request,
                       const std::function<absl::Status(const HostPlan& plan)>& each) {
  ASSIGN_OR_RETURN(const Inputs inputs, ReadInputs(store, request));
  return PlanAll(store, inputs, each);
}

absl::StatusOr<v1::ExplainHostResponse> ExplainHost(Store& store, const Hosts& hosts,
                                                    const v1::ExplainHostRequest& request) {
  ASSIGN_OR_RETURN(const HostRow row, FindHostByText(store, request.host()));
  ASSIGN_OR_RETURN(const v1::Facts facts, FactsOf(store, row));
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> rows, store.PoliciesInForce());
  ASSIGN_OR_RETURN(const PoliciesByName in_force, ReadInForce(rows));
  const std::vector<PolicyInForce> policies = AsList(in_force);
  ASSIGN_OR_RETURN(const auto settings, SettingsAsked(request.setting(), policies));
  HostState state;
  if (!row.epoch.empty()) {
    ASSIGN_OR_RETURN(state, store.ReadState(row.id));
  }
  const std::string doubt = hosts.DoubtOf(row);
  for (v1::Finding& finding : state.findings) Doubt(doubt, finding);
  v1::ExplainHostResponse response;
  *response.mutable_host() = hosts.Summarize(row, facts);
  for (const std::string& setting : settings) {
    *response.add_settings() = ExplainOne(setting, ExplainSetting(policies, facts, setting), state);
  }
  RETURN_IF_ERROR(CheckAnswer(response, "ask for one setting"));
  return response;
}

}  // namespace dumpwarden
