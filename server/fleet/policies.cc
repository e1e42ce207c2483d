// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/policies.h"

#include <algorithm>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"
#include "core/policy/policy_set.h"
#include "core/reconcile/status.h"
#include "server/fleet/answers.h"
#include "server/fleet/hosts.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxFileName = 1024;

using RowsByName = std::map<std::string, PolicyRow>;

RowsByName ByName(std::vector<PolicyRow> rows) {
  RowsByName by_name;
  for (PolicyRow& row : rows) by_name.emplace(row.name, std::move(row));
  return by_name;
}

// Of the content alone: the numbers of versions are the store's to give.
std::string ContentDigest(const RowsByName& rows) {
  std::vector<v1::PolicyEntry> entries;
  for (const auto& [name, row] : rows) {
    v1::PolicyEntry& entry = entries.emplace_back();
    entry.set_name(name);
    entry.set_digest(row.digest);
  }
  return MakePolicySet(std::move(entries)).digest();
}

absl::Status CheckSize(const RowsByName& rows) {
  std::size_t bytes = 0;
  for (const auto& [name, row] : rows) bytes += row.yaml.size();
  if (rows.size() > kMaxPolicies) {
    return absl::ResourceExhaustedError(absl::StrCat(
        rows.size(), " policies would be in force; at most ", kMaxPolicies, " are accepted"));
  }
  if (bytes > kMaxPolicySetBytes) {
    return absl::ResourceExhaustedError(absl::StrCat("the policies in force would have ", bytes,
                                                     " bytes; at most ", kMaxPolicySetBytes,
                                                     " are accepted"));
  }
  return absl::OkStatus();
}

std::vector<PolicyRow> RowsOf(const std::vector<Draft>& drafts, const std::string& author) {
  std::vector<PolicyRow> rows;
  for (const Draft& draft : drafts) {
    PolicyRow& row = rows.emplace_back();
    row.name = draft.policy.name;
    row.version = draft.policy.version.value_or(0);
    row.yaml = draft.yaml;
    row.digest = draft.digest;
    row.author = author;
  }
  return rows;
}

// What PutPolicies would answer, as far as the versions in force tell.
absl::StatusOr<v1::AppliedPolicy> Preview(const PolicyRow& draft, const RowsByName& before) {
  const auto at = before.find(draft.name);
  const std::uint64_t current = at == before.end() ? 0 : at->second.version;
  v1::AppliedPolicy applied;
  applied.set_name(draft.name);
  applied.set_changed(at == before.end() || at->second.digest != draft.digest);
  if (applied.changed() && draft.version != 0 && draft.version <= current) {
    return absl::AbortedError(absl::StrCat("policy ", draft.name, ": version ", draft.version,
                                           " is not above ", current, ", which is in force"));
  }
  const std::uint64_t next = draft.version != 0 ? draft.version : current + 1;
  applied.set_version(applied.changed() ? next : current);
  return applied;
}

using ConflictKey = std::tuple<std::string, v1::Mode, std::vector<std::string>>;

std::set<ConflictKey> ConflictsOf(const Desired& desired) {
  std::set<ConflictKey> conflicts;
  for (const Decision& decision : desired.decisions) {
    if (decision.conflict.empty()) continue;
    conflicts.emplace(decision.setting, decision.mode, decision.conflict);
  }
  return conflicts;
}

bool Names(const ConflictKey& conflict, const std::set<std::string>& policies) {
  const std::vector<std::string>& names = std::get<2>(conflict);
  return std::any_of(names.begin(), names.end(),
                     [&](const std::string& name) { return policies.contains(name); });
}

// Drafts that would put something else in force.
std::set<std::string> ChangedBy(const std::vector<Draft>& drafts, const RowsByName& before) {
  std::set<std::string> changed;
  for (const Draft& draft : drafts) {
    const auto at = before.find(draft.policy.name);
    if (at == before.end() || at->second.digest != draft.digest) changed.insert(draft.policy.name);
  }
  return changed;
}

v1::PolicySummary SummaryOf(const PolicyRow& row) {
  v1::PolicySummary summary;
  summary.set_name(row.name);
  summary.set_version(row.version);
  summary.set_digest(absl::BytesToHexString(row.digest));
  summary.set_author(row.author);
  *summary.mutable_at() = ToTimestamp(row.at);
  // An older version may name settings that this table no longer has.
  if (const auto policy = ReadPolicy(row.yaml, row.name, UnknownSettings::kKeep); policy.ok()) {
    summary.set_mode(std::string(ModeWord(policy->mode)));
    summary.set_priority(policy->priority);
    summary.set_description(policy->description);
  }
  return summary;
}

std::string NamesOf(const std::vector<Draft>& drafts) {
  return absl::StrJoin(drafts, ",",
                       [](std::string* out, const Draft& draft) { *out += draft.policy.name; });
}

}  // namespace

absl::StatusOr<std::vector<Draft>> ReadDrafts(const PolicySources& sources) {
  if (sources.empty()) return absl::InvalidArgumentError("no policy was given");
  if (sources.size() > kMaxPolicies) {
    return absl::InvalidArgumentError(absl::StrCat(
        sources.size(), " policies in one call; at most ", kMaxPolicies, " are accepted"));
  }
  std::vector<Draft> drafts;
  std::vector<std::string> problems;
  std::map<std::string, std::string> file_of;
  for (const v1::PolicySource& source : sources) {
    const std::string file = Printable(absl::string_view(source.file()).substr(0, kMaxFileName));
    absl::StatusOr<Policy> policy = ReadPolicy(source.yaml(), file);
    if (!policy.ok()) {
      problems.emplace_back(policy.status().message());
      continue;
    }
    const auto [first, is_new] = file_of.emplace(policy->name, file);
    if (!is_new) {
      problems.push_back(absl::StrCat(file, ":1:1: metadata.name: ", policy->name,
                                      " is in this call already, from ", first->second,
                                      "; give each policy once"));
    }
    drafts.push_back({file, source.yaml(), Sha256(source.yaml()), *std::move(policy)});
  }
  if (!problems.empty()) return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  return drafts;
}

absl::StatusOr<PoliciesByName> ReadInForce(const std::vector<PolicyRow>& rows) {
  PoliciesByName policies;
  for (const PolicyRow& row : rows) {
    ASSIGN_OR_RETURN(Policy policy, ReadPolicy(row.yaml, row.name, UnknownSettings::kKeep));
    policies[row.name] = {std::move(policy), row.version};
  }
  return policies;
}

PoliciesByName WithDrafts(PoliciesByName policies, const std::vector<Draft>& drafts) {
  for (const Draft& draft : drafts) {
    PolicyInForce& place = policies[draft.policy.name];
    place.version = draft.policy.version.value_or(place.version + 1);
    place.policy = draft.policy;
  }
  return policies;
}

std::vector<PolicyInForce> AsList(const PoliciesByName& policies) {
  std::vector<PolicyInForce> list;
  for (const auto& [name, policy] : policies) list.push_back(policy);
  return list;
}

absl::Status Policies::CheckConflicts(const PoliciesByName& before, const PoliciesByName& after,
                                      const std::set<std::string>& changed) {
  const std::vector<PolicyInForce> old_list = AsList(before);
  const std::vector<PolicyInForce> new_list = AsList(after);
  ASSIGN_OR_RETURN(const std::vector<HostRow> hosts, HostsInFleet(store_));
  std::string first;
  std::size_t count = 0;
  for (const HostRow& host : hosts) {
    ASSIGN_OR_RETURN(const v1::Facts facts, FactsOf(store_, host));
    const std::set<ConflictKey> now = ConflictsOf(Merge(new_list, facts));
    if (now.empty()) continue;
    const std::set<ConflictKey> then = ConflictsOf(Merge(old_list, facts));
    const auto fresh = std::find_if(now.begin(), now.end(), [&](const ConflictKey& key) {
      return !then.contains(key) || Names(key, changed);
    });
    if (fresh == now.end() || ++count > 1) continue;
    first = absl::StrCat(std::get<0>(*fresh), ": the policies ",
                         absl::StrJoin(std::get<2>(*fresh), " and "),
                         " have the same priority and want different values on host ",
                         Printable(host.name), " (", host.uuid, ")");
  }
  if (count == 0) return absl::OkStatus();
  const std::string more = count == 1 ? "" : absl::StrCat(", and on ", count - 1, " more");
  return absl::AbortedError(
      absl::StrCat(first, more, "; nothing was written: change one's priority or selector"));
}

absl::StatusOr<v1::ApplyPoliciesResponse> Policies::Apply(const v1::ApplyPoliciesRequest& request,
                                                          const Actor& actor) {
  ASSIGN_OR_RETURN(const std::vector<Draft> drafts, ReadDrafts(request.policies()));
  std::lock_guard lock(changing_);
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> in_force, store_.PoliciesInForce());
  ASSIGN_OR_RETURN(const PoliciesByName before, ReadInForce(in_force));
  const RowsByName rows_before = ByName(in_force);
  RETURN_IF_ERROR(
      CheckConflicts(before, WithDrafts(before, drafts), ChangedBy(drafts, rows_before)));
  RowsByName rows_after = rows_before;
  const std::vector<PolicyRow> rows = RowsOf(drafts, actor.id);
  v1::ApplyPoliciesResponse response;
  for (const PolicyRow& row : rows) {
    ASSIGN_OR_RETURN(*response.add_policies(), Preview(row, rows_before));
    rows_after[row.name] = row;
  }
  RETURN_IF_ERROR(CheckSize(rows_after));
  if (request.dry_run()) return response;
  ASSIGN_OR_RETURN(std::vector<v1::AppliedPolicy> applied,
                   store_.PutPolicies(rows, {.actor = actor.id,
                                             .source = actor.source,
                                             .action = "policy.apply",
                                             .object = NamesOf(drafts),
                                             .detail = absl::StrCat(drafts.size(), " given"),
                                             .before = ContentDigest(rows_before),
                                             .after = ContentDigest(rows_after)}));
  FAILPOINT("server.policy-committed");
  response.mutable_policies()->Clear();
  bool changed = false;
  for (v1::AppliedPolicy& policy : applied) {
    changed |= policy.changed();
    *response.add_policies() = std::move(policy);
  }
  if (changed) response.set_sessions(fleet_.PoliciesChanged());
  return response;
}

absl::StatusOr<v1::DeletePolicyResponse> Policies::Delete(const v1::DeletePolicyRequest& request,
                                                          const Actor& actor) {
  std::lock_guard lock(changing_);
  ASSIGN_OR_RETURN(const PolicyRow row, store_.GetPolicy(request.name(), 0));
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> in_force, store_.PoliciesInForce());
  ASSIGN_OR_RETURN(PoliciesByName after, ReadInForce(in_force));
  const PoliciesByName before = after;
  after.erase(row.name);
  // What stood above a conflict may go away and lay it open.
  RETURN_IF_ERROR(CheckConflicts(before, after, {}));
  v1::DeletePolicyResponse response;
  response.set_version(row.version);
  if (request.dry_run()) return response;
  const RowsByName rows_before = ByName(in_force);
  RowsByName rows_after = rows_before;
  rows_after.erase(row.name);
  ASSIGN_OR_RETURN(const std::uint64_t version,
                   store_.DeletePolicy(row.name, {.actor = actor.id,
                                                  .source = actor.source,
                                                  .action = "policy.delete",
                                                  .object = row.name,
                                                  .detail = absl::StrCat("version ", row.version),
                                                  .before = ContentDigest(rows_before),
                                                  .after = ContentDigest(rows_after)}));
  response.set_version(version);
  fleet_.PoliciesChanged();
  return response;
}

absl::StatusOr<v1::ListPoliciesResponse> Policies::List() {
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> rows, store_.PoliciesInForce());
  v1::ListPoliciesResponse response;
  for (const PolicyRow& row : rows) *response.add_policies() = SummaryOf(row);
  return response;
}

absl::StatusOr<v1::GetPolicyResponse> Policies::Get(const v1::GetPolicyRequest& request) {
  ASSIGN_OR_RETURN(const PolicyRow row, store_.GetPolicy(request.name(), request.version()));
  v1::GetPolicyResponse response;
  *response.mutable_policy() = SummaryOf(row);
  response.set_yaml(row.yaml);
  return response;
}

}  // namespace dumpwarden
