// SPDX-License-Identifier: Apache-2.0
#include "server/store/reports.h"

#include <cstdint>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/reconcile/status.h"
#include "server/store/drift_events.h"
#include "server/store/times.h"

namespace dumpwarden {
namespace {

enum class Order {
  kNext,       // follows the report that it was made from
  kOtherBase,  // follows, and was made from another than the one that is kept
  kNewEpoch,   // full, of an epoch that begins
  kRepeat,
};

absl::Status OutOfOrder(const ReportCommit& commit, std::uint64_t stored) {
  return absl::AbortedError(absl::StrCat(
      "report ", commit.sequence, " of host ", commit.host, " comes after report ", stored,
      " of the same epoch was kept: the host's state went back; a full report of a new epoch is "
      "expected"));
}

// The epoch is not that of the last report.  One that has drifts here is none that begins: the
// host's state went back to it, and may not know which of them are over, or open.  When retention
// let go of them all, they had ended.
absl::StatusOr<Order> OrderInOtherEpoch(Database& db, const ReportCommit& commit) {
  const std::string epoch = absl::BytesToHexString(commit.epoch);
  if (!commit.report.full()) {
    return absl::AbortedError(absl::StrCat("the report begins a new epoch (", epoch,
                                           ") with less than everything; a full report is "
                                           "expected"));
  }
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT 1 FROM drift_event "
                                                "WHERE host_id = ? AND epoch = ? LIMIT 1"));
  ASSIGN_OR_RETURN(const bool known, select.Bind(1, commit.host).BindBlob(2, commit.epoch).Step());
  if (!known) return Order::kNewEpoch;
  return absl::AbortedError(absl::StrCat(
      "report ", commit.sequence, " of host ", commit.host, " is of an earlier epoch (", epoch,
      "): the host's state went back; a full report of a new epoch is expected"));
}

absl::StatusOr<Order> OrderOf(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare("SELECT epoch, sequence, state_digest FROM host_state WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(1, commit.host).Step());
  if (!row) return absl::NotFoundError(absl::StrCat("there is no host ", commit.host));
  if (commit.epoch.empty() || commit.sequence == 0 ||
      commit.sequence > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return absl::InvalidArgumentError("a report needs an epoch and a sequence from 1 to 2^63-1");
  }
  if (select.Blob(0) != commit.epoch) return OrderInOtherEpoch(db, commit);
  const auto stored = static_cast<std::uint64_t>(select.Int(1));
  if (commit.sequence > stored) {
    const bool same_base = commit.base_epoch == commit.epoch && commit.base_sequence == stored;
    return same_base ? Order::kNext : Order::kOtherBase;
  }
  if (commit.sequence == stored && commit.state_digest == select.Blob(2)) return Order::kRepeat;
  return OutOfOrder(commit, stored);
}

absl::Status DeleteRows(Database& db, absl::string_view sql, HostId host) {
  ASSIGN_OR_RETURN(Statement remove, db.Prepare(sql));
  return remove.Bind(1, host).Run();
}

absl::StatusOr<std::int64_t> Count(Database& db, absl::string_view sql, HostId host) {
  ASSIGN_OR_RETURN(Statement count, db.Prepare(sql));
  ASSIGN_OR_RETURN(const bool row, count.Bind(1, host).Step());
  return row ? count.Int(0) : 0;
}

constexpr absl::string_view kInsertFinding =
    "INSERT INTO finding (host_id, mode, setting, status, desired, configured, policy, "
    "policy_version, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
constexpr absl::string_view kReplaceFinding =
    " ON CONFLICT DO UPDATE SET status = excluded.status, desired = excluded.desired, "
    "configured = excluded.configured, policy = excluded.policy, "
    "policy_version = excluded.policy_version, reason = excluded.reason";

template <typename Findings>
absl::Status WriteFindings(Database& db, absl::string_view sql, HostId host,
                           const Findings& findings) {
  ASSIGN_OR_RETURN(Statement insert, db.Prepare(sql));
  for (const v1::Finding& finding : findings) {
    insert.Bind(1, host)
        .Bind(2, finding.mode())
        .Bind(3, finding.setting())
        .Bind(4, finding.status())
        .Bind(5, finding.desired())
        .Bind(6, finding.configured())
        .Bind(7, finding.policy())
        .Bind(8, static_cast<std::int64_t>(finding.policy_version()))
        .Bind(9, finding.reason());
    RETURN_IF_ERROR(insert.Run());
  }
  return absl::OkStatus();
}

// The delta when it leads to the whole; otherwise (full, rows gone) the whole.
absl::Status KeepFindings(Database& db, const ReportCommit& commit, bool whole) {
  if (!whole && commit.report.removed().empty()) {
    RETURN_IF_ERROR(WriteFindings(db, absl::StrCat(kInsertFinding, kReplaceFinding), commit.host,
                                  commit.report.findings()));
    ASSIGN_OR_RETURN(const std::int64_t kept,
                     Count(db, "SELECT COUNT(*) FROM finding WHERE host_id = ?", commit.host));
    if (kept == static_cast<std::int64_t>(commit.state.findings.size())) return absl::OkStatus();
  }
  RETURN_IF_ERROR(DeleteRows(db, "DELETE FROM finding WHERE host_id = ?", commit.host));
  return WriteFindings(db, kInsertFinding, commit.host, commit.state.findings);
}

constexpr absl::string_view kInsertCell =
    "INSERT INTO cell (host_id, key, name, present, type, data, error, position) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?)";

Statement& BindCell(Statement& statement, HostId host, const v1::Cell& cell) {
  return statement.Bind(1, host)
      .Bind(2, cell.key())
      .Bind(3, cell.name())
      .Bind(4, static_cast<std::int64_t>(cell.present()))
      .Bind(5, static_cast<std::int64_t>(cell.type()))
      .BindBlob(6, cell.data())
      .Bind(7, cell.error());
}

// False when a changed cell is not among those that are kept.
absl::StatusOr<bool> UpdateCells(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE cell SET present = ?4, type = ?5, data = ?6, error = ?7 "
                              "WHERE host_id = ?1 AND key = ?2 AND name = ?3"));
  for (const v1::Cell& cell : commit.report.observation().cells()) {
    RETURN_IF_ERROR(BindCell(update, commit.host, cell).Run());
    if (db.Changes() != 1) return false;
  }
  ASSIGN_OR_RETURN(const std::int64_t kept,
                   Count(db, "SELECT COUNT(*) FROM cell WHERE host_id = ?", commit.host));
  return kept == commit.state.observation.cells_size();
}

absl::Status KeepCells(Database& db, const ReportCommit& commit, bool whole) {
  if (!whole) {
    ASSIGN_OR_RETURN(const bool enough, UpdateCells(db, commit));
    if (enough) return absl::OkStatus();
  }
  RETURN_IF_ERROR(DeleteRows(db, "DELETE FROM cell WHERE host_id = ?", commit.host));
  ASSIGN_OR_RETURN(Statement insert, db.Prepare(kInsertCell));
  std::int64_t position = 0;
  for (const v1::Cell& cell : commit.state.observation.cells()) {
    RETURN_IF_ERROR(BindCell(insert, commit.host, cell).Bind(8, position++).Run());
  }
  return absl::OkStatus();
}

absl::Status KeepRest(Database& db, const ReportCommit& commit) {
  v1::Observation rest;
  *rest.mutable_folders() = commit.state.observation.folders();
  *rest.mutable_warnings() = commit.state.observation.warnings();
  ASSIGN_OR_RETURN(Statement put,
                   db.Prepare("INSERT INTO observation_rest (host_id, message) VALUES (?, ?) "
                              "ON CONFLICT DO UPDATE SET message = excluded.message"));
  return put.Bind(1, commit.host).BindBlob(2, rest.SerializeAsString()).Run();
}

absl::Status KeepHostState(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE host_state SET epoch = ?2, sequence = ?3, state_digest = ?4, "
                              "policy_digest = ?5, state = ?6, last_seen = ?7 WHERE host_id = ?1"));
  return update.Bind(1, commit.host)
      .BindBlob(2, commit.epoch)
      .Bind(3, static_cast<std::int64_t>(commit.sequence))
      .BindBlob(4, commit.state_digest)
      .BindBlob(5, commit.policy_digest)
      .Bind(6, WorstOf(commit.state.findings))
      .Bind(7, absl::ToUnixMicros(commit.received))
      .Run();
}

}  // namespace

absl::Status KeepReport(Database& db, const ReportCommit& commit) {
  ASSIGN_OR_RETURN(const Order order, OrderOf(db, commit));
  if (order == Order::kRepeat) return KeepEvents(db, commit);  // finds them kept, or says so
  const bool whole = commit.report.full() || order != Order::kNext;
  RETURN_IF_ERROR(KeepFindings(db, commit, whole));
  RETURN_IF_ERROR(KeepCells(db, commit, whole));
  RETURN_IF_ERROR(KeepRest(db, commit));
  RETURN_IF_ERROR(KeepEvents(db, commit));
  RETURN_IF_ERROR(EndUnknownDrifts(db, commit, order == Order::kNewEpoch));
  return KeepHostState(db, commit);
}

absl::Status KeepFacts(Database& db, HostId host, const v1::Facts& facts,
                       const std::string& digest) {
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE host_state SET facts_digest = ?2 WHERE host_id = ?1"));
  RETURN_IF_ERROR(update.Bind(1, host).BindBlob(2, digest).Run());
  if (db.Changes() != 1) return absl::NotFoundError(absl::StrCat("there is no host ", host));
  ASSIGN_OR_RETURN(Statement put,
                   db.Prepare("INSERT INTO facts (host_id, message) VALUES (?, ?) "
                              "ON CONFLICT DO UPDATE SET message = excluded.message"));
  return put.Bind(1, host).BindBlob(2, facts.SerializeAsString()).Run();
}

}  // namespace dumpwarden
