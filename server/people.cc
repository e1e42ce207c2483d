// SPDX-License-Identifier: Apache-2.0
#include "server/people.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"
#include "core/base/token.h"
#include "platform/keys.h"
#include "server/identity/names.h"
#include "server/identity/roles.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kRefusal = "the code is not valid here: unknown, used or expired";

absl::StatusOr<absl::Duration> LifeOf(std::uint32_t seconds) {
  if (seconds == 0) return kUsualTokenLife;
  const absl::Duration life = absl::Seconds(seconds);
  if (life <= kLongestTokenLife) return life;
  return absl::InvalidArgumentError(absl::StrCat("a code may live at most 7 days (604800 s), not ",
                                                 seconds,
                                                 " s; make it when the person is about to log in"));
}

absl::StatusOr<std::vector<std::string>> RolesIn(
    const google::protobuf::RepeatedPtrField<std::string>& words) {
  return CheckRoles({words.begin(), words.end()});
}

}  // namespace

std::string People::IdOf(const std::string& name) const {
  return absl::StrCat("spiffe://", authority_.trust_domain(), "/operator/", name);
}

v1::Person People::MessageOf(const PersonRow& row) const {
  v1::Person person;
  person.set_name(row.name);
  for (const std::string& role : row.roles) person.add_roles(role);
  *person.mutable_added() = ToTimestamp(row.added);
  if (row.revoked.has_value()) *person.mutable_revoked() = ToTimestamp(*row.revoked);
  person.set_unlisted(row.unlisted);
  for (const CertificateRow& certificate : row.certificates) {  // the one that lives longest last
    if (certificate.expires <= clock_.Now()) continue;
    person.set_certificates(person.certificates() + 1);
    *person.mutable_certificate_expires() = ToTimestamp(certificate.expires);
  }
  return person;
}

absl::StatusOr<v1::Person> People::Read(const std::string& name) {
  ASSIGN_OR_RETURN(const PersonRow row, store_.FindPerson(name));
  return MessageOf(row);
}

absl::StatusOr<v1::ListPeopleResponse> People::List() {
  ASSIGN_OR_RETURN(const std::vector<PersonRow> rows, store_.ListPeople());
  v1::ListPeopleResponse response;
  for (const PersonRow& row : rows) *response.add_people() = MessageOf(row);
  return response;
}

People::NewCode People::MakeCode(const std::string& person, absl::Duration life) {
  LoginCode code;
  code.id = absl::BytesToHexString(random_.Bytes(16));
  code.secret = absl::BytesToHexString(random_.Bytes(32));
  code.root_pin = authority_.root_pin();
  // Whole seconds: that is what the code's text can say.
  code.expires = absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now() + life));
  NewCode made{{code.id, Sha256(code.secret), person, code.expires}, {}};
  made.message.set_code(FormatLoginCode(code));
  made.message.set_id(code.id);
  *made.message.mutable_expires() = ToTimestamp(code.expires);
  return made;
}

absl::StatusOr<v1::AddPersonResponse> People::Add(const v1::AddPersonRequest& request,
                                                  const Actor& actor) {
  RETURN_IF_ERROR(CheckOperatorName(request.name()));
  PersonRow person;
  person.name = request.name();
  ASSIGN_OR_RETURN(person.roles, RolesIn(request.roles()));
  person.added = clock_.Now();
  ASSIGN_OR_RETURN(const absl::Duration life, LifeOf(request.ttl_seconds()));
  v1::AddPersonResponse response;
  if (request.dry_run()) {
    const absl::StatusOr<PersonRow> found = store_.FindPerson(person.name);
    if (found.ok() && !found->revoked.has_value()) {
      return absl::AlreadyExistsError(absl::StrCat("there is a person ", person.name, " already"));
    }
    if (!found.ok() && !absl::IsNotFound(found.status())) return found.status();
    *response.mutable_person() = MessageOf(person);
    return response;
  }
  NewCode code = MakeCode(person.name, life);
  RETURN_IF_ERROR(store_.AddPerson(
      person, code.row,
      {.actor = actor.id,
       .source = actor.source,
       .action = "person.add",
       .object = person.name,
       .detail = absl::StrCat("roles ", absl::StrJoin(person.roles, ","), "; code ", code.row.id,
                              " good for ", absl::FormatDuration(life)),
       .before = "",
       .after = Sha256(absl::StrJoin(person.roles, ","))}));
  ASSIGN_OR_RETURN(*response.mutable_person(), Read(person.name));
  *response.mutable_code() = std::move(code.message);
  return response;
}

absl::StatusOr<v1::CreateLoginCodeResponse> People::CreateCode(
    const v1::CreateLoginCodeRequest& request, const Actor& actor) {
  ASSIGN_OR_RETURN(const absl::Duration life, LifeOf(request.ttl_seconds()));
  v1::CreateLoginCodeResponse response;
  ASSIGN_OR_RETURN(*response.mutable_person(), Read(request.name()));
  if (request.dry_run()) {
    if (!response.person().has_revoked()) return response;
    return absl::FailedPreconditionError(
        absl::StrCat(request.name(), " was revoked; add them again to let them come back"));
  }
  NewCode code = MakeCode(request.name(), life);
  RETURN_IF_ERROR(store_.CreateLoginCode(
      code.row,
      {.actor = actor.id,
       .source = actor.source,
       .action = "person.code",
       .object = request.name(),
       .detail = absl::StrCat("code ", code.row.id, " good for ", absl::FormatDuration(life)),
       .before = "",
       .after = ""}));
  *response.mutable_code() = std::move(code.message);
  return response;
}

absl::StatusOr<v1::SetRolesResponse> People::SetRoles(const v1::SetRolesRequest& request,
                                                      const Actor& actor) {
  ASSIGN_OR_RETURN(const std::vector<std::string> roles, RolesIn(request.roles()));
  v1::SetRolesResponse response;
  ASSIGN_OR_RETURN(const bool changed,
                   store_.SetRoles(request.name(), roles, clock_.Now(), request.dry_run(),
                                   {.actor = actor.id,
                                    .source = actor.source,
                                    .action = "person.roles",
                                    .object = request.name(),
                                    .detail = "",
                                    .before = "",
                                    .after = ""}));
  response.set_changed(changed);
  ASSIGN_OR_RETURN(*response.mutable_person(), Read(request.name()));
  if (request.dry_run()) {
    response.mutable_person()->clear_roles();
    for (const std::string& role : roles) response.mutable_person()->add_roles(role);
  }
  return response;
}

absl::StatusOr<v1::RevokePersonResponse> People::Revoke(const v1::RevokePersonRequest& request,
                                                        const Actor& actor) {
  RETURN_IF_ERROR(CheckReason(request.reason()));
  ASSIGN_OR_RETURN(const bool changed,
                   store_.RevokePerson(request.name(), clock_.Now(), request.dry_run(),
                                       {.actor = actor.id,
                                        .source = actor.source,
                                        .action = "person.revoke",
                                        .object = request.name(),
                                        .detail = Printable(request.reason()),
                                        .before = "",
                                        .after = ""}));
  v1::RevokePersonResponse response;
  response.set_changed(changed);
  return response;
}

absl::Status People::Refuse(const char* reason, const std::string& peer, const absl::Status& why) {
  if (on_refused_) on_refused_(reason, peer, why);
  return why;
}

absl::Status People::RefuseCode(const absl::Status& why, const std::string& code_id,
                                const std::string& peer) {
  failures_.Count(AddressOfPeer(peer));
  log_.Warning("login refused",
               {{"why", std::string(why.message())}, {"code", code_id}, {"peer", peer}});
  const bool holder = why.GetPayload(kHolderMayKnow).has_value();
  return absl::PermissionDeniedError(holder ? why.message() : kRefusal);
}

IssueLogin People::MakeIssue(EVP_PKEY& key, const std::string& code_id, const std::string& peer,
                             Issued& issued) {
  return [&key, code_id, peer, &issued,
          this](const PersonRow& person) -> absl::StatusOr<dumpwarden::Login> {
    ASSIGN_OR_RETURN(issued, authority_.IssueOperator(key, person.name, clock_.Now(), kPersonLife));
    ASSIGN_OR_RETURN(const CertificatePtr leaf, ReadCertificateDer(issued.chain.front()));
    ASSIGN_OR_RETURN(const CertificateSummary summary, Summarize(*leaf));
    return dumpwarden::Login{
        {summary.serial, summary.not_after},
        {.actor = IdOf(person.name),
         .source = peer,
         .action = "person.login",
         .object = person.name,
         .detail = absl::StrCat("code ", code_id, ", certificate ", summary.serial, " until ",
                                absl::FormatTime(summary.not_after, absl::UTCTimeZone())),
         .before = "",
         .after = Sha256(issued.chain.front())}};
  };
}

absl::StatusOr<v1::LoginResponse> People::Login(const v1::LoginRequest& request,
                                                const std::string& peer,
                                                const std::string& server) {
  if (failures_.IsOver(AddressOfPeer(peer))) {
    return Refuse(
        "too-many", peer,
        absl::ResourceExhaustedError("too many failures from this address; wait a minute"));
  }
  const absl::StatusOr<LoginCode> code = ParseLoginCode(request.code());
  if (!code.ok()) {
    Refuse("code", peer, code.status()).IgnoreError();
    return RefuseCode(code.status(), "", peer);
  }
  const absl::StatusOr<KeyPtr> key = ReadCsrDer(request.csr());
  if (!key.ok()) {
    failures_.Count(AddressOfPeer(peer));
    return Refuse("keys", peer, key.status());
  }
  Issued issued;
  const absl::StatusOr<PersonRow> person = store_.UseLoginCode(
      {code->id, Sha256(code->secret), clock_.Now()}, MakeIssue(**key, code->id, peer, issued),
      {.actor = "nobody",
       .source = peer,
       .action = "person.login.refused",
       .object = code->id,
       .detail = "",
       .before = "",
       .after = ""});
  if (absl::IsPermissionDenied(person.status())) return RefuseCode(person.status(), code->id, peer);
  RETURN_IF_ERROR(person.status());
  log_.Info("login", {{"person", person->name}, {"peer", peer}});
  v1::LoginResponse response;
  response.set_name(person->name);
  for (const std::string& role : person->roles) response.add_roles(role);
  for (const std::string& der : issued.chain) response.add_chain(der);
  response.set_root(authority_.root_der());
  response.set_trust_domain(authority_.trust_domain());
  response.set_server(server);
  return response;
}

}  // namespace dumpwarden
