// SPDX-License-Identifier: Apache-2.0
// TLS of the two listeners.  The session listener asks for a client certificate
// and checks the chain itself, because a check inside TLS could not tell why it
// refused.  Both listeners read the files again and again, so that a certificate
// that was renewed is shown without a restart.
#ifndef DUMPWARDEN_SERVER_IDENTITY_CREDENTIALS_H_
#define DUMPWARDEN_SERVER_IDENTITY_CREDENTIALS_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "core/base/clock.h"
#include "server/identity/refusals.h"
#include "server/identity/server_identity.h"

namespace grpc {
class ServerCredentials;
}  // namespace grpc

namespace dumpwarden {

// Clients must show a chain to `root_pem` that is good for a client.  A host's that expired within
// kLateRenewal passes too, because here nobody knows yet which call will follow: whoever answers
// one must ask the Authorizer, who lets it only be renewed.  `clock` and `refusals` must
// outlive every server made with this; `on_handshake` is called for each, from any thread.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> MutualTls(
    const ServerIdentityFiles& files, const std::string& root_pem, const Clock& clock,
    Refusals& refusals, std::function<void()> on_handshake);
// Anybody may connect: enrolment.
std::shared_ptr<grpc::ServerCredentials> ServerTls(const ServerIdentityFiles& files);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_CREDENTIALS_H_
