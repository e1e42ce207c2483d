// SPDX-License-Identifier: Apache-2.0
// What of a host outlives its agent's process: disk, registry, folders, clock.
#ifndef DUMPWARDEN_TESTS_SIMULATION_MACHINE_H_
#define DUMPWARDEN_TESTS_SIMULATION_MACHINE_H_

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "dumpwarden/v1/report.pb.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/faults.h"
#include "tests/simulation/world.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"
#include "tests/support/memory_vfs.h"

namespace dumpwarden::sim {

inline constexpr char kPlace[] = "/place";
inline constexpr char kUndoPath[] = "/place/undo";

struct Machine {
  Machine(World& all, int number_in_all, std::string host_uuid, const std::string& folder)
      : world(all),
        number(number_in_all),
        uuid(std::move(host_uuid)),
        faults(all.counts),
        clock(all),
        disk(folder, all, faults),
        vfs(std::make_unique<MemoryVfs>()) {
    Wire();
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  // A snapshot as a hypervisor makes one: of the disks, not of memory.
  struct Image {
    Disk::Image disk;
    std::map<std::string, std::string> files;
    FakeRegistry registry;
    FakeFolders folders;
    v1::Facts facts;
  };
  Image Save() const {
    Image image{disk.Save(), {}, registry, folders, facts};
    for (const std::string& path : vfs->Paths()) image.files[path] = *vfs->Get(path);
    return image;
  }
  void Load(const Image& image) {
    disk.Load(image.disk);
    vfs = std::make_unique<MemoryVfs>();
    for (const auto& [path, bytes] : image.files) vfs->Put(path, bytes);
    registry = image.registry;
    folders = image.folders;
    facts = image.facts;
    Wire();
  }
  void Wire() {
    vfs->UseFaults(faults);
    registry.UseFaults(faults);
    folders.UseFaults(faults);
  }

  World& world;
  const int number;
  const std::string uuid;
  MachineFaults faults;
  MachineClock clock;
  Disk disk;
  std::unique_ptr<MemoryVfs> vfs;
  FakeRegistry registry;
  FakeFolders folders;
  v1::Facts facts;
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_MACHINE_H_
