// SPDX-License-Identifier: Apache-2.0
#include "agent/policy_intake.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/policy/policy.h"
#include "core/policy/policy_set.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxName = 63;
constexpr std::size_t kMaxProblems = 20;
constexpr int kMaxLoggedInAMinute = 20;
constexpr int kMaxInvalidSets = 3;
constexpr std::size_t kDigestBytes = 32;

absl::Status CheckEntry(const v1::PolicyEntry& entry) {
  if (entry.name().empty() || entry.name().size() > kMaxName) {
    return absl::InvalidArgumentError(absl::StrCat("a name of ", entry.name().size(),
                                                   " characters; accepted are 1 to ", kMaxName));
  }
  if (entry.digest().size() != kDigestBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(entry.name()), " has a digest of ", entry.digest().size(), " bytes"));
  }
  if (entry.version() > kMaxPolicyVersion) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quote(entry.name()), " has version ", entry.version(), "; at most ", kMaxPolicyVersion));
  }
  return absl::OkStatus();
}

absl::Status CheckSet(const v1::PolicySet& set) {
  if (set.entries_size() > kMaxPolicies) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", set.entries_size(), " policies; at most ", kMaxPolicies));
  }
  std::set<std::string> names;
  for (const v1::PolicyEntry& entry : set.entries()) {
    RETURN_IF_ERROR(CheckEntry(entry));
    if (!names.insert(entry.name()).second) {
      return absl::InvalidArgumentError(absl::StrCat("it has ", Quote(entry.name()), " twice"));
    }
  }
  const v1::PolicySet made = MakePolicySet({set.entries().begin(), set.entries().end()});
  if (made.digest() != set.digest()) {
    return absl::InvalidArgumentError("its digest is not that of its entries");
  }
  return absl::OkStatus();
}

v1::PolicyEntry EntryOf(const StoredPolicy& policy) {
  v1::PolicyEntry entry;
  entry.set_name(policy.name);
  entry.set_version(policy.version);
  entry.set_digest(policy.digest);
  return entry;
}

absl::StatusOr<Policy> Read(const std::string& name, const std::string& yaml) {
  ASSIGN_OR_RETURN(Policy policy, ReadPolicy(yaml, name, UnknownSettings::kKeep));
  if (policy.name != name) {
    return absl::InvalidArgumentError(
        absl::StrCat("the document calls itself ", Quote(policy.name)));
  }
  return policy;
}

}  // namespace

absl::Status PolicyIntake::Start() {
  ASSIGN_OR_RETURN(std::vector<StoredPolicy> stored, state_.Policies());
  std::vector<PolicyInForce> policies = ReadAll(stored);
  Use(std::move(stored), std::move(policies));
  return absl::OkStatus();
}

absl::StatusOr<Policy> PolicyIntake::ReadOnce(const std::string& name, const std::string& digest,
                                              const std::string& yaml) {
  const StoredPolicy* in_force = InForce(name);
  const bool same = in_force != nullptr && in_force->digest == digest;
  for (const PolicyInForce& known : policies_) {
    if (same && known.policy.name == name) return known.policy;
  }
  if (const auto at = fresh_.find({name, digest}); at != fresh_.end()) return at->second;
  absl::StatusOr<Policy> read = Read(name, yaml);
  if (read.ok()) fresh_.emplace(std::pair(name, digest), *read);
  return read;
}

std::vector<PolicyInForce> PolicyIntake::ReadAll(const std::vector<StoredPolicy>& stored) {
  std::vector<PolicyInForce> policies;
  for (const StoredPolicy& policy : stored) {
    absl::StatusOr<Policy> read = ReadOnce(policy.name, policy.digest, policy.yaml);
    if (read.ok()) {
      policies.push_back({*std::move(read), policy.version});
    } else {  // another program's version accepted it
      Refuse(absl::StrCat("policy ", policy.name, " version ", policy.version,
                          " is not in force: ", read.status().message()));
    }
  }
  return policies;
}

void PolicyIntake::Use(std::vector<StoredPolicy> stored, std::vector<PolicyInForce> policies) {
  std::vector<v1::PolicyEntry> entries;
  for (const StoredPolicy& policy : stored) entries.push_back(EntryOf(policy));
  digest_ = MakePolicySet(std::move(entries)).digest();
  stored_ = std::move(stored);
  policies_ = std::move(policies);
  fresh_.clear();
}

const StoredPolicy* PolicyIntake::InForce(const std::string& name) const {
  for (const StoredPolicy& policy : stored_) {
    if (policy.name == name) return &policy;
  }
  return nullptr;
}

const std::string* PolicyIntake::BytesOf(const std::string& digest) const {
  const auto received = documents_.find(digest);
  if (received != documents_.end()) return &received->second;
  for (const StoredPolicy& policy : stored_) {
    if (policy.digest == digest) return &policy.yaml;
  }
  return nullptr;
}

void PolicyIntake::Refuse(const std::string& what) {
  if (problems_.size() < kMaxProblems) problems_.push_back(what);
  if (clock_.Monotonic() - minute_ >= absl::Minutes(1)) {
    minute_ = clock_.Monotonic();
    logged_ = 0;
    if (not_logged_ > 0) {
      log_.Warning("more policies were refused", {{"count", absl::StrCat(not_logged_)}});
    }
    not_logged_ = 0;
  }
  if (logged_ >= kMaxLoggedInAMinute) {
    ++not_logged_;
    return;
  }
  ++logged_;
  log_.Warning("policy refused", {{"why", what}});
}

absl::StatusOr<bool> PolicyIntake::MayEnter(const v1::PolicyEntry& entry) {
  ASSIGN_OR_RETURN(const std::optional<SeenVersion> seen, state_.HighestSeen(entry.name()));
  if (!seen.has_value()) return true;
  if (entry.version() < seen->version) {
    Refuse(absl::StrCat("policy ", entry.name(), " version ", entry.version(),
                        " is older than version ", seen->version,
                        ", which was in force here; a revert must be a new version"));
    return false;
  }
  if (entry.version() == seen->version && entry.digest() != seen->digest) {
    Refuse(absl::StrCat("policy ", entry.name(), " version ", entry.version(),
                        " has other content than when it was in force here; "
                        "changed content must be a new version"));
    return false;
  }
  return true;
}

absl::StatusOr<PolicyIntake::Outcome> PolicyIntake::OnSet(const v1::PolicySet& set) {
  pending_.reset();
  const absl::Status checked = CheckSet(set);
  if (!checked.ok()) {
    Refuse(absl::StrCat("the server's policy set: ", checked.message()));
    Outcome outcome;
    outcome.hang_up = ++invalid_sets_ >= kMaxInvalidSets;
    return outcome;
  }
  problems_.clear();
  std::vector<v1::PolicyEntry> wanted;
  for (const v1::PolicyEntry& entry : set.entries()) {
    ASSIGN_OR_RETURN(const bool may_enter, MayEnter(entry));
    const StoredPolicy* in_force = InForce(entry.name());
    if (may_enter) {
      wanted.push_back(entry);
    } else if (in_force != nullptr) {
      wanted.push_back(EntryOf(*in_force));
    }
  }
  pending_ = std::move(wanted);
  Outcome outcome;
  std::map<std::string, std::string> still_wanted;
  for (const v1::PolicyEntry& entry : *pending_) {
    const auto received = documents_.find(entry.digest());
    if (received != documents_.end()) still_wanted.insert(*received);
    if (BytesOf(entry.digest()) != nullptr) continue;
    if (!outcome.request.has_value()) outcome.request.emplace();
    outcome.request->add_digests(entry.digest());
  }
  documents_ = std::move(still_wanted);
  if (outcome.request.has_value()) return outcome;
  return PutInForce();
}

absl::Status PolicyIntake::CheckDocument(const v1::PolicyDocument& document,
                                         const std::string& digest) const {
  if (document.yaml().size() > kMaxPolicyBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has ", document.yaml().size(), " bytes; at most ", kMaxPolicyBytes));
  }
  std::size_t total = document.yaml().size();
  for (const auto& [known, yaml] : documents_) total += yaml.size();
  if (total > kMaxPolicySetBytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all policies together have more than ", kMaxPolicySetBytes, " bytes"));
  }
  const bool wanted = pending_.has_value() &&
                      std::any_of(pending_->begin(), pending_->end(),
                                  [&](const v1::PolicyEntry& e) { return e.digest() == digest; });
  if (wanted) return absl::OkStatus();
  return absl::InvalidArgumentError("its SHA-256 is none that the policy set names");
}

absl::StatusOr<PolicyIntake::Outcome> PolicyIntake::OnDocument(const v1::PolicyDocument& document) {
  const std::string digest = Sha256(document.yaml());
  const absl::Status checked = CheckDocument(document, digest);
  if (!checked.ok()) {
    Refuse(absl::StrCat("document ", Quote(document.name()), ": ", checked.message()));
    return Outcome();
  }
  documents_[digest] = document.yaml();
  for (const v1::PolicyEntry& entry : *pending_) {
    if (BytesOf(entry.digest()) == nullptr) return Outcome();
  }
  return PutInForce();
}

std::optional<StoredPolicy> PolicyIntake::Accept(const v1::PolicyEntry& entry) {
  const std::string& yaml = *BytesOf(entry.digest());
  const absl::StatusOr<Policy> read = ReadOnce(entry.name(), entry.digest(), yaml);
  if (read.ok()) return StoredPolicy{entry.name(), entry.version(), entry.digest(), yaml};
  const StoredPolicy* in_force = InForce(entry.name());
  Refuse(absl::StrCat("policy ", entry.name(), " version ", entry.version(),
                      " cannot be read by this agent; ",
                      in_force == nullptr ? std::string("it has no earlier version here")
                                          : absl::StrCat("version ", in_force->version, " stays"),
                      ": ", read.status().message()));
  if (in_force == nullptr) return std::nullopt;
  return *in_force;
}

absl::StatusOr<PolicyIntake::Outcome> PolicyIntake::PutInForce() {
  std::vector<StoredPolicy> next;
  fresh_.clear();
  for (const v1::PolicyEntry& entry : *pending_) {
    std::optional<StoredPolicy> policy = Accept(entry);
    if (policy.has_value()) next.push_back(*std::move(policy));
  }
  pending_.reset();
  documents_.clear();
  std::sort(next.begin(), next.end(),
            [](const StoredPolicy& a, const StoredPolicy& b) { return a.name < b.name; });
  Outcome outcome;
  outcome.in_force = next != stored_;
  if (!outcome.in_force) {
    RETURN_IF_ERROR(state_.SetPolicyProblems(absl::StrJoin(problems_, "\n")));
    return outcome;
  }
  std::vector<PolicyInForce> policies = ReadAll(next);
  RETURN_IF_ERROR(state_.PutPolicies(next, absl::StrJoin(problems_, "\n")));
  FAILPOINT("agent.policies-kept");
  Use(std::move(next), std::move(policies));
  log_.Info("policies in force", {{"policies", absl::StrCat(stored_.size())}});
  return outcome;
}

void PolicyIntake::OnDisconnected() {
  problems_.clear();
  invalid_sets_ = 0;
  pending_.reset();
  documents_.clear();
}

}  // namespace dumpwarden
