// SPDX-License-Identifier: Apache-2.0
// What hosts reported: kept as rows, put together again as it was.
#ifndef DUMPWARDEN_SERVER_STORE_REPORTS_H_
#define DUMPWARDEN_SERVER_STORE_REPORTS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// SQL for the event_id of the drift that the end `x` ends: the one of its number in its own epoch.
// Only a host whose state was restored ends what began in another epoch: of the drifts of that
// number the newest that went to the value which the end speaks of.
inline constexpr absl::string_view kStartOfEnd =
    "COALESCE((SELECT y.event_id FROM drift_event y WHERE y.host_id = x.host_id AND "
    "y.epoch = x.epoch AND y.sequence = x.drift_sequence AND y.kind IN (1, 4)), "
    "(SELECT MAX(y.event_id) FROM drift_event y WHERE y.host_id = x.host_id AND "
    "y.sequence = x.drift_sequence AND y.setting = x.setting AND y.mode = x.mode AND "
    "y.kind = 1 AND y.event_id < x.event_id AND y.new_value = x.old_value), "
    "(SELECT MAX(y.event_id) FROM drift_event y WHERE y.host_id = x.host_id AND "
    "y.sequence = x.drift_sequence AND y.setting = x.setting AND y.mode = x.mode AND "
    "y.kind = 1 AND y.event_id < x.event_id))";

// kAborted when the report is not the next of its epoch; a repeat changes nothing.
absl::Status KeepReport(Database& db, const ReportCommit& commit);
absl::Status KeepFacts(Database& db, HostId host, const v1::Facts& facts,
                       const std::string& digest);

absl::StatusOr<HostState> SelectState(Database& db, HostId host);
absl::StatusOr<v1::Facts> SelectFacts(Database& db, HostId host);
absl::StatusOr<std::vector<HostReport>> SelectReports(Database& db,
                                                      const std::vector<HostId>& hosts);
absl::StatusOr<std::vector<std::pair<HostId, v1::Finding>>> SelectFindings(Database& db);
absl::StatusOr<std::vector<v1::Drift>> SelectDrift(Database& db, const DriftQuery& query);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_REPORTS_H_
