// SPDX-License-Identifier: Apache-2.0
#include "server/admin_service.h"

#include <grpcpp/grpcpp.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "dumpwarden/v1/admin.pb.h"
#include "proto/grpc_status.h"
#include "server/audit_log.h"
#include "server/fleet/compliance.h"
#include "server/fleet/planning.h"
#include "server/fleet/revocation.h"
#include "server/identity/tokens.h"
#include "server/operator_calls.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kDriftsAtOnce = 500;
// How soon a follower that went away is noticed.
constexpr absl::Duration kLookAround = absl::Seconds(1);

class AdminService final : public v1::Admin::Service {
 public:
  explicit AdminService(AdminParts parts) : parts_(std::move(parts)) {}

  grpc::Status ApplyPolicies(grpc::ServerContext* context, const v1::ApplyPoliciesRequest* request,
                             v1::ApplyPoliciesResponse* response) override {
    return Answer(*context, "ApplyPolicies", *response, [&](const Caller& caller) {
      return parts_.policies.Apply(*request, {caller.id, caller.source});
    });
  }
  grpc::Status DeletePolicy(grpc::ServerContext* context, const v1::DeletePolicyRequest* request,
                            v1::DeletePolicyResponse* response) override {
    return Answer(*context, "DeletePolicy", *response, [&](const Caller& caller) {
      return parts_.policies.Delete(*request, {caller.id, caller.source});
    });
  }
  grpc::Status ListPolicies(grpc::ServerContext* context,
                            const v1::ListPoliciesRequest* /*request*/,
                            v1::ListPoliciesResponse* response) override {
    return Answer(*context, "ListPolicies", *response,
                  [&](const Caller&) { return parts_.policies.List(); });
  }
  grpc::Status GetPolicy(grpc::ServerContext* context, const v1::GetPolicyRequest* request,
                         v1::GetPolicyResponse* response) override {
    return Answer(*context, "GetPolicy", *response,
                  [&](const Caller&) { return parts_.policies.Get(*request); });
  }
  grpc::Status PlanPolicies(grpc::ServerContext* context, const v1::PlanPoliciesRequest* request,
                            v1::PlanPoliciesResponse* response) override {
    return Answer(*context, "PlanPolicies", *response,
                  [&](const Caller&) { return dumpwarden::PlanPolicies(parts_.store, *request); });
  }
  grpc::Status PlanHosts(grpc::ServerContext* context, const v1::PlanPoliciesRequest* request,
                         grpc::ServerWriter<v1::PlanPoliciesResponse::HostPlan>* writer) override {
    return Run(*context, "PlanHosts", [&](const Caller&) {
      return dumpwarden::PlanHosts(parts_.store, *request, [&](const auto& plan) {
        return writer->Write(plan) ? absl::OkStatus() : absl::CancelledError("the caller is gone");
      });
    });
  }
  grpc::Status ListHosts(grpc::ServerContext* context, const v1::ListHostsRequest* request,
                         v1::ListHostsResponse* response) override {
    return Answer(*context, "ListHosts", *response,
                  [&](const Caller&) { return parts_.hosts.List(*request); });
  }
  grpc::Status GetHost(grpc::ServerContext* context, const v1::GetHostRequest* request,
                       v1::GetHostResponse* response) override {
    return Answer(*context, "GetHost", *response,
                  [&](const Caller&) { return parts_.hosts.Get(*request); });
  }
  grpc::Status ExplainHost(grpc::ServerContext* context, const v1::ExplainHostRequest* request,
                           v1::ExplainHostResponse* response) override {
    return Answer(*context, "ExplainHost", *response, [&](const Caller&) {
      return dumpwarden::ExplainHost(parts_.store, parts_.hosts, *request);
    });
  }
  grpc::Status RevokeHost(grpc::ServerContext* context, const v1::RevokeHostRequest* request,
                          v1::RevokeHostResponse* response) override {
    return Answer(*context, "RevokeHost", *response, [&](const Caller& caller) {
      return dumpwarden::RevokeHost(parts_.store, parts_.fleet, *request,
                                    {caller.id, caller.source});
    });
  }
  grpc::Status ApproveHost(grpc::ServerContext* context, const v1::ApproveHostRequest* request,
                           v1::ApproveHostResponse* response) override {
    return Answer(*context, "ApproveHost", *response, [&](const Caller& caller) {
      return dumpwarden::ApproveHost(parts_.store, parts_.fleet, *request,
                                     {caller.id, caller.source});
    });
  }
  grpc::Status SummarizeCompliance(grpc::ServerContext* context,
                                   const v1::SummarizeComplianceRequest* request,
                                   v1::SummarizeComplianceResponse* response) override {
    return Answer(*context, "SummarizeCompliance", *response, [&](const Caller&) {
      return dumpwarden::SummarizeCompliance(parts_.store, parts_.hosts, *request);
    });
  }
  grpc::Status ReportCompliance(grpc::ServerContext* context,
                                const v1::ReportComplianceRequest* request,
                                grpc::ServerWriter<v1::HostFinding>* writer) override {
    return Run(*context, "ReportCompliance", [&](const Caller&) -> absl::Status {
      ASSIGN_OR_RETURN(const std::vector<v1::HostFinding> rows,
                       dumpwarden::ReportCompliance(parts_.store, parts_.hosts, *request));
      for (const v1::HostFinding& row : rows) {
        if (!writer->Write(row)) return absl::CancelledError("the caller is gone");
      }
      return absl::OkStatus();
    });
  }
  grpc::Status ListDrift(grpc::ServerContext* context, const v1::ListDriftRequest* request,
                         v1::ListDriftResponse* response) override {
    return Answer(*context, "ListDrift", *response,
                  [&](const Caller&) { return dumpwarden::ListDrift(parts_.store, *request); });
  }
  grpc::Status FollowDrift(grpc::ServerContext* context, const v1::FollowDriftRequest* request,
                           grpc::ServerWriter<v1::Drift>* writer) override {
    return Run(*context, "FollowDrift",
               [&](const Caller&) { return Follow(*context, *request, *writer); });
  }
  grpc::Status CreateToken(grpc::ServerContext* context, const v1::CreateTokenRequest* request,
                           v1::CreateTokenResponse* response) override {
    return Answer(*context, "CreateToken", *response,
                  [&](const Caller& caller) { return MakeToken(*request, caller); });
  }
  grpc::Status ListPeople(grpc::ServerContext* context, const v1::ListPeopleRequest* /*request*/,
                          v1::ListPeopleResponse* response) override {
    return Answer(*context, "ListPeople", *response,
                  [&](const Caller&) { return parts_.people.List(); });
  }
  grpc::Status AddPerson(grpc::ServerContext* context, const v1::AddPersonRequest* request,
                         v1::AddPersonResponse* response) override {
    return Answer(*context, "AddPerson", *response, [&](const Caller& caller) {
      return WithOpenDoor<v1::AddPersonResponse>(*request, [&](const auto& asked) {
        return parts_.people.Add(asked, {caller.id, caller.source});
      });
    });
  }
  grpc::Status CreateLoginCode(grpc::ServerContext* context,
                               const v1::CreateLoginCodeRequest* request,
                               v1::CreateLoginCodeResponse* response) override {
    return Answer(*context, "CreateLoginCode", *response, [&](const Caller& caller) {
      return WithOpenDoor<v1::CreateLoginCodeResponse>(*request, [&](const auto& asked) {
        return parts_.people.CreateCode(asked, {caller.id, caller.source});
      });
    });
  }
  grpc::Status SetRoles(grpc::ServerContext* context, const v1::SetRolesRequest* request,
                        v1::SetRolesResponse* response) override {
    return Answer(*context, "SetRoles", *response, [&](const Caller& caller) {
      return parts_.people.SetRoles(*request, {caller.id, caller.source});
    });
  }
  // Cut off after this call itself has ended: an admin may revoke herself.
  grpc::Status RevokePerson(grpc::ServerContext* context, const v1::RevokePersonRequest* request,
                            v1::RevokePersonResponse* response) override {
    grpc::Status done = Answer(*context, "RevokePerson", *response, [&](const Caller& caller) {
      return parts_.people.Revoke(*request, {caller.id, caller.source});
    });
    if (!done.ok() || request->dry_run()) return done;
    const int calls = calls_.CutOff(parts_.people.IdOf(request->name()));
    response->set_calls(static_cast<std::uint32_t>(calls));
    parts_.feed.Wake();  // who follows looks whether they may
    return done;
  }
  grpc::Status CreateTokens(grpc::ServerContext* context, const v1::CreateTokensRequest* request,
                            v1::CreateTokensResponse* response) override {
    return Answer(*context, "CreateTokens", *response,
                  [&](const Caller& caller) { return MakeTokens(*request, caller); });
  }
  grpc::Status ListTokens(grpc::ServerContext* context, const v1::ListTokensRequest* request,
                          v1::ListTokensResponse* response) override {
    return Answer(*context, "ListTokens", *response, [&](const Caller&) {
      return dumpwarden::ListTokens(parts_.store, *request, parts_.clock.Now());
    });
  }
  grpc::Status RevokeToken(grpc::ServerContext* context, const v1::RevokeTokenRequest* request,
                           v1::RevokeTokenResponse* response) override {
    return Answer(*context, "RevokeToken", *response, [&](const Caller& caller) {
      return dumpwarden::RevokeToken(parts_.store, *request, caller.id, caller.source,
                                     parts_.clock.Now());
    });
  }
  grpc::Status ListAudit(grpc::ServerContext* context, const v1::ListAuditRequest* request,
                         v1::ListAuditResponse* response) override {
    return Answer(*context, "ListAudit", *response,
                  [&](const Caller&) { return dumpwarden::ListAudit(parts_.store, *request); });
  }
  grpc::Status ExportAudit(grpc::ServerContext* context, const v1::ExportAuditRequest* /*request*/,
                           grpc::ServerWriter<v1::ExportAuditResponse>* writer) override {
    return Run(*context, "ExportAudit", [&](const Caller& caller) {
      return dumpwarden::ExportAudit(
          parts_.store, {caller.id, caller.source}, [&](const v1::ExportAuditResponse& piece) {
            return writer->Write(piece) ? absl::OkStatus()
                                        : absl::CancelledError("the caller is gone");
          });
    });
  }

 private:
  static std::string MethodName(absl::string_view method) {
    return absl::StrCat("dumpwarden.v1.Admin.", method);
  }

  grpc::Status RefuseMore(const Caller& caller, const absl::Status& why) {
    parts_.refusals.Count({.action = "call.refused",
                           .reason = OperatorCalls::ReasonOf(why),
                           .source = caller.source,
                           .detail = absl::StrCat(caller.id, ": ", why.message()),
                           .count = 0});
    return ToGrpc(absl::Status(why.code(), why.message()));
  }

  template <typename Call>
  grpc::Status Run(const grpc::ServerContext& context, absl::string_view method, Call call) {
    absl::StatusOr<Caller> caller = parts_.authorizer.Identify(context, MethodName(method));
    if (!caller.ok()) return ToGrpc(caller.status());
    const auto running =
        calls_.Begin(*caller->permission->limit, caller->id, [&context] { context.TryCancel(); });
    if (!running.ok()) return RefuseMore(*caller, running.status());
    const absl::Status admitted = parts_.authorizer.Admit(*caller);
    return ToGrpc(admitted.ok() ? call(*caller) : admitted);
  }

  template <typename Response, typename Call>
  grpc::Status Answer(const grpc::ServerContext& context, absl::string_view method,
                      Response& response, Call call) {
    return Run(context, method, [&](const Caller& caller) -> absl::Status {
      ASSIGN_OR_RETURN(response, call(caller));
      return absl::OkStatus();
    });
  }

  absl::StatusOr<v1::CreateTokenResponse> MakeToken(const v1::CreateTokenRequest& request,
                                                    const Caller& caller) {
    v1::CreateTokensRequest one;
    *one.add_tokens() = request;
    one.set_dry_run(request.dry_run());
    ASSIGN_OR_RETURN(v1::CreateTokensResponse made, MakeTokens(one, caller));
    return std::move(*made.mutable_tokens(0));
  }

  absl::StatusOr<v1::CreateTokensResponse> MakeTokens(const v1::CreateTokensRequest& request,
                                                      const Caller& caller) {
    v1::CreateTokensRequest trial = request;
    trial.set_dry_run(true);
    absl::StatusOr<v1::CreateTokensResponse> response =
        parts_.enrollment.CreateTokens(trial, caller.id, caller.source);
    if (!response.ok() || request.dry_run()) return response;
    ASSIGN_OR_RETURN(const std::string bound, parts_.door.OpenFor([&] {
      response = parts_.enrollment.CreateTokens(request, caller.id, caller.source);
      return response.status();
    }));
    for (v1::CreateTokenResponse& token : *response->mutable_tokens()) {
      token.set_address(parts_.public_address(bound));
    }
    return response;
  }

  // The same for whatever makes a login code: tried, then done while its listener is open.
  template <typename Response, typename Request, typename Make>
  absl::StatusOr<Response> WithOpenDoor(const Request& request, Make make) {
    Request trial = request;
    trial.set_dry_run(true);
    absl::StatusOr<Response> response = make(trial);
    if (!response.ok() || request.dry_run()) return response;
    ASSIGN_OR_RETURN(const std::string bound, parts_.door.OpenFor([&] {
      response = make(request);
      return response.status();
    }));
    response->mutable_code()->set_address(parts_.public_address(bound));
    return response;
  }

  // Oldest first, each beginning and each end by itself.  Cursor 0: from the very first.
  absl::StatusOr<std::vector<v1::Drift>> After(std::uint64_t cursor) {
    DriftQuery query;
    query.limit = kDriftsAtOnce;
    query.after_cursor = cursor;
    return parts_.store.ListDrift(query);
  }

  // Of the newest event: the newest beginning, and the ends that came after it.
  absl::StatusOr<std::uint64_t> NewestCursor() {
    DriftQuery query;
    query.limit = 1;
    ASSIGN_OR_RETURN(const std::vector<v1::Drift> newest, parts_.store.ListDrift(query));
    if (newest.empty()) return 0;
    std::uint64_t cursor = newest.front().cursor();
    while (true) {
      ASSIGN_OR_RETURN(const std::vector<v1::Drift> later, After(cursor));
      if (later.empty()) return cursor;
      cursor = later.back().cursor();
    }
  }

  absl::Status Follow(const grpc::ServerContext& context, const v1::FollowDriftRequest& request,
                      grpc::ServerWriter<v1::Drift>& writer) {
    std::uint64_t cursor = request.after_cursor();
    std::uint64_t generation = parts_.feed.Generation();
    if (cursor == 0) {
      ASSIGN_OR_RETURN(cursor, NewestCursor());
    }
    // The caller knows that it follows, and may act.
    writer.SendInitialMetadata();
    while (!context.IsCancelled()) {
      // The certificate may expire while the call lasts.
      RETURN_IF_ERROR(parts_.authorizer.Authorize(context, MethodName("FollowDrift")).status());
      ASSIGN_OR_RETURN(const std::vector<v1::Drift> drifts, After(cursor));
      for (const v1::Drift& drift : drifts) {
        if (!writer.Write(drift)) return absl::OkStatus();
        cursor = drift.cursor();
      }
      if (!drifts.empty()) continue;
      if (!parts_.feed.Wait(generation, kLookAround)) {
        return absl::UnavailableError("the server is going down");
      }
      generation = parts_.feed.Generation();  // before the store is read again
    }
    return absl::OkStatus();
  }

  AdminParts parts_;
  OperatorCalls calls_;
};

}  // namespace

std::shared_ptr<grpc::Service> MakeAdminService(AdminParts parts) {
  return std::make_shared<AdminService>(std::move(parts));
}

}  // namespace dumpwarden
