// SPDX-License-Identifier: Apache-2.0
#include "server/store/retention.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/audit_retention.h"
#include "server/store/audit_rows.h"
#include "server/store/drift_retention.h"

namespace dumpwarden {
namespace {

constexpr std::int64_t kSaidTogether = 50'000;

// An unused token is over when it expires.
constexpr absl::string_view kOldTokens =
    "(SELECT token_id FROM token WHERE COALESCE(used, expires) < ?1 AND expires < ?1 "
    "ORDER BY token_id LIMIT ?2)";

absl::StatusOr<std::int64_t> RunBatch(Database& db, absl::string_view sql, absl::Time before) {
  ASSIGN_OR_RETURN(Statement statement, db.Prepare(sql));
  RETURN_IF_ERROR(statement.Bind(1, absl::ToUnixMicros(before)).Bind(2, kExpiryBatch).Run());
  return db.Changes();
}

absl::StatusOr<std::int64_t> DeleteTokens(Database& db, Expiry& expiry) {
  const std::string labels = absl::StrCat("DELETE FROM token_label WHERE token_id IN ", kOldTokens);
  RETURN_IF_ERROR(RunBatch(db, labels, expiry.over_before).status());
  const std::string tokens = absl::StrCat("DELETE FROM token WHERE token_id IN ", kOldTokens);
  ASSIGN_OR_RETURN(const std::int64_t deleted, RunBatch(db, tokens, expiry.over_before));
  ASSIGN_OR_RETURN(const std::int64_t codes,
                   RunBatch(db,
                            "DELETE FROM login_code WHERE code_id IN (SELECT code_id "
                            "FROM login_code WHERE COALESCE(used, expires) < ?1 AND expires < ?1 "
                            "ORDER BY code_id LIMIT ?2)",
                            expiry.over_before));
  expiry.more = deleted == kExpiryBatch || codes == kExpiryBatch;
  return deleted + codes;
}

absl::StatusOr<std::int64_t> DeletePolicyVersions(Database& db, Expiry& expiry) {
  ASSIGN_OR_RETURN(
      const std::int64_t deleted,
      RunBatch(db,
               "DELETE FROM policy WHERE (name, version) IN (SELECT p.name, p.version "
               "FROM policy p WHERE EXISTS (SELECT 1 FROM policy n WHERE n.name = p.name AND "
               "n.version > p.version AND n.at < ?1) AND NOT EXISTS (SELECT 1 FROM "
               "policy_in_force f WHERE f.name = p.name AND f.version = p.version) LIMIT ?2)",
               expiry.over_before));
  expiry.more = deleted == kExpiryBatch;
  return deleted;
}

const char* NameOf(Expiry::Kind kind) {
  switch (kind) {
    case Expiry::Kind::kTokens:
      return "tokens";
    case Expiry::Kind::kPolicyVersions:
      return "policy-versions";
    case Expiry::Kind::kDrift:
      return "drift";
    case Expiry::Kind::kAudit:
      return "audit";
  }
  return "";
}

absl::StatusOr<std::int64_t> DeleteBatch(Database& db, Expiry& expiry, absl::Time now) {
  switch (expiry.kind) {
    case Expiry::Kind::kTokens:
      return DeleteTokens(db, expiry);
    case Expiry::Kind::kPolicyVersions:
      return DeletePolicyVersions(db, expiry);
    case Expiry::Kind::kDrift:
      return DeleteDrifts(db, expiry);
    case Expiry::Kind::kAudit:
      return DeleteAudit(db, expiry, now);
  }
  return absl::InternalError("no such kind of rows");
}

// The first row covers what goes until the next one, should the run not come so far.
absl::Status SayStep(Database& db, Expiry& expiry, absl::Time now) {
  const std::int64_t unsaid = expiry.deleted - expiry.said;
  if (unsaid == 0 || (expiry.said > 0 && expiry.more && unsaid < kSaidTogether)) {
    return absl::OkStatus();
  }
  const bool first = expiry.said == 0;
  expiry.said = expiry.deleted;
  if (expiry.more) return SayDeleted(db, expiry, now, absl::StrCat(unsaid, ", with more to come,"));
  return SayDeleted(
      db, expiry, now,
      first ? absl::StrCat(unsaid) : absl::StrCat(unsaid, ", ", expiry.deleted, " in all,"));
}

}  // namespace

std::vector<Expiry> ExpiriesOf(const Retention& retention, absl::Time now) {
  const std::pair<Expiry::Kind, absl::Duration> kAll[] = {
      {Expiry::Kind::kTokens, retention.tokens},
      {Expiry::Kind::kPolicyVersions, retention.policy_versions},
      {Expiry::Kind::kDrift, retention.drift},
      {Expiry::Kind::kAudit, retention.audit},
  };
  std::vector<Expiry> expiries;
  for (const auto& [kind, kept] : kAll) {
    if (kept != absl::InfiniteDuration()) {
      expiries.push_back({.kind = kind, .over_before = now - kept});
    }
  }
  return expiries;
}

absl::Status DeleteStep(Database& db, Expiry& expiry, absl::Time now) {
  ASSIGN_OR_RETURN(const std::int64_t deleted, DeleteBatch(db, expiry, now));
  expiry.deleted += deleted;
  // Audit rows have a digest, and say it before they go.
  return expiry.kind == Expiry::Kind::kAudit ? absl::OkStatus() : SayStep(db, expiry, now);
}

absl::Status SayDeleted(Database& db, const Expiry& expiry, absl::Time now, const std::string& what,
                        const std::string& before) {
  const Audit audit{
      .actor = "server",
      .source = "",
      .action = "retention.delete",
      .object = NameOf(expiry.kind),
      .detail = absl::StrCat(what, " that were over before ",
                             absl::FormatTime(expiry.over_before, absl::UTCTimeZone())),
      .before = before,
      .after = ""};
  return InsertAudit(db, audit, now).status();
}

absl::Status UpdateClock(Database& db, const KeptClock& clock) {
  ASSIGN_OR_RETURN(
      Statement update,
      db.Prepare("INSERT INTO retention_clock (id, at, doubted, doubted_for) "
                 "VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET at = excluded.at, "
                 "doubted = excluded.doubted, doubted_for = excluded.doubted_for"));
  update.Bind(1, absl::ToUnixMicros(clock.believed));
  if (clock.doubted.has_value()) {
    update.Bind(2, absl::ToUnixMicros(*clock.doubted));
  } else {
    update.BindNull(2);
  }
  return update.Bind(3, absl::ToInt64Microseconds(clock.doubted_for)).Run();
}

absl::StatusOr<KeptClock> SelectClock(Database& db) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT COALESCE(c.at, (SELECT at FROM audit WHERE "
                              "action <> 'server.restore' ORDER BY sequence DESC LIMIT 1)), "
                              "c.doubted, c.doubted_for "
                              "FROM (SELECT 1) LEFT JOIN retention_clock c"));
  ASSIGN_OR_RETURN(const bool row, select.Step());
  KeptClock clock;
  if (!row || select.IsNull(0)) return clock;
  clock.believed = absl::FromUnixMicros(select.Int(0));
  if (!select.IsNull(1)) clock.doubted = absl::FromUnixMicros(select.Int(1));
  clock.doubted_for = absl::Microseconds(select.Int(2));
  return clock;
}

}  // namespace dumpwarden
