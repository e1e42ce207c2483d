// SPDX-License-Identifier: Apache-2.0
#include "server/store/tokens.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "server/store/hosts.h"
#include "server/store/secrets.h"

namespace dumpwarden {
namespace {

absl::Status Refused(absl::string_view why) { return RefusedSecret("enrolment", why); }

absl::Status RefusedToHolder(absl::string_view why) {
  return dumpwarden::RefusedToHolder("enrolment", why);
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

std::optional<absl::Time> TimeOf(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return absl::FromUnixMicros(row.Int(column));
}

}  // namespace

absl::Status InsertToken(Database& db, const TokenRow& token) {
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO token (token_id, secret_digest, expected_name, expires, "
                              "hold) VALUES (?, ?, ?, ?, ?)"));
  insert.Bind(1, token.id)
      .BindBlob(2, token.secret_digest)
      .Bind(3, token.expected_name)
      .Bind(4, absl::ToUnixMicros(token.expires))
      .Bind(5, token.hold ? 1 : 0);
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
                   db.Prepare("SELECT MAX(expires) FROM ("
                              "SELECT expires FROM token WHERE used IS NULL AND expires > ?1 AND "
                              "revoked IS NULL UNION ALL "
                              "SELECT expires FROM login_code WHERE used IS NULL AND "
                              "expires > ?1)"));
  ASSIGN_OR_RETURN(const bool row, select.Bind(1, absl::ToUnixMicros(now)).Step());
  if (!row || select.IsNull(0)) return std::optional<absl::Time>();
  return std::make_optional(absl::FromUnixMicros(select.Int(0)));
}

absl::StatusOr<std::vector<TokenRecord>> SelectTokens(Database& db) {
  ASSIGN_OR_RETURN(
      Statement select,
      db.Prepare("SELECT t.token_id, t.expected_name, t.expires, t.hold, t.used, "
                 "COALESCE(h.uuid, ''), t.revoked FROM token t LEFT JOIN host h ON h.host_id = "
                 "t.used_by ORDER BY t.expires DESC, t.token_id"));
  std::vector<TokenRecord> tokens;
  std::map<std::string, std::size_t> places;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) break;
    TokenRecord& record = tokens.emplace_back();
    record.token.id = select.Text(0);
    record.token.expected_name = select.Text(1);
    record.token.expires = absl::FromUnixMicros(select.Int(2));
    record.token.hold = select.Int(3) != 0;
    record.used = TimeOf(select, 4);
    record.used_by = select.Text(5);
    record.revoked = TimeOf(select, 6);
    places[record.token.id] = tokens.size() - 1;
  }
  ASSIGN_OR_RETURN(Statement labels, db.Prepare("SELECT token_id, key, value FROM token_label"));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, labels.Step());
    if (!row) return tokens;
    tokens[places.at(labels.Text(0))].token.labels[labels.Text(1)] = labels.Text(2);
  }
}

absl::StatusOr<bool> UpdateTokenRevoked(Database& db, const std::string& id, absl::Time now,
                                        Audit& row) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT used, expires, revoked, secret_digest "
                                                "FROM token WHERE token_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, id).Step());
  if (!found) return absl::NotFoundError(absl::StrCat("there is no token ", Quote(id)));
  if (!select.IsNull(2)) return false;
  if (!select.IsNull(0)) {
    return absl::FailedPreconditionError(
        "the token was used: the host that enrolled with it is what can be revoked");
  }
  if (absl::FromUnixMicros(select.Int(1)) <= now) {
    return absl::FailedPreconditionError("the token has expired: nobody can use it any more");
  }
  row.before = select.Blob(3);
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE token SET revoked = ?2 WHERE token_id = ?1"));
  RETURN_IF_ERROR(update.Bind(1, id).Bind(2, absl::ToUnixMicros(now)).Run());
  return true;
}

absl::Status CheckToken(Database& db, const TokenClaim& claim) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT secret_digest, used, expires, expected_name, revoked "
                              "FROM token WHERE token_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, claim.token_id).Step());
  if (!found) return Refused("there is no such token");
  if (!SameSecret(select.Blob(0), claim.secret_digest)) return Refused("wrong secret");
  if (!select.IsNull(1)) {
    return RefusedToHolder(
        absl::StrCat("the token was used at ",
                     absl::FormatTime(absl::FromUnixMicros(select.Int(1)), absl::UTCTimeZone())));
  }
  if (!select.IsNull(4)) {
    return RefusedToHolder(
        absl::StrCat("the token was revoked at ",
                     absl::FormatTime(absl::FromUnixMicros(select.Int(4)), absl::UTCTimeZone())));
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
  RETURN_IF_ERROR(RunWith(db,
                          "UPDATE host SET hold = (SELECT hold FROM token WHERE token_id = ?2) "
                          "WHERE host_id = ?1",
                          id, claim.token_id));
  ASSIGN_OR_RETURN(Statement state, db.Prepare("INSERT INTO host_state (host_id) VALUES (?)"));
  RETURN_IF_ERROR(state.Bind(1, id).Run());
  ASSIGN_OR_RETURN(Statement burn,
                   db.Prepare("UPDATE token SET used = ?3, used_by = ?1 "
                              "WHERE token_id = ?2 AND used IS NULL AND revoked IS NULL"));
  RETURN_IF_ERROR(
      burn.Bind(1, id).Bind(2, claim.token_id).Bind(3, absl::ToUnixMicros(claim.now)).Run());
  if (db.Changes() != 1) return RefusedToHolder("the token was used meanwhile");
  return SelectHost(db, claim.host.uuid);
}

}  // namespace dumpwarden
