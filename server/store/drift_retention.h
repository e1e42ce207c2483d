// SPDX-License-Identifier: Apache-2.0
// Drifts that have ended, and go with their ends.  Of each event a digest stays:
// a host whose state was restored, or that never heard its Ack, tells it again.
#ifndef DUMPWARDEN_SERVER_STORE_DRIFT_RETENTION_H_
#define DUMPWARDEN_SERVER_STORE_DRIFT_RETENTION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "dumpwarden/v1/report.pb.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// A step of retention: how many went.
absl::StatusOr<std::int64_t> DeleteDrifts(Database& db, Expiry& expiry);

// Was this very event kept once, and let go of?
absl::StatusOr<bool> WasLetGo(Database& db, HostId host, const v1::DriftEvent& event);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_DRIFT_RETENTION_H_
