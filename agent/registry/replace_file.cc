// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

// The file that `path` was when we made it: in a shared folder the name may lead elsewhere by now.
absl::Status CheckOurs(const struct stat& file, const std::string& path) {
  if (S_ISREG(file.st_mode) && file.st_nlink == 1) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(
      path,
      " was replaced by somebody else while it was written, so nothing was changed; take "
      "the right to write that folder away from other users and try again"));
}

// Owner first: chown clears set-id bits.  Without the right to give a file away nobody but its
// owner is let in, so the mode never grants more than the old one did.
absl::Status GiveOwnerAndMode(const struct stat& old, int file, const std::string& path) {
  struct stat now {};
  if (fstat(file, &now) != 0) return Failed("look at", path);
  RETURN_IF_ERROR(CheckOurs(now, path));
  const bool owned = (now.st_uid == old.st_uid && now.st_gid == old.st_gid) ||
                     fchown(file, old.st_uid, old.st_gid) == 0;
  const mode_t mode = old.st_mode & (owned ? 07777u : 0700u);
  return fchmod(file, mode) == 0 ? absl::OkStatus() : Failed("set the mode of", path);
}

absl::Status CopyOwnerAndMode(const std::string& from, const std::string& to) {
  struct stat old {};
  if (stat(from.c_str(), &old) != 0) return absl::OkStatus();  // not on a disk: a test's
  const int file = open(to.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return Failed("open", to);
  const absl::Status status = GiveOwnerAndMode(old, file, to);
  close(file);
  return status;
}

absl::Status Replace(Vfs& vfs, const std::string& temp, const std::string& path,
                     absl::string_view bytes) {
  RETURN_IF_ERROR(vfs.Write(temp, bytes));
  RETURN_IF_ERROR(CopyOwnerAndMode(path, temp));
  RETURN_IF_ERROR(vfs.Sync(temp));
  return vfs.Rename(temp, path);
}

}  // namespace

absl::Status ReplaceFile(Vfs& vfs, const std::string& path, absl::string_view bytes) {
  const std::string temp = absl::StrCat(path, ".dumpwarden-tmp");
  if (absl::Status status = Replace(vfs, temp, path, bytes); !status.ok()) {
    vfs.Remove(temp).IgnoreError();  // the first failure is the one to tell
    return status;
  }
  return vfs.SyncFolder(FolderOf(path));
}

}  // namespace dumpwarden
