// SPDX-License-Identifier: Apache-2.0
#include "server/store/drift_events.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/drift_retention.h"
#include "server/store/reports.h"
#include "server/store/times.h"

namespace dumpwarden {
namespace {

// How a host names a drift; in another epoch it may stand for another one.
using DriftName = std::tuple<std::uint64_t, std::string, v1::Mode>;

std::set<DriftName> OpenOf(const v1::Report& report) {
  std::set<DriftName> open;
  for (const v1::OpenDrifts::Drift& drift : report.open_drifts().drifts()) {
    open.insert({drift.sequence(), drift.setting(), drift.mode()});
  }
  return open;
}

bool IsEnd(const v1::DriftEvent& event) {
  return event.kind() == v1::DriftEvent::KIND_CORRECTED ||
         event.kind() == v1::DriftEvent::KIND_RESOLVED;
}

// SQL: the drift `s` is over.
std::string IsOver() {
  return absl::StrCat(
      "EXISTS (SELECT 1 FROM drift_event x WHERE x.host_id = s.host_id AND "
      "x.drift_sequence = s.sequence AND x.kind IN (2, 3) AND ",
      kStartOfEnd, " = s.event_id)");
}

// SQL: no drift of the name of `s` was kept after it.
constexpr absl::string_view kIsNewest =
    "s.event_id = (SELECT MAX(n.event_id) FROM drift_event n WHERE n.host_id = s.host_id AND "
    "n.sequence = s.sequence AND n.setting = s.setting AND n.mode = s.mode AND n.kind = 1)";

Statement& BindEvent(Statement& statement, const ReportCommit& commit,
                     const v1::DriftEvent& event) {
  return statement.Bind(1, commit.host)
      .BindBlob(2, commit.epoch)
      .Bind(3, static_cast<std::int64_t>(event.sequence()))
      .Bind(4, event.kind())
      .Bind(5, event.setting())
      .Bind(6, event.mode())
      .Bind(7, event.old_value())
      .Bind(8, event.new_value())
      .Bind(9, event.desired())
      .Bind(10, event.policy())
      .Bind(11, MicrosOf(event.at()))
      .Bind(12, static_cast<std::int64_t>(event.drift_sequence()))
      .Bind(13, static_cast<std::int64_t>(event.count()));
}

// Is the very event kept, in this epoch or, because a host that begins an epoch tells again what it
// does not know to be kept, in an earlier one?  A drift that is open on the host is not kept by one
// that is over, nor by one after which the name stood for another: its end would be that one's.
absl::StatusOr<bool> IsKept(Database& db, const ReportCommit& commit, const v1::DriftEvent& event,
                            bool open) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare(absl::StrCat(
          "SELECT 1 FROM drift_event s WHERE s.host_id = ?1 AND s.sequence = ?3 AND "
          "s.kind = ?4 AND s.setting = ?5 AND s.mode = ?6 AND s.old_value = ?7 AND "
          "s.new_value = ?8 AND s.desired = ?9 AND s.policy = ?10 AND s.host_time = ?11 AND "
          "s.drift_sequence = ?12 AND s.count = ?13 AND (?14 = 0 OR s.epoch = ?2 OR (",
          kIsNewest, " AND NOT ", IsOver(), "))")));
  return BindEvent(select, commit, event).Bind(14, std::int64_t{open}).Step();
}

absl::StatusOr<bool> IsTaken(Database& db, const ReportCommit& commit, std::uint64_t sequence) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT 1 FROM drift_event WHERE host_id = ? AND "
                                                "epoch = ? AND sequence = ?"));
  select.Bind(1, commit.host).BindBlob(2, commit.epoch);
  return select.Bind(3, static_cast<std::int64_t>(sequence)).Step();
}

// Of a host whose state was restored: it gave the number anew.
absl::Status OtherEvent(const ReportCommit& commit, const v1::DriftEvent& event) {
  return absl::AbortedError(
      absl::StrCat("event ", event.sequence(), " of host ", commit.host,
                   " was kept with other content: the host's state went back; a full report of a "
                   "new epoch is expected"));
}

absl::Status Insert(Database& db, const ReportCommit& commit, const v1::DriftEvent& event) {
  ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO drift_event (host_id, epoch, sequence, kind, setting, mode, "
                 "old_value, new_value, desired, policy, host_time, drift_sequence, count, "
                 "server_time) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"));
  const absl::Status kept =
      BindEvent(insert, commit, event).Bind(14, absl::ToUnixMicros(commit.received)).Run();
  if (!absl::IsFailedPrecondition(kept)) return kept;
  // The schema's trigger refused it, before UNIQUE could.
  ASSIGN_OR_RETURN(const bool taken, IsTaken(db, commit, event.sequence()));
  return taken ? OtherEvent(commit, event) : kept;
}

// The drift of another epoch that `end` would end; nullopt when there is none.
struct Ended {
  std::int64_t event = 0;
  bool over = false;
};
absl::StatusOr<std::optional<Ended>> FindEnded(Database& db, const ReportCommit& commit,
                                               const v1::DriftEvent& end) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare(absl::StrCat(
                       "SELECT s.event_id, ", IsOver(), " FROM drift_event s WHERE ",
                       "s.host_id = ?1 AND s.sequence = ?2 AND s.setting = ?3 AND s.mode = ?4 AND ",
                       "s.kind = 1 ORDER BY s.new_value = ?5 DESC, s.event_id DESC LIMIT 1")));
  select.Bind(1, commit.host).Bind(2, static_cast<std::int64_t>(end.drift_sequence()));
  select.Bind(3, end.setting()).Bind(4, end.mode()).Bind(5, end.old_value());
  ASSIGN_OR_RETURN(const bool found, select.Step());
  if (!found) return std::optional<Ended>();
  return std::optional<Ended>({select.Int(0), select.Int(1) != 0});
}

absl::Status CopyToEpoch(Database& db, const ReportCommit& commit, std::int64_t event) {
  ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO drift_event (host_id, epoch, sequence, kind, setting, mode, "
                 "old_value, new_value, desired, policy, host_time, server_time, drift_sequence, "
                 "count) SELECT host_id, ?2, sequence, kind, setting, mode, old_value, new_value, "
                 "desired, policy, host_time, ?3, drift_sequence, count FROM drift_event "
                 "WHERE event_id = ?1"));
  return insert.Bind(1, event)
      .BindBlob(2, commit.epoch)
      .Bind(3, absl::ToUnixMicros(commit.received))
      .Run();
}

// The end of a drift that is over here, or that retention let go of: the host was set back and
// lived through it once more, which is told once more.
absl::Status BeginAgain(Database& db, const ReportCommit& commit, const v1::DriftEvent& end) {
  ASSIGN_OR_RETURN(const bool own, IsTaken(db, commit, end.drift_sequence()));
  if (own) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::optional<Ended> ended, FindEnded(db, commit, end));
  if (ended.has_value()) {
    return ended->over ? CopyToEpoch(db, commit, ended->event) : absl::OkStatus();
  }
  for (const v1::DriftEvent& start : commit.report.events()) {
    const bool same = start.kind() == v1::DriftEvent::KIND_DRIFTED &&
                      start.sequence() == end.drift_sequence() &&
                      start.setting() == end.setting() && start.mode() == end.mode();
    if (same) return Insert(db, commit, start);
  }
  return absl::OkStatus();
}

// An open drift of another epoch.
struct OldDrift {
  std::int64_t event = 0;
  DriftName name;
  bool newest = false;  // of its name
};

absl::StatusOr<std::vector<OldDrift>> OldDrifts(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare(absl::StrCat(
                       "SELECT s.event_id, s.sequence, s.setting, s.mode, ", kIsNewest,
                       " FROM drift_event s WHERE s.host_id = ?1 AND s.kind IN (1, 4) AND ",
                       "s.kind = 1 AND s.sequence > 0 AND s.epoch <> ?2 AND NOT ", IsOver())));
  select.Bind(1, commit.host).BindBlob(2, commit.epoch);
  std::vector<OldDrift> drifts;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return drifts;
    drifts.push_back({.event = select.Int(0),
                      .name = {static_cast<std::uint64_t>(select.Int(1)), select.Text(2),
                               static_cast<v1::Mode>(select.Int(3))},
                      .newest = select.Int(4) != 0});
  }
}

using Place = std::pair<std::string, v1::Mode>;  // a setting in an overlay

absl::StatusOr<std::set<Place>> PlacesOf(Statement select) {
  std::set<Place> places;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return places;
    places.insert({select.Text(0), static_cast<v1::Mode>(select.Int(1))});
  }
}

// Where a host of 0.1.0, which does not say which drifts are open, may have one of another epoch:
// the setting does not agree (compliant, corrected, not-applicable and pending-reboot end a drift
// on the host too), and has no open drift of this epoch.
absl::StatusOr<std::set<Place>> MayBeOpen(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(Statement findings,
                   db.Prepare("SELECT setting, mode FROM finding WHERE host_id = ? AND "
                              "status NOT IN (1, 2, 3, 6)"));
  findings.Bind(1, commit.host);
  ASSIGN_OR_RETURN(std::set<Place> places, PlacesOf(std::move(findings)));
  ASSIGN_OR_RETURN(
      Statement own,
      db.Prepare("SELECT DISTINCT n.setting, n.mode FROM drift_event n WHERE n.host_id = ?1 AND "
                 "n.epoch = ?2 AND n.kind = 1 AND NOT EXISTS (SELECT 1 FROM drift_event e WHERE "
                 "e.host_id = n.host_id AND e.epoch = n.epoch AND "
                 "e.drift_sequence = n.sequence AND e.kind IN (2, 3))"));
  own.Bind(1, commit.host).BindBlob(2, commit.epoch);
  ASSIGN_OR_RETURN(const std::set<Place> open, PlacesOf(std::move(own)));
  for (const Place& place : open) places.erase(place);
  return places;
}

// The numbers of such ends are negative: no host gives them.
absl::Status End(Database& db, const ReportCommit& commit, const OldDrift& drift) {
  ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO drift_event (host_id, epoch, sequence, kind, setting, mode, "
                 "old_value, new_value, desired, policy, host_time, server_time, drift_sequence, "
                 "count) SELECT host_id, epoch, -sequence, 3, setting, mode, new_value, '', "
                 "desired, policy, ?2, ?3, sequence, 0 FROM drift_event WHERE event_id = ?1"));
  return insert.Bind(1, drift.event)
      .Bind(2, MicrosOf(commit.report.at()))
      .Bind(3, absl::ToUnixMicros(commit.received))
      .Run();
}

// How many are left that may turn out not to be known.
absl::StatusOr<std::size_t> EndUnknown(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(const std::vector<OldDrift> drifts, OldDrifts(db, commit));
  if (drifts.empty()) return 0;
  const bool said = commit.report.has_open_drifts();
  const std::set<DriftName> open = OpenOf(commit.report);
  std::set<Place> may_be_open;
  if (!said) {
    ASSIGN_OR_RETURN(may_be_open, MayBeOpen(db, commit));
  }
  std::size_t left = 0;
  for (const OldDrift& drift : drifts) {
    const bool known =
        said ? drift.newest && open.contains(drift.name)
             : may_be_open.contains({std::get<1>(drift.name), std::get<2>(drift.name)});
    if (!known) RETURN_IF_ERROR(End(db, commit, drift));
    if (known && !said) ++left;
  }
  return left;
}

absl::StatusOr<bool> HasOldDrifts(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT old_drifts FROM host_state WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(1, host).Step());
  return row && select.Int(0) != 0;
}

}  // namespace

absl::Status KeepEvents(Database& db, const ReportCommit& commit) {
  const std::set<DriftName> open_drifts = OpenOf(commit.report);
  for (const v1::DriftEvent& event : commit.report.events()) {
    const bool open = event.kind() == v1::DriftEvent::KIND_DRIFTED &&
                      open_drifts.contains({event.sequence(), event.setting(), event.mode()});
    ASSIGN_OR_RETURN(const bool gone, WasLetGo(db, commit.host, event));
    if (gone && !open) continue;  // it had ended
    ASSIGN_OR_RETURN(const bool kept, IsKept(db, commit, event, open));
    if (kept) continue;
    if (IsEnd(event)) RETURN_IF_ERROR(BeginAgain(db, commit, event));
    RETURN_IF_ERROR(Insert(db, commit, event));
  }
  return absl::OkStatus();
}

// Looks through all drifts of the host, so it is asked for only while one of an earlier epoch may
// be open; and not while the end of one may be on its way.
absl::Status EndUnknownDrifts(Database& db, const ReportCommit& commit, bool new_epoch) {
  ASSIGN_OR_RETURN(const bool old, HasOldDrifts(db, commit.host));
  if (!new_epoch && !old) return absl::OkStatus();
  std::size_t left = 1;
  if (!commit.report.more_events()) {
    ASSIGN_OR_RETURN(left, EndUnknown(db, commit));
  }
  ASSIGN_OR_RETURN(Statement note,
                   db.Prepare("UPDATE host_state SET old_drifts = ? WHERE host_id = ?"));
  return note.Bind(1, std::int64_t{left > 0}).Bind(2, commit.host).Run();
}

}  // namespace dumpwarden
