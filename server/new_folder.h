// SPDX-License-Identifier: Apache-2.0
// A folder that has its name only when all of it is there and on disk.
#ifndef DUMPWARDEN_SERVER_NEW_FOLDER_H_
#define DUMPWARDEN_SERVER_NEW_FOLDER_H_

#include <memory>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/vfs.h"

namespace dumpwarden {

// NewFolder is filled as NAME.partial (0700) and goes with this object unless it was kept.
class NewFolder {
 public:
  // kFailedPrecondition when `name` holds anything, or NAME.partial is there: nothing is
  // overwritten.  `vfs` outlives this.
  static absl::StatusOr<std::unique_ptr<NewFolder>> Make(Vfs& vfs, const std::string& name);
  ~NewFolder();
  NewFolder(const NewFolder&) = delete;
  NewFolder& operator=(const NewFolder&) = delete;

  // Where a file of that relative name is to be written; its folders are made.
  absl::StatusOr<std::string> Place(const std::string& relative);
  const std::string& path() const { return partial_; }  // until kept
  const std::string& name() const { return name_; }
  // The files are synced already; the folders are now.
  absl::Status Keep();

 private:
  NewFolder(Vfs& vfs, const std::string& name)
      : vfs_(vfs), name_(name), partial_(name + ".partial") {}

  Vfs& vfs_;
  const std::string name_;
  const std::string partial_;
  std::set<std::string> folders_;
  bool kept_ = false;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_NEW_FOLDER_H_
