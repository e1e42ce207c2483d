// SPDX-License-Identifier: Apache-2.0
// What disk.cc and disk_vfs.cc know of each other.
#ifndef DUMPWARDEN_TESTS_SIMULATION_DISK_VFS_H_
#define DUMPWARDEN_TESTS_SIMULATION_DISK_VFS_H_

#include <string>

#include "tests/simulation/disk.h"

namespace dumpwarden::sim {

Disk* DiskOf(const std::string& path);  // null when it lies on none

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_DISK_VFS_H_
