// SPDX-License-Identifier: Apache-2.0
// Windows paths that a policy may name (security.md section 13): a local file
// or folder by drive letter or below %SystemRoot%, with nothing in it that
// Windows would read as something else.
#ifndef DUMPWARDEN_CORE_CATALOG_WINDOWS_PATH_H_
#define DUMPWARDEN_CORE_CATALOG_WINDOWS_PATH_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

struct PathRules {
  bool system_root = false;    // may start with %SystemRoot%
  bool blanks = false;         // may hold blanks and semicolons
  std::size_t max_length = 0;  // in UTF-16 units, as Windows counts
};

// The canonical spelling: drive letter in upper case, %SystemRoot% so spelled.
// kInvalidArgument says what is wrong with it.
absl::StatusOr<std::string> ReadWindowsPath(absl::string_view text, const PathRules& rules);

// Of a canonical path: C:\a\b.dmp -> C:\a, C:\b.dmp -> C:\ (the root).
std::string ParentFolder(absl::string_view path);
bool IsVolumeRoot(absl::string_view path);       // C:\ or %SystemRoot%
bool IsBelowSystemRoot(absl::string_view path);  // by its spelling

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_CATALOG_WINDOWS_PATH_H_
