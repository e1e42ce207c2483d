// SPDX-License-Identifier: Apache-2.0
// Rows of people: their roles, their certificates and the codes with which they
// log in.  Each change is one transaction of the caller's.
#ifndef DUMPWARDEN_SERVER_STORE_PEOPLE_H_
#define DUMPWARDEN_SERVER_STORE_PEOPLE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "platform/sqlite.h"
#include "server/store/store.h"

namespace dumpwarden {

absl::StatusOr<std::vector<PersonRow>> SelectPeople(Database& db);
absl::StatusOr<PersonRow> SelectPerson(Database& db, const std::string& name);

absl::Status InsertPerson(Database& db, const PersonRow& person, absl::Time now);
absl::Status InsertLoginCode(Database& db, const LoginCodeRow& code);
// Whose code it is.  kPermissionDenied says why it is not good.
absl::StatusOr<PersonRow> CheckLoginCode(Database& db, const LoginClaim& claim);
// Burns a code that CheckLoginCode found good, in the same transaction.
absl::Status KeepLogin(Database& db, const LoginClaim& claim, const PersonRow& person,
                       const CertificateRow& certificate);
struct RolesChange {
  std::string name;
  std::vector<std::string> roles;
  absl::Time now;
  bool trial = false;  // only checked
};
// Both are false when nothing changes.  UpdateRoles puts before and after into `row`.
absl::StatusOr<bool> UpdateRoles(Database& db, const RolesChange& change, Audit& row);
absl::StatusOr<bool> UpdatePersonRevoked(Database& db, const std::string& name, absl::Time now,
                                         bool trial, Audit& row);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_PEOPLE_H_
