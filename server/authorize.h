// SPDX-License-Identifier: Apache-2.0
// Who may call what: one table, and the caller's identity out of the verified
// certificate.  Metadata and fields of messages are never looked at.
#ifndef DUMPWARDEN_SERVER_AUTHORIZE_H_
#define DUMPWARDEN_SERVER_AUTHORIZE_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/identity/refusals.h"
#include "server/store/store.h"

namespace grpc {
class ServerContextBase;
}  // namespace grpc

namespace dumpwarden {

enum class Who {
  kHost,
  kHostEvenLate,  // also with a certificate that expired within kLateRenewal
  kOperator,
  kAnybody
};

struct Permission {
  absl::string_view method;  // full name of the descriptor: dumpwarden.v1.Admin.ListHosts
  Who who;
};
std::span<const Permission> AllPermissions();

// kFailedPrecondition names the methods of these services that the table lacks: such a server does
// not start.
absl::Status CheckPermissions(const std::vector<std::string>& services);

struct Caller {
  std::string id;      // spiffe id; empty for kAnybody
  std::string source;  // peer address
  std::optional<HostRow> host;
  std::string leaf_pem;                         // of a host: the certificate shown
  absl::Time expires = absl::InfiniteFuture();  // of the certificate; kAnybody shows none
};

class Authorizer {
 public:
  // All must outlive this.
  Authorizer(Store& store, std::string trust_domain, const Clock& clock, Refusals& refusals)
      : store_(store), trust_domain_(std::move(trust_domain)), clock_(clock), refusals_(refusals) {}

  // kUnauthenticated or kPermissionDenied; counted, logged and in the audit.  A certificate that
  // was good when the connection was made may have expired since.
  absl::StatusOr<Caller> Authorize(const grpc::ServerContextBase& context,
                                   absl::string_view method);
  // The same, beneath gRPC: `leaf_pem` is the certificate that the handshake verified, or "".
  absl::StatusOr<Caller> Decide(absl::string_view method, absl::string_view leaf_pem,
                                const std::string& source);

 private:
  absl::StatusOr<Caller> DecideHost(Caller caller, absl::string_view uuid,
                                    absl::string_view method);
  absl::Status Refuse(absl::StatusCode code, const char* reason, const Caller& caller,
                      const std::string& message);

  Store& store_;
  const std::string trust_domain_;
  const Clock& clock_;
  Refusals& refusals_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_AUTHORIZE_H_
