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

constexpr int kMaxTries = 3;

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

absl::Status WriteTemp(Vfs& vfs, const std::string& temp, const std::string& path,
                       absl::string_view bytes) {
  RETURN_IF_ERROR(vfs.Write(temp, bytes));
  RETURN_IF_ERROR(CopyOwnerAndMode(path, temp));
  return vfs.Sync(temp);
}

absl::StatusOr<bool> Holds(Vfs& vfs, const std::string& path, absl::string_view bytes) {
  const absl::StatusOr<std::string> found = vfs.Read(path, bytes.size());
  if (absl::IsResourceExhausted(found.status())) return false;  // it is larger
  RETURN_IF_ERROR(found.status());
  return *found == bytes;
}

// After the exchange: true when what came out is `expected`, false when it was put back.
absl::StatusOr<bool> Settle(Vfs& vfs, const std::string& temp, const std::string& path,
                            absl::string_view expected, absl::string_view bytes) {
  const absl::StatusOr<bool> replaced = Holds(vfs, temp, expected);
  if (replaced.ok() && *replaced) return true;
  RETURN_IF_ERROR(vfs.Exchange(temp, path));
  RETURN_IF_ERROR(replaced.status());
  ASSIGN_OR_RETURN(const bool ours, Holds(vfs, temp, bytes));
  // Otherwise yet another file had replaced ours, and is newer than the one that went back.
  if (!ours) RETURN_IF_ERROR(vfs.Exchange(temp, path));
  return false;
}

absl::Status ChangedFile(const std::string& path) {
  return absl::AbortedError(absl::StrCat(path, " was changed by another program meanwhile"));
}

absl::Status RenameOver(Vfs& vfs, const std::string& temp, const std::string& path,
                        absl::string_view expected) {
  ASSIGN_OR_RETURN(const bool same, Holds(vfs, path, expected));
  return same ? vfs.Rename(temp, path) : ChangedFile(path);
}

}  // namespace

absl::Status ReplaceFile(Vfs& vfs, const std::string& path, absl::string_view expected,
                         absl::string_view bytes) {
  const std::string temp = absl::StrCat(path, ".dumpwarden-tmp");
  absl::Status status = WriteTemp(vfs, temp, path, bytes);
  bool exchanged = false;
  if (status.ok()) {
    status = vfs.Exchange(temp, path);
    exchanged = status.ok();
    if (absl::IsUnimplemented(status)) status = RenameOver(vfs, temp, path, expected);
  }
  if (!status.ok()) {
    vfs.Remove(temp).IgnoreError();  // the first failure is the one to tell
    return status;
  }
  if (!exchanged) return vfs.SyncFolder(FolderOf(path));
  const absl::StatusOr<bool> replaced = Settle(vfs, temp, path, expected, bytes);
  if (!replaced.ok()) {  // then the temp name is not ours to remove
    return absl::Status(replaced.status().code(),
                        absl::StrCat(replaced.status().message(), "; what stood in ", path,
                                     " may be in ", temp, ": compare the two"));
  }
  status = vfs.SyncFolder(FolderOf(path));
  vfs.Remove(temp).IgnoreError();  // the next write does it
  return *replaced ? status : ChangedFile(path);
}

absl::Status EditFile(Vfs& vfs, const std::string& path, std::size_t max_bytes,
                      const EditBytes& edit) {
  absl::Status status;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    ASSIGN_OR_RETURN(const std::string found, vfs.Read(path, max_bytes));
    ASSIGN_OR_RETURN(const std::string edited, edit(found));
    status = edited == found ? absl::OkStatus() : ReplaceFile(vfs, path, found, edited);
    if (!absl::IsAborted(status)) return status;
  }
  return status;
}

}  // namespace dumpwarden
