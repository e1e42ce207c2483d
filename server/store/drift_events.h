// SPDX-License-Identifier: Apache-2.0
// The drift events of a report: each kept once, whatever the host and this server were set back to.
#ifndef DUMPWARDEN_SERVER_STORE_DRIFT_EVENTS_H_
#define DUMPWARDEN_SERVER_STORE_DRIFT_EVENTS_H_

#include "absl/status/status.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// kAborted when a number of the epoch was kept with another content.
absl::Status KeepEvents(Database& db, const ReportCommit& commit);

// Ends what began in other epochs and is open, and which the state of this one does not know:
// nobody else ever would.  After KeepEvents; the findings are those of the report.
absl::Status EndUnknownDrifts(Database& db, const ReportCommit& commit, bool new_epoch);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_DRIFT_EVENTS_H_
