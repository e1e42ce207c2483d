// SPDX-License-Identifier: Apache-2.0
#include "server/store/hosts.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kSelectHosts =
    "SELECT h.host_id, h.uuid, h.name, h.host_key, h.enrolled, h.revoked, h.quarantined, "
    "h.agent_version, s.last_seen, s.epoch, s.sequence, s.state_digest, s.facts_digest, "
    "s.policy_digest, s.state, h.hold FROM host h JOIN host_state s USING (host_id)";

HostRow HostOf(const Statement& row) {
  HostRow host;
  host.id = row.Int(0);
  host.uuid = row.Text(1);
  host.name = row.Text(2);
  host.host_key = row.Blob(3);
  host.enrolled = absl::FromUnixMicros(row.Int(4));
  host.revoked = row.Int(5) != 0;
  host.quarantined = row.Int(6) != 0;
  host.agent_version = row.Text(7);
  host.last_seen = row.IsNull(8) ? absl::InfinitePast() : absl::FromUnixMicros(row.Int(8));
  host.epoch = row.Blob(9);
  host.sequence = static_cast<std::uint64_t>(row.Int(10));
  host.state_digest = row.Blob(11);
  host.facts_digest = row.Blob(12);
  host.policy_digest = row.Blob(13);
  host.state = static_cast<v1::Status>(row.Int(14));
  host.hold = row.Int(15) != 0;
  return host;
}

absl::StatusOr<std::map<std::string, std::string>> LabelsOf(Statement select) {
  std::map<std::string, std::string> labels;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return labels;
    labels[select.Text(0)] = select.Text(1);
  }
}

absl::Status NoSuchHost(HostId host) {
  return absl::NotFoundError(absl::StrCat("there is no host with the number ", host));
}

absl::Status RequireChange(Database& db, HostId host) {
  return db.Changes() == 1 ? absl::OkStatus() : NoSuchHost(host);
}

}  // namespace

absl::StatusOr<std::vector<HostRow>> SelectHosts(Database& db) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare(absl::StrCat(kSelectHosts, " ORDER BY host_id")));
  std::map<HostId, HostRow> hosts;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    hosts.emplace_hint(hosts.end(), select.Int(0), HostOf(select));
  }
  ASSIGN_OR_RETURN(Statement labels, db.Prepare("SELECT host_id, key, value FROM host_label"));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, labels.Step());
    if (!row) break;
    hosts[labels.Int(0)].labels[labels.Text(1)] = labels.Text(2);
  }
  std::vector<HostRow> rows;
  rows.reserve(hosts.size());
  for (auto& [id, host] : hosts) rows.push_back(std::move(host));
  return rows;
}

absl::StatusOr<HostRow> SelectHost(Database& db, const std::string& uuid) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare(absl::StrCat(kSelectHosts, " WHERE uuid = ?")));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, uuid).Step());
  if (!found) {
    return absl::NotFoundError(absl::StrCat("there is no host with the id ", Quote(uuid)));
  }
  HostRow host = HostOf(select);
  ASSIGN_OR_RETURN(Statement labels,
                   db.Prepare("SELECT key, value FROM host_label WHERE host_id = ?"));
  labels.Bind(1, host.id);
  ASSIGN_OR_RETURN(host.labels, LabelsOf(std::move(labels)));
  return host;
}

std::string HostDigest(const HostRow& host) {
  const char* state = host.revoked       ? "revoked"
                      : host.quarantined ? "quarantined"
                      : host.hold        ? "held"
                                         : "enrolled";
  return Sha256(absl::StrCat(host.uuid, "\n", Sha256Hex(host.host_key), "\n", state, "\n"));
}

absl::StatusOr<std::string> SelectHostDigest(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT uuid, host_key, revoked, quarantined, hold "
                                                "FROM host WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, host).Step());
  if (!found) return NoSuchHost(host);
  HostRow row;
  row.uuid = select.Text(0);
  row.host_key = select.Blob(1);
  row.revoked = select.Int(2) != 0;
  row.quarantined = select.Int(3) != 0;
  row.hold = select.Int(4) != 0;
  return HostDigest(row);
}

absl::Status UpdateLastSeen(Database& db, const std::vector<HostTouch>& seen) {
  // Batches may arrive out of order; what was seen later stays.
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE host_state SET last_seen = ?2 WHERE host_id = ?1 AND "
                              "(last_seen IS NULL OR last_seen < ?2)"));
  ASSIGN_OR_RETURN(Statement confirm,
                   db.Prepare("UPDATE host_state SET policy_digest = ?2 WHERE host_id = ?1 AND "
                              "epoch = ?3 AND sequence = ?4"));
  for (const HostTouch& touch : seen) {
    RETURN_IF_ERROR(update.Bind(1, touch.host).Bind(2, absl::ToUnixMicros(touch.at)).Run());
    if (touch.policy_digest.empty()) continue;
    confirm.Bind(1, touch.host).BindBlob(2, touch.policy_digest).BindBlob(3, touch.epoch);
    RETURN_IF_ERROR(confirm.Bind(4, static_cast<std::int64_t>(touch.sequence)).Run());
  }
  return absl::OkStatus();
}

absl::Status UpdateQuarantined(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE host SET quarantined = 1 WHERE host_id = ?"));
  RETURN_IF_ERROR(update.Bind(1, host).Run());
  return RequireChange(db, host);
}

absl::StatusOr<bool> UpdateRevoked(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT revoked FROM host WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, host).Step());
  if (found && select.Int(0) != 0) return false;
  ASSIGN_OR_RETURN(Statement update, db.Prepare("UPDATE host SET revoked = 1 WHERE host_id = ?"));
  RETURN_IF_ERROR(update.Bind(1, host).Run());
  RETURN_IF_ERROR(RequireChange(db, host));
  return true;
}

absl::Status UpdateVersion(Database& db, HostId host, const std::string& agent_version) {
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE host SET agent_version = ?2 WHERE host_id = ?1"));
  RETURN_IF_ERROR(update.Bind(1, host).Bind(2, agent_version).Run());
  return RequireChange(db, host);
}

absl::Status CheckRenewable(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT revoked, quarantined FROM host WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, host).Step());
  if (!found) return absl::NotFoundError(absl::StrCat("there is no host with the number ", host));
  if (select.Int(0) != 0) {
    return absl::PermissionDeniedError("this host was revoked; enrol it anew");
  }
  if (select.Int(1) == 0) return absl::OkStatus();
  return absl::PermissionDeniedError(
      "two live hosts use this identity, so it is quarantined; enrol each of them anew");
}

absl::Status UpdateHold(Database& db, HostId host, bool hold) {
  ASSIGN_OR_RETURN(Statement update, db.Prepare("UPDATE host SET hold = ?2 WHERE host_id = ?1"));
  RETURN_IF_ERROR(update.Bind(1, host).Bind(2, hold ? 1 : 0).Run());
  return RequireChange(db, host);
}

absl::StatusOr<bool> UpdateApproved(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT revoked, hold FROM host WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, host).Step());
  if (found && select.Int(0) != 0) {
    return absl::FailedPreconditionError("this host was revoked, for good; enrol it anew");
  }
  if (found && select.Int(1) == 0) return false;
  RETURN_IF_ERROR(UpdateHold(db, host, false));
  return true;
}

}  // namespace dumpwarden
