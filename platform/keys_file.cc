// SPDX-License-Identifier: Apache-2.0
// Who may reach a key on disk.
#include <sys/stat.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "platform/keys.h"

namespace dumpwarden {

namespace {

// 0 when it is absent.
absl::StatusOr<mode_t> ModeOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) == 0) return info.st_mode;
  if (errno == ENOENT) return 0;
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot look at ", path));
}

}  // namespace

absl::Status CheckPrivate(const std::string& path) {
  ASSIGN_OR_RETURN(const mode_t mode, ModeOf(path));
  if ((mode & 0077) == 0) return absl::OkStatus();
  const absl::string_view accepted = S_ISDIR(mode) ? "0700" : "0600";
  return absl::FailedPreconditionError(absl::StrFormat(
      "%s has mode %04o, so others than its owner can reach it, and whoever has a key is who it "
      "names; %s is accepted: run `chmod %s %s` and consider whether it has been read already",
      path, mode & 07777, accepted, accepted.substr(1), path));
}

absl::Status CheckOnlyOwnerWrites(const std::string& folder) {
  ASSIGN_OR_RETURN(const mode_t mode, ModeOf(folder));
  if ((mode & 0022) == 0) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrFormat("the folder %s has mode %04o, so others can put another key or CA there; one "
                      "that only its owner can write, as 0700 or 0755, is accepted",
                      folder, mode & 07777));
}

}  // namespace dumpwarden
