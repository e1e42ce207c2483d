// SPDX-License-Identifier: Apache-2.0
// `dumpwarden-server backup` and `restore`.  A backup is a folder laid out as
// init's, with SHA256SUMS over all of it: what a server needs on a new machine.
// The sums find damage, not malice: who can write a backup is the server.
#ifndef DUMPWARDEN_SERVER_BACKUP_H_
#define DUMPWARDEN_SERVER_BACKUP_H_

#include <string>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/vfs.h"

namespace dumpwarden {

struct BackupOptions {
  std::string config;  // server.yaml
  std::string to;      // an existing folder, which gets a dated one; or the new one's name
};
// While the server runs, too.  What was saved and what was not, for people.  All or nothing.
absl::StatusOr<std::string> BackUp(const BackupOptions& options, Vfs& vfs, const Clock& clock);

struct RestoreOptions {
  std::string from;    // a backup
  std::string folder;  // new or empty
};
// kDataLoss when the backup is damaged, kFailedPrecondition when a newer program made it or the
// folder holds anything.  All or nothing.  What is to be done next, for people.
absl::StatusOr<std::string> Restore(const RestoreOptions& options, Vfs& vfs, const Clock& clock,
                                    Random& random);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_BACKUP_H_
