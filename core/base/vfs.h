// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_BASE_VFS_H_
#define DUMPWARDEN_CORE_BASE_VFS_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

// FileLock is held until it is destroyed.
class FileLock {
 public:
  virtual ~FileLock() = default;
};

// Vfs is the disk.  Nothing is durable until it was synced: a new, renamed or
// removed name needs SyncFolder of the folder that holds it.  Messages name the
// path and carry the system's text.  Thread-safe.
class Vfs {
 public:
  virtual ~Vfs() = default;
  // kNotFound when absent, kResourceExhausted when larger than max_bytes.
  virtual absl::StatusOr<std::string> Read(const std::string& path, std::size_t max_bytes) = 0;
  // A new file in place of what has that name, readable by the owner only (0600).  What the
  // old name was a link to, and other names of the old file, keep what they hold.  Not synced.
  virtual absl::Status Write(const std::string& path, absl::string_view bytes) = 0;
  virtual absl::Status Sync(const std::string& path) = 0;
  virtual absl::Status SyncFolder(const std::string& folder) = 0;
  // Replaces `to` atomically.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  // Each of two existing names then leads to what the other led to, atomically.  kUnimplemented
  // when the file system cannot.
  virtual absl::Status Exchange(const std::string& a, const std::string& b) = 0;
  // Absent is not an error.
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::StatusOr<bool> Exists(const std::string& path) = 0;
  // 0700; existing is not an error; parents are not made.
  virtual absl::Status MakeFolder(const std::string& path) = 0;
  // That nobody else can put or replace anything in it: a folder and no link, of this process's
  // user, which no other may write.  kFailedPrecondition says which of these is not so.
  virtual absl::Status CheckPrivateFolder(const std::string& path) = 0;
  // Names, sorted, without . and ..
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& folder) = 0;
  // Waits at most five seconds for another process; kUnavailable then.
  virtual absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) = 0;
};

// Temp file beside `path`, sync, rename, sync of the folder: afterwards `path`
// holds all of `bytes`, or what it held before, over a power cut too.
absl::Status WriteDurably(Vfs& vfs, const std::string& path, absl::string_view bytes);
absl::Status RemoveDurably(Vfs& vfs, const std::string& path);
std::string FolderOf(absl::string_view path);  // "." when there is none

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_VFS_H_
