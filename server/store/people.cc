// SPDX-License-Identifier: Apache-2.0
#include "server/store/people.h"

#include <algorithm>
#include <cstdint>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "server/store/secrets.h"

namespace dumpwarden {
namespace {

struct Numbered {
  std::int64_t id = 0;
  PersonRow row;
};

absl::Status Refused(absl::string_view why) { return RefusedSecret("login", why); }

absl::Status RefusedToHolder(absl::string_view why) {
  return dumpwarden::RefusedToHolder("login", why);
}

absl::Status NoSuchPerson(const std::string& name) {
  return absl::NotFoundError(absl::StrCat("there is no person with the name ", Quote(name)));
}

// Of all, or of one when `name` is not empty; by number.
absl::StatusOr<std::map<std::int64_t, PersonRow>> Select(Database& db, const std::string& name) {
  std::map<std::int64_t, PersonRow> people;
  ASSIGN_OR_RETURN(Statement rows,
                   db.Prepare("SELECT person_id, name, added, revoked, unlisted FROM person "
                              "WHERE ?1 = '' OR name = ?1"));
  rows.Bind(1, name);
  while (true) {
    ASSIGN_OR_RETURN(const bool row, rows.Step());
    if (!row) break;
    PersonRow& person = people[rows.Int(0)];
    person.name = rows.Text(1);
    person.added = absl::FromUnixMicros(rows.Int(2));
    if (!rows.IsNull(3)) person.revoked = absl::FromUnixMicros(rows.Int(3));
    person.unlisted = rows.Int(4) != 0;
  }
  for (auto& [id, person] : people) {
    ASSIGN_OR_RETURN(Statement roles,
                     db.Prepare("SELECT role FROM person_role WHERE person_id = ? ORDER BY role"));
    roles.Bind(1, id);
    ASSIGN_OR_RETURN(Statement certificates,
                     db.Prepare("SELECT serial, expires FROM person_certificate "
                                "WHERE person_id = ? ORDER BY expires, serial"));
    certificates.Bind(1, id);
    while (true) {
      ASSIGN_OR_RETURN(const bool row, roles.Step());
      if (!row) break;
      person.roles.push_back(roles.Text(0));
    }
    while (true) {
      ASSIGN_OR_RETURN(const bool row, certificates.Step());
      if (!row) break;
      person.certificates.push_back(
          {certificates.Text(0), absl::FromUnixMicros(certificates.Int(1))});
    }
  }
  return people;
}

absl::StatusOr<Numbered> Find(Database& db, const std::string& name) {
  if (name.empty()) return NoSuchPerson(name);
  ASSIGN_OR_RETURN(const auto people, Select(db, name));
  if (people.empty()) return NoSuchPerson(name);
  return Numbered{people.begin()->first, people.begin()->second};
}

absl::Status RunFor(Database& db, absl::string_view sql, std::int64_t person) {
  ASSIGN_OR_RETURN(Statement statement, db.Prepare(sql));
  return statement.Bind(1, person).Run();
}

absl::Status InsertRoles(Database& db, std::int64_t person, const std::vector<std::string>& roles) {
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO person_role (person_id, role) VALUES (?, ?)"));
  for (const std::string& role : roles) RETURN_IF_ERROR(insert.Bind(1, person).Bind(2, role).Run());
  return absl::OkStatus();
}

absl::Status InsertCertificate(Database& db, std::int64_t person,
                               const CertificateRow& certificate) {
  ASSIGN_OR_RETURN(
      Statement insert,
      db.Prepare("INSERT INTO person_certificate (serial, person_id, expires) VALUES (?, ?, ?)"));
  return insert.Bind(1, certificate.serial)
      .Bind(2, person)
      .Bind(3, absl::ToUnixMicros(certificate.expires))
      .Run();
}

bool Holds(const std::vector<std::string>& roles, absl::string_view role) {
  return std::find(roles.begin(), roles.end(), role) != roles.end();
}

// An admin who never logged in, or whose certificates have expired, cannot give anybody a code.
absl::Status CheckAdminRemains(Database& db, const Numbered& without, absl::Time now) {
  ASSIGN_OR_RETURN(
      Statement others,
      db.Prepare("SELECT 1 FROM person p JOIN person_role r USING (person_id) WHERE r.role = ?1 "
                 "AND p.revoked IS NULL AND p.person_id <> ?2 AND (p.unlisted OR EXISTS (SELECT 1 "
                 "FROM person_certificate c WHERE c.person_id = p.person_id AND c.expires > ?3))"));
  others.Bind(1, kAdminRole).Bind(2, without.id).Bind(3, absl::ToUnixMicros(now));
  ASSIGN_OR_RETURN(const bool found, others.Step());
  if (found) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(without.row.name, " is the last ", kAdminRole,
                   " who can log in; make another one first, who has logged in"));
}

absl::Status CheckNotRevoked(const PersonRow& person) {
  if (!person.revoked.has_value()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(person.name, " was revoked; add them again to let them come back"));
}

// The number of a new person, or of one who was revoked.
absl::StatusOr<std::int64_t> MakeRow(Database& db, const PersonRow& person, absl::Time now) {
  const absl::StatusOr<Numbered> found = Find(db, person.name);
  if (found.ok() && !found->row.revoked.has_value()) {
    return absl::AlreadyExistsError(absl::StrCat("there is a person ", person.name, " already"));
  }
  if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO person (name, added, unlisted) VALUES (?1, ?2, ?3) "
                              "ON CONFLICT (name) DO UPDATE SET added = ?2, unlisted = ?3, "
                              "revoked = NULL"));
  RETURN_IF_ERROR(insert.Bind(1, person.name)
                      .Bind(2, absl::ToUnixMicros(now))
                      .Bind(3, person.unlisted ? 1 : 0)
                      .Run());
  return found.ok() ? found->id : db.LastInsertId();
}

}  // namespace

absl::StatusOr<std::vector<PersonRow>> SelectPeople(Database& db) {
  ASSIGN_OR_RETURN(auto people, Select(db, ""));
  std::vector<PersonRow> rows;
  for (auto& [id, person] : people) rows.push_back(std::move(person));
  std::sort(rows.begin(), rows.end(),
            [](const PersonRow& a, const PersonRow& b) { return a.name < b.name; });
  return rows;
}

absl::StatusOr<PersonRow> SelectPerson(Database& db, const std::string& name) {
  ASSIGN_OR_RETURN(Numbered found, Find(db, name));
  return std::move(found.row);
}

absl::Status InsertPerson(Database& db, const PersonRow& person, absl::Time now) {
  ASSIGN_OR_RETURN(const std::int64_t id, MakeRow(db, person, now));
  RETURN_IF_ERROR(RunFor(db, "DELETE FROM person_role WHERE person_id = ?", id));
  RETURN_IF_ERROR(InsertRoles(db, id, person.roles));
  for (const CertificateRow& certificate : person.certificates) {
    RETURN_IF_ERROR(InsertCertificate(db, id, certificate));
  }
  return absl::OkStatus();
}

absl::Status InsertLoginCode(Database& db, const LoginCodeRow& code) {
  ASSIGN_OR_RETURN(const Numbered person, Find(db, code.person));
  RETURN_IF_ERROR(CheckNotRevoked(person.row));
  RETURN_IF_ERROR(
      RunFor(db, "DELETE FROM login_code WHERE person_id = ? AND used IS NULL", person.id));
  ASSIGN_OR_RETURN(Statement insert,
                   db.Prepare("INSERT INTO login_code (code_id, secret_digest, person_id, expires) "
                              "VALUES (?, ?, ?, ?)"));
  return insert.Bind(1, code.id)
      .BindBlob(2, code.secret_digest)
      .Bind(3, person.id)
      .Bind(4, absl::ToUnixMicros(code.expires))
      .Run();
}

absl::StatusOr<PersonRow> CheckLoginCode(Database& db, const LoginClaim& claim) {
  ASSIGN_OR_RETURN(Statement select,
                   db.Prepare("SELECT c.secret_digest, c.used, c.expires, p.name FROM login_code c "
                              "JOIN person p USING (person_id) WHERE c.code_id = ?"));
  ASSIGN_OR_RETURN(const bool found, select.Bind(1, claim.code_id).Step());
  if (!found) return Refused("there is no such code");
  if (!SameSecret(select.Blob(0), claim.secret_digest)) return Refused("wrong secret");
  if (!select.IsNull(1)) {
    return RefusedToHolder(
        absl::StrCat("the code was used at ",
                     absl::FormatTime(absl::FromUnixMicros(select.Int(1)), absl::UTCTimeZone())));
  }
  const absl::Time expires = absl::FromUnixMicros(select.Int(2));
  if (expires <= claim.now) {
    return RefusedToHolder(
        absl::StrCat("the code expired at ", absl::FormatTime(expires, absl::UTCTimeZone())));
  }
  ASSIGN_OR_RETURN(PersonRow person, SelectPerson(db, select.Text(3)));
  // A revocation takes open codes with it; this is the second lock.
  if (person.revoked.has_value()) return RefusedToHolder("its person was revoked");
  return person;
}

absl::Status KeepLogin(Database& db, const LoginClaim& claim, const PersonRow& person,
                       const CertificateRow& certificate) {
  ASSIGN_OR_RETURN(const Numbered found, Find(db, person.name));
  ASSIGN_OR_RETURN(
      Statement burn,
      db.Prepare("UPDATE login_code SET used = ?2 WHERE code_id = ?1 AND used IS NULL"));
  RETURN_IF_ERROR(burn.Bind(1, claim.code_id).Bind(2, absl::ToUnixMicros(claim.now)).Run());
  if (db.Changes() != 1) return RefusedToHolder("the code was used meanwhile");
  ASSIGN_OR_RETURN(
      Statement expired,
      db.Prepare("DELETE FROM person_certificate WHERE person_id = ?1 AND expires <= ?2"));
  RETURN_IF_ERROR(expired.Bind(1, found.id).Bind(2, absl::ToUnixMicros(claim.now)).Run());
  return InsertCertificate(db, found.id, certificate);
}

absl::StatusOr<bool> UpdateRoles(Database& db, const RolesChange& change, Audit& row) {
  ASSIGN_OR_RETURN(const Numbered person, Find(db, change.name));
  RETURN_IF_ERROR(CheckNotRevoked(person.row));
  if (person.row.roles == change.roles) return false;
  if (Holds(person.row.roles, kAdminRole) && !Holds(change.roles, kAdminRole)) {
    RETURN_IF_ERROR(CheckAdminRemains(db, person, change.now));
  }
  if (change.trial) return true;
  const std::string before = absl::StrJoin(person.row.roles, ",");
  const std::string after = absl::StrJoin(change.roles, ",");
  row.detail = absl::StrCat(before, " -> ", after);
  row.before = Sha256(before);
  row.after = Sha256(after);
  RETURN_IF_ERROR(RunFor(db, "DELETE FROM person_role WHERE person_id = ?", person.id));
  RETURN_IF_ERROR(InsertRoles(db, person.id, change.roles));
  return true;
}

absl::StatusOr<bool> UpdatePersonRevoked(Database& db, const std::string& name, absl::Time now,
                                         bool trial, Audit& row) {
  ASSIGN_OR_RETURN(const Numbered person, Find(db, name));
  if (person.row.revoked.has_value()) return false;
  if (Holds(person.row.roles, kAdminRole)) RETURN_IF_ERROR(CheckAdminRemains(db, person, now));
  if (trial) return true;
  row.before = Sha256(absl::StrJoin(person.row.roles, ","));
  ASSIGN_OR_RETURN(Statement update,
                   db.Prepare("UPDATE person SET revoked = ?2, unlisted = 0 WHERE person_id = ?1"));
  RETURN_IF_ERROR(update.Bind(1, person.id).Bind(2, absl::ToUnixMicros(now)).Run());
  RETURN_IF_ERROR(RunFor(db, "DELETE FROM person_certificate WHERE person_id = ?", person.id));
  RETURN_IF_ERROR(
      RunFor(db, "DELETE FROM login_code WHERE person_id = ? AND used IS NULL", person.id));
  return true;
}

}  // namespace dumpwarden
