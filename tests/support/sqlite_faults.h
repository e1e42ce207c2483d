// SPDX-License-Identifier: Apache-2.0
// Makes fail what SQLite does outside itself: its allocations, and its calls to
// the disk.  Of one thread, and of a test program that calls InstallSqliteFaults
// before anything uses SQLite.
#ifndef DUMPWARDEN_TESTS_SUPPORT_SQLITE_FAULTS_H_
#define DUMPWARDEN_TESTS_SUPPORT_SQLITE_FAULTS_H_

namespace dumpwarden {

enum class SqliteFault {
  kMemory,  // an allocation gives nothing
  kDisk,    // any call fails with an I/O error; a write has written its first half
  kFull,    // a write has written its first half and finds the disk full
};

void InstallSqliteFaults();
// The nth of the coming calls (the next is 1) fails, and the `count` - 1 after it.
void FailSqlite(SqliteFault kind, int nth, int count);
// How many calls have failed.
int StopFailingSqlite();

// How many files hold what was written and not synced, open or not: none when anything is answered.
int UnsyncedSqliteFiles();
void ForgetUnsyncedSqliteFiles();  // others stand in their place now

// What a test asks in between neither fails nor counts.
class NoSqliteFaults {
 public:
  NoSqliteFaults();
  ~NoSqliteFaults();
};

// Every transaction that writes fails when it is committed.
class NoSqliteCommits {
 public:
  NoSqliteCommits();
  ~NoSqliteCommits();
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_SQLITE_FAULTS_H_
