// SPDX-License-Identifier: Apache-2.0
// What a fleet would do under draft policies.  In JSON each host has its
// changes and findings exactly as the agent's own plan prints them; a summary
// has counts, and hosts that change without what they change.
#ifndef DUMPWARDEN_CORE_REPORT_FLEET_PLAN_REPORT_H_
#define DUMPWARDEN_CORE_REPORT_FLEET_PLAN_REPORT_H_

#include <string>

#include "core/report/table.h"
#include "dumpwarden/v1/admin.pb.h"

namespace dumpwarden {

std::string Render(const v1::PlanPoliciesResponse& plan, Format format);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_FLEET_PLAN_REPORT_H_
