// SPDX-License-Identifier: Apache-2.0
#include "server/identity/credentials.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_certificate_verifier.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/keys.h"

namespace dumpwarden {
namespace {

namespace tls = grpc::experimental;

absl::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

// What the client showed, leaf first.  On the server's side the library's full chain lacks the leaf
// or has it, depending on the TLS library.
absl::StatusOr<std::vector<CertificatePtr>> ShownChain(absl::string_view leaf_pem,
                                                       absl::string_view chain_pem) {
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> chain, ReadCertificatesPem(leaf_pem));
  if (chain_pem.empty()) return chain;
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> rest, ReadCertificatesPem(chain_pem));
  ASSIGN_OR_RETURN(const std::string leaf, CertificateDer(*chain.front()));
  for (CertificatePtr& certificate : rest) {
    ASSIGN_OR_RETURN(const std::string der, CertificateDer(*certificate));
    if (der != leaf) chain.push_back(std::move(certificate));
  }
  return chain;
}

// Whose certificate it is: of a chain that is ours, whose names we chose.  What a stranger's says
// of itself is worth nothing.
std::string HolderOf(ChainVerdict verdict, absl::string_view leaf_pem) {
  const bool ours = verdict == ChainVerdict::kExpired || verdict == ChainVerdict::kNotYetValid ||
                    verdict == ChainVerdict::kWrongPurpose;
  if (!ours) return "";
  const auto leaf = ReadCertificatesPem(leaf_pem);
  if (!leaf.ok() || leaf->empty()) return "";
  const auto summary = Summarize(*leaf->front());
  if (!summary.ok()) return "";
  return absl::StrCat(" (", Printable(summary->spiffe_id), ", serial ", summary->serial, ", valid ",
                      absl::FormatTime(summary->not_before, absl::UTCTimeZone()), " to ",
                      absl::FormatTime(summary->not_after, absl::UTCTimeZone()), ")");
}

bool IsOfHost(const CertificateSummary& leaf) {
  return absl::StrContains(leaf.spiffe_id, "/host/");  // an operator's name has no slash
}

bool Expired(const CertificatePtr& certificate, absl::Time now) {
  const auto summary = Summarize(*certificate);
  return !summary.ok() || summary->not_after <= now;
}

// Of a chain that would be good but for its dates: has only the leaf expired, not too long ago, and
// is it a host's?  That one may ask for another, and Authorizer lets it do nothing else.
bool MayAskForRenewal(const std::vector<CertificatePtr>& chain,
                      const std::vector<CertificatePtr>& roots, absl::Time now) {
  const auto leaf = Summarize(*chain.front());
  if (!leaf.ok() || !IsOfHost(*leaf) || now - leaf->not_after > kLateRenewal) return false;
  const auto expired = [now](const CertificatePtr& certificate) {
    return Expired(certificate, now);
  };
  return std::none_of(chain.begin() + 1, chain.end(), expired) &&
         std::none_of(roots.begin(), roots.end(), expired);
}

// Called for every handshake, with an empty certificate when the client showed none.
class ClientVerifier final : public tls::ExternalCertificateVerifier {
 public:
  ClientVerifier(std::vector<CertificatePtr> roots, const Clock& clock, Refusals& refusals,
                 std::function<void()> on_handshake)
      : roots_(std::move(roots)),
        clock_(clock),
        refusals_(refusals),
        on_handshake_(std::move(on_handshake)) {}

  bool Verify(tls::TlsCustomVerificationCheckRequest* request,
              std::function<void(grpc::Status)> /*callback*/, grpc::Status* status) override {
    on_handshake_();
    const ChainVerdict verdict =
        Judge(View(request->peer_cert()), View(request->peer_cert_full_chain()));
    *status = grpc::Status::OK;
    if (verdict == ChainVerdict::kGood) return true;
    const std::string word = ChainVerdictWord(verdict);
    refusals_.Count({.action = "handshake.refused",
                     .reason = word,
                     .source = "",  // the library does not tell it to a verifier
                     .detail = absl::StrCat("client certificate: ", word,
                                            HolderOf(verdict, View(request->peer_cert()))),
                     .count = 0});
    *status = {grpc::StatusCode::UNAUTHENTICATED, absl::StrCat("client certificate: ", word)};
    return true;
  }

  void Cancel(tls::TlsCustomVerificationCheckRequest* /*request*/) override {}

 private:
  ChainVerdict Judge(absl::string_view leaf, absl::string_view chain) const {
    if (leaf.empty()) return ChainVerdict::kNoCertificate;
    const auto shown = ShownChain(leaf, chain);
    if (!shown.ok()) return ChainVerdict::kMalformed;
    const absl::Time now = clock_.Now();
    const ChainVerdict verdict = VerifyChain(*shown, roots_, Purpose::kClient, "", now);
    const bool late = verdict == ChainVerdict::kExpired && MayAskForRenewal(*shown, roots_, now);
    return late ? ChainVerdict::kGood : verdict;
  }

  const std::vector<CertificatePtr> roots_;
  const Clock& clock_;
  Refusals& refusals_;
  const std::function<void()> on_handshake_;
};

constexpr unsigned kReadAgainSeconds = 10;

tls::TlsServerCredentialsOptions OptionsFor(const ServerIdentityFiles& files) {
  tls::TlsServerCredentialsOptions options(std::make_shared<tls::FileWatcherCertificateProvider>(
      files.key, files.chain, kReadAgainSeconds));
  options.watch_identity_key_cert_pairs();
  return options;
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MutualTls(
    const ServerIdentityFiles& files, const std::string& root_pem, const Clock& clock,
    Refusals& refusals, std::function<void()> on_handshake) {
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> roots, ReadCertificatesPem(root_pem));
  tls::TlsServerCredentialsOptions options = OptionsFor(files);
  options.set_cert_request_type(GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.set_certificate_verifier(tls::ExternalCertificateVerifier::Create<ClientVerifier>(
      std::move(roots), clock, refusals, std::move(on_handshake)));
  options.set_check_call_host(false);
  return tls::TlsServerCredentials(options);
}

std::shared_ptr<grpc::ServerCredentials> ServerTls(const ServerIdentityFiles& files) {
  tls::TlsServerCredentialsOptions options = OptionsFor(files);
  options.set_cert_request_type(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  return tls::TlsServerCredentials(options);
}

}  // namespace dumpwarden
