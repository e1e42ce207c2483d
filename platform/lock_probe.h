// SPDX-License-Identifier: Apache-2.0
// Looks whether a program holds a lock of Vfs::Lock, without taking it and
// without waiting.
#ifndef DUMPWARDEN_PLATFORM_LOCK_PROBE_H_
#define DUMPWARDEN_PLATFORM_LOCK_PROBE_H_

#include <string>

#include "absl/status/statusor.h"

namespace dumpwarden {

// False when there is no such file: nobody ever took the lock.
absl::StatusOr<bool> IsLockHeld(const std::string& path);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_LOCK_PROBE_H_
