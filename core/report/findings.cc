// SPDX-License-Identifier: Apache-2.0
#include "core/report/findings.h"

#include "core/reconcile/status.h"

namespace dumpwarden {

std::vector<Column> FindingColumns() {
  return {{"setting", "SETTING"}, {"status", "STATUS"},
          {"desired", "DESIRED"}, {"configured", "CONFIGURED"},
          {"policy", "POLICY"},   {"reason", "REASON"},
          {"mode", "MODE"}};
}

std::vector<Datum> FindingRow(const v1::Finding& finding) {
  return {finding.setting(),
          std::string(StatusWord(finding.status())),
          finding.desired(),
          finding.configured(),
          finding.policy(),
          finding.reason(),
          std::string(ModeWord(finding.mode()))};
}

Table FindingTable(std::span<const v1::Finding> findings) {
  Table table{FindingColumns(), {}};
  for (const v1::Finding& finding : findings) table.rows.push_back(FindingRow(finding));
  return table;
}

}  // namespace dumpwarden
