// SPDX-License-Identifier: Apache-2.0
#include "server/store/retention.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/audit_rows.h"

namespace dumpwarden {
namespace {

// An unused token is over when it expires.
constexpr absl::string_view kOldTokens =
    "(SELECT token_id FROM token WHERE COALESCE(used, expires) < ?1 AND expires < ?1 "
    "ORDER BY token_id LIMIT ?2)";

absl::StatusOr<std::int64_t> RunBatch(Database& db, absl::string_view sql, absl::Time before) {
  ASSIGN_OR_RETURN(Statement statement, db.Prepare(sql));
  RETURN_IF_ERROR(statement.Bind(1, absl::ToUnixMicros(before)).Bind(2, kExpiryBatch).Run());
  return db.Changes();
}

absl::StatusOr<std::int64_t> DeleteTokens(Database& db, absl::Time before) {
  RETURN_IF_ERROR(
      RunBatch(db, absl::StrCat("DELETE FROM token_label WHERE token_id IN ", kOldTokens), before)
          .status());
  return RunBatch(db, absl::StrCat("DELETE FROM token WHERE token_id IN ", kOldTokens), before);
}

absl::StatusOr<std::int64_t> DeletePolicyVersions(Database& db, absl::Time before) {
  return RunBatch(db,
                  "DELETE FROM policy WHERE (name, version) IN (SELECT p.name, p.version "
                  "FROM policy p WHERE EXISTS (SELECT 1 FROM policy n WHERE n.name = p.name AND "
                  "n.version > p.version AND n.at < ?1) AND NOT EXISTS (SELECT 1 FROM "
                  "policy_in_force f WHERE f.name = p.name AND f.version = p.version) LIMIT ?2)",
                  before);
}

}  // namespace

std::vector<Expiry> ExpiriesOf(const Retention& retention, absl::Time now) {
  std::vector<Expiry> expiries;
  if (retention.tokens != absl::InfiniteDuration()) {
    expiries.push_back({"tokens", &DeleteTokens, now - retention.tokens});
  }
  if (retention.policy_versions != absl::InfiniteDuration()) {
    expiries.push_back({"policy-versions", &DeletePolicyVersions, now - retention.policy_versions});
  }
  return expiries;
}

absl::StatusOr<std::int64_t> DeleteBatch(Database& db, const Expiry& expiry, absl::Time now) {
  ASSIGN_OR_RETURN(const std::int64_t deleted, expiry.delete_some(db, expiry.over_before));
  if (deleted == 0) return 0;
  const Audit audit{
      .actor = "server",
      .source = "",
      .action = "retention.delete",
      .object = expiry.kind,
      .detail = absl::StrCat(deleted, " that were over before ",
                             absl::FormatTime(expiry.over_before, absl::UTCTimeZone())),
      .before = "",
      .after = ""};
  RETURN_IF_ERROR(InsertAudit(db, audit, now).status());
  return deleted;
}

}  // namespace dumpwarden
