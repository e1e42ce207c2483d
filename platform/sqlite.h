// SPDX-License-Identifier: Apache-2.0
// SQLite with owners: a connection, a prepared statement, a transaction that
// rolls back unless committed.  Errors are Status with SQLite's text.  One
// connection belongs to one thread.
#ifndef DUMPWARDEN_PLATFORM_SQLITE_H_
#define DUMPWARDEN_PLATFORM_SQLITE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

struct sqlite3;
struct sqlite3_stmt;

namespace dumpwarden {

struct SqliteConnection;  // what a Database and its statements share

class Statement {
 public:
  Statement(Statement&&) noexcept;
  Statement& operator=(Statement&&) noexcept;
  ~Statement();

  // Parameters count from 1.  Text and blobs are copied.
  Statement& Bind(int index, std::int64_t value);
  Statement& Bind(int index, absl::string_view text);
  Statement& BindBlob(int index, absl::string_view bytes);
  Statement& BindNull(int index);

  // True when there is a row; false at the end.  Errors of Bind come out here too.  What is left of
  // a transaction that failed is rolled back before.
  absl::StatusOr<bool> Step();
  // Runs to the end and makes ready for the next Bind.
  absl::Status Run();
  void Reset();

  // Columns count from 0.
  std::int64_t Int(int column) const;
  std::string Text(int column) const;
  std::string Blob(int column) const;
  bool IsNull(int column) const;

 private:
  friend class Database;
  Statement(sqlite3_stmt* statement, std::shared_ptr<SqliteConnection> connection, bool again);
  void GiveBack();
  sqlite3_stmt* statement_;
  std::shared_ptr<SqliteConnection> connection_;
  bool again_ = false;  // another may use it
  int bind_error_ = 0;
};

class Database {
 public:
  enum class Durability { kFull, kExtra };  // PRAGMA synchronous; kExtra uses a rollback journal
  // WAL (kFull) or DELETE (kExtra), foreign keys on, trusted_schema off, five seconds busy timeout,
  // file readable by the owner only.
  static absl::StatusOr<std::unique_ptr<Database>> Open(const std::string& path,
                                                        Durability durability);
  static absl::StatusOr<std::unique_ptr<Database>> OpenReadOnly(const std::string& path);
  ~Database();

  // One that was prepared before and is not in use is taken again: half of what short statements
  // cost is their preparation.
  absl::StatusOr<Statement> Prepare(absl::string_view sql);
  absl::Status Execute(absl::string_view sql);  // several statements, no parameters
  std::int64_t LastInsertId() const;
  std::int64_t Changes() const;
  // BEGIN IMMEDIATE, body, COMMIT; ROLLBACK when the body or the commit fails.  When not even
  // ROLLBACK can be run (no memory), it is run before whatever comes next.  Inside of another
  // transaction it is refused, and that one goes on.  What the body runs after SQLite rolled back
  // by itself (no room, say) is refused: it would be kept alone.
  absl::Status Transaction(const std::function<absl::Status()>& body);
  // Runs body inside a savepoint of the running transaction; a failure undoes only the body, or all
  // of the transaction, which then cannot commit.
  absl::Status Savepoint(const std::function<absl::Status()>& body);

  // Brings the schema from what the file says (PRAGMA user_version) to `scripts.size()`, each
  // script in a transaction of its own.  kFailedPrecondition when the file is newer.
  absl::Status Migrate(const std::vector<absl::string_view>& scripts);
  // PRAGMA integrity_check; kDataLoss with what it found.  Reads the whole file.
  absl::Status CheckIntegrity();
  // kFailedPrecondition when a newer program made the file.
  absl::Status CheckSchema(std::int64_t newest);
  // One moment of the whole database into a new file, while others go on writing (SQLite's online
  // backup).  The copy is one plain file, synced and checked for integrity.
  absl::Status BackUpTo(const std::string& path);

 private:
  absl::StatusOr<std::int64_t> SchemaVersion();
  absl::Status RollBack();
  explicit Database(sqlite3* db);
  absl::Status Control(absl::string_view sql);  // of transactions: often the same few
  sqlite3* db_;
  std::shared_ptr<SqliteConnection> connection_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_SQLITE_H_
