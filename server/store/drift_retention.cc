// SPDX-License-Identifier: Apache-2.0
#include "server/store/drift_retention.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "server/store/reports.h"
#include "server/store/retention.h"
#include "server/store/times.h"

namespace dumpwarden {
namespace {

// Open drifts are passed by, so a batch may look at more than it takes.
constexpr int kLookedAt = 5000;
constexpr std::size_t kDigestBytes = 8;  // with host and number, it need not be more

constexpr absl::string_view kColumns =
    "x.event_id, x.host_id, x.sequence, x.kind, x.setting, x.mode, x.old_value, x.new_value, "
    "x.desired, x.policy, x.host_time, x.drift_sequence, x.count ";

std::string DigestOf(const v1::DriftEvent& event) {
  std::string text =
      absl::StrCat(event.sequence(), " ", event.kind(), " ", event.mode(), " ",
                   MicrosOf(event.at()), " ", event.drift_sequence(), " ", event.count());
  for (const std::string& part :
       {event.setting(), event.old_value(), event.new_value(), event.desired(), event.policy()}) {
    absl::StrAppend(&text, " ", part.size(), ":", part);
  }
  return Sha256(text).substr(0, kDigestBytes);
}

v1::DriftEvent EventOf(const Statement& row) {
  v1::DriftEvent event;
  event.set_sequence(static_cast<std::uint64_t>(row.Int(2)));
  event.set_kind(static_cast<v1::DriftEvent::Kind>(row.Int(3)));
  event.set_setting(row.Text(4));
  event.set_mode(static_cast<v1::Mode>(row.Int(5)));
  event.set_old_value(row.Text(6));
  event.set_new_value(row.Text(7));
  event.set_desired(row.Text(8));
  event.set_policy(row.Text(9));
  *event.mutable_at() = TimestampOf(row.Int(10));
  event.set_drift_sequence(static_cast<std::uint64_t>(row.Int(11)));
  event.set_count(static_cast<std::uint64_t>(row.Int(12)));
  return event;
}

// In the order in which they began.  What is compacted has ended when it comes.  Each is looked at:
// times are no order, as a clock may have been ahead for a while.
absl::StatusOr<std::vector<std::int64_t>> FindEnded(Database& db, Expiry& expiry) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare(absl::StrCat(
          "SELECT s.event_id, CASE s.kind WHEN 4 THEN s.server_time < ?1 ELSE EXISTS (SELECT 1 "
          "FROM drift_event x WHERE x.host_id = s.host_id AND x.drift_sequence = s.sequence AND "
          "x.kind IN (2, 3) AND x.server_time < ?1 AND ",
          kStartOfEnd,
          " = s.event_id) END FROM drift_event s WHERE s.kind IN (1, 4) AND s.event_id > ?2 "
          "ORDER BY s.event_id")));
  select.Bind(1, absl::ToUnixMicros(expiry.over_before)).Bind(2, expiry.after);
  std::vector<std::int64_t> ended;
  for (int i = 0; i < kLookedAt && ended.size() < kExpiryBatch; ++i) {
    ASSIGN_OR_RETURN(expiry.more, select.Step());
    if (!expiry.more) break;
    expiry.after = select.Int(0);
    if (select.Int(1) != 0) ended.push_back(expiry.after);
  }
  return ended;
}

// The rows of drift ?1: itself, then its ends.
std::string RowsOfDrift() {
  return absl::StrCat("SELECT ", kColumns, "FROM drift_event x WHERE x.event_id = ?1 UNION ALL ",
                      "SELECT ", kColumns, "FROM drift_event s JOIN drift_event x ON ",
                      "x.host_id = s.host_id AND x.drift_sequence = s.sequence AND ",
                      "x.kind IN (2, 3) WHERE s.event_id = ?1 AND ", kStartOfEnd, " = ?1");
}

absl::Status DeleteDrift(Database& db, std::int64_t drift) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare(RowsOfDrift()));
  ASSIGN_OR_RETURN(Statement note,
                   db.Prepare("INSERT OR IGNORE INTO drift_gone (host_id, sequence, digest) "
                              "VALUES (?, ?, ?)"));
  select.Bind(1, drift);
  std::vector<std::int64_t> rows;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    rows.push_back(select.Int(0));
    note.Bind(1, select.Int(1)).Bind(2, select.Int(2)).BindBlob(3, DigestOf(EventOf(select)));
    RETURN_IF_ERROR(note.Run());
  }
  ASSIGN_OR_RETURN(Statement remove, db.Prepare("DELETE FROM drift_event WHERE event_id = ?"));
  for (const std::int64_t row : rows) RETURN_IF_ERROR(remove.Bind(1, row).Run());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::int64_t> DeleteDrifts(Database& db, Expiry& expiry) {
  ASSIGN_OR_RETURN(const std::vector<std::int64_t> ended, FindEnded(db, expiry));
  for (const std::int64_t drift : ended) RETURN_IF_ERROR(DeleteDrift(db, drift));
  return static_cast<std::int64_t>(ended.size());
}

absl::StatusOr<bool> WasLetGo(Database& db, HostId host, const v1::DriftEvent& event) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT digest FROM drift_gone WHERE host_id = ? AND sequence = ?"));
  select.Bind(1, host).Bind(2, static_cast<std::int64_t>(event.sequence()));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return false;
    if (select.Blob(0) == DigestOf(event)) return true;
  }
}

}  // namespace dumpwarden
