// SPDX-License-Identifier: Apache-2.0
#include "server/identity/renewal.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kProofPrefix("dumpwarden-renew-v1\0", 20);
constexpr absl::Duration kEach = absl::Minutes(60 / kRenewalsAnHour);
constexpr std::size_t kMaxCsr = 8 * 1024;  // as ReadCsrDer; here before it is hashed
constexpr absl::Duration kForgetEvery = absl::Minutes(1);

std::string TimeText(absl::Time time) { return absl::FormatTime(time, absl::UTCTimeZone()); }

absl::StatusOr<std::string> LeafDer(const RenewingHost& host) {
  ASSIGN_OR_RETURN(const std::vector<CertificatePtr> leaf, ReadCertificatesPem(host.leaf_pem));
  return CertificateDer(*leaf.front());
}

absl::StatusOr<Audit> AuditOf(const RenewingHost& host, const Issued& issued, bool late) {
  ASSIGN_OR_RETURN(const CertificatePtr leaf, ReadCertificateDer(issued.chain.front()));
  ASSIGN_OR_RETURN(const CertificateSummary made, Summarize(*leaf));
  ASSIGN_OR_RETURN(const std::string before, LeafDer(host));
  return Audit{
      .actor = host.id,
      .source = host.source,
      .action = late ? "host.hold" : "host.renew",
      .object = host.row.uuid,
      .detail = absl::StrCat("certificate ", made.serial, ", good until ", TimeText(made.not_after),
                             late ? "; held, because its own expired at " : "",
                             late ? TimeText(host.expires) : ""),
      .before = Sha256(before),
      .after = Sha256(issued.chain.front())};
}

}  // namespace

bool RenewalRate::Take(HostId host) {
  const std::lock_guard lock(mutex_);
  const absl::Duration now = clock_.Monotonic();
  if (now - forgot_ >= kForgetEvery) {
    std::erase_if(full_at_, [now](const auto& entry) { return entry.second <= now; });
    forgot_ = now;
  }
  const absl::Duration full_at = std::max(full_at_.try_emplace(host, now).first->second, now);
  if (full_at + kEach > now + absl::Hours(1)) return false;
  full_at_[host] = full_at + kEach;
  return true;
}

absl::Status HostRenewal::CheckProof(const v1::RenewRequest& request,
                                     const RenewingHost& host) const {
  if (request.csr().size() > kMaxCsr) {
    return absl::InvalidArgumentError(
        absl::StrCat("csr: ", request.csr().size(), " bytes; at most ", kMaxCsr, " are accepted"));
  }
  ASSIGN_OR_RETURN(const KeyPtr host_key, ReadPublicKeyDer(host.row.host_key));
  ASSIGN_OR_RETURN(const std::string leaf_der, LeafDer(host));
  const std::string proven = absl::StrCat(kProofPrefix, Sha256(request.csr()), Sha256(leaf_der));
  if (VerifySignature(*host_key, proven, request.host_key_proof()).ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "host_key_proof: not a signature by the host key that enrolled over this call");
}

absl::StatusOr<KeyPtr> HostRenewal::NewKey(const v1::RenewRequest& request,
                                           const RenewingHost& host) const {
  ASSIGN_OR_RETURN(KeyPtr key, ReadCsrDer(request.csr()));
  ASSIGN_OR_RETURN(const std::string key_der, PublicKeyDer(*key));
  ASSIGN_OR_RETURN(const std::vector<CertificatePtr> leaf, ReadCertificatesPem(host.leaf_pem));
  ASSIGN_OR_RETURN(const std::string shown, CertificateKeyDer(*leaf.front()));
  if (key_der != shown && key_der != host.row.host_key) return key;
  return absl::InvalidArgumentError("csr: of a key that the host has already; make a new one");
}

// An operator may have approved it since its row was written.
void HostRenewal::Hold(const HostRow& host) {
  fleet_.hold(host.id);
  const absl::StatusOr<HostRow> now = store_.FindHost(host.uuid);
  if (now.ok() && !now->hold) fleet_.let_in(host.id);
}

absl::StatusOr<v1::RenewResponse> HostRenewal::Decide(const v1::RenewRequest& request,
                                                      const RenewingHost& host, std::string& word) {
  word = "keys";
  // First: who has the TLS key alone does not use up what the host may ask.
  RETURN_IF_ERROR(CheckProof(request, host));
  const bool late = host.expires <= clock_.Now();
  word = "rate";
  if (!(late ? late_rate_ : rate_).Take(host.row.id)) {
    return absl::ResourceExhaustedError(
        absl::StrCat("more than ", kRenewalsAnHour, " renewals an hour; ask again later"));
  }
  word = "keys";
  ASSIGN_OR_RETURN(const KeyPtr key, NewKey(request, host));
  word = "connected";
  if (late && fleet_.is_connected(host.row.id)) {
    return absl::FailedPreconditionError(
        "this host is connected with a newer certificate; if this machine is a copy of it, enrol "
        "it anew");
  }
  word = "not-issued";
  ASSIGN_OR_RETURN(const Issued issued, authority_.IssueHost(*key, host.row.uuid, clock_.Now()));
  ASSIGN_OR_RETURN(const Audit audit, AuditOf(host, issued, late));
  RETURN_IF_ERROR(store_.RenewHost(host.row.id, late, audit));
  if (late) Hold(host.row);
  FAILPOINT("server.host-renewed");
  v1::RenewResponse response;
  for (const std::string& der : issued.chain) response.add_chain(der);
  response.set_hold(late || host.row.hold);
  return response;
}

absl::StatusOr<v1::RenewResponse> HostRenewal::Renew(const v1::RenewRequest& request,
                                                     const RenewingHost& host) {
  std::string word;
  absl::StatusOr<v1::RenewResponse> response = Decide(request, host, word);
  if (response.ok()) return response;
  refusals_.Count(
      {.action = "renewal.refused",
       .reason = word,
       .source = host.source,
       .detail = absl::StrCat("host ", host.row.uuid, ": ", Printable(response.status().message())),
       .count = 0});
  return response;
}

}  // namespace dumpwarden
