// SPDX-License-Identifier: Apache-2.0
#include "server/store/backup.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/audit_rows.h"
#include "server/store/schema.h"

namespace dumpwarden {
namespace {

// More than anybody applies of one policy between a backup and its restore; and one a minute since
// the backup, so that a second restore of it gives out other numbers than the first.
constexpr std::int64_t kVersionsLost = 1000;
constexpr std::int64_t kMostVersionsLost = 900'000;  // of the million that a step may have

// More than a fleet tells between a backup and its restore; a cursor has 63 bits.
constexpr std::int64_t kCursorsLost = 1'000'000'000;
constexpr std::int64_t kCursorsASecond = 1000;
constexpr absl::string_view kMakeSequences = R"sql(
INSERT INTO sqlite_sequence (name, seq) SELECT n.name, 0
  FROM (SELECT 'drift_event' AS name UNION SELECT 'audit') n
  WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence s WHERE s.name = n.name);
)sql";

// Since the last thing that the backup knows of.
absl::StatusOr<absl::Duration> AgeOf(Database& db, absl::Time now) {
  ASSIGN_OR_RETURN(Statement newest, db.Prepare("SELECT COALESCE(MAX(at), 0) FROM audit"));
  ASSIGN_OR_RETURN(const bool row, newest.Step());
  const absl::Time last = absl::FromUnixMicros(row ? newest.Int(0) : 0);
  return std::max(absl::ZeroDuration(), now - last);
}

absl::Status SkipNumbers(Database& db, absl::Time now) {
  ASSIGN_OR_RETURN(const absl::Duration age, AgeOf(db, now));
  RETURN_IF_ERROR(db.Execute(kMakeSequences));
  ASSIGN_OR_RETURN(Statement skip, db.Prepare("UPDATE sqlite_sequence SET seq = seq + ? "
                                              "WHERE name IN ('drift_event', 'audit')"));
  RETURN_IF_ERROR(skip.Bind(1, kCursorsLost + absl::ToInt64Seconds(age) * kCursorsASecond).Run());
  // After every version that the backup knows, whatever the clock said when they were made.
  ASSIGN_OR_RETURN(Statement note,
                   db.Prepare("INSERT INTO restored (at, versions) "
                              "SELECT MAX(?1, COALESCE(MAX(at), 0)), ?2 FROM policy"));
  const std::int64_t versions = kVersionsLost + absl::ToInt64Minutes(age);
  return note.Bind(1, absl::ToUnixMicros(now)).Bind(2, std::min(versions, kMostVersionsLost)).Run();
}

absl::StatusOr<std::int64_t> CloseTokens(Database& db, absl::Time now) {
  ASSIGN_OR_RETURN(Statement close,
                   db.Prepare("UPDATE token SET expires = ?1 WHERE used IS NULL AND expires > ?1"));
  RETURN_IF_ERROR(close.Bind(1, absl::ToUnixMicros(now)).Run());
  const std::int64_t tokens = db.Changes();
  ASSIGN_OR_RETURN(Statement codes, db.Prepare("DELETE FROM login_code WHERE used IS NULL"));
  RETURN_IF_ERROR(codes.Run());
  return tokens + db.Changes();
}

}  // namespace

absl::Status BackUpStore(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> store, Database::OpenReadOnly(from));
  RETURN_IF_ERROR(store->CheckSchema(static_cast<std::int64_t>(Migrations().size())));
  const absl::Status copied = store->BackUpTo(to);
  if (!absl::IsDataLoss(copied)) return copied;
  return absl::DataLossError(absl::StrCat("the store ", from, " or its copy is damaged; keep the ",
                                          "older backups: ", copied.message()));
}

absl::Status BeginAfterRestore(const std::string& path, absl::Time now, const std::string& from,
                               const std::string& digest) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db,
                   Database::Open(path, Database::Durability::kFull));
  RETURN_IF_ERROR(db->CheckIntegrity());
  RETURN_IF_ERROR(db->Migrate(Migrations()));
  return db->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(SkipNumbers(*db, now));
    ASSIGN_OR_RETURN(const std::int64_t closed, CloseTokens(*db, now));
    const Audit audit{.actor = "local",
                      .source = "",
                      .action = "server.restore",
                      .object = from,
                      .detail = absl::StrCat("open tokens and login codes closed: ", closed),
                      .before = "",
                      .after = digest};
    return InsertAudit(*db, audit, now).status();
  });
}

absl::StatusOr<std::uint64_t> VersionFloor(Database& db, std::uint64_t newest, absl::Time made) {
  ASSIGN_OR_RETURN(Statement lost,
                   db.Prepare("SELECT COALESCE(SUM(versions), 0) FROM restored WHERE at >= ?"));
  ASSIGN_OR_RETURN(const bool row, lost.Bind(1, absl::ToUnixMicros(made)).Step());
  return newest + static_cast<std::uint64_t>(row ? lost.Int(0) : 0);
}

}  // namespace dumpwarden
