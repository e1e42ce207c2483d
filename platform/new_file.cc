// SPDX-License-Identifier: Apache-2.0
#include "platform/new_file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/vfs.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kBuffer = 64 * 1024;

absl::Status Taken(const std::string& path, absl::string_view why) {
  return absl::AlreadyExistsError(absl::StrCat(path, why));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NewFile>> NewFile::Make(const std::string& path, bool replace) {
  auto file = std::unique_ptr<NewFile>(new NewFile(path, replace));
  RETURN_IF_ERROR(file->CheckName());
  std::string temp = absl::StrCat(path, ".partial-XXXXXX");
  file->fd_ = mkostemp(temp.data(), O_CLOEXEC);  // 0600
  if (file->fd_ < 0) return file->Failed("write");
  file->temp_ = std::move(temp);
  return file;
}

NewFile::~NewFile() {
  if (fd_ >= 0) close(fd_);
  if (!temp_.empty()) unlink(temp_.c_str());
}

absl::Status NewFile::CheckName() const {
  struct stat info {};
  if (lstat(path_.c_str(), &info) != 0) {
    return errno == ENOENT ? absl::OkStatus() : Failed("look at");
  }
  if (!S_ISREG(info.st_mode)) return Taken(path_, " is there and is no plain file");
  return replace_ ? absl::OkStatus() : Taken(path_, " is there already");
}

absl::Status NewFile::Append(absl::string_view bytes) {
  absl::StrAppend(&buffer_, bytes);
  return buffer_.size() < kBuffer ? absl::OkStatus() : Flush();
}

absl::Status NewFile::Flush() {
  for (absl::string_view rest = buffer_; !rest.empty();) {
    const ssize_t count = write(fd_, rest.data(), rest.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Failed("write");
    rest.remove_prefix(static_cast<std::size_t>(count));
  }
  buffer_.clear();
  return absl::OkStatus();
}

absl::Status NewFile::Keep() {
  RETURN_IF_ERROR(Flush());
  if (fsync(fd_) != 0) return Failed("sync");
  RETURN_IF_ERROR(Place());
  temp_.clear();
  return MakeSystemVfs()->SyncFolder(FolderOf(path_));
}

// Somebody may have made one of that name meanwhile.
absl::Status NewFile::Place() {
  const unsigned flags = replace_ ? 0 : RENAME_NOREPLACE;
  if (renameat2(AT_FDCWD, temp_.c_str(), AT_FDCWD, path_.c_str(), flags) == 0) {
    return absl::OkStatus();
  }
  if (errno == EEXIST) return Taken(path_, " was made meanwhile");
  if (errno != EINVAL && errno != ENOSYS) return Failed("rename to");
  RETURN_IF_ERROR(CheckName());  // this file system cannot do both in one
  return rename(temp_.c_str(), path_.c_str()) == 0 ? absl::OkStatus() : Failed("rename to");
}

absl::Status NewFile::Failed(absl::string_view what) const {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path_));
}

}  // namespace dumpwarden
