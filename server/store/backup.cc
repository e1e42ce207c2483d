// SPDX-License-Identifier: Apache-2.0
#include "server/store/backup.h"

#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/audit_rows.h"
#include "server/store/schema.h"

namespace dumpwarden {
namespace {

constexpr char kRestored[] = "server.restore";
// More than anybody applies of one policy between a backup and its restore.
constexpr std::uint64_t kVersionsLost = 1000;

// More than a fleet tells between a backup and its restore; a cursor has 63 bits.
constexpr absl::string_view kSkipCursors = R"sql(
INSERT INTO sqlite_sequence (name, seq) SELECT n.name, 0
  FROM (SELECT 'drift_event' AS name UNION SELECT 'audit') n
  WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence s WHERE s.name = n.name);
UPDATE sqlite_sequence SET seq = seq + 1000000000 WHERE name IN ('drift_event', 'audit');
)sql";

absl::StatusOr<std::int64_t> CloseTokens(Database& db, absl::Time now) {
  ASSIGN_OR_RETURN(Statement close,
                   db.Prepare("UPDATE token SET expires = ?1 WHERE used IS NULL AND expires > ?1"));
  RETURN_IF_ERROR(close.Bind(1, absl::ToUnixMicros(now)).Run());
  return db.Changes();
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

absl::Status BeginAfterRestore(const std::string& path, absl::Time now, const std::string& from) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db,
                   Database::Open(path, Database::Durability::kFull));
  RETURN_IF_ERROR(db->CheckIntegrity());
  RETURN_IF_ERROR(db->Migrate(Migrations()));
  return db->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(db->Execute(kSkipCursors));
    ASSIGN_OR_RETURN(const std::int64_t closed, CloseTokens(*db, now));
    const Audit audit{.actor = "local",
                      .source = "",
                      .action = kRestored,
                      .object = from,
                      .detail = absl::StrCat("open tokens closed: ", closed),
                      .before = "",
                      .after = ""};
    return InsertAudit(*db, audit, now).status();
  });
}

absl::StatusOr<std::uint64_t> VersionFloor(Database& db, std::uint64_t newest, absl::Time made) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT COUNT(*), COALESCE(MAX(at), 0) FROM audit WHERE action = ?"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(1, kRestored).Step());
  const std::int64_t restores = row ? select.Int(0) : 0;
  if (restores == 0) return newest;
  // A name that is new here may have been applied in each earlier life.
  if (newest == 0) return static_cast<std::uint64_t>(restores) * kVersionsLost;
  const bool known = absl::ToUnixMicros(made) > select.Int(1);
  return known ? newest : newest + kVersionsLost;
}

}  // namespace dumpwarden
