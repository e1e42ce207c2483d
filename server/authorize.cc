// SPDX-License-Identifier: Apache-2.0
#include "server/authorize.h"

#include <google/protobuf/descriptor.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/keys.h"

namespace dumpwarden {
namespace {

// Each call holds a thread, of 64.
constexpr CallLimit kCalls{16, 64, "run", "wait until one of them ends", "calls-of-one", "calls"};
constexpr CallLimit kFollowers{
    8, 16, "follow drift", "end one of them", "followers-of-one", "followers"};

// Whoever has a role may read; an admin may do all that is no signature for a crash.
constexpr RoleSet kReaders = roles::kViewer | roles::kAuditor | roles::kAuthor | roles::kOperator |
                             roles::kRequester | roles::kApprover | roles::kAdmin;
constexpr RoleSet kAuditors = roles::kAuditor | roles::kAdmin;
constexpr RoleSet kAuthors = roles::kAuthor | roles::kAdmin;
constexpr RoleSet kOperators = roles::kOperator | roles::kAdmin;
constexpr RoleSet kAdmins = roles::kAdmin;

constexpr Permission Read(absl::string_view method, RoleSet roles = kReaders,
                          const CallLimit* limit = &kCalls) {
  return {method, Who::kPerson, roles, AuditClass::kRead, limit};
}
constexpr Permission Change(absl::string_view method, RoleSet roles) {
  return {method, Who::kPerson, roles, AuditClass::kChange, &kCalls};
}
constexpr Permission Secret(absl::string_view method, RoleSet roles) {
  return {method, Who::kPerson, roles, AuditClass::kSecret, &kCalls};
}

constexpr Permission kPermissions[] = {
    Secret("dumpwarden.v1.Admin.AddPerson", kAdmins),
    Change("dumpwarden.v1.Admin.ApplyPolicies", kAuthors),
    Change("dumpwarden.v1.Admin.ApproveHost", kOperators),
    Secret("dumpwarden.v1.Admin.CreateLoginCode", kAdmins),
    Secret("dumpwarden.v1.Admin.CreateToken", kOperators),
    Secret("dumpwarden.v1.Admin.CreateTokens", kOperators),
    Change("dumpwarden.v1.Admin.DeletePolicy", kAuthors),
    Read("dumpwarden.v1.Admin.ExplainHost"),
    {"dumpwarden.v1.Admin.ExportAudit", Who::kPerson, kAuditors, AuditClass::kRecorded, &kCalls},
    Read("dumpwarden.v1.Admin.FollowDrift", kReaders, &kFollowers),
    Read("dumpwarden.v1.Admin.GetHost"),
    Read("dumpwarden.v1.Admin.GetPolicy"),
    Read("dumpwarden.v1.Admin.ListAudit", kAuditors),
    Read("dumpwarden.v1.Admin.ListDrift"),
    Read("dumpwarden.v1.Admin.ListHosts"),
    Read("dumpwarden.v1.Admin.ListPeople", kAuditors),
    Read("dumpwarden.v1.Admin.ListPolicies"),
    Read("dumpwarden.v1.Admin.ListTokens"),
    Read("dumpwarden.v1.Admin.PlanHosts"),
    Read("dumpwarden.v1.Admin.PlanPolicies"),
    Read("dumpwarden.v1.Admin.ReportCompliance"),
    Change("dumpwarden.v1.Admin.RevokeHost", kOperators),
    Change("dumpwarden.v1.Admin.RevokePerson", kAdmins),
    Change("dumpwarden.v1.Admin.RevokeToken", kOperators),
    Change("dumpwarden.v1.Admin.SetRoles", kAdmins),
    Read("dumpwarden.v1.Admin.SummarizeCompliance"),
    {"dumpwarden.v1.AgentSession.Renew", Who::kHostEvenLate, 0, AuditClass::kChange, nullptr},
    {"dumpwarden.v1.AgentSession.Session", Who::kHost, 0, AuditClass::kNone, nullptr},
    {"dumpwarden.v1.Enrollment.Enroll", Who::kAnybody, 0, AuditClass::kChange, nullptr},
    {"dumpwarden.v1.Enrollment.Login", Who::kAnybody, 0, AuditClass::kChange, nullptr},
};

const Permission* FindPermission(absl::string_view method) {
  const auto* at = std::find_if(std::begin(kPermissions), std::end(kPermissions),
                                [&](const Permission& row) { return row.method == method; });
  return at == std::end(kPermissions) ? nullptr : at;
}

// ApplyPolicies of dumpwarden.v1.Admin.ApplyPolicies.
absl::string_view ShortName(absl::string_view method) {
  return method.substr(method.rfind('.') + 1);
}

std::string Needed(RoleSet roles) {
  const std::string words = RoleWords(roles);
  return absl::StrCat(absl::StrContains(words, ',') ? "one of the roles " : "the role ", words);
}

std::string LeafOf(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return "";
  const auto found = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return found.size() == 1 ? std::string(found[0].data(), found[0].size()) : "";
}

bool MayUse(const PersonRow& person, const std::string& serial) {
  return person.unlisted ||
         std::any_of(person.certificates.begin(), person.certificates.end(),
                     [&](const CertificateRow& row) { return row.serial == serial; });
}

}  // namespace

std::span<const Permission> AllPermissions() { return kPermissions; }

absl::Status CheckPermissions(const std::vector<std::string>& services) {
  const auto* pool = google::protobuf::DescriptorPool::generated_pool();
  std::vector<std::string> missing;
  for (const std::string& name : services) {
    const auto* service = pool->FindServiceByName(name);
    if (service == nullptr) {
      missing.push_back(name);
      continue;
    }
    for (int i = 0; i < service->method_count(); ++i) {
      const std::string& method = service->method(i)->full_name();
      if (FindPermission(method) == nullptr) missing.push_back(method);
    }
  }
  if (missing.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("server/authorize.cc does not say who may call ", absl::StrJoin(missing, ", ")));
}

absl::StatusOr<Caller> Authorizer::Authorize(const grpc::ServerContextBase& context,
                                             absl::string_view method) {
  ASSIGN_OR_RETURN(Caller caller, Identify(context, method));
  RETURN_IF_ERROR(Admit(caller));
  return caller;
}

absl::StatusOr<Caller> Authorizer::Decide(absl::string_view method, absl::string_view leaf_pem,
                                          const std::string& source) {
  ASSIGN_OR_RETURN(Caller caller, Identify(Shown{std::string(leaf_pem), source}, method));
  RETURN_IF_ERROR(Admit(caller));
  return caller;
}

absl::StatusOr<Caller> Authorizer::Identify(const grpc::ServerContextBase& context,
                                            absl::string_view method) {
  return Identify(Shown{LeafOf(context), context.peer()}, method);
}

absl::StatusOr<Caller> Authorizer::Identify(const Shown& shown, absl::string_view method) {
  Caller caller;
  caller.source = shown.source;
  caller.permission = FindPermission(method);
  if (caller.permission == nullptr) {
    return Refuse(absl::StatusCode::kPermissionDenied, "no-such-method", caller,
                  "nobody may call this");
  }
  if (caller.permission->who == Who::kAnybody) return caller;
  caller.principal = authenticator_->Identify(shown);
  caller.id = caller.principal.id;
  caller.expires = caller.principal.expires;
  if (caller.principal.kind == Principal::Kind::kNobody) {
    return Refuse(absl::StatusCode::kUnauthenticated, "no-identity", caller,
                  absl::StrCat("the client certificate names nobody of spiffe://", trust_domain_));
  }
  const absl::Duration late =
      caller.permission->who == Who::kHostEvenLate ? kLateRenewal : absl::ZeroDuration();
  if (caller.expires + late <= clock_.Now()) {
    return Refuse(absl::StatusCode::kUnauthenticated, "expired", caller,
                  absl::StrCat("the client certificate expired at ",
                               absl::FormatTime(caller.expires, absl::UTCTimeZone()),
                               "; get a new one and connect anew"));
  }
  caller.leaf_pem = shown.leaf_pem;
  return caller;
}

absl::Status Authorizer::Admit(Caller& caller) {
  switch (caller.permission->who) {
    case Who::kAnybody:
      return absl::OkStatus();
    case Who::kHost:
    case Who::kHostEvenLate:
      return AdmitHost(caller);
    case Who::kPerson:
      return AdmitPerson(caller);
  }
  return absl::InternalError("no such kind of caller");
}

absl::Status Authorizer::AdmitHost(Caller& caller) {
  if (caller.principal.kind != Principal::Kind::kHost) {
    return Refuse(absl::StatusCode::kPermissionDenied, "not-a-host", caller,
                  absl::StrCat(caller.permission->method, " is for hosts; this certificate is of ",
                               caller.id));
  }
  absl::StatusOr<HostRow> host = store_.FindHost(caller.principal.name);
  if (absl::IsNotFound(host.status())) {
    return Refuse(absl::StatusCode::kPermissionDenied, "unknown-host", caller,
                  "this server knows no such host; enrol it anew");
  }
  if (!host.ok()) return host.status();
  if (host->revoked) {
    return Refuse(absl::StatusCode::kPermissionDenied, "revoked-host", caller,
                  "this host was revoked; enrol it anew");
  }
  caller.host = *std::move(host);
  return absl::OkStatus();
}

absl::Status Authorizer::AdmitPerson(const Caller& caller) {
  if (caller.principal.kind != Principal::Kind::kPerson) {
    return Refuse(absl::StatusCode::kPermissionDenied, "not-an-operator", caller,
                  absl::StrCat(caller.permission->method,
                               " is for operators; this certificate is of ", caller.id));
  }
  const std::string& name = caller.principal.name;
  const absl::StatusOr<PersonRow> person = store_.FindPerson(name);
  if (absl::IsNotFound(person.status())) {
    return Refuse(absl::StatusCode::kPermissionDenied, "unknown-person", caller,
                  absl::StrCat("this server knows no person ", name));
  }
  if (!person.ok()) return person.status();
  if (person->revoked.has_value()) {
    return Refuse(absl::StatusCode::kPermissionDenied, "revoked-person", caller,
                  absl::StrCat(name, " was revoked"));
  }
  if (!MayUse(*person, caller.principal.serial)) {
    return Refuse(absl::StatusCode::kUnauthenticated, "withdrawn-certificate", caller,
                  absl::StrCat("this certificate of ", name,
                               " is not one that this server gave out, or it was withdrawn; log in "
                               "with a new code"));
  }
  if ((RolesOf(person->roles) & caller.permission->roles) != 0) return absl::OkStatus();
  return Refuse(absl::StatusCode::kPermissionDenied, "role", caller,
                absl::StrCat(ShortName(caller.permission->method), " needs ",
                             Needed(caller.permission->roles), "; ", name, " has ",
                             absl::StrJoin(person->roles, ", ")));
}

absl::Status Authorizer::Refuse(absl::StatusCode code, const char* reason, const Caller& caller,
                                const std::string& message) {
  refusals_.Count({.action = "call.refused",
                   .reason = reason,
                   .source = caller.source,
                   .detail = absl::StrCat(Printable(caller.id), ": ", message),
                   .count = 0});
  return {code, message};
}

}  // namespace dumpwarden
