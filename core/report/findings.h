// SPDX-License-Identifier: Apache-2.0
// Findings, as agent and server show them alike.
#ifndef DUMPWARDEN_CORE_REPORT_FINDINGS_H_
#define DUMPWARDEN_CORE_REPORT_FINDINGS_H_

#include <span>
#include <vector>

#include "core/report/table.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

std::vector<Column> FindingColumns();
std::vector<Datum> FindingRow(const v1::Finding& finding);
Table FindingTable(std::span<const v1::Finding> findings);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_FINDINGS_H_
