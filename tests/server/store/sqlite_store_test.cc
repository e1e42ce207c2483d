// SPDX-License-Identifier: Apache-2.0
// The SQLite store against the contract, and what is SQLite's own.
#include "server/store/sqlite_store.h"

#include <sys/stat.h>

#include <cstdlib>
#include <fstream>

#include "core/base/digest.h"
#include "platform/sqlite.h"
#include "server/store/backup.h"
#include "server/store/group_commit.h"
#include "server/store/schema.h"
#include "tests/contract/store_audit_contract.h"
#include "tests/contract/store_contract.h"
#include "tests/contract/store_drift_contract.h"
#include "tests/contract/store_epochs_contract.h"
#include "tests/contract/store_hold_contract.h"
#include "tests/contract/store_people_contract.h"
#include "tests/contract/store_retention_contract.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

class SqliteBench : public StoreBench {
 public:
  explicit SqliteBench(FakeClock& clock)
      : clock_(clock), store_(MakeSqliteStore(File(), clock).value()) {}
  Store& store() override { return *store_; }

  // In a process of its own: closing a file of this one would drop SQLite's locks.
  std::unique_ptr<Store> AfterPowerCut() override {
    const std::string copy = folder_.File("copy.db");
    const std::string command =
        absl::StrCat("cp ", File(), " ", copy, " && cp ", File(), "-wal ", copy, "-wal");
    if (std::system(command.c_str()) != 0) return nullptr;
    return MakeSqliteStore(copy, clock_).value();
  }

  void BreakAudit() override {
    const auto db = Database::Open(File(), Database::Durability::kFull).value();
    ASSERT_THAT(db->Execute("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN "
                            "SELECT RAISE(ABORT, 'no room'); END"),
                IsOk());
  }

 private:
  std::string File() const { return folder_.File("server.db"); }
  TempFolder folder_;
  FakeClock& clock_;
  std::unique_ptr<Store> store_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreContract,
                         testing::Values([](FakeClock& clock) -> std::unique_ptr<StoreBench> {
                           return std::make_unique<SqliteBench>(clock);
                         }));

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreAudit,
                         testing::Values([](FakeClock& clock) -> std::unique_ptr<StoreBench> {
                           return std::make_unique<SqliteBench>(clock);
                         }));

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreEpochs,
                         testing::Values([](FakeClock& clock) -> std::unique_ptr<StoreBench> {
                           return std::make_unique<SqliteBench>(clock);
                         }));

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreHold,
                         testing::Values([](FakeClock& clock) -> std::unique_ptr<StoreBench> {
                           return std::make_unique<SqliteBench>(clock);
                         }));

INSTANTIATE_TEST_SUITE_P(Sqlite, StoreRetention,
                         testing::Values([](FakeClock& clock) -> std::unique_ptr<StoreBench> {
                           return std::make_unique<SqliteBench>(clock);
                         }));

INSTANTIATE_TEST_SUITE_P(Sqlite, StorePeople,
                         testing::Values([](FakeClock& clock) -> std::unique_ptr<StoreBench> {
                           return std::make_unique<SqliteBench>(clock);
                         }));

class SqliteStoreTest : public testing::Test {
 protected:
  TempFolder folder_;
  FakeClock clock_;
  const std::string path_ = folder_.File("server.db");
};

TEST_F(SqliteStoreTest, IsItsOwnersAlone) {
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
  ASSERT_THAT(store->RecordAudit({}), IsOk());
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info {};
    ASSERT_EQ(stat((path_ + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(SqliteStoreTest, LetsNobodyRewriteHistory) {
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
  ASSERT_THAT(store->RecordAudit({}), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(path_, Database::Durability::kFull));
  for (const char* sql : {"UPDATE audit SET actor = 'x'", "DELETE FROM audit"}) {
    EXPECT_THAT(db->Execute(sql),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("audit rows are never")))
        << sql;
  }
}

// Retention's own way, taken by another hand, or half of it.
TEST_F(SqliteStoreTest, LetsNobodyDeleteWhatRetentionDoesNot) {
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
  const Audit said{"server", "", "retention.delete", "audit", "", "", ""};
  for (int i = 0; i < 3; ++i) ASSERT_THAT(store->RecordAudit({}), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(path_, Database::Durability::kFull));
  ASSERT_THAT(
      db->Execute("INSERT INTO host (host_id, uuid, name, host_key, enrolled) VALUES (1, 'u', 'w', "
                  "x'00', 0); INSERT INTO drift_event VALUES (1, 1, x'65', 1, 1, 'dump.type', 1, "
                  "'', '', '', '', 0, 0, 0, 0); INSERT INTO drift_gone VALUES (1, 1, x'00')"),
      IsOk());
  const auto refuses = [&](const char* sql) {
    EXPECT_THAT(db->Execute(sql),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("never deleted")))
        << sql;
  };
  refuses("UPDATE audit_floor SET lowest = 2");
  ASSERT_THAT(store->RecordAudit(said), IsOk());
  refuses("DELETE FROM audit WHERE sequence = 1");
  refuses("DELETE FROM audit_floor");
  refuses("UPDATE audit_floor SET lowest = 5");  // that would be the row that says so, too
  refuses("DELETE FROM drift_event");            // it is open
  refuses("DELETE FROM drift_gone");
  ASSERT_THAT(db->Execute("UPDATE audit_floor SET lowest = 3"), IsOk());
  refuses("UPDATE audit_floor SET lowest = 2");
  // SQLite deletes what it replaces without a word to the triggers of DELETE and UPDATE.
  refuses("INSERT OR REPLACE INTO audit_floor VALUES (1, 5)");
  refuses("INSERT INTO audit_floor VALUES (2, 5)");
  refuses(
      "INSERT OR REPLACE INTO audit SELECT 4, at, 'x', source, action, object, detail, before, "
      "after FROM audit WHERE sequence = 3");
  refuses("UPDATE drift_gone SET sequence = 2");
  refuses(
      "INSERT OR REPLACE INTO drift_event SELECT 1, host_id, epoch, 2, 4, setting, mode, "
      "old_value, 'x', desired, policy, 0, 0, 0, 0 FROM drift_event");
  refuses(
      "INSERT OR REPLACE INTO drift_event SELECT 2, host_id, epoch, sequence, 4, setting, mode, "
      "old_value, 'x', desired, policy, 0, 0, 0, 0 FROM drift_event");
  refuses("DELETE FROM audit");
  refuses("DELETE FROM audit WHERE sequence = 3");
  ASSERT_THAT(db->Execute("DELETE FROM audit WHERE sequence < 3"), IsOk());
  refuses(
      "INSERT INTO audit SELECT 1, at, 'x', source, action, object, detail, before, after "
      "FROM audit WHERE sequence = 3");
  EXPECT_THAT(store->ListAudit({}).value(), SizeIs(2));
}

TEST_F(SqliteStoreTest, RefusesAFileOfANewerProgram) {
  ASSERT_THAT(MakeSqliteStore(path_, clock_), IsOk());
  ASSERT_THAT(Database::Open(path_, Database::Durability::kFull)
                  .value()
                  ->Execute("PRAGMA user_version = 99"),
              IsOk());
  EXPECT_THAT(MakeSqliteStore(path_, clock_),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("version 99")));
}

// After a clean stop all that was acknowledged was in store.db-wal only.
TEST_F(SqliteStoreTest, LeavesEverythingInOneFileWhenItGoes) {
  {
    ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
    for (int i = 0; i < 20; ++i) {
      ASSERT_THAT(store->RecordAudit({}), IsOk());
      ASSERT_THAT(store->ListAudit({}), IsOk());  // a reader that stays
    }
  }
  struct stat wal {};
  EXPECT_TRUE(stat((path_ + "-wal").c_str(), &wal) != 0 || wal.st_size == 0);
  const std::string copy = folder_.File("copy.db");
  std::ofstream(copy) << std::ifstream(path_).rdbuf();
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(copy, clock_));
  EXPECT_THAT(store->ListAudit({}).value(), SizeIs(20));
}

PolicyRow PolicyOf(const std::string& yaml) {
  PolicyRow policy;
  policy.name = "base";
  policy.yaml = yaml;
  policy.digest = Sha256(yaml);
  return policy;
}

std::uint64_t AppliedAfterRestore(const std::string& file, FakeClock& clock, PolicyRow policy) {
  EXPECT_THAT(BeginAfterRestore(file, clock.Now(), "backup"), IsOk());
  const auto store = MakeSqliteStore(file, clock);
  EXPECT_THAT(store, IsOk());
  const Audit audit{"test", "", "policy.apply", "base", "", "", ""};
  policy.version = 1000;
  EXPECT_THAT((*store)->PutPolicies({policy}, audit).status(),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("restored from")))
      << "by hand, too";
  policy.version = 0;
  const auto applied = (*store)->PutPolicies({policy}, audit);
  EXPECT_THAT(applied, IsOk());
  return applied->at(0).version();
}

// A rehearsal of the same backup gave out the numbers that the real restore gave out again.
TEST_F(SqliteStoreTest, GivesNoVersionOutTwiceHoweverOftenABackupIsRestored) {
  const std::string first = folder_.File("first.db");
  const std::string second = folder_.File("second.db");
  {
    ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
    const Audit audit{"test", "", "policy.apply", "base", "", "", ""};
    ASSERT_THAT(store->PutPolicies({PolicyOf("one")}, audit), IsOk());
  }
  for (const std::string& copy : {first, second}) {
    std::ofstream(copy) << std::ifstream(path_).rdbuf();
  }
  clock_.Advance(absl::Hours(2));
  EXPECT_EQ(AppliedAfterRestore(first, clock_, PolicyOf("two")), 1 + 1000 + 120 + 1);
  clock_.Advance(absl::Hours(1));
  EXPECT_EQ(AppliedAfterRestore(second, clock_, PolicyOf("three")), 1 + 1000 + 180 + 1);
}

// Seed 8 of the simulation.
TEST_F(SqliteStoreTest, GivesNoVersionOutTwiceAfterARestoreByAClockThatWentBack) {
  {
    ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
    const Audit audit{"test", "", "policy.apply", "base", "", "", ""};
    ASSERT_THAT(store->PutPolicies({PolicyOf("one")}, audit), IsOk());
  }
  clock_.SetWall(clock_.Now() - absl::Hours(24));
  EXPECT_EQ(AppliedAfterRestore(path_, clock_, PolicyOf("two")), 1 + 1000 + 1);
}

TEST_F(SqliteStoreTest, OpensAFileOfEveryEarlierProgram) {
  const std::vector<absl::string_view> all = Migrations();
  for (std::size_t version = 1; version <= all.size(); ++version) {
    SCOPED_TRACE(version);
    const std::string path = folder_.File(absl::StrCat("v", version, ".db"));
    {
      ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(path, Database::Durability::kFull));
      ASSERT_THAT(db->Migrate({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(version)}),
                  IsOk());
      ASSERT_THAT(
          db->Execute("INSERT INTO host (host_id, uuid, name, host_key, enrolled) "
                      "VALUES (1, 'u', 'web-01', x'00', 0); INSERT INTO host_state (host_id) "
                      "VALUES (1); INSERT INTO drift_event VALUES (1, 1, x'65', 1, 1, 'dump.type', "
                      "1, '', '', '', '', 0, 0, 0, 0), (2, 1, x'65', 2, 3, 'dump.type', 1, '', '', "
                      "'', '', 0, 0, 1, 0)"),
          IsOk());
    }
    ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path, clock_));
    EXPECT_EQ(store->FindHost("u")->name, "web-01");
    ASSERT_THAT(store->ListDrift({}).value(), SizeIs(1));
    EXPECT_EQ(store->ListDrift({})->at(0).state(), "resolved");
  }
}

// Before there were people every certificate of an operator could do all, and `init` made the only
// one: it goes on.  A new database has nobody until `init` says who.
TEST_F(SqliteStoreTest, TheFirstOperatorOfAnEarlierServerIsAdmin) {
  const struct {
    const char* audit;
    const char* name;
    const char* why;
  } kCases[] = {
      {"'server.init', 'root sha256:00, operator ops@corp.example'", "ops@corp.example", "named"},
      {"'retention.delete', '20 rows'", "admin", "retention took the row of init"},
      {nullptr, nullptr, "a new one"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.why);
    const std::string path = folder_.File(absl::StrCat(c.why, ".db"));
    {
      ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(path, Database::Durability::kFull));
      std::vector<absl::string_view> before = Migrations();
      before.resize(5);
      ASSERT_THAT(db->Migrate(before), IsOk());
      if (c.audit != nullptr) {
        ASSERT_THAT(db->Execute(absl::StrCat("INSERT INTO audit (at, actor, source, action, "
                                             "detail, object, before, after) SELECT 1, 'local', "
                                             "'', ",
                                             c.audit, ", '', x'', x''")),
                    IsOk());
      }
    }
    ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path, clock_));
    ASSERT_OK_AND_ASSIGN(const auto people, store->ListPeople());
    ASSERT_THAT(people, SizeIs(c.name == nullptr ? 0 : 1));
    if (c.name == nullptr) continue;
    EXPECT_EQ(people[0].name, c.name);
    EXPECT_THAT(people[0].roles, testing::ElementsAre("admin"));
    EXPECT_TRUE(people[0].unlisted);
  }
}

TEST_F(SqliteStoreTest, LetsNoLoginCodeOfBeforeARestoreIn) {
  const Audit audit{"test", "", "test", "", "", "", ""};
  const LoginCodeRow code{"c1", Sha256("secret"), "bob", clock_.Now() + absl::Hours(24)};
  {
    ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
    PersonRow bob;
    bob.name = "bob";
    bob.roles = {"admin"};
    ASSERT_THAT(store->AddPerson(bob, code, audit), IsOk());
  }
  ASSERT_THAT(BeginAfterRestore(path_, clock_.Now(), "backup"), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(path_, clock_));
  EXPECT_EQ(store->NewestTokenExpiry(clock_.Now()).value(), std::nullopt);
  EXPECT_THAT(store->UseLoginCode(
                  {"c1", code.secret_digest, clock_.Now()},
                  [](const PersonRow&) { return Login(); }, audit),
              StatusIs(absl::StatusCode::kPermissionDenied, testing::_));
}

// Asked every second, for as long as the server runs.
TEST_F(SqliteStoreTest, FindsTheNewestOpenTokenByAnIndex) {
  ASSERT_THAT(MakeSqliteStore(path_, clock_), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto db, Database::Open(path_, Database::Durability::kFull));
  ASSERT_OK_AND_ASSIGN(Statement plan,
                       db->Prepare("EXPLAIN QUERY PLAN SELECT MAX(expires) FROM token "
                                   "WHERE used IS NULL AND expires > 1"));
  ASSERT_THAT(plan.Step(), IsOk());
  EXPECT_THAT(plan.Text(3), HasSubstr("token_open"));
  ASSERT_OK_AND_ASSIGN(Statement codes,
                       db->Prepare("EXPLAIN QUERY PLAN SELECT expires FROM login_code "
                                   "WHERE used IS NULL AND expires > 1"));
  ASSERT_THAT(codes.Step(), IsOk());
  EXPECT_THAT(codes.Text(3), HasSubstr("login_code_open"));
}

TEST_F(SqliteStoreTest, RefusesWhatIsNoDatabase) {
  std::ofstream(path_) << std::string(4096, 'x');
  EXPECT_THAT(MakeSqliteStore(path_, clock_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path_)));
}

TEST_F(SqliteStoreTest, CommitsWhatItWasGivenBeforeItGoes) {
  int done = 0;
  {
    GroupCommit writer(Database::Open(path_, Database::Durability::kFull).value());
    ASSERT_THAT(writer.Commit([](Database& db) { return db.Execute("CREATE TABLE t (x)"); }),
                IsOk());
    for (int i = 0; i < 500; ++i) {
      writer.Submit([](Database& db) { return db.Execute("INSERT INTO t VALUES (1)"); },
                    [&](absl::Status status) { done += status.ok(); });
    }
  }
  EXPECT_EQ(done, 500);
}

TEST_F(SqliteStoreTest, RefusesMoreThanItCanQueue) {
  const auto go = std::make_shared<std::promise<void>>();
  const auto started = std::make_shared<std::promise<void>>();
  const auto refused = std::make_shared<std::promise<absl::Status>>();
  GroupCommit writer(Database::Open(path_, Database::Durability::kFull).value());
  writer.Submit(
      [go, started](Database&) {
        started->set_value();
        go->get_future().wait();
        return absl::OkStatus();
      },
      [](absl::Status) {});
  started->get_future().wait();
  const auto nothing = [](Database&) { return absl::OkStatus(); };
  for (std::size_t i = 0; i < GroupCommit::kMaxQueued; ++i) {
    writer.Submit(nothing, [](absl::Status status) { EXPECT_THAT(status, IsOk()); });
  }
  writer.Submit(nothing, [refused](absl::Status status) { refused->set_value(std::move(status)); });
  // An audit row is never shed: its caller waits behind the rest.
  std::future<absl::Status> audited =
      std::async(std::launch::async, [&] { return writer.Commit(nothing); });
  go->set_value();
  EXPECT_THAT(refused->get_future().get(),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("lags")));
  EXPECT_THAT(audited.get(), IsOk());
}

TEST_F(SqliteStoreTest, FailsAllWhenTheTransactionIsGone) {
  int failed = 0;
  {
    GroupCommit writer(Database::Open(path_, Database::Durability::kFull).value());
    ASSERT_THAT(writer.Commit([](Database& db) { return db.Execute("CREATE TABLE t (x)"); }),
                IsOk());
    const auto insert = [](Database& db) { return db.Execute("INSERT INTO t VALUES (1)"); };
    // As a full disk does it: the whole transaction is rolled back beneath the jobs.
    const auto lose = [](Database& db) { return db.Execute("ROLLBACK"); };
    const auto go = std::make_shared<std::promise<void>>();
    writer.Submit(
        [go](Database&) {
          go->get_future().wait();
          return absl::OkStatus();
        },
        [](absl::Status) {});
    for (const GroupCommit::Work& work :
         {GroupCommit::Work(insert), GroupCommit::Work(lose), GroupCommit::Work(insert)}) {
      writer.Submit(work, [&](absl::Status status) { failed += !status.ok(); });
    }
    go->set_value();
  }
  EXPECT_EQ(failed, 3);
  ASSERT_OK_AND_ASSIGN(const auto db, Database::OpenReadOnly(path_));
  ASSERT_OK_AND_ASSIGN(Statement count, db->Prepare("SELECT COUNT(*) FROM t"));
  ASSERT_THAT(count.Step(), IsOk());
  EXPECT_EQ(count.Int(0), 0);
}

}  // namespace
}  // namespace dumpwarden
