// SPDX-License-Identifier: Apache-2.0
// The database's owners: what is not committed is gone, errors have their kind.
#include "platform/sqlite.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "core/base/status_macros.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

class SqliteTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(db_, Database::Open(path_, Database::Durability::kFull));
    ASSERT_THAT(
        db_->Execute("CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB) STRICT"),
        IsOk());
  }
  absl::Status Insert(std::int64_t id) {
    ASSIGN_OR_RETURN(Statement insert, db_->Prepare("INSERT INTO t (id) VALUES (?)"));
    return insert.Bind(1, id).Run();
  }
  std::int64_t Rows() {
    Statement count = db_->Prepare("SELECT COUNT(*) FROM t").value();
    EXPECT_TRUE(count.Step().value());
    return count.Int(0);
  }

  TempFolder folder_;
  const std::string path_ = folder_.File("test.db");
  std::unique_ptr<Database> db_;
};

TEST_F(SqliteTest, ReadsBackWhatWasBound) {
  const std::string text("a\0b", 3);
  ASSERT_OK_AND_ASSIGN(Statement insert, db_->Prepare("INSERT INTO t VALUES (?, ?, ?)"));
  ASSERT_THAT(insert.Bind(1, std::int64_t{-5}).Bind(2, text).BindBlob(3, "\xff").Run(), IsOk());
  ASSERT_THAT(insert.Bind(1, std::int64_t{6}).Bind(2, "").BindNull(3).Run(), IsOk());
  ASSERT_OK_AND_ASSIGN(Statement select, db_->Prepare("SELECT * FROM t ORDER BY id"));
  ASSERT_TRUE(select.Step().value());
  EXPECT_EQ(select.Int(0), -5);
  EXPECT_EQ(select.Text(1), text);
  EXPECT_EQ(select.Blob(2), "\xff");
  ASSERT_TRUE(select.Step().value());
  EXPECT_FALSE(select.IsNull(1)) << "empty is not null";
  EXPECT_TRUE(select.IsNull(2));
  EXPECT_FALSE(select.Step().value());
}

TEST_F(SqliteTest, AStatementThatIsUsedAgainForgetsWhatWasBoundAndSeesWhatIsThere) {
  const auto insert = [this](std::optional<std::int64_t> id) {
    Statement statement = db_->Prepare("INSERT INTO t (id) VALUES (?)").value();
    if (id) statement.Bind(1, *id);
    return statement.Run();
  };
  ASSERT_THAT(insert(7), IsOk());
  ASSERT_THAT(insert(std::nullopt), IsOk());  // null: a number of SQLite's own
  EXPECT_EQ(Rows(), 2);
  {
    Statement half_read = db_->Prepare("SELECT id FROM t ORDER BY id").value();
    ASSERT_TRUE(half_read.Step().value());
    EXPECT_EQ(half_read.Int(0), 7);
    Statement beside = db_->Prepare("SELECT id FROM t ORDER BY id").value();
    ASSERT_TRUE(beside.Step().value());
    EXPECT_EQ(beside.Int(0), 7);
  }
  ASSERT_THAT(db_->Execute("DELETE FROM t; ALTER TABLE t RENAME TO old; CREATE TABLE t (id)"),
              IsOk())
      << "no reader is left over";
  ASSERT_THAT(insert(1), IsOk());
  Statement select = db_->Prepare("SELECT id FROM t ORDER BY id").value();
  ASSERT_TRUE(select.Step().value());
  EXPECT_EQ(select.Int(0), 1);
}

TEST_F(SqliteTest, AStatementMayOutliveItsDatabase) {
  ASSERT_THAT(Insert(3), IsOk());
  Statement select = db_->Prepare("SELECT id FROM t").value();
  db_.reset();
  ASSERT_TRUE(select.Step().value());
  EXPECT_EQ(select.Int(0), 3);
}

TEST_F(SqliteTest, GivesErrorsTheirKind) {
  ASSERT_THAT(Insert(1), IsOk());
  EXPECT_THAT(Insert(1), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr(path_)));
  EXPECT_THAT(db_->Execute("INSERT INTO t VALUES ('x', 1, 1)"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("mismatch")));
  EXPECT_THAT(db_->Prepare("SELECT 1; SELECT 2"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("exactly one")));
  Statement narrow = db_->Prepare("SELECT 1").value();
  EXPECT_FALSE(narrow.Bind(3, std::int64_t{1}).Step().ok()) << "no third parameter";
}

TEST_F(SqliteTest, UndoesATransactionThatFails) {
  const absl::Status no = absl::InternalError("no");
  EXPECT_EQ(db_->Transaction([&] {
    EXPECT_THAT(Insert(1), IsOk());
    return no;
  }),
            no);
  EXPECT_EQ(Rows(), 0);
  EXPECT_THAT(db_->Transaction([&] {
    EXPECT_THAT(db_->Savepoint([&] { return Insert(1); }), IsOk());
    EXPECT_EQ(db_->Savepoint([&] {
      EXPECT_THAT(Insert(2), IsOk());
      return no;
    }),
              no);
    return Insert(3);
  }),
              IsOk());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(SqliteTest, RefusesASavepointOutsideOfATransaction) {
  EXPECT_THAT(db_->Savepoint([&] { return Insert(1); }),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("rolled back")));
  EXPECT_EQ(Rows(), 0);
}

// The inner one's roll-back took the outer one's rows, whose body went on and committed alone.
TEST_F(SqliteTest, RefusesATransactionInsideOfAnotherWhichGoesOn) {
  EXPECT_THAT(db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(Insert(1));
    EXPECT_THAT(db_->Transaction([&] { return Insert(2); }),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("inside of another")));
    return Insert(3);
  }),
              IsOk());
  EXPECT_EQ(Rows(), 2);
}

TEST_F(SqliteTest, KeepsNothingOfABodyThatGoesOnAfterARollBack) {
  Statement insert = db_->Prepare("INSERT INTO t (id) VALUES (3)").value();
  EXPECT_FALSE(db_->Transaction([&] {
                    EXPECT_THAT(Insert(1), IsOk());
                    EXPECT_THAT(db_->Execute("ROLLBACK"), IsOk());
                    EXPECT_FALSE(Insert(2).ok());
                    EXPECT_FALSE(insert.Run().ok());
                    return absl::OkStatus();
                  })
                   .ok());
  EXPECT_EQ(Rows(), 0);
}

// The first to be destroyed went into a list that nobody empties any more, and held the file open.
TEST_F(SqliteTest, IsClosedOnceItsLastStatementIsGone) {
  {
    Statement one = db_->Prepare("SELECT id FROM t").value();
    Statement other = db_->Prepare("SELECT text FROM t").value();
    db_.reset();
  }
  const std::filesystem::path file = std::filesystem::canonical(path_);
  for (const auto& open : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    EXPECT_NE(std::filesystem::read_symlink(open, gone), file);
  }
}

TEST_F(SqliteTest, ReadsWhileAnotherWrites) {
  ASSERT_OK_AND_ASSIGN(const auto reader, Database::OpenReadOnly(path_));
  EXPECT_THAT(db_->Transaction([&] {
    EXPECT_THAT(Insert(1), IsOk());
    EXPECT_THAT(reader->Execute("SELECT COUNT(*) FROM t"), IsOk());
    return absl::OkStatus();
  }),
              IsOk());
  EXPECT_FALSE(reader->Execute("DELETE FROM t").ok());
  EXPECT_THAT(Database::OpenReadOnly(folder_.File("absent.db")),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent.db")));
}

TEST_F(SqliteTest, MigratesStepByStep) {
  ASSERT_OK_AND_ASSIGN(const auto db,
                       Database::Open(folder_.File("m.db"), Database::Durability::kExtra));
  ASSERT_THAT(db->Migrate({"CREATE TABLE a (x)"}), IsOk());
  EXPECT_FALSE(db->Migrate({"CREATE TABLE a (x)", "CREATE TABLE b (x); CREATE TABLE a (x)"}).ok());
  // The step that failed left nothing: b can be made.
  ASSERT_THAT(db->Migrate({"CREATE TABLE a (x)", "CREATE TABLE b (x)"}), IsOk());
  EXPECT_THAT(db->Migrate({"CREATE TABLE a (x)", "CREATE TABLE b (x)"}), IsOk());
  EXPECT_THAT(db->Migrate({"CREATE TABLE a (x)"}),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("newer program")));
}

TEST_F(SqliteTest, FindsDamage) {
  ASSERT_THAT(Insert(1), IsOk());
  EXPECT_THAT(db_->CheckIntegrity(), IsOk());
  db_.reset();
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(4096, '\xff');
  }
  ASSERT_OK_AND_ASSIGN(const auto damaged, Database::Open(path_, Database::Durability::kFull));
  EXPECT_THAT(damaged->CheckIntegrity(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path_)));
}

TEST_F(SqliteTest, TakesAwayWhatOthersCouldRead) {
  db_.reset();
  ASSERT_EQ(chmod(path_.c_str(), 0644), 0);
  ASSERT_THAT(Database::Open(path_, Database::Durability::kFull), IsOk());
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

}  // namespace
}  // namespace dumpwarden
