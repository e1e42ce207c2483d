// SPDX-License-Identifier: Apache-2.0
// One certificate out of a list of what it shall say.  Nothing in it comes
// from a requester but the public key.
#ifndef DUMPWARDEN_SERVER_IDENTITY_CERTIFICATE_BUILDER_H_
#define DUMPWARDEN_SERVER_IDENTITY_CERTIFICATE_BUILDER_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/random.h"
#include "platform/keys.h"

namespace dumpwarden {

// X.509 v3 extensions in OpenSSL's configuration spelling: {"keyUsage", "critical,keyCertSign"}.
// Values must be ours or validated: the spelling is a language.
struct Extension {
  const char* name;
  std::string value;
};

struct CertificateText {
  std::string common_name;  // empty = empty subject
  absl::Time not_before;
  absl::Time not_after;
  std::vector<Extension> extensions;  // key identifiers are added
};

// Signed by `issuer_key`; `issuer` null = self-signed.  The serial number is 20 random bytes.
absl::StatusOr<CertificatePtr> BuildCertificate(const CertificateText& text, EVP_PKEY& key,
                                                const X509* issuer, EVP_PKEY& issuer_key,
                                                Random& random);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_CERTIFICATE_BUILDER_H_
