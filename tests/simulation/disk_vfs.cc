// SPDX-License-Identifier: Apache-2.0
// The sqlite3_vfs over simulated disks.  A sync of a file makes all names durable
// too, as the journals of ext4, XFS and NTFS do: SQLite syncs the folder of a log only
// in the process that made the file, so that on a stricter disk kill -9 before
// its first sync and then a power cut would lose it.
#include "tests/simulation/disk_vfs.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace dumpwarden::sim {
namespace {

struct Handle {
  sqlite3_file base;  // first: SQLite's view of this
  std::shared_ptr<DiskFile> file;
  Disk* disk = nullptr;  // null for temporary files
};

Handle& Of(sqlite3_file* file) { return *reinterpret_cast<Handle*>(file); }

// SQLITE_OK, or what the machine's faults say.
int Ask(Disk* disk, const char* call, int error) {
  if (disk == nullptr) return SQLITE_OK;
  const absl::Status status = disk->faults().Check(call);
  if (status.ok()) return SQLITE_OK;
  return absl::IsResourceExhausted(status) ? SQLITE_FULL : error;
}

int Unlock(sqlite3_file* file, int level) {
  auto& locks = Of(file).file->locks;
  if (level == SQLITE_LOCK_NONE) {
    locks.erase(file);
  } else {
    locks[file] = level;
  }
  return SQLITE_OK;
}

int ShmUnmap(sqlite3_file* file, int) {
  DiskFile& content = *Of(file).file;
  content.shared_locks.erase(file);
  if (content.shared_locks.empty()) content.shared_memory.clear();
  return SQLITE_OK;
}

int Close(sqlite3_file* file) {
  Unlock(file, SQLITE_LOCK_NONE);
  ShmUnmap(file, 0);
  std::destroy_at(&Of(file));
  return SQLITE_OK;
}

int Read(sqlite3_file* file, void* to, int count, sqlite3_int64 offset) {
  const int asked = Ask(Of(file).disk, "Sqlite::Read", SQLITE_IOERR_READ);
  if (asked != SQLITE_OK) return asked;
  const std::string& bytes = Of(file).file->bytes;
  const auto at = static_cast<std::size_t>(offset);
  const auto wanted = static_cast<std::size_t>(count);
  const std::size_t there = at < bytes.size() ? std::min(wanted, bytes.size() - at) : 0;
  if (there > 0) std::memcpy(to, bytes.data() + at, there);
  std::memset(static_cast<char*>(to) + there, 0, wanted - there);
  return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

int Write(sqlite3_file* file, const void* from, int count, sqlite3_int64 offset) {
  Handle& handle = Of(file);
  std::string data(static_cast<const char*>(from), static_cast<std::size_t>(count));
  const int asked = Ask(handle.disk, "Sqlite::Write", SQLITE_IOERR_WRITE);
  if (asked != SQLITE_OK) {
    const bool dead = handle.disk->faults().dead();
    // Of the write that fails some bytes may be there; after kill -9 too.
    if (dead && handle.disk->faults().killed_in() != "Sqlite::Write") return asked;
    World& world = handle.disk->world();
    if (dead || world.chance.Happens(0.5)) return asked;
    world.counts.Add(Fault::kShortWrite);
    data.resize(static_cast<std::size_t>(world.chance.Below(count)));
    handle.file->Put(static_cast<std::size_t>(offset), std::move(data));
    return asked;
  }
  handle.file->Put(static_cast<std::size_t>(offset), std::move(data));
  return SQLITE_OK;
}

int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  const int asked = Ask(Of(file).disk, "Sqlite::Truncate", SQLITE_IOERR_TRUNCATE);
  if (asked == SQLITE_OK) Of(file).file->Truncate(static_cast<std::size_t>(size));
  return asked;
}

int Sync(sqlite3_file* file, int) {
  Handle& handle = Of(file);
  const int asked = Ask(handle.disk, "Sqlite::Sync", SQLITE_IOERR_FSYNC);
  if (asked != SQLITE_OK) return asked;
  handle.file->Sync();
  if (handle.disk != nullptr) handle.disk->SyncNames();
  return SQLITE_OK;
}

int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  *size = static_cast<sqlite3_int64>(Of(file).file->bytes.size());
  return SQLITE_OK;
}

// The highest level that another handle holds.
int HeldByOthers(sqlite3_file* file) {
  int held = SQLITE_LOCK_NONE;
  for (const auto& [owner, level] : Of(file).file->locks) {
    if (owner != file) held = std::max(held, level);
  }
  return held;
}

int Lock(sqlite3_file* file, int level) {
  const int others = HeldByOthers(file);
  const bool busy = level == SQLITE_LOCK_EXCLUSIVE  ? others >= SQLITE_LOCK_SHARED
                    : level == SQLITE_LOCK_RESERVED ? others >= SQLITE_LOCK_RESERVED
                                                    : others >= SQLITE_LOCK_PENDING;
  if (busy) return SQLITE_BUSY;
  int& mine = Of(file).file->locks[file];
  mine = std::max(mine, level);
  return SQLITE_OK;
}

int CheckReservedLock(sqlite3_file* file, int* reserved) {
  *reserved = HeldByOthers(file) >= SQLITE_LOCK_RESERVED ? 1 : 0;
  return SQLITE_OK;
}

int FileControl(sqlite3_file*, int, void*) { return SQLITE_NOTFOUND; }
int SectorSize(sqlite3_file*) { return 4096; }
int DeviceCharacteristics(sqlite3_file*) { return SQLITE_IOCAP_POWERSAFE_OVERWRITE; }

int ShmMap(sqlite3_file* file, int region, int size, int extend, void volatile** memory) {
  DiskFile& content = *Of(file).file;
  content.shared_locks.try_emplace(file);
  auto& regions = content.shared_memory;
  *memory = nullptr;
  if (regions.size() <= static_cast<std::size_t>(region)) {
    if (extend == 0) return SQLITE_OK;
    while (regions.size() <= static_cast<std::size_t>(region)) {
      regions.push_back(std::make_unique<std::string>(static_cast<std::size_t>(size), '\0'));
    }
  }
  *memory = regions[static_cast<std::size_t>(region)]->data();
  return SQLITE_OK;
}

int ShmLock(sqlite3_file* file, int first, int count, int flags) {
  auto& locks = Of(file).file->shared_locks;
  const unsigned bits = ((1u << count) - 1) << first;
  auto& [shared, exclusive] = locks[file];
  if ((flags & SQLITE_SHM_UNLOCK) != 0) {
    ((flags & SQLITE_SHM_SHARED) != 0 ? shared : exclusive) &= ~bits;
    return SQLITE_OK;
  }
  for (const auto& [owner, held] : locks) {
    if (owner == file) continue;
    if ((held.second & bits) != 0) return SQLITE_BUSY;
    if ((flags & SQLITE_SHM_EXCLUSIVE) != 0 && (held.first & bits) != 0) return SQLITE_BUSY;
  }
  ((flags & SQLITE_SHM_SHARED) != 0 ? shared : exclusive) |= bits;
  return SQLITE_OK;
}

void ShmBarrier(sqlite3_file*) {}

constexpr sqlite3_io_methods kMethods = {2,
                                         Close,
                                         Read,
                                         Write,
                                         Truncate,
                                         Sync,
                                         FileSize,
                                         Lock,
                                         Unlock,
                                         CheckReservedLock,
                                         FileControl,
                                         SectorSize,
                                         DeviceCharacteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  Handle* handle = std::construct_at(reinterpret_cast<Handle*>(file));
  handle->base.pMethods = nullptr;  // not to be closed when this fails
  if (out_flags != nullptr) *out_flags = flags;
  if (name == nullptr) {
    handle->file = std::make_shared<DiskFile>();
  } else {
    handle->disk = DiskOf(name);
    if (handle->disk == nullptr) return SQLITE_CANTOPEN;
    const int asked = Ask(handle->disk, "Sqlite::Open", SQLITE_CANTOPEN);
    if (asked != SQLITE_OK) return asked;
    handle->file = handle->disk->Find(name);
    // Whoever opens the database has made the file on the real disk.
    const bool makes = (flags & (SQLITE_OPEN_CREATE | SQLITE_OPEN_MAIN_DB)) != 0;
    if (handle->file == nullptr && !makes) return SQLITE_CANTOPEN;
    if (handle->file == nullptr) handle->file = handle->disk->Make(name);
  }
  handle->base.pMethods = &kMethods;
  return SQLITE_OK;
}

int Delete(sqlite3_vfs*, const char* name, int sync_folder) {
  Disk* disk = DiskOf(name);
  if (disk == nullptr || disk->Find(name) == nullptr) return SQLITE_IOERR_DELETE_NOENT;
  const int asked = Ask(disk, "Sqlite::Delete", SQLITE_IOERR_DELETE);
  if (asked != SQLITE_OK) return asked;
  disk->Remove(name);
  if (sync_folder != 0) disk->SyncNames();
  return SQLITE_OK;
}

int Access(sqlite3_vfs*, const char* name, int, int* result) {
  Disk* disk = DiskOf(name);
  *result = disk != nullptr && disk->Find(name) != nullptr ? 1 : 0;
  return SQLITE_OK;
}

int FullPathname(sqlite3_vfs*, const char* name, int size, char* full) {
  if (std::strlen(name) >= static_cast<std::size_t>(size)) return SQLITE_CANTOPEN;
  std::strcpy(full, name);
  return SQLITE_OK;
}

Chance* sqlite_chance = nullptr;

int Randomness(sqlite3_vfs*, int count, char* bytes) {
  for (int i = 0; i < count; ++i) {
    bytes[i] = sqlite_chance == nullptr ? '\0' : static_cast<char>(sqlite_chance->Bits());
  }
  return count;
}

int Sleep(sqlite3_vfs*, int microseconds) { return microseconds; }

int CurrentTime(sqlite3_vfs*, double* days) {
  *days = 2461000.5;
  return SQLITE_OK;
}

}  // namespace

void UseSimulatedDisks() {
  static sqlite3_vfs vfs = {};
  if (vfs.zName != nullptr) return;
  vfs.iVersion = 1;
  vfs.szOsFile = sizeof(Handle);
  vfs.mxPathname = 512;
  vfs.zName = "simulated";
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xFullPathname = FullPathname;
  vfs.xRandomness = Randomness;
  vfs.xSleep = Sleep;
  vfs.xCurrentTime = CurrentTime;
  if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) std::abort();
}

void SeedSqlite(Chance& chance) {
  sqlite_chance = &chance;
  sqlite3_randomness(0, nullptr);
}

}  // namespace dumpwarden::sim
