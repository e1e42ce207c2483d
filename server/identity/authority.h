// SPDX-License-Identifier: Apache-2.0
// The certificate authority: a root, one intermediate for clients (hosts and
// operators) and one for servers, so that neither can pose as the other.
#ifndef DUMPWARDEN_SERVER_IDENTITY_AUTHORITY_H_
#define DUMPWARDEN_SERVER_IDENTITY_AUTHORITY_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/random.h"
#include "core/base/vfs.h"
#include "platform/keys.h"

namespace dumpwarden {

inline constexpr absl::Duration kLeafLife = absl::Hours(7 * 24);

struct Issued {
  std::vector<std::string> chain;  // DER, leaf first, without the root
  std::string chain_pem;
};

class Authority {
 public:
  // Makes keys (0600) and certificates under `folder`.  kAlreadyExists when there is one.
  static absl::Status Create(Vfs& vfs, Random& random, const std::string& folder,
                             const std::string& trust_domain, absl::Time now);
  // kFailedPrecondition when a key file can be read by others; says how to mend it.
  static absl::StatusOr<std::unique_ptr<Authority>> Open(Vfs& vfs, Random& random,
                                                         const std::string& folder);

  // clientAuth only; the subject is the SPIFFE id, nothing is taken from the requester but the key.
  absl::StatusOr<Issued> IssueHost(EVP_PKEY& key, const std::string& uuid, absl::Time now);
  absl::StatusOr<Issued> IssueOperator(EVP_PKEY& key, const std::string& name, absl::Time now,
                                       absl::Duration life);
  // serverAuth only; `names`: DNS names and addresses.  The chain ends with the
  // root, which enrolling hosts compare with their token's pin.
  absl::StatusOr<Issued> IssueServer(EVP_PKEY& key, const std::vector<std::string>& names,
                                     absl::Time now, absl::Duration life);

  const std::string& trust_domain() const { return trust_domain_; }
  const std::string& root_der() const { return root_der_; }
  std::string root_pem() const;
  std::string root_pin() const;  // lower-case hex SHA-256 of root_der

 private:
  struct Signer {
    KeyPtr key;
    CertificatePtr certificate;
  };
  Authority() = default;
  absl::StatusOr<Issued> Issue(const Signer& signer, EVP_PKEY& key, const std::string& spiffe_id,
                               const std::vector<std::string>& names, bool server, absl::Time now,
                               absl::Duration life);
  Random* random_ = nullptr;
  std::string trust_domain_;
  std::string root_der_;
  Signer clients_;
  Signer servers_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_AUTHORITY_H_
