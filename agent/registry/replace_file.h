// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_
#define DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_

#include <cstddef>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/vfs.h"

namespace dumpwarden {

// Puts `bytes` in place of the file `path` that holds `expected`, durably: a temp file beside it
// and the two names exchanged.  When what comes out is not `expected`, another program was faster:
// its file goes back, and kAborted.  Where the file system cannot exchange names (NFS, some FUSE)
// the file is compared once more and renamed over, so that what comes in between is lost; so is,
// anywhere, what a program writes to a file that it had open before.  The new file has the mode and
// owner of the old one.  A kill leaves `path`.dumpwarden-tmp, which the next write removes.
absl::Status ReplaceFile(Vfs& vfs, const std::string& path, absl::string_view expected,
                         absl::string_view bytes);

// Makes of what the file holds what it is to hold; asked again when the file has changed.
using EditBytes = std::function<absl::StatusOr<std::string>(const std::string& found)>;
// Reads, edits and replaces, at most three times.  Nothing new touches nothing.
absl::Status EditFile(Vfs& vfs, const std::string& path, std::size_t max_bytes,
                      const EditBytes& edit);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_
