// SPDX-License-Identifier: Apache-2.0
// SQLite's disk in memory: it knows what was synced, contents and names apart,
// and loses or tears the rest when the power fails.  The shared memory of WAL
// and the locks are those of one process.
#ifndef DUMPWARDEN_TESTS_SIMULATION_DISK_H_
#define DUMPWARDEN_TESTS_SIMULATION_DISK_H_

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/simulation/faults.h"
#include "tests/simulation/world.h"

namespace dumpwarden::sim {

struct DiskFile {
  // What was written since the last sync, with what stood there.
  struct Write {
    std::size_t offset = 0;
    std::string before;
    std::size_t size_before = 0;
    std::string after;
    bool truncate = false;  // to `offset`
  };
  void Put(std::size_t offset, std::string data);
  void Truncate(std::size_t size);
  void Sync() { unsynced.clear(); }

  std::string bytes;
  std::vector<Write> unsynced;

  // Of the handles of this process.
  std::map<const void*, int> locks;  // SQLITE_LOCK_SHARED..EXCLUSIVE
  std::vector<std::unique_ptr<std::string>> shared_memory;
  std::map<const void*, std::pair<unsigned, unsigned>> shared_locks;  // shared, exclusive: bits
};

class Disk {
 public:
  using Files = std::map<std::string, std::shared_ptr<DiskFile>>;
  using Image = std::map<std::string, std::string>;  // path -> bytes

  // All files below `folder` are this disk's while it lives.  SQLite must have closed them before.
  Disk(std::string folder, World& world, MachineFaults& faults);
  ~Disk();
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  const std::string& folder() const { return folder_; }
  MachineFaults& faults() { return faults_; }
  World& world() { return world_; }

  std::shared_ptr<DiskFile> Find(const std::string& path) const;
  std::shared_ptr<DiskFile> Make(const std::string& path);
  void Remove(const std::string& path) {
    names_synced_ = false;
    names_.erase(path);
  }
  void SyncNames();

  // Of what was not synced some is there, or nothing.
  enum class Unsynced { kSome, kNone };
  void PowerCut(Unsynced unsynced = Unsynced::kSome);
  Image Save() const;
  void Load(const Image& image);

 private:
  void LoseUnsynced(DiskFile& file, Unsynced unsynced);

  const std::string folder_;
  World& world_;
  MachineFaults& faults_;
  Files names_;
  Files durable_names_;
  bool names_synced_ = true;  // both are the same
};

// Makes SQLite use these disks, in the whole program.
void UseSimulatedDisks();
// Everything that SQLite draws follows from `chance`.
void SeedSqlite(Chance& chance);

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_DISK_H_
