// SPDX-License-Identifier: Apache-2.0
// Files of any size, read once: what was read is named by its SHA-256.
#ifndef DUMPWARDEN_PLATFORM_FILE_COPY_H_
#define DUMPWARDEN_PLATFORM_FILE_COPY_H_

#include <string>

#include "absl/status/statusor.h"

namespace dumpwarden {

// The SHA-256 of the file, 64 lower-case digits.
absl::StatusOr<std::string> FileDigest(const std::string& path);
// `to` is a new file (0600), synced; its folder is not.  The SHA-256 of what was copied.
absl::StatusOr<std::string> CopyFile(const std::string& from, const std::string& to);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_FILE_COPY_H_
