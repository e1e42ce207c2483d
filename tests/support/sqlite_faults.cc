// SPDX-License-Identifier: Apache-2.0
#include "tests/support/sqlite_faults.h"

#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>
#include <string>

namespace dumpwarden {
namespace {

struct Armed {
  SqliteFault kind = SqliteFault::kMemory;
  int nth = 0;  // 0 = nothing fails
  int count = 0;
  int calls = 0;
  int failed = 0;
};
Armed armed;
bool paused = false;

bool Fails(SqliteFault kind) {
  if (paused || armed.nth == 0 || armed.kind != kind) return false;
  const int call = ++armed.calls - armed.nth;
  if (call < 0 || call >= armed.count) return false;
  ++armed.failed;
  return true;
}

sqlite3_mem_methods real_memory;

void* Allocate(int size) {
  return Fails(SqliteFault::kMemory) ? nullptr : real_memory.xMalloc(size);
}
void* Reallocate(void* old, int size) {
  return Fails(SqliteFault::kMemory) ? nullptr : real_memory.xRealloc(old, size);
}

sqlite3_vfs* real_vfs;

// By name: what was not synced is not synced by being closed.
std::set<std::string, std::less<>> unsynced;

struct File {
  sqlite3_file base;
  const char* name;  // null: it goes with its handle
  void Wrote() {
    if (name != nullptr) unsynced.insert(name);
  }
  void Synced() {
    if (name != nullptr) unsynced.erase(name);
  }
  sqlite3_file* Real() { return reinterpret_cast<sqlite3_file*>(this + 1); }
};
sqlite3_file* RealOf(sqlite3_file* file) { return reinterpret_cast<File*>(file)->Real(); }

// `call` unless the disk fails.
template <typename Call>
int OrFail(int error, Call call) {
  return Fails(SqliteFault::kDisk) ? error : call();
}

int Close(sqlite3_file* file) { return RealOf(file)->pMethods->xClose(RealOf(file)); }
int Read(sqlite3_file* file, void* bytes, int count, sqlite3_int64 offset) {
  return OrFail(SQLITE_IOERR_READ,
                [&] { return RealOf(file)->pMethods->xRead(RealOf(file), bytes, count, offset); });
}
int Write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 offset) {
  reinterpret_cast<File*>(file)->Wrote();
  const auto write = [&](int size) {
    return RealOf(file)->pMethods->xWrite(RealOf(file), bytes, size, offset);
  };
  const bool broken = Fails(SqliteFault::kDisk);
  const bool full = Fails(SqliteFault::kFull);
  if (!broken && !full) return write(count);
  write(count / 2);
  return full ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}
int Truncate(sqlite3_file* file, sqlite3_int64 size) {
  return OrFail(SQLITE_IOERR_TRUNCATE,
                [&] { return RealOf(file)->pMethods->xTruncate(RealOf(file), size); });
}
// No power is cut here: to wait for the disk would only take time.
int Sync(sqlite3_file* file, int) {
  return OrFail(SQLITE_IOERR_FSYNC, [file] {
    reinterpret_cast<File*>(file)->Synced();
    return SQLITE_OK;
  });
}
int FileSize(sqlite3_file* file, sqlite3_int64* size) {
  return OrFail(SQLITE_IOERR_FSTAT,
                [&] { return RealOf(file)->pMethods->xFileSize(RealOf(file), size); });
}
int Lock(sqlite3_file* file, int level) {
  return OrFail(SQLITE_IOERR_LOCK,
                [&] { return RealOf(file)->pMethods->xLock(RealOf(file), level); });
}
int Unlock(sqlite3_file* file, int level) {
  return RealOf(file)->pMethods->xUnlock(RealOf(file), level);
}
int CheckReservedLock(sqlite3_file* file, int* held) {
  return OrFail(SQLITE_IOERR_CHECKRESERVEDLOCK,
                [&] { return RealOf(file)->pMethods->xCheckReservedLock(RealOf(file), held); });
}
int FileControl(sqlite3_file* file, int what, void* argument) {
  return RealOf(file)->pMethods->xFileControl(RealOf(file), what, argument);
}
int SectorSize(sqlite3_file* file) { return RealOf(file)->pMethods->xSectorSize(RealOf(file)); }
int Characteristics(sqlite3_file* file) {
  return RealOf(file)->pMethods->xDeviceCharacteristics(RealOf(file));
}
int ShmMap(sqlite3_file* file, int page, int size, int extend, void volatile** memory) {
  return OrFail(SQLITE_IOERR_SHMMAP, [&] {
    return RealOf(file)->pMethods->xShmMap(RealOf(file), page, size, extend, memory);
  });
}
int ShmLock(sqlite3_file* file, int offset, int count, int flags) {
  const auto lock = [&] {
    return RealOf(file)->pMethods->xShmLock(RealOf(file), offset, count, flags);
  };
  return (flags & SQLITE_SHM_UNLOCK) != 0 ? lock() : OrFail(SQLITE_IOERR_SHMLOCK, lock);
}
void ShmBarrier(sqlite3_file* file) { RealOf(file)->pMethods->xShmBarrier(RealOf(file)); }
int ShmUnmap(sqlite3_file* file, int remove) {
  return RealOf(file)->pMethods->xShmUnmap(RealOf(file), remove);
}

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
                                         Characteristics,
                                         ShmMap,
                                         ShmLock,
                                         ShmBarrier,
                                         ShmUnmap,
                                         nullptr,
                                         nullptr};

int Open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out_flags) {
  file->pMethods = nullptr;  // not to be closed when this fails
  // SQLite keeps the name until the file is closed.
  reinterpret_cast<File*>(file)->name = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0 ? nullptr : name;
  return OrFail(SQLITE_CANTOPEN, [&] {
    const int code = real_vfs->xOpen(real_vfs, name, RealOf(file), flags, out_flags);
    if (code == SQLITE_OK) file->pMethods = &kMethods;
    return code;
  });
}
int Delete(sqlite3_vfs*, const char* name, int sync) {
  return OrFail(SQLITE_IOERR_DELETE, [&] {
    unsynced.erase(name);
    return real_vfs->xDelete(real_vfs, name, sync);
  });
}
int Access(sqlite3_vfs*, const char* name, int flags, int* result) {
  return OrFail(SQLITE_IOERR_ACCESS,
                [&] { return real_vfs->xAccess(real_vfs, name, flags, result); });
}
int Sleep(sqlite3_vfs*, int microseconds) { return microseconds; }

bool commits_refused = false;
int OnCommit(void*) { return static_cast<int>(commits_refused); }
int OnOpen(sqlite3* db, char**, const sqlite3_api_routines*) {
  sqlite3_commit_hook(db, OnCommit, nullptr);
  return SQLITE_OK;
}

}  // namespace

void InstallSqliteFaults() {
  static sqlite3_vfs vfs;
  if (vfs.zName != nullptr) return;
  sqlite3_mem_methods memory{};
  if (sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory) != SQLITE_OK) std::abort();
  memory = real_memory;
  memory.xMalloc = Allocate;
  memory.xRealloc = Reallocate;
  if (sqlite3_config(SQLITE_CONFIG_MALLOC, &memory) != SQLITE_OK) std::abort();
  // Otherwise most allocations would come out of a block that is there.
  if (sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) != SQLITE_OK) std::abort();
  real_vfs = sqlite3_vfs_find(nullptr);
  vfs = *real_vfs;
  vfs.szOsFile += static_cast<int>(sizeof(File));
  vfs.zName = "faulty";
  vfs.xOpen = Open;
  vfs.xDelete = Delete;
  vfs.xAccess = Access;
  vfs.xSleep = Sleep;
  if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) std::abort();
  if (sqlite3_auto_extension(reinterpret_cast<void (*)()>(OnOpen)) != SQLITE_OK) std::abort();
}

void FailSqlite(SqliteFault kind, int nth, int count) { armed = {kind, nth, count, 0, 0}; }

NoSqliteFaults::NoSqliteFaults() { paused = true; }
NoSqliteFaults::~NoSqliteFaults() { paused = false; }

int UnsyncedSqliteFiles() {
  // What a checkpoint copies stays in the log until it is synced.
  return static_cast<int>(std::count_if(
      unsynced.begin(), unsynced.end(),
      [](const std::string& name) { return !std::filesystem::exists(name + "-wal"); }));
}
void ForgetUnsyncedSqliteFiles() { unsynced.clear(); }

NoSqliteCommits::NoSqliteCommits() { commits_refused = true; }
NoSqliteCommits::~NoSqliteCommits() { commits_refused = false; }

int StopFailingSqlite() {
  const int failed = armed.failed;
  armed = {};
  return failed;
}

}  // namespace dumpwarden
