// SPDX-License-Identifier: Apache-2.0
#include "platform/lock_probe.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace dumpwarden {

absl::StatusOr<bool> IsLockHeld(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return false;
  if (file < 0) return absl::ErrnoToStatus(errno, absl::StrCat("cannot look at the lock ", path));
  // Shared, and for a moment: a program that starts just now tries again.
  const int error = flock(file, LOCK_SH | LOCK_NB) == 0 ? 0 : errno;
  close(file);
  if (error == 0) return false;
  if (error == EWOULDBLOCK) return true;
  return absl::ErrnoToStatus(error, absl::StrCat("cannot look at the lock ", path));
}

}  // namespace dumpwarden
