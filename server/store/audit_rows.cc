// SPDX-License-Identifier: Apache-2.0
#include "server/store/audit_rows.h"

#include <algorithm>
#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/audit_filter.h"
#include "server/store/times.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kDefaultRows = 1'000;
constexpr std::uint32_t kMaxRows = 10'000;

constexpr absl::string_view kSelect =
    "SELECT sequence, at, actor, source, action, object, detail, before, after FROM audit "
    "WHERE sequence >= (SELECT lowest FROM audit_floor) ";

v1::AuditEntry EntryOf(const Statement& row) {
  v1::AuditEntry entry;
  entry.set_sequence(static_cast<std::uint64_t>(row.Int(0)));
  *entry.mutable_at() = TimestampOf(row.Int(1));
  entry.set_actor(row.Text(2));
  entry.set_source(row.Text(3));
  entry.set_action(row.Text(4));
  entry.set_object(row.Text(5));
  entry.set_detail(row.Text(6));
  entry.set_before(row.Blob(7));
  entry.set_after(row.Blob(8));
  return entry;
}

absl::StatusOr<std::vector<v1::AuditEntry>> EntriesOf(Statement& select) {
  std::vector<v1::AuditEntry> entries;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return entries;
    entries.push_back(EntryOf(select));
  }
}

std::int64_t Micros(bool given, const google::protobuf::Timestamp& time, std::int64_t otherwise) {
  return given ? MicrosOf(time) : otherwise;
}

// The one action that is asked for, which has an index; "" when it is not so simple.
std::string OnlyAction(const v1::ListAuditRequest& query) {
  if (!query.action().empty()) return query.action();
  const v1::AuditFilter& filter = query.filter();
  const bool one = filter.actions_size() == 1 && !absl::EndsWith(filter.actions(0), "*");
  return one ? filter.actions(0) : "";
}

// By number, time and at most one action.
absl::StatusOr<Statement> SelectWithin(Database& db, const v1::ListAuditRequest& query) {
  constexpr std::uint64_t kAll = std::numeric_limits<std::int64_t>::max();
  const std::uint64_t before =
      query.before_sequence() == 0 ? kAll : std::min(query.before_sequence(), kAll);
  const std::string action = OnlyAction(query);
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare(absl::StrCat(
                       kSelect, "AND sequence < ?1 AND sequence > ?2 AND at >= ?3 AND at < ?4 AND ",
                       action.empty() ? "?5 = ''" : "action = ?5", " ORDER BY sequence ",
                       query.oldest_first() ? "" : "DESC")));
  const v1::AuditFilter& filter = query.filter();
  select.Bind(1, static_cast<std::int64_t>(before))
      .Bind(2, static_cast<std::int64_t>(std::min(query.after_sequence(), kAll)))
      .Bind(3, Micros(filter.has_since(), filter.since(), 0))
      .Bind(4, Micros(filter.has_until(), filter.until(), static_cast<std::int64_t>(kAll)))
      .Bind(5, action);
  return select;
}

}  // namespace

absl::StatusOr<std::uint64_t> InsertAudit(Database& db, const Audit& audit, absl::Time at) {
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO audit (at, actor, source, action, object, detail, "
                              "before, after) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"));
  insert.Bind(1, absl::ToUnixMicros(at))
      .Bind(2, audit.actor)
      .Bind(3, audit.source)
      .Bind(4, audit.action)
      .Bind(5, audit.object)
      .Bind(6, audit.detail)
      .BindBlob(7, audit.before)
      .BindBlob(8, audit.after);
  RETURN_IF_ERROR(insert.Run());
  return static_cast<std::uint64_t>(db.LastInsertId());
}

absl::StatusOr<std::vector<v1::AuditEntry>> SelectAudit(Database& db,
                                                        const v1::ListAuditRequest& query) {
  ASSIGN_OR_RETURN(Statement select, SelectWithin(db, query));
  const std::size_t limit = query.limit() == 0 ? kDefaultRows : std::min(query.limit(), kMaxRows);
  std::vector<v1::AuditEntry> entries;
  while (entries.size() < limit) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    if (MatchesAudit(query.filter(), select.Text(2), select.Text(4), select.Text(5))) {
      entries.push_back(EntryOf(select));
    }
  }
  return entries;
}

absl::StatusOr<std::vector<v1::AuditEntry>> SelectOldestAudit(Database& db, std::int64_t limit) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare(absl::StrCat(kSelect, "ORDER BY sequence LIMIT ?")));
  select.Bind(1, limit);
  return EntriesOf(select);
}

}  // namespace dumpwarden
