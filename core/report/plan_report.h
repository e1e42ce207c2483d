// SPDX-License-Identifier: Apache-2.0
// What plan and apply say: the host as far as it is known, the edits, the
// findings.  The JSON is a contract: design section 9.
#ifndef DUMPWARDEN_CORE_REPORT_PLAN_REPORT_H_
#define DUMPWARDEN_CORE_REPORT_PLAN_REPORT_H_

#include <optional>
#include <string>
#include <vector>

#include "core/reconcile/plan.h"
#include "core/report/table.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// HostContext is what this process knows of the host that it looks at.
struct HostContext {
  v1::Facts facts;       // what is not known is not set
  std::string registry;  // as it was given: reg:FILE
  std::vector<std::string> warnings;
};

struct PlanReport {
  HostContext host;
  Plan plan;
  // Not set: a plan.  Set: an apply, and where the backup is; empty when nothing was done.
  std::optional<std::string> backup;
};

std::string Render(const PlanReport& report, Format format);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_PLAN_REPORT_H_
