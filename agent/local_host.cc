// SPDX-License-Identifier: Apache-2.0
#include "agent/local_host.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/policy/facts.h"
#include "core/policy/policy.h"
#include "core/policy/selector.h"
#include "core/reconcile/observe.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

// Above the readers' own limits, so that it is they who say what is too large.
constexpr std::size_t kMaxRead = 16 * 1024 * 1024;

absl::StatusOr<std::string> ReadInput(Vfs& vfs, const std::string& path, absl::string_view what,
                                      absl::string_view option) {
  absl::StatusOr<std::string> text = vfs.Read(path, kMaxRead);
  if (text.ok()) return text;
  return absl::InvalidArgumentError(absl::StrCat("cannot read ", what,
                                                 "\n  why: ", text.status().message(),
                                                 "\n  do:  name a ", what, " file with ", option));
}

absl::StatusOr<v1::Facts> LoadFacts(Vfs& vfs, const std::string& path) {
  if (path.empty()) return v1::Facts();
  ASSIGN_OR_RETURN(const std::string yaml, ReadInput(vfs, path, "facts", "--facts"));
  return ReadFacts(yaml, path);
}

struct ReadPolicies {
  std::vector<PolicyInForce> policies;
  std::vector<std::string> problems;
  std::map<std::string, std::string> file_of;  // policy -> file
};

void Add(Policy policy, const std::string& path, ReadPolicies& read) {
  const auto added = read.file_of.emplace(policy.name, path);
  if (!added.second) {
    read.problems.push_back(absl::StrCat(path, ":1:1: metadata.name: policy ", policy.name,
                                         " is in ", added.first->second,
                                         " too; give one another name"));
    return;
  }
  const std::uint64_t version = policy.version.value_or(0);
  read.policies.push_back({std::move(policy), version});
}

absl::StatusOr<std::vector<PolicyInForce>> LoadPolicies(Vfs& vfs,
                                                        const std::vector<std::string>& paths) {
  ReadPolicies read;
  for (const std::string& path : paths) {
    ASSIGN_OR_RETURN(const std::string yaml, ReadInput(vfs, path, "policy", "-f"));
    absl::StatusOr<Policy> policy = ReadPolicy(yaml, path);
    if (policy.ok()) {
      Add(*std::move(policy), path, read);
    } else {
      read.problems.emplace_back(policy.status().message());
    }
  }
  if (read.problems.empty()) return std::move(read.policies);
  return absl::InvalidArgumentError(absl::StrJoin(read.problems, "\n"));
}

}  // namespace

LocalHost::LocalHost(const LocalHostOptions& options, std::unique_ptr<Vfs> vfs, v1::Facts facts,
                     OpenedRegistry opened)
    : spec_(options.registry),
      vfs_(std::move(vfs)),
      clock_(MakeSystemClock()),
      facts_(std::move(facts)),
      folders_(facts_),
      opened_(std::move(opened)) {}

absl::StatusOr<std::unique_ptr<LocalHost>> LocalHost::Open(const LocalHostOptions& options) {
  std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  ASSIGN_OR_RETURN(v1::Facts facts, LoadFacts(*vfs, options.facts));
  ASSIGN_OR_RETURN(OpenedRegistry opened,
                   OpenRegistry(options.registry, *vfs, options.force_dirty));
  return std::unique_ptr<LocalHost>(
      new LocalHost(options, std::move(vfs), std::move(facts), std::move(opened)));
}

v1::Observation LocalHost::Look(const Desired& desired) {
  return Observe(*opened_.registry, folders_, desired, facts_);
}

Applier LocalHost::MakeApplier() {
  return Applier(*opened_.registry, folders_, *vfs_, *clock_, opened_.place);
}

absl::StatusOr<bool> LocalHost::IsInterrupted() {
  return vfs_->Exists(absl::StrCat(opened_.place.folder, "/undo"));
}

HostContext LocalHost::Context() { return {facts_, spec_, opened_.registry->Warnings()}; }

absl::StatusOr<HostContext> LocalHost::ContextBeforeMending() {
  HostContext context = Context();
  ASSIGN_OR_RETURN(const bool cut_off, opened_.registry->WasCutOff());
  if (!cut_off) return context;
  context.warnings.push_back(absl::StrCat(
      "a write to ", absl::StrJoin(opened_.files, " or "),
      " is under way or was killed; what another program wrote in that instant would be beside it "
      "in *.dumpwarden-tmp, and the next apply, or start of the service, puts it back"));
  return context;
}

absl::StatusOr<Desired> ReadDesired(Vfs& vfs, const std::vector<std::string>& paths,
                                    const v1::Facts& facts, std::ostream& err) {
  ASSIGN_OR_RETURN(const std::vector<PolicyInForce> policies, LoadPolicies(vfs, paths));
  for (const PolicyInForce& one : policies) {
    const std::string why = WhyNot(one.policy.selector, facts);
    if (!why.empty()) {
      err << "note: policy " << one.policy.name << " is not for this host: " << Printable(why)
          << "\n";
    }
  }
  return Merge(policies, facts);
}

}  // namespace dumpwarden
