// SPDX-License-Identifier: Apache-2.0
#include "server/admin_service.h"

#include <grpcpp/grpcpp.h>

#include <atomic>
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
#include "server/operator_calls.h"

namespace dumpwarden {
namespace {

// Each holds a thread, of 64.
constexpr int kMaxFollowers = 16;
constexpr int kMaxFollowersOfOne = 8;
constexpr int kMaxCallsOfOne = 16;  // others than to follow
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
    const auto caller = parts_.authorizer.Authorize(*context, MethodName("FollowDrift"));
    if (!caller.ok()) return ToGrpc(caller.status());
    const auto running = following_.Begin(caller->id);
    if (running == nullptr) {
      return RefuseMore(*caller, "followers-of-one",
                        absl::StrCat(kMaxFollowersOfOne,
                                     " calls of this operator follow drift "
                                     "already; end one of them"));
    }
    if (++followers_ > kMaxFollowers) {
      --followers_;
      return RefuseMore(
          *caller, "followers",
          absl::StrCat(kMaxFollowers, " calls follow drift already; end one of them"));
    }
    const absl::Status done = Follow(*context, *request, *writer);
    --followers_;
    return ToGrpc(done);
  }
  grpc::Status CreateToken(grpc::ServerContext* context, const v1::CreateTokenRequest* request,
                           v1::CreateTokenResponse* response) override {
    return Answer(*context, "CreateToken", *response,
                  [&](const Caller& caller) { return MakeToken(*request, caller); });
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

  grpc::Status RefuseMore(const Caller& caller, const char* reason, const std::string& message) {
    parts_.refusals.Count({.action = "call.refused",
                           .reason = reason,
                           .source = caller.source,
                           .detail = absl::StrCat(caller.id, ": ", message),
                           .count = 0});
    return {grpc::StatusCode::RESOURCE_EXHAUSTED, message};
  }

  template <typename Call>
  grpc::Status Run(const grpc::ServerContext& context, absl::string_view method, Call call) {
    const absl::StatusOr<Caller> caller = parts_.authorizer.Authorize(context, MethodName(method));
    if (!caller.ok()) return ToGrpc(caller.status());
    const auto running = calls_.Begin(caller->id);
    if (running == nullptr) {
      return RefuseMore(
          *caller, "calls-of-one",
          absl::StrCat(kMaxCallsOfOne,
                       " calls of this operator run already; wait until one of them ends"));
    }
    return ToGrpc(call(*caller));
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
    v1::CreateTokenRequest trial = request;
    trial.set_dry_run(true);
    absl::StatusOr<v1::CreateTokenResponse> response =
        parts_.enrollment.CreateToken(trial, caller.id, caller.source);
    if (!response.ok() || request.dry_run()) return response;
    ASSIGN_OR_RETURN(const std::string bound, parts_.door.OpenFor([&] {
      response = parts_.enrollment.CreateToken(request, caller.id, caller.source);
      return response.status();
    }));
    response->set_address(parts_.public_address(bound));
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
  OperatorCalls calls_{kMaxCallsOfOne};
  OperatorCalls following_{kMaxFollowersOfOne};
  std::atomic<int> followers_ = 0;
};

}  // namespace

std::shared_ptr<grpc::Service> MakeAdminService(AdminParts parts) {
  return std::make_shared<AdminService>(std::move(parts));
}

}  // namespace dumpwarden
