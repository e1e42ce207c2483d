// SPDX-License-Identifier: Apache-2.0
#include "server/store/hosts.h"

#include <map>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kSelectHosts =
    "SELECT h.host_id, h.uuid, h.name, h.host_key, h.enrolled, h.revoked, h.quarantined, "
    "h.agent_version, s.last_seen, s.epoch, s.sequence, s.state_digest, s.facts_digest, "
    "s.policy_digest, s.state FROM host h JOIN host_state s USING (host_id)";

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

// Takes as long for a near miss as for a far one.
bool SameSecret(absl::string_view a, absl::string_view b) {
  if (a.size() != b.size()) return false;
  volatile unsigned char difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference = static_cast<unsigned char>(difference | (a[i] ^ b[i]));
  }
  return difference == 0;
}

absl::Status Refused(absl::string_view why) {
  return absl::PermissionDeniedError(absl::StrCat("enrolment refused: ", why));
}

// To who has shown the right secret.
absl::Status RefusedToHolder(absl::string_view why) {
  absl::Status refused = Refused(why);
  refused.SetPayload(kHolderMayKnow, absl::Cord());
  return refused;
}

absl::Status InsertHostRow(Database& db, const HostRow& host, absl::Time now) {
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO host (uuid, name, host_key, enrolled, agent_version) "
                              "VALUES (?, ?, ?, ?, ?)"));
  insert.Bind(1, host.uuid)
      .Bind(2, host.name)
      .BindBlob(3, host.host_key)
      .Bind(4, absl::ToUnixMicros(now))
      .Bind(5, host.agent_version);
  return insert.Run();
}

absl::Status RunWith(Database& db, absl::string_view sql, HostId host, const std::string& token) {
  ASSIGN_OR_RETURN(Statement statement, db.Prepare(sql));
  return statement.Bind(1, host).Bind(2, token).Run();
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
  const char* state = host.revoked ? "revoked" : host.quarantined ? "quarantined" : "enrolled";
  return Sha256(absl::StrCat(host.uuid, "\n", Sha256Hex(host.host_key), "\n", state, "\n"));
}

absl::StatusOr<std::string> SelectHostDigest(Database& db, HostId host) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT uuid, host_key, revoked, quarantined "
                                                "FROM host WHERE host_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, host).Step());
  if (!found) return NoSuchHost(host);
  HostRow row;
  row.uuid = select.Text(0);
  row.host_key = select.Blob(1);
  row.revoked = select.Int(2) != 0;
  row.quarantined = select.Int(3) != 0;
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

absl::Status InsertToken(Database& db, const TokenRow& token) {
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO token (token_id, secret_digest, expected_name, expires) "
                              "VALUES (?, ?, ?, ?)"));
  insert.Bind(1, token.id)
      .BindBlob(2, token.secret_digest)
      .Bind(3, token.expected_name)
      .Bind(4, absl::ToUnixMicros(token.expires));
  RETURN_IF_ERROR(insert.Run());
  ASSIGN_OR_RETURN(Statement label,
                   db.Prepare("INSERT INTO token_label (token_id, key, value) VALUES (?, ?, ?)"));
  for (const auto& [key, value] : token.labels) {
    RETURN_IF_ERROR(label.Bind(1, token.id).Bind(2, key).Bind(3, value).Run());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::optional<absl::Time>> SelectNewestExpiry(Database& db, absl::Time now) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT MAX(expires) FROM token WHERE used IS NULL AND expires > ?"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(1, absl::ToUnixMicros(now)).Step());
  if (!row || select.IsNull(0)) return std::optional<absl::Time>();
  return std::make_optional(absl::FromUnixMicros(select.Int(0)));
}

absl::Status CheckToken(Database& db, const TokenClaim& claim) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT secret_digest, used, expires, expected_name "
                              "FROM token WHERE token_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, claim.token_id).Step());
  if (!found) return Refused("there is no such token");
  if (!SameSecret(select.Blob(0), claim.secret_digest)) return Refused("wrong secret");
  if (!select.IsNull(1)) {
    return RefusedToHolder(
        absl::StrCat("the token was used at ",
                     absl::FormatTime(absl::FromUnixMicros(select.Int(1)), absl::UTCTimeZone())));
  }
  const absl::Time expires = absl::FromUnixMicros(select.Int(2));
  if (expires <= claim.now) {
    return RefusedToHolder(
        absl::StrCat("the token expired at ", absl::FormatTime(expires, absl::UTCTimeZone())));
  }
  const std::string expected = select.Text(3);
  if (expected.empty() || EqualsIgnoreCase(expected, claim.host.name)) return absl::OkStatus();
  return RefusedToHolder(absl::StrCat("the token is for the host ", Quote(expected), ", not for ",
                                      Quote(claim.host.name)));
}

absl::StatusOr<HostRow> InsertHost(Database& db, const TokenClaim& claim) {
  RETURN_IF_ERROR(InsertHostRow(db, claim.host, claim.now));
  const HostId id = db.LastInsertId();
  RETURN_IF_ERROR(RunWith(db,
                          "INSERT INTO host_label (host_id, key, value) "
                          "SELECT ?1, key, value FROM token_label WHERE token_id = ?2",
                          id, claim.token_id));
  ASSIGN_OR_RETURN(Statement state, db.Prepare("INSERT INTO host_state (host_id) VALUES (?)"));
  RETURN_IF_ERROR(state.Bind(1, id).Run());
  ASSIGN_OR_RETURN(Statement burn, db.Prepare("UPDATE token SET used = ?3, used_by = ?1 "
                                              "WHERE token_id = ?2 AND used IS NULL"));
  RETURN_IF_ERROR(
      burn.Bind(1, id).Bind(2, claim.token_id).Bind(3, absl::ToUnixMicros(claim.now)).Run());
  if (db.Changes() != 1) return RefusedToHolder("the token was used meanwhile");
  return SelectHost(db, claim.host.uuid);
}

}  // namespace dumpwarden
