// SPDX-License-Identifier: Apache-2.0
// Who is this: the one place where that is decided, for hosts and people alike.
// Today a client certificate says it.  Another proof, as an ID token of OIDC, is
// a field of Shown and another Authenticator; what a principal may do is not
// asked here.
#ifndef DUMPWARDEN_SERVER_IDENTITY_PRINCIPAL_H_
#define DUMPWARDEN_SERVER_IDENTITY_PRINCIPAL_H_

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace dumpwarden {

// What a call shows of its caller, verified by the transport.
struct Shown {
  std::string leaf_pem;  // the certificate that the handshake verified, or ""
  std::string source;    // peer address
};

struct Principal {
  enum class Kind { kNobody, kHost, kPerson };
  Kind kind = Kind::kNobody;
  std::string name;    // the host's uuid; alice@corp.example
  std::string id;      // as the proof says it, for the audit: a SPIFFE id
  std::string serial;  // of the certificate, lower-case hex
  absl::Time expires = absl::InfinitePast();
};

class Authenticator {
 public:
  virtual ~Authenticator() = default;
  // Nobody is kNobody, with whatever id was shown.  Does not look at the clock.  Thread-safe.
  virtual Principal Identify(const Shown& shown) const = 0;
};

// spiffe://<trust domain>/host/<uuid> and spiffe://<trust domain>/operator/<name>.
std::unique_ptr<Authenticator> MakeCertificateAuthenticator(const std::string& trust_domain);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_PRINCIPAL_H_
