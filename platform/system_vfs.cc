// SPDX-License-Identifier: Apache-2.0
// The disk through POSIX calls.  Every message names the path and the system's text.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kLockPatience = absl::Seconds(5);
constexpr absl::Duration kLockPause = absl::Milliseconds(50);

absl::StatusCode CodeOf(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
      return absl::StatusCode::kResourceExhausted;
    case ELOOP:
    case EISDIR:
    case ENOTDIR:
    case ENOTEMPTY:
      return absl::StatusCode::kFailedPrecondition;
    case EIO:
      return absl::StatusCode::kDataLoss;
    default:
      return absl::ErrnoToStatusCode(error);
  }
}

absl::Status SystemError(absl::string_view what, const std::string& path, int error) {
  const absl::string_view hint =
      error == ELOOP ? " (it is a symbolic link, and those are not followed here)" : "";
  return absl::Status(CodeOf(error),
                      absl::StrCat("cannot ", what, " ", path, ": ", std::strerror(error), hint));
}

// Closes what it holds.
class FileDescriptor {
 public:
  FileDescriptor(const std::string& path, int flags, mode_t mode = 0) {
    do {
      fd_ = open(path.c_str(), flags | O_CLOEXEC, mode);
    } while (fd_ < 0 && errno == EINTR);
  }
  ~FileDescriptor() {
    if (fd_ >= 0) close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

class FlockLock : public FileLock {
 public:
  explicit FlockLock(std::unique_ptr<FileDescriptor> file) : file_(std::move(file)) {}

 private:
  std::unique_ptr<FileDescriptor> file_;  // closing it lets go of the lock
};

absl::Status SyncDescriptor(const std::string& path, int flags) {
  FileDescriptor file(path, flags);
  if (!file.ok()) return SystemError("open", path, errno);
  if (fsync(file.get()) != 0) return SystemError("sync", path, errno);
  return absl::OkStatus();
}

absl::Status WriteAll(const FileDescriptor& file, const std::string& path,
                      absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(file.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return SystemError("write", path, errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return absl::OkStatus();
}

class SystemVfs : public Vfs {
 public:
  absl::StatusOr<std::string> Read(const std::string& path, std::size_t max_bytes) override {
    FileDescriptor file(path, O_RDONLY);
    if (!file.ok()) return SystemError("open", path, errno);
    std::string bytes;
    char buffer[65536];
    while (true) {
      const ssize_t count = read(file.get(), buffer, sizeof(buffer));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) return SystemError("read", path, errno);
      if (count == 0) return bytes;
      bytes.append(buffer, static_cast<std::size_t>(count));
      if (bytes.size() > max_bytes) {
        return absl::ResourceExhaustedError(absl::StrCat("cannot read ", path,
                                                         ": it is larger than the ", max_bytes,
                                                         " bytes that are accepted here"));
      }
    }
  }

  absl::Status Write(const std::string& path, absl::string_view bytes) override {
    RETURN_IF_ERROR(Remove(path));
    FileDescriptor file(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (!file.ok()) return SystemError("write", path, errno);
    return WriteAll(file, path, bytes);
  }

  absl::Status Sync(const std::string& path) override {
    return SyncDescriptor(path, O_RDONLY | O_NOFOLLOW);
  }

  absl::Status SyncFolder(const std::string& folder) override {
    return SyncDescriptor(folder, O_RDONLY | O_DIRECTORY);
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (rename(from.c_str(), to.c_str()) == 0) return absl::OkStatus();
    return SystemError(absl::StrCat("rename ", from, " to"), to, errno);
  }

  absl::Status Exchange(const std::string& a, const std::string& b) override {
    if (renameat2(AT_FDCWD, a.c_str(), AT_FDCWD, b.c_str(), RENAME_EXCHANGE) == 0) {
      return absl::OkStatus();
    }
    const int error = errno;
    const absl::Status status = SystemError(absl::StrCat("exchange ", a, " with"), b, error);
    const bool unable = error == EINVAL || error == ENOSYS || error == EOPNOTSUPP;
    return unable ? absl::UnimplementedError(status.message()) : status;
  }

  absl::Status Remove(const std::string& path) override {
    if (unlink(path.c_str()) == 0 || errno == ENOENT) return absl::OkStatus();
    return SystemError("remove", path, errno);
  }

  absl::StatusOr<bool> Exists(const std::string& path) override {
    struct stat info {};
    if (lstat(path.c_str(), &info) == 0) return true;
    if (errno == ENOENT || errno == ENOTDIR) return false;
    return SystemError("look at", path, errno);
  }

  absl::Status MakeFolder(const std::string& path) override {
    if (mkdir(path.c_str(), 0700) == 0) return absl::OkStatus();
    const int error = errno;
    struct stat info {};
    if (error == EEXIST && stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) {
      return absl::OkStatus();
    }
    return SystemError("make folder", path, error);
  }

  absl::Status CheckPrivateFolder(const std::string& path) override {
    struct stat info {};
    if (lstat(path.c_str(), &info) != 0) return SystemError("look at", path, errno);
    if (!S_ISDIR(info.st_mode)) {
      return NotPrivate(path, "is a link or no folder", "remove it when nothing of yours uses it");
    }
    if (info.st_uid != geteuid()) {
      return NotPrivate(
          path,
          absl::StrCat("belongs to user ", info.st_uid, " and this program runs as ", geteuid()),
          "run as that user; or look at what is in it and remove it");
    }
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) == 0) return absl::OkStatus();
    return NotPrivate(path, "can be written by other users",
                      "look at what is in it and take that right away (chmod go-w; a file system "
                      "without modes is mounted with umask=077)");
  }

  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> open_folder(opendir(folder.c_str()), &closedir);
    if (open_folder == nullptr) return SystemError("list", folder, errno);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(open_folder.get())) {
      const absl::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
      errno = 0;
    }
    if (errno != 0) return SystemError("list", folder, errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    auto file = std::make_unique<FileDescriptor>(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (!file->ok()) return SystemError("open lock file", path, errno);
    const absl::Time deadline = absl::Now() + kLockPatience;
    while (flock(file->get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno != EWOULDBLOCK && errno != EINTR) return SystemError("lock", path, errno);
      if (absl::Now() >= deadline) return Busy(path);
      absl::SleepFor(kLockPause);
    }
    return std::make_unique<FlockLock>(std::move(file));
  }

 private:
  static absl::Status NotPrivate(const std::string& path, absl::string_view why,
                                 absl::string_view what_to_do) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the folder ", path, " ", why, ", so what is in it may be somebody else's; ", what_to_do));
  }

  static absl::Status Busy(const std::string& path) {
    return absl::UnavailableError(absl::StrCat(
        "cannot lock ", path, ": another Dumpwarden program has been working on it for ",
        absl::FormatDuration(kLockPatience), "; wait for it to end and try again"));
  }
};

}  // namespace

std::unique_ptr<Vfs> MakeSystemVfs() { return std::make_unique<SystemVfs>(); }

}  // namespace dumpwarden
