// SPDX-License-Identifier: Apache-2.0
#include "server/store/policies.h"

#include <algorithm>
#include <iterator>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/policy/policy_set.h"
#include "server/store/backup.h"

namespace dumpwarden {
namespace {

// How far a version may lie above the highest so far: nobody uses the numbers up in one step,
// neither an author nor a host that reports what it never had.
constexpr std::uint64_t kMaxStep = 1'000'000;

constexpr absl::string_view kSelectPolicy =
    "SELECT p.name, p.version, p.yaml, p.digest, p.author, p.at, f.name IS NOT NULL "
    "FROM policy p LEFT JOIN policy_in_force f ON f.name = p.name AND f.version = p.version ";

PolicyRow PolicyOf(const Statement& row) {
  PolicyRow policy;
  policy.name = row.Text(0);
  policy.version = static_cast<std::uint64_t>(row.Int(1));
  policy.yaml = row.Blob(2);
  policy.digest = row.Blob(3);
  policy.author = row.Text(4);
  policy.at = absl::FromUnixMicros(row.Int(5));
  policy.in_force = row.Int(6) != 0;
  return policy;
}

absl::StatusOr<std::optional<PolicyRow>> First(Statement select) {
  ASSIGN_OR_RETURN(const bool row, select.Step());
  return row ? std::make_optional(PolicyOf(select)) : std::nullopt;
}

absl::StatusOr<std::optional<PolicyRow>> InForce(Database& db, const std::string& name) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare(absl::StrCat(kSelectPolicy, "WHERE f.name IS NOT NULL AND p.name = ?")));
  select.Bind(1, name);
  return First(std::move(select));
}

absl::StatusOr<std::optional<PolicyRow>> Newest(Database& db, const std::string& name) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare(absl::StrCat(kSelectPolicy, "WHERE p.name = ? ORDER BY p.version DESC LIMIT 1")));
  select.Bind(1, name);
  return First(std::move(select));
}

// The highest version that agents may refuse to go below, as far as that is believed.
std::uint64_t HighestEver(const ReportedVersions& reported, const std::string& name,
                          std::uint64_t newest) {
  const auto of_name = reported.find(name);
  if (of_name == reported.end()) return newest;
  const auto beyond = of_name->second.upper_bound(newest + kMaxStep);
  if (beyond == of_name->second.begin()) return newest;
  return std::max(newest, *std::prev(beyond));
}

absl::Status CheckVersion(const PolicyRow& policy, std::uint64_t version, std::uint64_t highest) {
  if (version > kMaxPolicyVersion) {
    return absl::InvalidArgumentError(absl::StrCat("policy ", Quote(policy.name), ": version ",
                                                   version, " is too large; at most ",
                                                   kMaxPolicyVersion, " is accepted"));
  }
  if (version <= highest + kMaxStep) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("policy ", Quote(policy.name), ": version ", version, " is more than ", kMaxStep,
                   " above version ", highest,
                   ", the highest so far; agents never go back, so such a step "
                   "cannot be undone; give it version ",
                   highest + 1, ", or none"));
}

absl::Status InsertPolicy(Database& db, const PolicyRow& policy, std::uint64_t version,
                          absl::Time at) {
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO policy (name, version, yaml, digest, author, at) "
                              "VALUES (?, ?, ?, ?, ?, ?)"));
  return insert.Bind(1, policy.name)
      .Bind(2, static_cast<std::int64_t>(version))
      .BindBlob(3, policy.yaml)
      .BindBlob(4, policy.digest)
      .Bind(5, policy.author)
      .Bind(6, absl::ToUnixMicros(at))
      .Run();
}

absl::Status PutInForce(Database& db, const std::string& name, std::uint64_t version) {
  ASSIGN_OR_RETURN(Statement put,
                   db.Prepare("INSERT INTO policy_in_force (name, version) VALUES (?, ?) "
                              "ON CONFLICT (name) DO UPDATE SET version = excluded.version"));
  return put.Bind(1, name).Bind(2, static_cast<std::int64_t>(version)).Run();
}

absl::Status NotAbove(const PolicyRow& policy, const PolicyRow& newest) {
  return absl::AbortedError(absl::StrCat(
      "policy ", Quote(policy.name), ": version ", policy.version,
      newest.version == policy.version ? " exists already with other text"
                                       : absl::StrCat(" is not above version ", newest.version,
                                                      ", the newest that the server has"),
      "; give it version ", newest.version + 1, " or more, or none"));
}

absl::Status GivenOutBefore(const PolicyRow& policy, std::uint64_t floor) {
  return absl::AbortedError(absl::StrCat(
      "policy ", Quote(policy.name), ": version ", policy.version,
      " may have been given out by the server that this one was restored from, and hosts that have "
      "it would refuse other text; give it version ",
      floor + 1, " or more, or none"));
}

}  // namespace

absl::StatusOr<ReportedVersions> SelectReportedVersions(Database& db) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT DISTINCT policy, policy_version FROM finding"));
  ReportedVersions reported;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return reported;
    reported[select.Text(0)].insert(static_cast<std::uint64_t>(select.Int(1)));
  }
}

absl::StatusOr<PutOutcome> PutPolicy(Database& db, const PolicyRow& policy,
                                     const ReportedVersions& reported, absl::Time at) {
  ASSIGN_OR_RETURN(const std::optional<PolicyRow> in_force, InForce(db, policy.name));
  ASSIGN_OR_RETURN(const std::optional<PolicyRow> newest, Newest(db, policy.name));
  PutOutcome outcome;
  outcome.applied.set_name(policy.name);
  if (in_force.has_value()) outcome.before = in_force->digest;
  if (in_force.has_value() && in_force->digest == policy.digest) {
    outcome.applied.set_version(in_force->version);
    return outcome;
  }
  const std::uint64_t last = newest.has_value() ? newest->version : 0;
  const std::uint64_t highest = HighestEver(reported, policy.name, last);
  const absl::Time made = newest.has_value() ? newest->at : absl::InfinitePast();
  ASSIGN_OR_RETURN(const std::uint64_t floor, VersionFloor(db, last, made));
  const std::uint64_t next = std::max(highest, floor) + 1;
  const std::uint64_t version = policy.version == 0 ? next : policy.version;
  // The same text under the same number, deleted meanwhile: it comes back.
  const bool known = version == last && newest->digest == policy.digest;
  if (version <= last && !known) return NotAbove(policy, *newest);
  if (version <= floor && !known) return GivenOutBefore(policy, floor);
  RETURN_IF_ERROR(CheckVersion(policy, version, std::max(highest, floor)));
  if (!known) RETURN_IF_ERROR(InsertPolicy(db, policy, version, at));
  RETURN_IF_ERROR(PutInForce(db, policy.name, version));
  outcome.applied.set_version(version);
  outcome.applied.set_changed(true);
  return outcome;
}

absl::Status CheckPolicyLimits(Database& db) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT COUNT(*), COALESCE(SUM(length(p.yaml)), 0) "
                              "FROM policy_in_force f JOIN policy p USING (name, version)"));
  RETURN_IF_ERROR(select.Step().status());
  if (select.Int(0) <= kMaxPolicies && select.Int(1) <= std::int64_t{kMaxPolicySetBytes}) {
    return absl::OkStatus();
  }
  return absl::ResourceExhaustedError(absl::StrCat(
      "with these, ", select.Int(0), " policies of ", select.Int(1),
      " bytes would be in force; every host gets all of them, so at most ", kMaxPolicies,
      " policies and ", kMaxPolicySetBytes, " bytes are accepted: delete or merge some first"));
}

absl::StatusOr<PolicyRow> WithdrawPolicy(Database& db, const std::string& name) {
  ASSIGN_OR_RETURN(std::optional<PolicyRow> policy, InForce(db, name));
  if (!policy.has_value()) {
    return absl::NotFoundError(absl::StrCat("no policy ", Quote(name), " is in force"));
  }
  ASSIGN_OR_RETURN(Statement remove, db.Prepare("DELETE FROM policy_in_force WHERE name = ?"));
  RETURN_IF_ERROR(remove.Bind(1, name).Run());
  return *std::move(policy);
}

absl::StatusOr<std::vector<PolicyRow>> SelectPoliciesInForce(Database& db) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare(absl::StrCat(kSelectPolicy, "WHERE f.name IS NOT NULL ORDER BY p.name")));
  std::vector<PolicyRow> policies;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return policies;
    policies.push_back(PolicyOf(select));
  }
}

absl::StatusOr<PolicyRow> SelectPolicy(Database& db, const std::string& name,
                                       std::uint64_t version) {
  if (version == 0) {
    ASSIGN_OR_RETURN(std::optional<PolicyRow> policy, InForce(db, name));
    if (policy.has_value()) return *std::move(policy);
    return absl::NotFoundError(absl::StrCat("no policy ", Quote(name), " is in force"));
  }
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare(absl::StrCat(kSelectPolicy, "WHERE p.name = ? AND p.version = ?")));
  select.Bind(1, name).Bind(2, static_cast<std::int64_t>(version));
  ASSIGN_OR_RETURN(std::optional<PolicyRow> policy, First(std::move(select)));
  if (policy.has_value()) return *std::move(policy);
  return absl::NotFoundError(
      absl::StrCat("there is no version ", version, " of the policy ", Quote(name)));
}

}  // namespace dumpwarden
