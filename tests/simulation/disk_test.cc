// SPDX-License-Identifier: Apache-2.0
// SQLite on the simulated disk, alone: what it may lose, and what it may not.
#include "tests/simulation/disk.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <memory>

#include "platform/sqlite.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden::sim {
namespace {

class DiskTest : public testing::Test {
 protected:
  explicit DiskTest(std::uint64_t seed = 1)
      : world_(seed), faults_(world_.counts), disk_(folder_.path(), world_, faults_) {
    UseSimulatedDisks();
    SeedSqlite(chance_);
  }
  std::unique_ptr<Database> Open() {
    faults_.Revive();
    auto db = Database::Open(folder_.File("test.db"), Database::Durability::kFull);
    EXPECT_THAT(db, IsOk());
    return db.ok() ? *std::move(db) : nullptr;
  }
  static std::int64_t Rows(Database& db) {
    auto count = db.Prepare("SELECT count(*) FROM t");
    return count.ok() && count->Step().ok() ? count->Int(0) : -1;
  }

  TempFolder folder_;
  World world_;
  Chance chance_{1};
  MachineFaults faults_;
  Disk disk_;
};

TEST_F(DiskTest, KeepsWhatWasCommittedOverAPowerCut) {
  for (int round = 1; round <= 50; ++round) {
    std::unique_ptr<Database> db = Open();
    ASSERT_THAT(db->Execute("CREATE TABLE IF NOT EXISTS t (a); INSERT INTO t VALUES (1)"), IsOk());
    ASSERT_EQ(Rows(*db), round);
    faults_.Die();
    db.reset();
    disk_.PowerCut();
  }
}

// Seed 4 of the simulation: the log of a process that was killed before its sync.
TEST_F(DiskTest, WhatTheNextProcessReadsIsThereAfterAPowerCutToo) {
  ASSERT_THAT(Open()->Execute("CREATE TABLE t (a)"), IsOk());
  int read_unsynced = 0;
  for (int round = 0; round < 50; ++round) {
    std::unique_ptr<Database> db = Open();
    const std::int64_t before = Rows(*db);
    faults_.KillAt(1 + round % 8);
    const bool committed = db->Execute("INSERT INTO t VALUES (1)").ok();
    db = nullptr;  // killed; the page cache stays
    db = Open();
    const std::int64_t seen = Rows(*db);
    if (seen > before && !committed) ++read_unsynced;
    faults_.Die();
    db = nullptr;
    disk_.PowerCut();
    db = Open();
    EXPECT_EQ(Rows(*db), seen);
  }
  EXPECT_GT(read_unsynced, 0);
}

}  // namespace
}  // namespace dumpwarden::sim
