// SPDX-License-Identifier: Apache-2.0
#include "cli/client.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>
#include <stdlib.h>

#include <mutex>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "cli/errors.h"
#include "cli/own_identity.h"
#include "cli/silence.h"
#include "core/base/digest.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "dumpwarden/v1/enrollment.grpc.pb.h"
#include "platform/keys.h"
#include "proto/grpc_status.h"

namespace dumpwarden {
namespace {

constexpr int kMaxAnswerBytes = 256 * 1024 * 1024;

// Contexts were read: their servers are addresses.
std::string HostOf(absl::string_view server) {
  return ParseServerAddress(server).value_or(HostPort()).host;
}

// --- The server's side: gRPC itself would only say that the handshake failed.

// Handshake is what was found out about the server's certificate; written on gRPC's threads.
class Handshake {
 public:
  void Set(ChainVerdict verdict, CertificateSummary leaf) {
    const std::lock_guard lock(mutex_);
    verdict_ = verdict;
    leaf_ = std::move(leaf);
    seen_ = true;
  }
  CertificateSummary leaf() const {
    const std::lock_guard lock(mutex_);
    return leaf_;
  }
  // Good as long as no certificate was seen.
  ChainVerdict verdict() const {
    const std::lock_guard lock(mutex_);
    return seen_ ? verdict_ : ChainVerdict::kGood;
  }
  bool seen() const {
    const std::lock_guard lock(mutex_);
    return seen_;
  }

 private:
  mutable std::mutex mutex_;
  ChainVerdict verdict_ = ChainVerdict::kGood;
  CertificateSummary leaf_;
  bool seen_ = false;
};

using Judge = std::function<ChainVerdict(const std::vector<CertificatePtr>& chain)>;

class ServerVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  ServerVerifier(Judge judge, std::shared_ptr<Handshake> handshake)
      : judge_(std::move(judge)), handshake_(std::move(handshake)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const grpc::string_ref pem = request->peer_cert_full_chain();
    const auto chain = ReadCertificatesPem(absl::string_view(pem.data(), pem.size()));
    ChainVerdict verdict = ChainVerdict::kMalformed;
    CertificateSummary leaf;
    if (chain.ok() && !chain->empty()) {
      verdict = judge_(*chain);
      leaf = Summarize(*chain->front()).value_or(CertificateSummary());
    }
    handshake_->Set(verdict, std::move(leaf));
    if (verdict != ChainVerdict::kGood) {
      *status = {grpc::StatusCode::UNAUTHENTICATED, ChainVerdictWord(verdict)};
    }
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  const Judge judge_;
  const std::shared_ptr<Handshake> handshake_;
};

// For `host`, of the CA in `ca` (PEM).
Judge OfAuthority(const std::string& ca, const std::string& host) {
  return [ca, host](const std::vector<CertificatePtr>& chain) {
    const auto roots = ReadCertificatesPem(ca);
    if (!roots.ok()) return ChainVerdict::kMalformed;
    return VerifyChain(chain, *roots, Purpose::kServer, host, absl::Now());
  };
}

// For `host`, of the CA whose root the server shows last and `pin` names.
Judge OfPin(const std::string& pin, const std::string& host) {
  return [pin, host](const std::vector<CertificatePtr>& chain) {
    const auto der = CertificateDer(*chain.back());
    if (!der.ok() || Sha256Hex(*der) != pin) return ChainVerdict::kOtherCa;
    std::vector<CertificatePtr> roots;
    auto root = ReadCertificateDer(*der);
    if (!root.ok()) return ChainVerdict::kMalformed;
    roots.push_back(*std::move(root));
    return VerifyChain(chain, roots, Purpose::kServer, host, absl::Now());
  };
}

// `identity` null: no certificate is shown.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& server, const OwnIdentity* identity,
                                           Judge judge,
                                           const std::shared_ptr<Handshake>& handshake) {
  namespace tls = grpc::experimental;
  // gRPC's own log says at length what the three lines say in words.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  tls::TlsChannelCredentialsOptions options;
  if (identity != nullptr) {
    options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(
        identity->ca,
        std::vector<tls::IdentityKeyCertPair>{{identity->key, identity->certificate}}));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
  }
  options.set_verify_server_certs(false);  // by ServerVerifier, which can say why
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      tls::ExternalCertificateVerifier::Create<ServerVerifier>(std::move(judge), handshake));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  // drift follow is to be back soon: without these it waits 20 s for a server that is silent, and
  // up to 30 s to look its address up again.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 3000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3000);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  return grpc::CreateCustomChannel(server, tls::TlsCredentials(options), arguments);
}

std::string WhyNotTheirs(const Handshake& handshake, const Context& context) {
  const CertificateSummary leaf = handshake.leaf();
  const std::string now = Day(absl::Now());
  switch (const ChainVerdict verdict = handshake.verdict()) {
    case ChainVerdict::kExpired:
      return absl::StrCat("its certificate expired on ", Day(leaf.not_after),
                          ", and this machine's clock says ", now);
    case ChainVerdict::kNotYetValid:
      return absl::StrCat("its certificate is not valid before ", Day(leaf.not_before),
                          ", and this machine's clock says ", now, "; is it right?");
    case ChainVerdict::kOtherCa:
      return absl::StrCat("its certificate was not issued by the CA in ", context.ca);
    case ChainVerdict::kWrongName:
      return absl::StrCat("its certificate is not for the name ", HostOf(context.server),
                          " but for ", absl::StrJoin(leaf.names, ", "));
    default:
      return absl::StrCat("its certificate is no good: ", ChainVerdictWord(verdict));
  }
}

std::string WhatToDoWith(ChainVerdict verdict, const Context& context) {
  switch (verdict) {
    case ChainVerdict::kExpired:
      return "set the clock right, or start dumpwarden-server anew: it renews its certificate";
    case ChainVerdict::kNotYetValid:
      return "set the clocks right, here and on the server";
    case ChainVerdict::kWrongName:
      return absl::StrCat("use one of these names in `server` of context ", context.name,
                          ", or add this one to `names` of the server");
    default:
      return absl::StrCat("check `server` and `ca` of context ", context.name,
                          ", and that nobody sits in between");
  }
}

absl::Status Unreachable(const Context& context, const Handshake& handshake,
                         absl::string_view cause) {
  const std::string what = absl::StrCat("no connection to the server ", context.server);
  const ChainVerdict verdict = handshake.verdict();
  if (verdict != ChainVerdict::kGood) {
    return Trouble(absl::StatusCode::kUnavailable, what, WhyNotTheirs(handshake, context),
                   WhatToDoWith(verdict, context));
  }
  if (handshake.seen()) {
    return Trouble(absl::StatusCode::kUnavailable, what,
                   absl::StrCat("it closed the connection after the handshake (", cause,
                                "); it may not accept ", context.certificate),
                   "look for handshake.refused in the server's log, and for whether it restarted");
  }
  const std::string why = absl::StrContains(cause, "Socket closed")
                              ? "it closed the connection before it had shown a certificate; is a "
                                "proxy or firewall there?"
                              : WhyNotConnected(cause);
  return Trouble(absl::StatusCode::kUnavailable, what, why,
                 absl::StrCat("check that dumpwarden-server runs and listens there, and `server` "
                              "of context ",
                              context.name));
}

absl::Status OtherService(const Context& context) {
  return Trouble(
      absl::StatusCode::kUnimplemented,
      absl::StrCat(context.server, " answers, but does not offer this"),
      "it is the enrolment port, or another service, or a server older than this dumpctl",
      absl::StrCat("set `server` of context ", context.name,
                   " to the address of the server's `listeners: agents`"));
}

absl::string_view WhatToDo(absl::StatusCode code, bool of_policies) {
  switch (code) {
    case absl::StatusCode::kUnauthenticated:
      return "log in with a new code from an admin (dumpctl login), or use another --context";
    case absl::StatusCode::kPermissionDenied:
      return "ask an admin for this right (dumpctl person roles), or use another --context";
    case absl::StatusCode::kNotFound:
      return "see what there is with dumpctl host list, policy list or person list";
    case absl::StatusCode::kFailedPrecondition:
      return "see to what the first line says first; nothing was changed";
    case absl::StatusCode::kAlreadyExists:
      return "use what is there, or another name";
    case absl::StatusCode::kAborted:
      return of_policies
                 ? "see what is in force with dumpctl policy list, change priority, selector "
                   "or version"
                 : "choose one of those that the first line names, by its id";
    case absl::StatusCode::kInvalidArgument:
      return "correct what the first line names";
    case absl::StatusCode::kUnimplemented:
      return "the server is older than this dumpctl; use one of its version";
    case absl::StatusCode::kResourceExhausted:
      return of_policies
                 ? "use fewer or smaller policies, as the first line says; nothing was changed"
                 : "ask for less at once, or try again when the server has less to do";
    default:
      return "try again; the server's log says more";
  }
}

}  // namespace

struct Client::Wire {
  Context context;
  absl::Duration timeout;
  std::shared_ptr<Handshake> handshake;
  std::unique_ptr<v1::Admin::Stub> stub;

  absl::Status TooLong() const {
    return Trouble(absl::StatusCode::kDeadlineExceeded,
                   absl::StrCat("no answer from ", context.server),
                   absl::StrCat("it took longer than ", absl::FormatDuration(timeout)),
                   "give it longer with --timeout; what was asked may have been done");
  }

  absl::Status Explained(const grpc::Status& answer, bool of_policies = false) const {
    if (answer.ok()) return absl::OkStatus();
    const absl::Status status = FromGrpc(answer);
    if (absl::IsUnavailable(status)) return Unreachable(context, *handshake, status.message());
    if (absl::IsDeadlineExceeded(status)) return TooLong();
    if (absl::IsUnimplemented(status) && status.message().empty()) return OtherService(context);
    // More than one line: the server's reader has said it all.
    if (absl::StrContains(status.message(), '\n')) return status;
    return Trouble(
        status.code(), status.message(),
        absl::StrCat(context.server, " answered ", absl::StatusCodeToString(status.code())),
        WhatToDo(status.code(), of_policies));
  }

  template <typename Request, typename Response>
  using Method = grpc::Status (v1::Admin::Stub::*)(grpc::ClientContext*, const Request&, Response*);

  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(Method<Request, Response> method, const Request& request) const {
    grpc::ClientContext call;
    call.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    Response response;
    constexpr bool kOfPolicies = std::is_same_v<Request, v1::ApplyPoliciesRequest> ||
                                 std::is_same_v<Request, v1::DeletePolicyRequest> ||
                                 std::is_same_v<Request, v1::PlanPoliciesRequest>;
    RETURN_IF_ERROR(Explained((stub.get()->*method)(&call, request, &response), kOfPolicies));
    return response;
  }
};

Client::Client(std::unique_ptr<Wire> wire) : wire_(std::move(wire)) {}
Client::~Client() = default;

absl::StatusOr<std::unique_ptr<Client>> Client::Make(const Context& context, absl::Duration timeout,
                                                     Vfs& vfs) {
  ASSIGN_OR_RETURN(const OwnIdentity identity, LoadOwnIdentity(vfs, context, absl::Now()));
  auto wire = std::make_unique<Wire>();
  wire->context = context;
  wire->timeout = timeout;
  wire->handshake = std::make_shared<Handshake>();
  wire->stub = v1::Admin::NewStub(MakeChannel(context.server, &identity,
                                              OfAuthority(identity.ca, HostOf(context.server)),
                                              wire->handshake));
  return std::unique_ptr<Client>(new Client(std::move(wire)));
}

absl::StatusOr<v1::ApplyPoliciesResponse> Client::Do(const v1::ApplyPoliciesRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ApplyPolicies, request);
}
absl::StatusOr<v1::DeletePolicyResponse> Client::Do(const v1::DeletePolicyRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::DeletePolicy, request);
}
absl::StatusOr<v1::ListPoliciesResponse> Client::Do(const v1::ListPoliciesRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ListPolicies, request);
}
absl::StatusOr<v1::GetPolicyResponse> Client::Do(const v1::GetPolicyRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::GetPolicy, request);
}
absl::StatusOr<v1::PlanPoliciesResponse> Client::Do(const v1::PlanPoliciesRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::PlanPolicies, request);
}
absl::StatusOr<v1::ListHostsResponse> Client::Do(const v1::ListHostsRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ListHosts, request);
}
absl::StatusOr<v1::GetHostResponse> Client::Do(const v1::GetHostRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::GetHost, request);
}
absl::StatusOr<v1::RevokeHostResponse> Client::Do(const v1::RevokeHostRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::RevokeHost, request);
}
absl::StatusOr<v1::ApproveHostResponse> Client::Do(const v1::ApproveHostRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ApproveHost, request);
}
absl::StatusOr<v1::ExplainHostResponse> Client::Do(const v1::ExplainHostRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ExplainHost, request);
}
absl::StatusOr<v1::SummarizeComplianceResponse> Client::Do(
    const v1::SummarizeComplianceRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::SummarizeCompliance, request);
}
absl::StatusOr<v1::ListDriftResponse> Client::Do(const v1::ListDriftRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ListDrift, request);
}
absl::StatusOr<v1::CreateTokenResponse> Client::Do(const v1::CreateTokenRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::CreateToken, request);
}
absl::StatusOr<v1::ListPeopleResponse> Client::Do(const v1::ListPeopleRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ListPeople, request);
}
absl::StatusOr<v1::AddPersonResponse> Client::Do(const v1::AddPersonRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::AddPerson, request);
}
absl::StatusOr<v1::CreateLoginCodeResponse> Client::Do(const v1::CreateLoginCodeRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::CreateLoginCode, request);
}
absl::StatusOr<v1::SetRolesResponse> Client::Do(const v1::SetRolesRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::SetRoles, request);
}
absl::StatusOr<v1::RevokePersonResponse> Client::Do(const v1::RevokePersonRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::RevokePerson, request);
}
absl::StatusOr<v1::CreateTokensResponse> Client::Do(const v1::CreateTokensRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::CreateTokens, request);
}
absl::StatusOr<v1::ListTokensResponse> Client::Do(const v1::ListTokensRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ListTokens, request);
}
absl::StatusOr<v1::RevokeTokenResponse> Client::Do(const v1::RevokeTokenRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::RevokeToken, request);
}
absl::StatusOr<v1::ListAuditResponse> Client::Do(const v1::ListAuditRequest& request) {
  return wire_->Call<>(&v1::Admin::Stub::ListAudit, request);
}

absl::Status Client::Stream(const v1::ReportComplianceRequest& request,
                            const std::function<void(const v1::HostFinding&)>& each) {
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + wire_->timeout));
  const auto reader = wire_->stub->ReportCompliance(&call, request);
  v1::HostFinding finding;
  while (reader->Read(&finding)) each(finding);
  return wire_->Explained(reader->Finish());
}

absl::Status Client::Stream(const v1::PlanPoliciesRequest& request,
                            const std::function<void(v1::PlanPoliciesResponse::HostPlan)>& each) {
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + wire_->timeout));
  const auto reader = wire_->stub->PlanHosts(&call, request);
  v1::PlanPoliciesResponse::HostPlan plan;
  while (reader->Read(&plan)) each(std::move(plan));
  return wire_->Explained(reader->Finish(), /*of_policies=*/true);
}

absl::Status Client::Stream(
    const v1::ExportAuditRequest& request,
    const std::function<absl::Status(const v1::ExportAuditResponse&)>& each) {
  grpc::ClientContext call;
  Silence silence([&call] { call.TryCancel(); }, wire_->timeout);
  const auto reader = wire_->stub->ExportAudit(&call, request);
  v1::ExportAuditResponse piece;
  absl::Status taken;
  while (taken.ok() && reader->Read(&piece)) {
    taken = each(piece);
    silence.Heard();
  }
  if (!taken.ok()) call.TryCancel();
  const grpc::Status end = reader->Finish();
  if (silence.End()) return wire_->TooLong();
  return taken.ok() ? wire_->Explained(end) : taken;
}

absl::Status Client::Stream(const v1::FollowDriftRequest& request,
                            const std::function<bool(const v1::Drift&)>& each) {
  grpc::ClientContext call;
  const auto reader = wire_->stub->FollowDrift(&call, request);
  v1::Drift drift;
  while (reader->Read(&drift)) {
    if (each(drift)) continue;
    call.TryCancel();
    reader->Finish();
    return absl::OkStatus();
  }
  return wire_->Explained(reader->Finish());
}

absl::StatusOr<v1::LoginResponse> CallLogin(const std::string& server, const std::string& root_pin,
                                            absl::Duration timeout,
                                            const v1::LoginRequest& request) {
  const auto handshake = std::make_shared<Handshake>();
  const auto stub = v1::Enrollment::NewStub(
      MakeChannel(server, nullptr, OfPin(root_pin, HostOf(server)), handshake));
  grpc::ClientContext call;
  call.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  v1::LoginResponse response;
  const absl::Status status = FromGrpc(stub->Login(&call, request, &response));
  if (status.ok()) return response;
  const std::string what = absl::StrCat("no login at ", server);
  if (handshake->verdict() != ChainVerdict::kGood) {
    Context context;
    context.server = server;
    const bool stranger = handshake->verdict() == ChainVerdict::kOtherCa;
    return Trouble(status.code(), what,
                   stranger ? "it is not the server that made this code; nothing was sent to it"
                            : WhyNotTheirs(*handshake, context),
                   "check --server, and that nobody sits in between");
  }
  if (absl::IsUnavailable(status)) {
    return Trouble(status.code(), what, status.message(),
                   "check --server: it is the enrolment address that came with the code, and it is "
                   "open only while the code waits");
  }
  return Trouble(status.code(), what, status.message(),
                 absl::IsPermissionDenied(status)
                     ? "ask an admin for a new code: dumpctl person code NAME"
                     : "try again; the server's log says more");
}

}  // namespace dumpwarden
