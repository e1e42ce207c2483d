// SPDX-License-Identifier: Apache-2.0
#include "server/store/retention.h"

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "server/store/audit_retention.h"
#include "server/store/audit_rows.h"
#include "server/store/drift_retention.h"

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

// `deleted` of them went by one statement that takes a batch.
absl::StatusOr<std::int64_t> Note(Database& db, Expiry& expiry, absl::Time now,
                                  std::int64_t deleted) {
  expiry.more = deleted == kExpiryBatch;
  if (deleted > 0) RETURN_IF_ERROR(SayDeleted(db, expiry, now, absl::StrCat(deleted)));
  return deleted;
}

absl::StatusOr<std::int64_t> DeleteTokens(Database& db, Expiry& expiry, absl::Time now) {
  const std::string labels = absl::StrCat("DELETE FROM token_label WHERE token_id IN ", kOldTokens);
  RETURN_IF_ERROR(RunBatch(db, labels, expiry.over_before).status());
  const std::string tokens = absl::StrCat("DELETE FROM token WHERE token_id IN ", kOldTokens);
  ASSIGN_OR_RETURN(const std::int64_t deleted, RunBatch(db, tokens, expiry.over_before));
  return Note(db, expiry, now, deleted);
}

absl::StatusOr<std::int64_t> DeletePolicyVersions(Database& db, Expiry& expiry, absl::Time now) {
  ASSIGN_OR_RETURN(
      const std::int64_t deleted,
      RunBatch(db,
               "DELETE FROM policy WHERE (name, version) IN (SELECT p.name, p.version "
               "FROM policy p WHERE EXISTS (SELECT 1 FROM policy n WHERE n.name = p.name AND "
               "n.version > p.version AND n.at < ?1) AND NOT EXISTS (SELECT 1 FROM "
               "policy_in_force f WHERE f.name = p.name AND f.version = p.version) LIMIT ?2)",
               expiry.over_before));
  return Note(db, expiry, now, deleted);
}

}  // namespace

std::vector<Expiry> ExpiriesOf(const Retention& retention, absl::Time now) {
  const struct {
    absl::Duration kept;
    Expiry expiry;
  } kAll[] = {
      {retention.tokens, {"tokens", &DeleteTokens, now - retention.tokens}},
      {retention.policy_versions,
       {"policy-versions", &DeletePolicyVersions, now - retention.policy_versions}},
      {retention.drift, {"drift", &DeleteDrifts, now - retention.drift}},
      {retention.audit, {"audit", &DeleteAudit, now - retention.audit}},
  };
  std::vector<Expiry> expiries;
  for (const auto& row : kAll) {
    if (row.kept != absl::InfiniteDuration()) expiries.push_back(row.expiry);
  }
  return expiries;
}

absl::Status SayDeleted(Database& db, const Expiry& expiry, absl::Time now, const std::string& what,
                        const std::string& before) {
  const Audit audit{
      .actor = "server",
      .source = "",
      .action = "retention.delete",
      .object = expiry.kind,
      .detail = absl::StrCat(what, " that were over before ",
                             absl::FormatTime(expiry.over_before, absl::UTCTimeZone())),
      .before = before,
      .after = ""};
  return InsertAudit(db, audit, now).status();
}

}  // namespace dumpwarden
