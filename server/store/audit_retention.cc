// SPDX-License-Identifier: Apache-2.0
#include "server/store/audit_retention.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/store/audit_rows.h"
#include "server/store/retention.h"
#include "server/store/times.h"

namespace dumpwarden {
namespace {

// Of each the digest is made at once; to delete costs more, and has no row of its own.
constexpr std::int64_t kSaidTogether = 20'000;
constexpr std::int64_t kDeletedTogether = 2'000;

std::string DigestOf(const std::vector<v1::AuditEntry>& entries) {
  std::string text;
  for (const v1::AuditEntry& entry : entries) {
    const std::string bytes = entry.SerializeAsString();
    absl::StrAppend(&text, bytes.size(), ":", bytes);
  }
  return Sha256(text);
}

absl::Status RaiseFloor(Database& db, std::uint64_t last) {
  ASSIGN_OR_RETURN(Statement raise, db.Prepare("UPDATE audit_floor SET lowest = ? + 1"));
  return raise.Bind(1, static_cast<std::int64_t>(last)).Run();
}

absl::StatusOr<std::int64_t> DeleteUnderFloor(Database& db) {
  ASSIGN_OR_RETURN(Statement remove,
                   db.Prepare("DELETE FROM audit WHERE sequence IN (SELECT sequence FROM audit "
                              "WHERE sequence < (SELECT lowest FROM audit_floor) "
                              "ORDER BY sequence LIMIT ?)"));
  RETURN_IF_ERROR(remove.Bind(1, kDeletedTogether).Run());
  return db.Changes();
}

}  // namespace

absl::StatusOr<std::int64_t> DeleteAudit(Database& db, Expiry& expiry, absl::Time now) {
  ASSIGN_OR_RETURN(const std::int64_t deleted, DeleteUnderFloor(db));
  if (deleted > 0) return deleted;
  ASSIGN_OR_RETURN(std::vector<v1::AuditEntry> oldest, SelectOldestAudit(db, kSaidTogether));
  // Up to the first that is to be kept, though a clock may have gone back since.
  std::size_t count = 0;
  while (count < oldest.size() && FromTimestamp(oldest[count].at()) < expiry.over_before) ++count;
  oldest.resize(count);
  expiry.more = count > 0;
  if (oldest.empty()) return 0;
  const std::uint64_t last = oldest.back().sequence();
  RETURN_IF_ERROR(SayDeleted(
      db, expiry, now, absl::StrCat(count, ", ", oldest.front().sequence(), " to ", last, ","),
      DigestOf(oldest)));
  RETURN_IF_ERROR(RaiseFloor(db, last));
  return 0;
}

absl::StatusOr<std::uint64_t> SelectAuditFloor(Database& db) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT lowest FROM audit_floor"));
  ASSIGN_OR_RETURN(const bool row, select.Step());
  if (!row) return absl::DataLossError("the database does not say where its audit log begins");
  return static_cast<std::uint64_t>(select.Int(0));
}

}  // namespace dumpwarden
