// SPDX-License-Identifier: Apache-2.0
#include "server/authorize.h"

#include <google/protobuf/descriptor.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "core/base/text.h"
#include "platform/keys.h"
#include "server/identity/names.h"

namespace dumpwarden {
namespace {

constexpr Permission kPermissions[] = {
    {"dumpwarden.v1.Admin.ApplyPolicies", Who::kOperator},
    {"dumpwarden.v1.Admin.CreateToken", Who::kOperator},
    {"dumpwarden.v1.Admin.DeletePolicy", Who::kOperator},
    {"dumpwarden.v1.Admin.ExplainHost", Who::kOperator},
    {"dumpwarden.v1.Admin.ExportAudit", Who::kOperator},
    {"dumpwarden.v1.Admin.FollowDrift", Who::kOperator},
    {"dumpwarden.v1.Admin.GetHost", Who::kOperator},
    {"dumpwarden.v1.Admin.GetPolicy", Who::kOperator},
    {"dumpwarden.v1.Admin.ListAudit", Who::kOperator},
    {"dumpwarden.v1.Admin.ListDrift", Who::kOperator},
    {"dumpwarden.v1.Admin.ListHosts", Who::kOperator},
    {"dumpwarden.v1.Admin.ListPolicies", Who::kOperator},
    {"dumpwarden.v1.Admin.PlanHosts", Who::kOperator},
    {"dumpwarden.v1.Admin.PlanPolicies", Who::kOperator},
    {"dumpwarden.v1.Admin.ReportCompliance", Who::kOperator},
    {"dumpwarden.v1.Admin.RevokeHost", Who::kOperator},
    {"dumpwarden.v1.Admin.SummarizeCompliance", Who::kOperator},
    {"dumpwarden.v1.AgentSession.Session", Who::kHost},
    {"dumpwarden.v1.Enrollment.Enroll", Who::kAnybody},
};

const Permission* FindPermission(absl::string_view method) {
  const auto* at = std::find_if(std::begin(kPermissions), std::end(kPermissions),
                                [&](const Permission& row) { return row.method == method; });
  return at == std::end(kPermissions) ? nullptr : at;
}

std::string LeafOf(const grpc::ServerContextBase& context) {
  const auto auth = context.auth_context();
  if (auth == nullptr) return "";
  const auto found = auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  return found.size() == 1 ? std::string(found[0].data(), found[0].size()) : "";
}

// Of the one certificate in `pem`; without it, or when it cannot be read, a summary of nobody.
CertificateSummary SummaryOf(absl::string_view pem) {
  const auto certificates = ReadCertificatesPem(pem);
  if (!certificates.ok() || certificates->size() != 1) return {};
  return Summarize(*certificates->front()).value_or(CertificateSummary{});
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
  return Decide(method, LeafOf(context), context.peer());
}

absl::StatusOr<Caller> Authorizer::Decide(absl::string_view method, absl::string_view leaf_pem,
                                          const std::string& source) {
  Caller caller;
  caller.source = source;
  const Permission* permission = FindPermission(method);
  if (permission == nullptr) {
    return Refuse(absl::StatusCode::kPermissionDenied, "no-such-method", caller,
                  "nobody may call this");
  }
  if (permission->who == Who::kAnybody) return caller;
  const CertificateSummary certificate = SummaryOf(leaf_pem);
  caller.id = certificate.spiffe_id;
  caller.expires = certificate.not_after;
  absl::string_view rest = caller.id;
  if (!absl::ConsumePrefix(&rest, absl::StrCat("spiffe://", trust_domain_, "/"))) {
    return Refuse(absl::StatusCode::kUnauthenticated, "no-identity", caller,
                  absl::StrCat("the client certificate names nobody of spiffe://", trust_domain_));
  }
  if (caller.expires <= clock_.Now()) {
    return Refuse(absl::StatusCode::kUnauthenticated, "expired", caller,
                  absl::StrCat("the client certificate expired at ",
                               absl::FormatTime(caller.expires, absl::UTCTimeZone()),
                               "; get a new one and connect anew"));
  }
  if (permission->who == Who::kHost) return DecideHost(std::move(caller), rest, method);
  if (absl::ConsumePrefix(&rest, "operator/") && CheckOperatorName(rest).ok()) return caller;
  return Refuse(absl::StatusCode::kPermissionDenied, "not-an-operator", caller,
                absl::StrCat(method, " is for operators; this certificate is of ", caller.id));
}

absl::StatusOr<Caller> Authorizer::DecideHost(Caller caller, absl::string_view uuid,
                                              absl::string_view method) {
  if (!absl::ConsumePrefix(&uuid, "host/") || !IsUuid(uuid)) {
    return Refuse(absl::StatusCode::kPermissionDenied, "not-a-host", caller,
                  absl::StrCat(method, " is for hosts; this certificate is of ", caller.id));
  }
  absl::StatusOr<HostRow> host = store_.FindHost(std::string(uuid));
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
  return caller;
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
