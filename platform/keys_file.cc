// SPDX-License-Identifier: Apache-2.0
// Who may reach a key on disk.
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "platform/keys.h"

namespace dumpwarden {

absl::Status CheckPrivate(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    if (errno == ENOENT) return absl::OkStatus();
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot look at ", path));
  }
  if ((info.st_mode & 0077) == 0) return absl::OkStatus();
  const absl::string_view accepted = S_ISDIR(info.st_mode) ? "0700" : "0600";
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s has mode %04o, so others than its owner can reach it, and whoever has a key is who it "
      "names; %s is accepted: run `chmod %s %s` and consider whether it has been read already",
      path, info.st_mode & 07777, accepted, accepted.substr(1), path));
}

}  // namespace dumpwarden
