// SPDX-License-Identifier: Apache-2.0
// What hosts reported: kept as rows, put together again as it was.
#ifndef DUMPWARDEN_SERVER_STORE_REPORTS_H_
#define DUMPWARDEN_SERVER_STORE_REPORTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// kAborted when the report is not the next of its epoch; a repeat changes nothing.
absl::Status KeepReport(Database& db, const ReportCommit& commit);
absl::Status KeepFacts(Database& db, HostId host, const v1::Facts& facts,
                       const std::string& digest);

absl::StatusOr<HostState> SelectState(Database& db, HostId host);
absl::StatusOr<v1::Facts> SelectFacts(Database& db, HostId host);
absl::StatusOr<std::vector<std::pair<HostId, v1::Finding>>> SelectFindings(Database& db);
absl::StatusOr<std::vector<v1::Drift>> SelectDrift(Database& db, const DriftQuery& query);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_REPORTS_H_
