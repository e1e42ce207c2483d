// SPDX-License-Identifier: Apache-2.0
#include "agent/renew.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/enroll.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kProofContext("dumpwarden-renew-v1\0", 20);
constexpr double kEarliest = 0.45;  // of a certificate's life
constexpr double kJitter = 0.1;

absl::StatusOr<CertificatePtr> LeafOf(const Identity& identity) {
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> chain, ReadCertificatesPem(identity.chain_pem));
  return std::move(chain.front());
}

absl::StatusOr<CertificateSummary> SummaryOf(const Identity& identity) {
  ASSIGN_OR_RETURN(const CertificatePtr leaf, LeafOf(identity));
  return Summarize(*leaf);
}

}  // namespace

absl::Time WhenToRenew(const Identity& identity, double fraction, absl::Time now) {
  const absl::StatusOr<CertificateSummary> leaf = SummaryOf(identity);
  if (!leaf.ok() || now - leaf->not_after > kLateRenewal) return absl::InfiniteFuture();
  const absl::Duration life = leaf->not_after - leaf->not_before;
  return leaf->not_before + life * (kEarliest + kJitter * fraction);
}

absl::StatusOr<Renewal> MakeRenewal(const Identity& identity, EVP_PKEY& host_key) {
  Renewal renewal;
  ASSIGN_OR_RETURN(renewal.key, MakeKey());
  ASSIGN_OR_RETURN(*renewal.request.mutable_csr(), MakeCsrDer(*renewal.key));
  ASSIGN_OR_RETURN(const CertificatePtr leaf, LeafOf(identity));
  ASSIGN_OR_RETURN(const std::string leaf_der, CertificateDer(*leaf));
  const std::string proven =
      absl::StrCat(kProofContext, Sha256(renewal.request.csr()), Sha256(leaf_der));
  ASSIGN_OR_RETURN(*renewal.request.mutable_host_key_proof(), Sign(host_key, proven));
  return renewal;
}

absl::StatusOr<Identity> CheckRenewResponse(const v1::RenewResponse& response,
                                            const Identity& identity, EVP_PKEY& key,
                                            absl::Time now) {
  ASSIGN_OR_RETURN(const std::vector<CertificatePtr> roots, ReadCertificatesPem(identity.ca_pem));
  Identity renewed = identity;
  ASSIGN_OR_RETURN(renewed.chain_pem,
                   CheckIssued(response.chain(), roots, SpiffeIdOf(identity), key, now));
  ASSIGN_OR_RETURN(renewed.key_pem, PrivateKeyPem(key));
  return renewed;
}

}  // namespace dumpwarden
