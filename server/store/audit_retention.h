// SPDX-License-Identifier: Apache-2.0
// The oldest audit rows, without a gap.  What went is in the row that says so:
// from which number to which, how many, and SHA-256 over the rows, each a
// v1.AuditEntry as SIZE:BYTES.  From then on they are under the floor, which no
// reader sees.  The schema's triggers refuse any other way.
#ifndef DUMPWARDEN_SERVER_STORE_AUDIT_RETENTION_H_
#define DUMPWARDEN_SERVER_STORE_AUDIT_RETENTION_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

// A step of retention: how many went.  Those that are under the floor go; when there are none, the
// floor rises, with the row that says so.
absl::StatusOr<std::int64_t> DeleteAudit(Database& db, Expiry& expiry, absl::Time now);

// The lowest number that is kept; 1 when nothing went.
absl::StatusOr<std::uint64_t> SelectAuditFloor(Database& db);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_AUDIT_RETENTION_H_
