// SPDX-License-Identifier: Apache-2.0
// What observe says: every setting as it is configured, and the raw cells; or
// a policy that asks for exactly that.
#ifndef DUMPWARDEN_CORE_REPORT_OBSERVATION_REPORT_H_
#define DUMPWARDEN_CORE_REPORT_OBSERVATION_REPORT_H_

#include <string>

#include "core/report/plan_report.h"
#include "core/report/table.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

std::string Render(const HostContext& host, const v1::Observation& observation, Format format);

// A DumpPolicy that this host meets as it stands.  What no policy can ask for (custom data, cells
// that could not be read, settings that this Windows ignores) is a comment.
std::string PolicyYaml(const HostContext& host, const v1::Observation& observation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_OBSERVATION_REPORT_H_
