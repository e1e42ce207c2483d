// SPDX-License-Identifier: Apache-2.0
// Reading what hosts reported (reports.h).
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/reports.h"
#include "server/store/times.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kDefaultDrifts = 1'000;
constexpr std::uint32_t kMaxDrifts = 10'000;

v1::Finding FindingOf(const Statement& row, int first) {
  v1::Finding finding;
  finding.set_mode(static_cast<v1::Mode>(row.Int(first)));
  finding.set_setting(row.Text(first + 1));
  finding.set_status(static_cast<v1::Status>(row.Int(first + 2)));
  finding.set_desired(row.Text(first + 3));
  finding.set_configured(row.Text(first + 4));
  finding.set_policy(row.Text(first + 5));
  finding.set_policy_version(static_cast<std::uint64_t>(row.Int(first + 6)));
  finding.set_reason(row.Text(first + 7));
  return finding;
}

constexpr absl::string_view kSelectFacts = "SELECT message FROM facts WHERE host_id = ?";

// Each is run to its end and reset: prepared once, they read one host after another.

absl::Status ReadFindings(Statement& select, HostId host, HostState& state) {
  select.Bind(1, host);
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    state.findings.push_back(FindingOf(select, 0));
  }
  select.Reset();
  return absl::OkStatus();
}

absl::Status ReadCells(Statement& select, HostId host, v1::Observation& observation) {
  select.Bind(1, host);
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    v1::Cell& cell = *observation.add_cells();
    cell.set_key(select.Text(0));
    cell.set_name(select.Text(1));
    cell.set_present(select.Int(2) != 0);
    cell.set_type(static_cast<std::uint32_t>(select.Int(3)));
    cell.set_data(select.Blob(4));
    cell.set_error(select.Text(5));
  }
  select.Reset();
  return absl::OkStatus();
}

// An absent row is an empty message.
template <typename Message>
absl::StatusOr<Message> ReadMessage(Statement& select, HostId host) {
  ASSIGN_OR_RETURN(const bool row, select.Bind(1, host).Step());
  Message message;
  if (row && !message.ParseFromString(select.Blob(0))) {
    return absl::DataLossError(absl::StrCat("the database holds a damaged message of host ", host));
  }
  select.Reset();
  return message;
}

// What reads a host's state.
struct StateStatements {
  Statement rest;
  Statement cells;
  Statement findings;
};

absl::StatusOr<StateStatements> PrepareState(Database& db) {
  ASSIGN_OR_RETURN(Statement rest,
                   db.Prepare("SELECT message FROM observation_rest WHERE host_id = ?"));
  ASSIGN_OR_RETURN(Statement cells,
                   db.Prepare("SELECT key, name, present, type, data, error FROM cell "
                              "WHERE host_id = ? ORDER BY position"));
  ASSIGN_OR_RETURN(
      Statement findings,
      db.Prepare("SELECT mode, setting, status, desired, configured, policy, policy_version, "
                 "reason FROM finding WHERE host_id = ? ORDER BY mode, setting"));
  return StateStatements{std::move(rest), std::move(cells), std::move(findings)};
}

absl::StatusOr<HostState> ReadState(StateStatements& select, HostId host) {
  HostState state;
  ASSIGN_OR_RETURN(state.observation, ReadMessage<v1::Observation>(select.rest, host));
  RETURN_IF_ERROR(ReadCells(select.cells, host, state.observation));
  RETURN_IF_ERROR(ReadFindings(select.findings, host, state));
  return state;
}

// Columns of a start `s` and its end `e`.
constexpr absl::string_view kDriftColumns =
    "h.uuid, h.name, s.setting, s.old_value, s.new_value, s.desired, s.policy, s.mode, s.kind, "
    "s.host_time, s.server_time, s.count, e.kind, e.host_time, e.server_time ";

const char* DriftState(const Statement& row) {
  if (row.Int(9) == v1::DriftEvent::KIND_COMPACTED) return "compacted";
  if (row.IsNull(13)) return "drifted";
  return row.Int(13) == v1::DriftEvent::KIND_CORRECTED ? "corrected" : "resolved";
}

v1::Drift DriftOf(const Statement& row) {
  v1::Drift drift;
  drift.set_cursor(static_cast<std::uint64_t>(row.Int(0)));
  drift.set_host_id(row.Text(1));
  drift.set_host(row.Text(2));
  drift.set_setting(row.Text(3));
  drift.set_old_value(row.Text(4));
  drift.set_new_value(row.Text(5));
  drift.set_desired(row.Text(6));
  drift.set_policy(row.Text(7));
  drift.set_mode(row.Int(8) == v1::MODE_AUDIT ? "audit" : "enforce");
  drift.set_state(DriftState(row));
  *drift.mutable_host_time() = TimestampOf(row.Int(10));
  *drift.mutable_server_time() = TimestampOf(row.Int(11));
  drift.set_count(static_cast<std::uint64_t>(row.Int(12)));
  if (row.IsNull(13)) return drift;
  *drift.mutable_ended_host_time() = TimestampOf(row.Int(14));
  *drift.mutable_ended_server_time() = TimestampOf(row.Int(15));
  return drift;
}

// Each drift once, newest first.  A drift has one end; were there more, the first counts.
std::string NewestFirst(bool one_host) {
  return absl::StrCat(
      "SELECT s.event_id, ", kDriftColumns, "FROM drift_event s JOIN host h USING (host_id) ",
      "LEFT JOIN drift_event e ON e.event_id = (SELECT MIN(x.event_id) FROM drift_event x WHERE "
      "x.host_id = s.host_id AND x.drift_sequence = s.sequence AND x.kind IN (2, 3) AND ",
      kStartOfEnd, " = s.event_id) WHERE s.kind IN (1, 4) AND s.event_id < ?1 AND ",
      one_host ? "s.host_id = ?2" : "?2 = 0", " ORDER BY s.event_id DESC LIMIT ?3");
}

// Each event once, oldest first: a drift shows when it begins, and again when it ends.
std::string OldestFirst(bool one_host) {
  return absl::StrCat(
      "SELECT x.event_id, ", kDriftColumns, "FROM drift_event x JOIN host h USING (host_id) ",
      "JOIN drift_event s ON s.event_id = CASE WHEN x.kind IN (2, 3) THEN ", kStartOfEnd,
      " ELSE x.event_id END "
      "LEFT JOIN drift_event e ON e.event_id = x.event_id AND x.kind IN (2, 3) "
      "WHERE x.event_id > ?1 AND s.kind IN (1, 4) AND ",
      one_host ? "x.host_id = ?2" : "?2 = 0", " ORDER BY x.event_id LIMIT ?3");
}

}  // namespace

absl::StatusOr<HostState> SelectState(Database& db, HostId host) {
  ASSIGN_OR_RETURN(StateStatements select, PrepareState(db));
  return ReadState(select, host);
}

absl::StatusOr<v1::Facts> SelectFacts(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare(kSelectFacts));
  return ReadMessage<v1::Facts>(select, host);
}

absl::StatusOr<std::vector<HostReport>> SelectReports(Database& db,
                                                      const std::vector<HostId>& hosts) {
  ASSIGN_OR_RETURN(Statement facts, db.Prepare(kSelectFacts));
  ASSIGN_OR_RETURN(StateStatements state, PrepareState(db));
  std::vector<HostReport> reports;
  reports.reserve(hosts.size());
  for (const HostId host : hosts) {
    HostReport& report = reports.emplace_back();
    ASSIGN_OR_RETURN(report.facts, ReadMessage<v1::Facts>(facts, host));
    ASSIGN_OR_RETURN(report.state, ReadState(state, host));
  }
  return reports;
}

absl::StatusOr<std::vector<std::pair<HostId, v1::Finding>>> SelectFindings(Database& db) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare("SELECT host_id, mode, setting, status, desired, configured, policy, "
                 "policy_version, reason FROM finding ORDER BY host_id, mode, setting"));
  std::vector<std::pair<HostId, v1::Finding>> findings;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return findings;
    findings.emplace_back(select.Int(0), FindingOf(select, 1));
  }
}

absl::StatusOr<std::vector<v1::Drift>> SelectDrift(Database& db, const DriftQuery& query) {
  constexpr std::uint64_t kAll = std::numeric_limits<std::int64_t>::max();
  const bool oldest_first = query.after_cursor.has_value();
  const std::uint64_t cursor = oldest_first               ? *query.after_cursor
                               : query.before_cursor == 0 ? kAll
                                                          : query.before_cursor;
  const std::uint32_t limit = query.limit == 0 ? kDefaultDrifts : query.limit;
  const bool one_host = query.host.has_value();
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare(oldest_first ? OldestFirst(one_host) : NewestFirst(one_host)));
  select.Bind(1, static_cast<std::int64_t>(std::min(cursor, kAll)))
      .Bind(2, query.host.value_or(0))
      .Bind(3, std::min(limit, kMaxDrifts));
  std::vector<v1::Drift> drifts;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return drifts;
    drifts.push_back(DriftOf(select));
  }
}

}  // namespace dumpwarden
