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
#include "cli/silence.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "platform/keys.h"
#include "proto/grpc_status.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxPemBytes = 256 * 1024;
constexpr int kMaxAnswerBytes = 256 * 1024 * 1024;

struct Identity {
  std::string ca;
  std::string certificate;
  std::string key;
};

// Contexts were read: their servers are addresses.
std::string HostOf(absl::string_view server) {
  return ParseServerAddress(server).value_or(HostPort()).host;
}

// --- The operator's own side, before dialling.

absl::Status NotAuthenticated(absl::string_view why) {
  return Trouble(absl::StatusCode::kUnauthenticated, "you cannot prove who you are to the server",
                 why, "get a certificate from whoever runs the server, and name it in the context");
}

absl::StatusOr<std::string> ReadPem(Vfs& vfs, const std::string& path) {
  absl::StatusOr<std::string> pem = vfs.Read(path, kMaxPemBytes);
  if (!pem.ok()) return NotAuthenticated(absl::StrCat(path, ": ", pem.status().message()));
  return pem;
}

absl::Status CheckKeyFile(const std::string& path) {
  const std::string folder = FolderOf(path);
  const absl::Status found = CheckPrivate(path);
  const absl::Status placed = CheckOnlyOwnerWrites(folder);
  if (found.ok() && placed.ok()) return found;
  return Trouble(
      absl::StatusCode::kUnauthenticated, absl::StrCat("the key ", path, " is not used"),
      found.ok() ? placed.message() : found.message(),
      found.ok() ? absl::StrCat("chmod go-w ", folder) : absl::StrCat("chmod 600 ", path));
}

absl::StatusOr<std::vector<CertificatePtr>> ReadChain(const std::string& pem,
                                                      const std::string& path) {
  absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificatesPem(pem);
  if (!chain.ok()) return NotAuthenticated(absl::StrCat(path, ": ", chain.status().message()));
  if (chain->empty()) return NotAuthenticated(absl::StrCat(path, " holds no certificate"));
  return chain;
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string WhyNotOurs(ChainVerdict verdict, const CertificateSummary& leaf,
                       const Context& context) {
  switch (verdict) {
    case ChainVerdict::kExpired:
      return absl::StrCat("your certificate ", context.certificate, " expired on ",
                          Day(leaf.not_after));
    case ChainVerdict::kNotYetValid:
      return absl::StrCat("your certificate ", context.certificate, " is not valid before ",
                          Day(leaf.not_before), "; is this machine's clock right?");
    case ChainVerdict::kOtherCa:
      return absl::StrCat("your certificate ", context.certificate, " was not issued by the CA in ",
                          context.ca);
    default:
      return absl::StrCat("your certificate ", context.certificate,
                          " is no good: ", ChainVerdictWord(verdict));
  }
}

absl::Status CheckOwn(const Context& context, const Identity& identity, absl::Time now) {
  ASSIGN_OR_RETURN(const auto roots, ReadChain(identity.ca, context.ca));
  ASSIGN_OR_RETURN(const auto chain, ReadChain(identity.certificate, context.certificate));
  const absl::StatusOr<KeyPtr> key = ReadPrivateKeyPem(identity.key);
  if (!key.ok()) {
    return NotAuthenticated(absl::StrCat(context.key, ": ", key.status().message()));
  }
  const ChainVerdict verdict = VerifyChain(chain, roots, Purpose::kClient, "", now);
  if (verdict == ChainVerdict::kGood) return absl::OkStatus();
  const absl::StatusOr<CertificateSummary> leaf = Summarize(*chain.front());
  return NotAuthenticated(WhyNotOurs(verdict, leaf.value_or(CertificateSummary()), context));
}

absl::StatusOr<Identity> LoadIdentity(Vfs& vfs, const Context& context, absl::Time now) {
  Identity identity;
  ASSIGN_OR_RETURN(identity.ca, ReadPem(vfs, context.ca));
  ASSIGN_OR_RETURN(identity.certificate, ReadPem(vfs, context.certificate));
  RETURN_IF_ERROR(CheckKeyFile(context.key));
  ASSIGN_OR_RETURN(identity.key, ReadPem(vfs, context.key));
  RETURN_IF_ERROR(CheckOwn(context, identity, now));
  return identity;
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

class ServerVerifier final : public grpc::experimental::ExternalCertificateVerifier {
 public:
  ServerVerifier(std::string ca, std::string name, std::shared_ptr<Handshake> handshake)
      : ca_(std::move(ca)), name_(std::move(name)), handshake_(std::move(handshake)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    const grpc::string_ref pem = request->peer_cert_full_chain();
    const ChainVerdict verdict = Judge(absl::string_view(pem.data(), pem.size()));
    if (verdict != ChainVerdict::kGood) {
      *status = {grpc::StatusCode::UNAUTHENTICATED, ChainVerdictWord(verdict)};
    }
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  ChainVerdict Judge(absl::string_view pem) const {
    const auto roots = ReadCertificatesPem(ca_);
    const auto chain = ReadCertificatesPem(pem);
    ChainVerdict verdict = ChainVerdict::kMalformed;
    CertificateSummary leaf;
    if (roots.ok() && chain.ok()) {
      verdict = VerifyChain(*chain, *roots, Purpose::kServer, name_, absl::Now());
      leaf = Summarize(*chain->front()).value_or(CertificateSummary());
    }
    handshake_->Set(verdict, std::move(leaf));
    return verdict;
  }

  const std::string ca_;
  const std::string name_;
  const std::shared_ptr<Handshake> handshake_;
};

std::shared_ptr<grpc::Channel> MakeChannel(const Context& context, const Identity& identity,
                                           const std::shared_ptr<Handshake>& handshake) {
  namespace tls = grpc::experimental;
  // gRPC's own log says at length what the three lines say in words.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  tls::TlsChannelCredentialsOptions options;
  options.set_certificate_provider(std::make_shared<tls::StaticDataCertificateProvider>(
      identity.ca, std::vector<tls::IdentityKeyCertPair>{{identity.key, identity.certificate}}));
  options.watch_root_certs();
  options.watch_identity_key_cert_pairs();
  options.set_verify_server_certs(false);  // by ServerVerifier, which can say why
  options.set_check_call_host(false);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<ServerVerifier>(
      identity.ca, HostOf(context.server), handshake));
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  // drift follow is to be back soon: without these it waits 20 s for a server that is silent, and
  // up to 30 s to look its address up again.
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 3000);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 3000);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 1000);
  return grpc::CreateCustomChannel(context.server, tls::TlsCredentials(options), arguments);
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
      return "use the certificate of an operator whom this server knows";
    case absl::StatusCode::kPermissionDenied:
      return "ask whoever runs the server for this right, or use another --context";
    case absl::StatusCode::kNotFound:
      return "see what there is with dumpctl host list or dumpctl policy list";
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kAlreadyExists:
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
  ASSIGN_OR_RETURN(const Identity identity, LoadIdentity(vfs, context, absl::Now()));
  auto wire = std::make_unique<Wire>();
  wire->context = context;
  wire->timeout = timeout;
  wire->handshake = std::make_shared<Handshake>();
  wire->stub = v1::Admin::NewStub(MakeChannel(context, identity, wire->handshake));
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

}  // namespace dumpwarden
