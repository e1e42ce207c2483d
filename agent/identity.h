// SPDX-License-Identifier: Apache-2.0
// Who this host is to the server: DATA/identity/{tls.key,tls.crt,ca.crt,
// host.key,identity.yaml}, 0600, all of one enrolment or none.  gRPC tells a
// client only "socket closed", so what is wrong with a certificate is found here.
#ifndef DUMPWARDEN_AGENT_IDENTITY_H_
#define DUMPWARDEN_AGENT_IDENTITY_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/vfs.h"
#include "platform/keys.h"

namespace dumpwarden {

struct Identity {
  std::string host_id;  // uuid
  std::string trust_domain;
  std::string server;                         // host:port of the session listener
  std::map<std::string, std::string> labels;  // pinned at enrolment: they win over the facts'
  std::string key_pem;
  std::string chain_pem;  // leaf first
  std::string ca_pem;
};

std::string SpiffeIdOf(const Identity& identity);  // as its certificate must say

// DATA/identity: replaced as a whole.
std::string IdentityFolder(const std::string& data);

// kNotFound, with what to do, when the host is not enrolled.
absl::StatusOr<Identity> LoadIdentity(Vfs& vfs, const std::string& data);

// Writes a folder beside and renames it.  kAlreadyExists when there is an
// identity and `replace` is not set.  A kill leaves the old one or the new one; who reads meanwhile
// waits.
absl::Status SaveIdentity(Vfs& vfs, const std::string& data, const Identity& identity,
                          absl::string_view host_key_pem, bool replace);
// The same for a renewal, whose host key stays.  kAborted when the identity there is not `before`
// any more: the host was enrolled anew meanwhile.
absl::Status SaveRenewed(Vfs& vfs, const std::string& data, const Identity& before,
                         const Identity& renewed);
absl::StatusOr<std::string> LoadHostKey(Vfs& vfs, const std::string& data);  // PEM
absl::StatusOr<bool> IsEnrolled(Vfs& vfs, const std::string& data);

// Would a server take this host's certificate now?  kFailedPrecondition says
// why not (missing, expired, not yet valid, another CA, another key), with dates
// and what to do.
absl::Status CheckIdentity(const Identity& identity, absl::Time now);

// "certificate of spiffe://..., serial ..., issued by ..., valid ... to ...".
std::string DescribeCertificate(const Identity& identity);

// Is the server who it must be?  The message is for the admin of this host.
absl::Status CheckServerChain(absl::string_view chain_pem, const std::vector<CertificatePtr>& roots,
                              absl::string_view host, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_IDENTITY_H_
