// SPDX-License-Identifier: Apache-2.0
// The store's file as a backup, and what a restored one must not do again.
#ifndef DUMPWARDEN_SERVER_STORE_BACKUP_H_
#define DUMPWARDEN_SERVER_STORE_BACKUP_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "platform/sqlite.h"

namespace dumpwarden {

// `to` is a new file, checked.  kDataLoss when the store is damaged.
absl::Status BackUpStore(const std::string& from, const std::string& to);

// Once, before a restored store is served: checks it, brings it to the newest schema, and makes
// sure that nothing is given out twice that its earlier life may have given out after the backup:
// tokens (open ones are closed), cursors, policy versions (VersionFloor).  Leaves an audit row,
// which says of which backup: its name and the digest of its list of files.
absl::Status BeginAfterRestore(const std::string& path, absl::Time now, const std::string& from,
                               const std::string& digest = "");

// The highest version of a policy that may have been given out, when `newest` (0 = none) is the
// newest known, made at `made`.
absl::StatusOr<std::uint64_t> VersionFloor(Database& db, std::uint64_t newest, absl::Time made);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_BACKUP_H_
