// SPDX-License-Identifier: Apache-2.0
// A file of any length that has its name only when all of it is there and on
// disk.
#ifndef DUMPWARDEN_PLATFORM_NEW_FILE_H_
#define DUMPWARDEN_PLATFORM_NEW_FILE_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

// NewFile is written beside its name (0600), and goes with this object unless it was kept.
class NewFile {
 public:
  // kAlreadyExists when the name is taken, unless it is a plain file and `replace`.
  static absl::StatusOr<std::unique_ptr<NewFile>> Make(const std::string& path, bool replace);
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  absl::Status Append(absl::string_view bytes);
  absl::Status Keep();

 private:
  NewFile(std::string path, bool replace) : path_(std::move(path)), replace_(replace) {}
  absl::Status CheckName() const;
  absl::Status Flush();
  absl::Status Place();
  absl::Status Failed(absl::string_view what) const;

  const std::string path_;
  const bool replace_;
  std::string temp_;
  int fd_ = -1;
  std::string buffer_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_NEW_FILE_H_
