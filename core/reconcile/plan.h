// SPDX-License-Identifier: Apache-2.0
// A Plan is the list of edits that would make a host match its policies, and
// what is to be said of each setting.  Making one compares values and touches
// nothing; apply.h carries it out.  The server makes the same plan from a
// stored observation.
#ifndef DUMPWARDEN_CORE_RECONCILE_PLAN_H_
#define DUMPWARDEN_CORE_RECONCILE_PLAN_H_

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/catalog/registry_value.h"
#include "core/policy/merge.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

struct Edit {
  enum class Action { kDelete, kSet, kMakeFolder };
  Action action = Action::kSet;
  std::string setting;
  std::string key;   // kMakeFolder: the folder, D:\Dumps
  std::string name;  // kMakeFolder: empty
  std::optional<RegistryValue> from;
  std::optional<RegistryValue> to;
  std::vector<std::string> also{};  // kMakeFolder: further settings that need it
};
absl::string_view ActionWord(Edit::Action action);  // delete | set | mkdir

struct Plan {
  std::vector<Edit> edits;            // deletions, then folders, then sets; each in table order
  std::vector<v1::Finding> findings;  // in order of Desired
};

// `at_boot` is the snapshot of this boot, when there is one: what is configured as desired but was
// not so at boot is pending-reboot (see Effect).  Without one configured is taken as effective.
Plan MakePlan(const Desired& desired, const v1::Observation& observed, const v1::Facts& facts,
              const v1::Observation* at_boot = nullptr);

// The settings that a plan writes.
std::set<std::string> SettingsOf(const Plan& plan);

// Findings made after these settings were written: of them, what now complies is corrected.
void MarkCorrected(const std::set<std::string>& written, std::vector<v1::Finding>& findings);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_PLAN_H_
