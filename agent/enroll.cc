// SPDX-License-Identifier: Apache-2.0
#include "agent/enroll.h"

#include <map>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "agent/config.h"
#include "core/base/digest.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/policy/facts.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kProofContext("dumpwarden-enroll-v1\0", 21);
constexpr int kMaxChainLength = 4;
constexpr std::size_t kMaxWord = 255;

absl::Status Refused(absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("the server's answer is refused: ", why, "; nothing was stored"));
}

bool IsHostWord(absl::string_view word) {
  if (word.empty() || word.size() > kMaxWord) return false;
  for (const char c : word) {
    const auto byte = static_cast<unsigned char>(c);
    if (!absl::ascii_isalnum(byte) && c != '-' && c != '.') return false;
  }
  return true;
}

absl::StatusOr<std::vector<CertificatePtr>> ReadChain(
    const google::protobuf::RepeatedPtrField<std::string>& chain_der) {
  if (chain_der.empty() || chain_der.size() > kMaxChainLength) {
    return Refused(absl::StrCat("its chain has ", chain_der.size(), " certificates"));
  }
  std::vector<CertificatePtr> chain;
  for (const std::string& der : chain_der) {
    ASSIGN_OR_RETURN(CertificatePtr certificate, ReadCertificateDer(der));
    chain.push_back(std::move(certificate));
  }
  return chain;
}

absl::Status CheckLeaf(const X509& leaf, const std::string& expected, EVP_PKEY& key) {
  ASSIGN_OR_RETURN(const std::string certified, CertificateKeyDer(leaf));
  ASSIGN_OR_RETURN(const std::string ours, PublicKeyDer(key));
  if (certified != ours) return Refused("the certificate is for another key than ours");
  ASSIGN_OR_RETURN(const CertificateSummary summary, Summarize(leaf));
  if (summary.spiffe_id == expected) return absl::OkStatus();
  return Refused(absl::StrCat("the certificate is for ", Quote(summary.spiffe_id), ", not for ",
                              Quote(expected)));
}

absl::Status CheckFields(const v1::EnrollResponse& response) {
  if (!IsHostWord(response.host_id()) || !IsHostWord(response.trust_domain())) {
    return Refused("its host id or trust domain is not a name");
  }
  const absl::StatusOr<HostPort> server = ParseServerAddress(response.server());
  if (!server.ok()) return Refused(absl::StrCat("its server: ", server.status().message()));
  const std::map<std::string, std::string> labels(response.labels().begin(),
                                                  response.labels().end());
  const absl::Status checked = CheckLabels(labels);
  return checked.ok() ? checked : Refused(absl::StrCat("its labels: ", checked.message()));
}

absl::StatusOr<std::string> ChainPem(const std::vector<CertificatePtr>& chain) {
  std::string all;
  for (const CertificatePtr& certificate : chain) {
    ASSIGN_OR_RETURN(const std::string pem, CertificatePem(*certificate));
    absl::StrAppend(&all, pem);
  }
  return all;
}

}  // namespace

absl::StatusOr<EnrollmentKeys> MakeEnrollmentKeys() {
  EnrollmentKeys keys;
  ASSIGN_OR_RETURN(keys.tls, MakeKey());
  ASSIGN_OR_RETURN(keys.host, MakeKey());
  return keys;
}

absl::StatusOr<v1::EnrollRequest> MakeEnrollRequest(const EnrollmentKeys& keys,
                                                    absl::string_view token,
                                                    const std::string& host_name) {
  v1::EnrollRequest request;
  request.set_token(std::string(token));
  ASSIGN_OR_RETURN(*request.mutable_csr(), MakeCsrDer(*keys.tls));
  ASSIGN_OR_RETURN(*request.mutable_host_key(), PublicKeyDer(*keys.host));
  const std::string proven = absl::StrCat(kProofContext, Sha256(request.csr()), Sha256(token));
  ASSIGN_OR_RETURN(*request.mutable_host_key_proof(), Sign(*keys.host, proven));
  request.set_host_name(host_name);
  return request;
}

absl::StatusOr<std::string> CheckIssued(
    const google::protobuf::RepeatedPtrField<std::string>& chain_der,
    const std::vector<CertificatePtr>& roots, const std::string& spiffe_id, EVP_PKEY& key,
    absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<CertificatePtr> chain, ReadChain(chain_der));
  const ChainVerdict verdict = VerifyChain(chain, roots, Purpose::kClient, "", now);
  if (verdict != ChainVerdict::kGood) {
    return Refused(absl::StrCat("our certificate does not verify: ", ChainVerdictWord(verdict)));
  }
  RETURN_IF_ERROR(CheckLeaf(*chain.front(), spiffe_id, key));
  return ChainPem(chain);
}

absl::StatusOr<Identity> CheckEnrollResponse(const v1::EnrollResponse& response,
                                             const EnrollmentKeys& keys,
                                             const std::string& root_pin, absl::Time now) {
  if (Sha256Hex(response.root()) != root_pin) return Refused("its CA is not the token's");
  RETURN_IF_ERROR(CheckFields(response));
  std::vector<CertificatePtr> roots;
  ASSIGN_OR_RETURN(CertificatePtr root, ReadCertificateDer(response.root()));
  roots.push_back(std::move(root));
  Identity identity;
  identity.host_id = response.host_id();
  identity.trust_domain = response.trust_domain();
  ASSIGN_OR_RETURN(identity.chain_pem,
                   CheckIssued(response.chain(), roots, SpiffeIdOf(identity), *keys.tls, now));
  identity.server = response.server();
  identity.labels.insert(response.labels().begin(), response.labels().end());
  ASSIGN_OR_RETURN(identity.key_pem, PrivateKeyPem(*keys.tls));
  ASSIGN_OR_RETURN(identity.ca_pem, CertificatePem(*roots.front()));
  return identity;
}

}  // namespace dumpwarden
