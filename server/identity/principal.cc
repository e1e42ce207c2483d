// SPDX-License-Identifier: Apache-2.0
#include "server/identity/principal.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "platform/keys.h"
#include "server/identity/names.h"

namespace dumpwarden {
namespace {

// Of the one certificate in `pem`; without it, or when it cannot be read, a summary of nobody.
CertificateSummary SummaryOf(absl::string_view pem) {
  const auto certificates = ReadCertificatesPem(pem);
  if (!certificates.ok() || certificates->size() != 1) return {};
  return Summarize(*certificates->front()).value_or(CertificateSummary{});
}

class CertificateAuthenticator final : public Authenticator {
 public:
  explicit CertificateAuthenticator(const std::string& trust_domain)
      : prefix_(absl::StrCat("spiffe://", trust_domain, "/")) {}

  Principal Identify(const Shown& shown) const override {
    const CertificateSummary certificate = SummaryOf(shown.leaf_pem);
    Principal principal;
    principal.id = certificate.spiffe_id;
    principal.serial = certificate.serial;
    principal.expires = certificate.not_after;
    absl::string_view rest = principal.id;
    if (!absl::ConsumePrefix(&rest, prefix_)) return principal;
    if (absl::ConsumePrefix(&rest, "host/") && IsUuid(rest)) {
      principal.kind = Principal::Kind::kHost;
    } else if (absl::ConsumePrefix(&rest, "operator/") && CheckOperatorName(rest).ok()) {
      principal.kind = Principal::Kind::kPerson;
    }
    if (principal.kind != Principal::Kind::kNobody) principal.name = std::string(rest);
    return principal;
  }

 private:
  const std::string prefix_;
};

}  // namespace

std::unique_ptr<Authenticator> MakeCertificateAuthenticator(const std::string& trust_domain) {
  return std::make_unique<CertificateAuthenticator>(trust_domain);
}

}  // namespace dumpwarden
