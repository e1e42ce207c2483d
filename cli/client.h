// SPDX-License-Identifier: Apache-2.0
// The way to the server, over mTLS.  client.cc is the only file of this
// program that knows gRPC; everything else sees messages and statuses.
#ifndef DUMPWARDEN_CLI_CLIENT_H_
#define DUMPWARDEN_CLI_CLIENT_H_

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/contexts.h"
#include "core/base/vfs.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"

namespace dumpwarden {

// Client is one operator at one server.  Statuses carry what, why and what to do: errors.h.
class Client {
 public:
  // Reads the context's files and checks the operator's own certificate before anything is sent:
  // kUnauthenticated says what is wrong with it.
  static absl::StatusOr<std::unique_ptr<Client>> Make(const Context& context,
                                                      absl::Duration timeout, Vfs& vfs);
  ~Client();

  absl::StatusOr<v1::ApplyPoliciesResponse> Do(const v1::ApplyPoliciesRequest& request);
  absl::StatusOr<v1::DeletePolicyResponse> Do(const v1::DeletePolicyRequest& request);
  absl::StatusOr<v1::ListPoliciesResponse> Do(const v1::ListPoliciesRequest& request);
  absl::StatusOr<v1::GetPolicyResponse> Do(const v1::GetPolicyRequest& request);
  absl::StatusOr<v1::PlanPoliciesResponse> Do(const v1::PlanPoliciesRequest& request);
  absl::StatusOr<v1::ListHostsResponse> Do(const v1::ListHostsRequest& request);
  absl::StatusOr<v1::GetHostResponse> Do(const v1::GetHostRequest& request);
  absl::StatusOr<v1::RevokeHostResponse> Do(const v1::RevokeHostRequest& request);
  absl::StatusOr<v1::ApproveHostResponse> Do(const v1::ApproveHostRequest& request);
  absl::StatusOr<v1::ExplainHostResponse> Do(const v1::ExplainHostRequest& request);
  absl::StatusOr<v1::SummarizeComplianceResponse> Do(const v1::SummarizeComplianceRequest& request);
  absl::StatusOr<v1::ListDriftResponse> Do(const v1::ListDriftRequest& request);
  absl::StatusOr<v1::CreateTokenResponse> Do(const v1::CreateTokenRequest& request);
  absl::StatusOr<v1::ListPeopleResponse> Do(const v1::ListPeopleRequest& request);
  absl::StatusOr<v1::AddPersonResponse> Do(const v1::AddPersonRequest& request);
  absl::StatusOr<v1::CreateLoginCodeResponse> Do(const v1::CreateLoginCodeRequest& request);
  absl::StatusOr<v1::SetRolesResponse> Do(const v1::SetRolesRequest& request);
  absl::StatusOr<v1::RevokePersonResponse> Do(const v1::RevokePersonRequest& request);
  absl::StatusOr<v1::CreateTokensResponse> Do(const v1::CreateTokensRequest& request);
  absl::StatusOr<v1::ListTokensResponse> Do(const v1::ListTokensRequest& request);
  absl::StatusOr<v1::RevokeTokenResponse> Do(const v1::RevokeTokenRequest& request);
  absl::StatusOr<v1::ListAuditResponse> Do(const v1::ListAuditRequest& request);

  // Until the server has sent all.
  absl::Status Stream(const v1::ReportComplianceRequest& request,
                      const std::function<void(const v1::HostFinding&)>& each);
  absl::Status Stream(const v1::PlanPoliciesRequest& request,
                      const std::function<void(v1::PlanPoliciesResponse::HostPlan)>& each);
  // The same, however long it takes, as long as the server is not silent for the timeout.  An error
  // of `each` ends it, and is returned.
  absl::Status Stream(const v1::ExportAuditRequest& request,
                      const std::function<absl::Status(const v1::ExportAuditResponse&)>& each);
  // Until `each` says false or the server goes away; no deadline.
  absl::Status Stream(const v1::FollowDriftRequest& request,
                      const std::function<bool(const v1::Drift&)>& each);

 private:
  struct Wire;
  explicit Client(std::unique_ptr<Wire> wire);
  std::unique_ptr<Wire> wire_;
};

// At the enrolment listener, whose server must show a chain that ends with the root of `root_pin`
// (hex SHA-256 of its DER); when it does not, nothing has been sent, the code least of all.
absl::StatusOr<v1::LoginResponse> CallLogin(const std::string& server, const std::string& root_pin,
                                            absl::Duration timeout,
                                            const v1::LoginRequest& request);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_CLIENT_H_
