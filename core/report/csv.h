// SPDX-License-Identifier: Apache-2.0
// CSV as RFC 4180 has it: a header, CR LF, quotes where needed.  Text that a
// spreadsheet would take for a formula gets a leading apostrophe.
#ifndef DUMPWARDEN_CORE_REPORT_CSV_H_
#define DUMPWARDEN_CORE_REPORT_CSV_H_

#include <string>
#include <vector>

#include "core/report/table.h"

namespace dumpwarden {

std::string CsvHeader(const Table& table);
std::string CsvRow(const std::vector<Datum>& row);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_CSV_H_
