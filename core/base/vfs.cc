// SPDX-License-Identifier: Apache-2.0
#include "core/base/vfs.h"

#include "absl/strings/str_cat.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

absl::Status Replace(Vfs& vfs, const std::string& temp, const std::string& path,
                     absl::string_view bytes) {
  RETURN_IF_ERROR(vfs.Write(temp, bytes));
  RETURN_IF_ERROR(vfs.Sync(temp));
  FAILPOINT("durable.written");
  return vfs.Rename(temp, path);
}

}  // namespace

absl::Status WriteDurably(Vfs& vfs, const std::string& path, absl::string_view bytes) {
  const std::string temp = absl::StrCat(path, ".tmp");
  if (absl::Status status = Replace(vfs, temp, path, bytes); !status.ok()) {
    vfs.Remove(temp).IgnoreError();  // the first failure is the one to tell
    return status;
  }
  FAILPOINT("durable.renamed");
  return vfs.SyncFolder(FolderOf(path));
}

absl::Status RemoveDurably(Vfs& vfs, const std::string& path) {
  RETURN_IF_ERROR(vfs.Remove(path));
  return vfs.SyncFolder(FolderOf(path));
}

std::string FolderOf(absl::string_view path) {
  const std::size_t slash = path.rfind('/');
  if (slash == absl::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

}  // namespace dumpwarden
