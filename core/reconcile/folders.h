// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_RECONCILE_FOLDERS_H_
#define DUMPWARDEN_CORE_RECONCILE_FOLDERS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace dumpwarden {

// Folders are the managed dump folders of a host, by Windows path (D:\Dumps).
class Folders {
 public:
  enum class Presence { kUnknown, kAbsent, kPresent };
  virtual ~Folders() = default;
  // kUnknown when this process cannot look (no mount for the volume).
  virtual absl::StatusOr<Presence> Look(const std::string& path) = 0;
  // Makes the last component, and absent parents, for SYSTEM and
  // Administrators only, following no links.  kFailedPrecondition for a link.
  virtual absl::Status Make(const std::string& path) = 0;
  // Only when empty; otherwise leaves it.  Absent is not an error.
  virtual absl::Status RemoveIfEmpty(const std::string& path) = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_FOLDERS_H_
