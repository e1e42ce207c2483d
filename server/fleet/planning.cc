// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/planning.h"

#include <algorithm>
#include <set>
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
        state.findings.begin(), state.findings.end(),
        [&](const v1::Finding& reported) { return FindingKey(reported) == FindingKey(finding); });
    if (told != state.findings.end() && told->status() == v1::STATUS_PENDING_REBOOT &&
        told->configured() == finding.configured()) {
      finding.set_status(v1::STATUS_PENDING_REBOOT);
      finding.set_reason(told->reason());
    }
  }
}

absl::StatusOr<HostPlan> PlanHost(Store& store, const HostRow& row,
                                  const std::vector<PolicyInForce>& policies) {
  HostPlan out;
  out.set_host(row.name);
  out.set_id(row.uuid);
  if (row.epoch.empty()) return out;
  ASSIGN_OR_RETURN(const v1::Facts facts, FactsOf(store, row));
  ASSIGN_OR_RETURN(const HostState state, store.ReadState(row.id));
  Plan plan = MakePlan(Merge(policies, facts), state.observation, facts);
  KeepPending(state, plan.findings);
  for (const Edit& edit : plan.edits) {
    *out.add_changes() = ChangeOf(edit);
    out.set_restart(out.restart() || NeedsRestart(edit));
  }
  out.set_state(WorstOf(plan.findings));
  for (v1::Finding& finding : plan.findings) *out.add_findings() = std::move(finding);
  return out;
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
  ASSIGN_OR_RETURN(const std::vector<Draft> drafts, ReadDrafts(request.policies()));
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> rows, store.PoliciesInForce());
  ASSIGN_OR_RETURN(PoliciesByName in_force, ReadInForce(rows));
  const std::vector<PolicyInForce> policies = AsList(WithDrafts(std::move(in_force), drafts));
  ASSIGN_OR_RETURN(std::vector<HostRow> hosts, store.ListHosts());
  std::sort(hosts.begin(), hosts.end(), [](const HostRow& a, const HostRow& b) {
    return std::tie(a.name, a.uuid) < std::tie(b.name, b.uuid);
  });
  v1::PlanPoliciesResponse response;
  std::size_t bytes = 0;
  for (const HostRow& host : hosts) {
    ASSIGN_OR_RETURN(HostPlan plan, PlanHost(store, host, policies));
    const bool reported = plan.state() != v1::STATUS_UNSPECIFIED;
    ++(*response.mutable_states())[reported ? std::string(StatusWord(plan.state())) : "unknown"];
    bytes += plan.ByteSizeLong();
    if (bytes > kMaxAnswerBytes) break;  // refused below
    *response.add_hosts() = std::move(plan);
  }
  if (bytes > kMaxAnswerBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the plan for ", hosts.size(), " hosts does not fit one answer of ",
                     kMaxAnswerBytes, " bytes; plan fewer settings at a time"));
  }
  return response;
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
