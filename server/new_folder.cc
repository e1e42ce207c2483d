// SPDX-License-Identifier: Apache-2.0
#include "server/new_folder.h"

#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

absl::Status CheckFree(Vfs& vfs, const std::string& name) {
  ASSIGN_OR_RETURN(const bool exists, vfs.Exists(name));
  if (!exists) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> found, vfs.List(name));
  if (found.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(name, " holds ", found.front(),
                   " already, and nothing is overwritten: name a new or empty folder"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<NewFolder>> NewFolder::Make(Vfs& vfs, const std::string& name) {
  absl::string_view bare = name;
  while (bare.size() > 1 && absl::ConsumeSuffix(&bare, "/")) continue;
  RETURN_IF_ERROR(CheckFree(vfs, std::string(bare)));
  auto folder = std::unique_ptr<NewFolder>(new NewFolder(vfs, std::string(bare)));
  // Made here or refused: what somebody else made may be somebody else's.
  std::error_code error;
  if (!std::filesystem::create_directory(folder->partial_, error)) {
    folder->kept_ = true;  // not ours
    if (error) {
      return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot make ", folder->partial_));
    }
    return absl::FailedPreconditionError(
        absl::StrCat(folder->partial_,
                     " is there already: an attempt is at work, or was killed; when none is at "
                     "work, remove it and try again"));
  }
  std::filesystem::permissions(folder->partial_, std::filesystem::perms::owner_all, error);
  RETURN_IF_ERROR(vfs.CheckPrivateFolder(folder->partial_));
  folder->folders_.insert(folder->partial_);
  return folder;
}

NewFolder::~NewFolder() {
  if (kept_) return;
  std::error_code ignored;  // why it was not kept is what is told
  std::filesystem::remove_all(partial_, ignored);
}

absl::StatusOr<std::string> NewFolder::Place(const std::string& relative) {
  for (std::size_t slash = relative.find('/'); slash != std::string::npos;
       slash = relative.find('/', slash + 1)) {
    const std::string folder = absl::StrCat(partial_, "/", relative.substr(0, slash));
    if (folders_.insert(folder).second) RETURN_IF_ERROR(vfs_.MakeFolder(folder));
  }
  return absl::StrCat(partial_, "/", relative);
}

absl::Status NewFolder::Keep() {
  for (const std::string& folder : folders_) RETURN_IF_ERROR(vfs_.SyncFolder(folder));
  RETURN_IF_ERROR(vfs_.Rename(partial_, name_));
  FAILPOINT("folder.renamed");
  kept_ = true;
  return vfs_.SyncFolder(FolderOf(name_));
}

}  // namespace dumpwarden
