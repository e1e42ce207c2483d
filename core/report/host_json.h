// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_REPORT_HOST_JSON_H_
#define DUMPWARDEN_CORE_REPORT_HOST_JSON_H_

#include "core/report/json.h"
#include "core/report/plan_report.h"

namespace dumpwarden {

// The names are those of the facts file; what is not known is left out.
Json HostToJson(const HostContext& host);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_HOST_JSON_H_
