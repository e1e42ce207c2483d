// SPDX-License-Identifier: Apache-2.0
#include "platform/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace dumpwarden {

struct SqliteConnection {
  std::map<std::string, sqlite3_stmt*, std::less<>> idle;  // prepared and not in use, by their SQL
  bool failed = false;   // what is open is of a transaction that failed, and is to be rolled back
  bool in_body = false;  // of a transaction
  bool closed = false;   // statements may outlive it
};

namespace {

constexpr int kBusyMilliseconds = 5000;
constexpr std::size_t kMaxIdleStatements = 100;  // a program has fewer

absl::StatusCode ConstraintCode(int extended) {
  switch (extended) {
    case SQLITE_CONSTRAINT_TRIGGER:
    case SQLITE_CONSTRAINT_CHECK:
    case SQLITE_CONSTRAINT_NOTNULL:
    case SQLITE_CONSTRAINT_FOREIGNKEY:
    case SQLITE_CONSTRAINT_DATATYPE:
      return absl::StatusCode::kFailedPrecondition;
    default:
      return absl::StatusCode::kAlreadyExists;
  }
}

absl::StatusCode CodeOf(int extended) {
  switch (extended & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return absl::StatusCode::kUnavailable;
    case SQLITE_FULL:
    case SQLITE_TOOBIG:
      return absl::StatusCode::kResourceExhausted;
    case SQLITE_CONSTRAINT:
      return ConstraintCode(extended);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::StatusCode::kDataLoss;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      return absl::StatusCode::kPermissionDenied;
    default:
      return absl::StatusCode::kInternal;
  }
}

absl::Status SqliteError(sqlite3* db, absl::string_view what, int code, const char* why) {
  const char* name = sqlite3_db_filename(db, "main");
  const std::string file = name == nullptr ? "" : name;
  if (CodeOf(code) == absl::StatusCode::kDataLoss) {
    return absl::DataLossError(absl::StrCat("database ", file, " is damaged: ", what, ": ", why,
                                            ": restore it from a backup"));
  }
  return absl::Status(CodeOf(code), absl::StrCat("database ", file, ": ", what, ": ", why));
}

absl::Status SqliteError(sqlite3* db, absl::string_view what) {
  return SqliteError(db, what, sqlite3_extended_errcode(db), sqlite3_errmsg(db));
}

// SQLite gives -wal and -shm the mode of the database.  An existing file is
// changed by name: closing a descriptor of our own would drop SQLite's locks.
absl::Status MakePrivate(const std::string& path) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) {
    close(fd);
    return absl::OkStatus();
  }
  const auto failure = [&path](int error) {
    return absl::ErrnoToStatus(error, absl::StrCat("cannot open database ", path));
  };
  if (errno != EEXIST) return failure(errno);
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) return failure(errno);
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("cannot open database ", path, ": it is not a regular file"));
  }
  if ((info.st_mode & 0077) != 0 && chmod(path.c_str(), 0600) != 0) return failure(errno);
  return absl::OkStatus();
}

absl::StatusOr<sqlite3*> Connect(const std::string& path, int flags) {
  sqlite3* db = nullptr;
  const int code = sqlite3_open_v2(path.c_str(), &db, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  if (code != SQLITE_OK) {
    const std::string why = db == nullptr ? sqlite3_errstr(code) : sqlite3_errmsg(db);
    sqlite3_close(db);
    return absl::Status(CodeOf(code), absl::StrCat("cannot open database ", path, ": ", why));
  }
  sqlite3_extended_result_codes(db, 1);
  sqlite3_busy_timeout(db, kBusyMilliseconds);
  sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  return db;
}

// What a killed process wrote to the log and did not sync reads as committed; before anybody relies
// on it, it must be.  SQLite itself syncs only with the next commit.
absl::Status SyncLog(sqlite3* db, const std::string& path) {
  sqlite3_file* log = nullptr;
  const int found = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
  if (found != SQLITE_OK || log == nullptr || log->pMethods == nullptr) return absl::OkStatus();
  const int code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
  if (code == SQLITE_OK) return absl::OkStatus();
  return absl::Status(CodeOf(code),
                      absl::StrCat("database ", path, ": syncing its log: ", sqlite3_errstr(code)));
}

// All pages in one step: a reader of WAL holds up nobody who writes.
absl::Status CopyPages(sqlite3* from, sqlite3* to) {
  sqlite3_backup* backup = sqlite3_backup_init(to, "main", from, "main");
  if (backup == nullptr) return SqliteError(to, "starting a copy");
  const int stepped = sqlite3_backup_step(backup, -1);
  const int finished = sqlite3_backup_finish(backup);
  if (stepped == SQLITE_DONE && finished == SQLITE_OK) return absl::OkStatus();
  const int code = stepped == SQLITE_DONE ? finished : stepped;
  return absl::Status(CodeOf(code),
                      absl::StrCat("database ", sqlite3_db_filename(from, "main"), ": copying to ",
                                   sqlite3_db_filename(to, "main"), ": ", sqlite3_errstr(code)));
}

absl::Status EndFailed(sqlite3* db, SqliteConnection& connection) {
  // SQLite may have rolled back by itself (disk full, I/O error).
  if (connection.failed && sqlite3_get_autocommit(db) == 0 &&
      sqlite3_exec(db, "ROLLBACK", nullptr, nullptr, nullptr) != SQLITE_OK) {
    return SqliteError(db, "rolling back what failed before");
  }
  connection.failed = false;
  return absl::OkStatus();
}

absl::Status RolledBack(sqlite3* db) {
  return absl::FailedPreconditionError(
      absl::StrCat("database ", sqlite3_db_filename(db, "main"),
                   ": the transaction that this was to be part of has been rolled back"));
}

// Before anything is run: it is to be part of the transaction that goes on, or of none.
absl::Status MakeReady(sqlite3* db, SqliteConnection& connection) {
  RETURN_IF_ERROR(EndFailed(db, connection));
  if (connection.in_body && sqlite3_get_autocommit(db) != 0) return RolledBack(db);
  return absl::OkStatus();
}

}  // namespace

Statement::Statement(sqlite3_stmt* statement, std::shared_ptr<SqliteConnection> connection,
                     bool again)
    : statement_(statement), connection_(std::move(connection)), again_(again) {}

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)),
      connection_(std::move(other.connection_)),
      again_(other.again_),
      bind_error_(other.bind_error_) {}

Statement& Statement::operator=(Statement&& other) noexcept {
  std::swap(statement_, other.statement_);
  std::swap(connection_, other.connection_);
  std::swap(again_, other.again_);
  std::swap(bind_error_, other.bind_error_);
  return *this;
}

Statement::~Statement() { GiveBack(); }

void Statement::GiveBack() {
  if (statement_ == nullptr) return;
  SqliteConnection& connection = *connection_;
  if (again_ && !connection.closed && connection.idle.size() < kMaxIdleStatements) {
    Reset();
    if (connection.idle.try_emplace(sqlite3_sql(statement_), statement_).second) return;
  }
  sqlite3_finalize(statement_);
}

Statement& Statement::Bind(int index, std::int64_t value) {
  if (bind_error_ == SQLITE_OK) bind_error_ = sqlite3_bind_int64(statement_, index, value);
  return *this;
}

Statement& Statement::Bind(int index, absl::string_view text) {
  if (bind_error_ != SQLITE_OK) return *this;
  // An empty view may hold a null pointer, which SQLite would store as NULL.
  bind_error_ = sqlite3_bind_text64(statement_, index, text.empty() ? "" : text.data(), text.size(),
                                    SQLITE_TRANSIENT, SQLITE_UTF8);
  return *this;
}

Statement& Statement::BindBlob(int index, absl::string_view bytes) {
  if (bind_error_ != SQLITE_OK) return *this;
  bind_error_ = sqlite3_bind_blob64(statement_, index, bytes.empty() ? "" : bytes.data(),
                                    bytes.size(), SQLITE_TRANSIENT);
  return *this;
}

Statement& Statement::BindNull(int index) {
  if (bind_error_ == SQLITE_OK) bind_error_ = sqlite3_bind_null(statement_, index);
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  sqlite3* db = sqlite3_db_handle(statement_);
  if (bind_error_ != SQLITE_OK) {
    return SqliteError(db, "binding a parameter", bind_error_, sqlite3_errstr(bind_error_));
  }
  RETURN_IF_ERROR(MakeReady(db, *connection_));
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return SqliteError(db, "running a statement");
}

absl::Status Statement::Run() {
  absl::StatusOr<bool> row = true;
  while (row.ok() && *row) row = Step();
  Reset();
  return row.status();
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  bind_error_ = SQLITE_OK;
}

std::int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

std::string Statement::Text(int column) const {
  const auto* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(text),
                     static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

std::string Statement::Blob(int column) const {
  const void* blob = sqlite3_column_blob(statement_, column);
  if (blob == nullptr) return "";
  return std::string(static_cast<const char*>(blob),
                     static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}

Database::Database(sqlite3* db) : db_(db), connection_(std::make_shared<SqliteConnection>()) {}

Database::~Database() {
  for (const auto& [sql, statement] : connection_->idle) sqlite3_finalize(statement);
  connection_->idle.clear();
  connection_->closed = true;
  sqlite3_close_v2(db_);
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path,
                                                         Durability durability) {
  RETURN_IF_ERROR(MakePrivate(path));
  ASSIGN_OR_RETURN(sqlite3 * connection, Connect(path, SQLITE_OPEN_READWRITE));
  std::unique_ptr<Database> db(new Database(connection));
  const bool wal = durability == Durability::kFull;
  RETURN_IF_ERROR(db->Execute("PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF"));
  RETURN_IF_ERROR(db->Execute(wal ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=EXTRA"));
  ASSIGN_OR_RETURN(Statement mode,
                   db->Prepare(wal ? "PRAGMA journal_mode=WAL" : "PRAGMA journal_mode=DELETE"));
  ASSIGN_OR_RETURN(const bool row, mode.Step());
  if (!row || mode.Text(0) != (wal ? "wal" : "delete")) {
    return absl::FailedPreconditionError(
        absl::StrCat("database ", path, ": journal mode stays ", mode.Text(0),
                     "; put it on a local disk, not on a network share"));
  }
  if (wal) RETURN_IF_ERROR(SyncLog(connection, path));
  return db;
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenReadOnly(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot open database ", path));
  }
  ASSIGN_OR_RETURN(sqlite3 * connection, Connect(path, SQLITE_OPEN_READONLY));
  std::unique_ptr<Database> db(new Database(connection));
  RETURN_IF_ERROR(db->Execute("PRAGMA trusted_schema=OFF; PRAGMA query_only=ON"));
  return db;
}

absl::StatusOr<Statement> Database::Prepare(absl::string_view sql) {
  RETURN_IF_ERROR(MakeReady(db_, *connection_));
  auto& idle = connection_->idle;
  if (const auto found = idle.find(sql); found != idle.end()) {
    Statement again(found->second, connection_, true);
    idle.erase(found);
    return again;
  }
  sqlite3_stmt* statement = nullptr;
  const char* tail = nullptr;
  if (sqlite3_prepare_v2(db_, sql.data(), static_cast<int>(sql.size()), &statement, &tail) !=
      SQLITE_OK) {
    return SqliteError(db_, absl::StrCat("preparing \"", sql.substr(0, 200), "\""));
  }
  // A PRAGMA may do its work while it is prepared.
  const bool again = !absl::StartsWithIgnoreCase(sql, "PRAGMA");
  Statement prepared(statement, connection_, again);
  const absl::string_view rest(tail, sql.size() - static_cast<std::size_t>(tail - sql.data()));
  if (statement == nullptr || !absl::StripAsciiWhitespace(rest).empty()) {
    return absl::InternalError(
        absl::StrCat("database: exactly one statement is expected: ", sql.substr(0, 200)));
  }
  return prepared;
}

absl::Status Database::Execute(absl::string_view sql) {
  RETURN_IF_ERROR(MakeReady(db_, *connection_));
  if (sqlite3_exec(db_, std::string(sql).c_str(), nullptr, nullptr, nullptr) == SQLITE_OK) {
    return absl::OkStatus();
  }
  return SqliteError(db_, absl::StrCat("running \"", sql.substr(0, 200), "\""));
}

absl::Status Database::Control(absl::string_view sql) {
  ASSIGN_OR_RETURN(Statement statement, Prepare(sql));
  return statement.Run();
}

std::int64_t Database::LastInsertId() const { return sqlite3_last_insert_rowid(db_); }

std::int64_t Database::Changes() const { return sqlite3_changes64(db_); }

absl::Status Database::RollBack() {
  connection_->failed = true;
  return EndFailed(db_, *connection_);
}

absl::Status Database::Transaction(const std::function<absl::Status()>& body) {
  if (connection_->in_body) {
    return absl::FailedPreconditionError(
        absl::StrCat("database ", sqlite3_db_filename(db_, "main"),
                     ": a transaction was begun inside of another; a part of one is a savepoint"));
  }
  absl::Status status = Control("BEGIN IMMEDIATE");
  connection_->in_body = status.ok();
  if (status.ok()) status = body();
  if (status.ok()) status = Control("COMMIT");
  connection_->in_body = false;
  if (!status.ok()) RollBack().IgnoreError();  // or before whatever comes next
  return status;
}

absl::Status Database::Savepoint(const std::function<absl::Status()>& body) {
  RETURN_IF_ERROR(MakeReady(db_, *connection_));
  // Outside of a transaction a savepoint would begin, and its end commit, one of its own.
  if (sqlite3_get_autocommit(db_) != 0) return RolledBack(db_);
  RETURN_IF_ERROR(Control("SAVEPOINT part"));
  absl::Status status = body();
  if (status.ok()) status = Control("RELEASE part");
  if (status.ok() || sqlite3_get_autocommit(db_) != 0) return status;
  // Half of a body is not to be committed with the rest.
  if (!Execute("ROLLBACK TO part; RELEASE part").ok()) RollBack().IgnoreError();
  return status;
}

absl::StatusOr<std::int64_t> Database::SchemaVersion() {
  ASSIGN_OR_RETURN(Statement query, Prepare("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const bool row, query.Step());
  return row ? query.Int(0) : 0;
}

absl::Status Database::CheckSchema(std::int64_t newest) {
  ASSIGN_OR_RETURN(const std::int64_t found, SchemaVersion());
  if (found <= newest && found >= 0) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      "database ", sqlite3_db_filename(db_, "main"), ": its schema is version ", found,
      ", and this program knows versions up to ", newest,
      ": start the newer program that made it, or restore a backup of before the upgrade"));
}

absl::Status Database::Migrate(const std::vector<absl::string_view>& scripts) {
  const auto newest = static_cast<std::int64_t>(scripts.size());
  RETURN_IF_ERROR(CheckSchema(newest));
  ASSIGN_OR_RETURN(const std::int64_t found, SchemaVersion());
  for (std::int64_t version = found; version < newest; ++version) {
    RETURN_IF_ERROR(Transaction([&]() -> absl::Status {
      // Another process may have done this step while we waited for the lock.
      ASSIGN_OR_RETURN(const std::int64_t now, SchemaVersion());
      if (now > version) return absl::OkStatus();
      RETURN_IF_ERROR(Execute(scripts[static_cast<std::size_t>(version)]));
      return Execute(absl::StrCat("PRAGMA user_version=", version + 1));
    }));
  }
  return absl::OkStatus();
}

absl::Status Database::CheckIntegrity() {
  ASSIGN_OR_RETURN(Statement check, Prepare("PRAGMA integrity_check(10)"));
  std::string findings;
  while (true) {
    const absl::StatusOr<bool> row = check.Step();
    if (absl::IsDataLoss(row.status())) {  // too damaged to be checked
      findings = "database disk image is malformed";
      break;
    }
    RETURN_IF_ERROR(row.status());
    if (!*row) break;
    if (check.Text(0) != "ok")
      absl::StrAppend(&findings, findings.empty() ? "" : "; ", check.Text(0));
  }
  if (findings.empty()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("database ", sqlite3_db_filename(db_, "main"),
                                          " is damaged: ", findings, ": restore it from a backup"));
}

absl::Status Database::BackUpTo(const std::string& path) {
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<Database> copy, Open(path, Durability::kExtra));
    RETURN_IF_ERROR(CopyPages(db_, copy->db_));
  }
  // The copy says WAL, as its source; opened anew it is one file without it.
  ASSIGN_OR_RETURN(std::unique_ptr<Database> copy, Open(path, Durability::kExtra));
  RETURN_IF_ERROR(copy->CheckIntegrity());
  copy.reset();
  // SQLite forgives its own clean-up; who keeps the one file would not have all.
  std::error_code ignored;
  for (const char* suffix : {"-journal", "-wal"}) {
    if (!std::filesystem::exists(path + suffix, ignored)) continue;
    return absl::UnavailableError(absl::StrCat("database ", path, ": the copy was left with ", path,
                                               suffix,
                                               " beside it: the disk failed meanwhile; try again"));
  }
  return absl::OkStatus();
}

}  // namespace dumpwarden
