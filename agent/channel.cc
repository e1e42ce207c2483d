// SPDX-License-Identifier: Apache-2.0
#include "agent/channel.h"

#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/grpc_link.h"
#include "proto/grpc_status.h"

namespace dumpwarden {
namespace {

constexpr int kMaxMetadata = 8 * 1024;

// Checks the server in the handshake.  gRPC's own check is off: it could only
// say "socket closed".
class ServerVerifier : public grpc::experimental::ExternalCertificateVerifier {
 public:
  ServerVerifier(CheckChain check, std::shared_ptr<Verdict> verdict)
      : check_(std::move(check)), verdict_(std::move(verdict)) {}

  bool Verify(grpc::experimental::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* sync_status) override {
    const grpc::string_ref chain = request->peer_cert_full_chain();
    const absl::Status checked = check_(absl::string_view(chain.data(), chain.size()));
    verdict_->Set(checked);
    *sync_status = ToGrpc(checked);
    return true;
  }
  void Cancel(grpc::experimental::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  CheckChain check_;
  std::shared_ptr<Verdict> verdict_;
};

bool ProxyRefused(absl::string_view message) {
  return absl::StrContains(message, "HTTP proxy returned response code");
}

}  // namespace

std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(const Identity* identity,
                                                          CheckChain check,
                                                          std::shared_ptr<Verdict> verdict) {
  grpc::experimental::TlsChannelCredentialsOptions options;
  if (identity != nullptr) {
    options.set_certificate_provider(
        std::make_shared<grpc::experimental::StaticDataCertificateProvider>(
            identity->ca_pem, std::vector<grpc::experimental::IdentityKeyCertPair>{
                                  {identity->key_pem, identity->chain_pem}}));
    options.watch_root_certs();
    options.watch_identity_key_cert_pairs();
  }
  options.set_verify_server_certs(false);
  options.set_check_call_host(false);
  options.set_certificate_verifier(
      grpc::experimental::ExternalCertificateVerifier::Create<ServerVerifier>(std::move(check),
                                                                              std::move(verdict)));
  return grpc::experimental::TlsCredentials(options);
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& server, const std::string& proxy,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(static_cast<int>(kMaxLinkMessage));
  arguments.SetMaxSendMessageSize(static_cast<int>(kMaxLinkMessage));
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadata);
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // Off, gRPC looks at no variable of the environment either.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, proxy.empty() ? 0 : 1);
  if (!proxy.empty()) arguments.SetString(GRPC_ARG_HTTP_PROXY, absl::StrCat("http://", proxy));
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // In gRPC this is how long one attempt to connect may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(kConnectLimit)));
  return grpc::CreateCustomChannel(server, credentials, arguments);
}

bool NobodyThere(absl::string_view message) {
  return absl::StrContains(message, "Failed to connect to remote host") ||
         absl::StrContains(message, "DNS resolution failed") ||
         absl::StrContains(message, "wrong version number") ||
         absl::StrContains(message, "Handshake read failed");
}

bool NotHeard(absl::string_view message) { return NobodyThere(message) || ProxyRefused(message); }

std::string Blame(absl::string_view server, absl::string_view proxy, absl::string_view message) {
  if (proxy.empty()) return absl::StrCat(server, ": ", WhyNotConnected(message));
  if (NobodyThere(message)) {
    return absl::StrCat("the proxy ", proxy, " cannot be reached: ", WhyNotConnected(message));
  }
  if (ProxyRefused(message)) {
    return absl::StrCat("the proxy ", proxy, " refuses to connect to ", server,
                        "; it must allow CONNECT to there without a password: ", message);
  }
  return absl::StrCat(server, " through the proxy ", proxy, ": ", message);
}

}  // namespace dumpwarden
