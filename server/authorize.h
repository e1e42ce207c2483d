// SPDX-License-Identifier: Apache-2.0
// Who may call what: one table.  TO ADD AN RPC: its row in authorize.cc.  Who
// calls is decided in identity/principal.h; fields of messages are never looked at.
#ifndef DUMPWARDEN_SERVER_AUTHORIZE_H_
#define DUMPWARDEN_SERVER_AUTHORIZE_H_

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "server/identity/principal.h"
#include "server/identity/refusals.h"
#include "server/identity/roles.h"
#include "server/operator_calls.h"
#include "server/store/store.h"

namespace grpc {
class ServerContextBase;
}  // namespace grpc

namespace dumpwarden {

enum class Who {
  kAnybody,
  kHost,
  kHostEvenLate,  // also with a certificate that expired within kLateRenewal
  kPerson
};

// What a call leaves in the audit log.
enum class AuditClass {
  kNone,      // what a host says of itself
  kRead,      // nothing
  kRecorded,  // a row that says who has read it
  kChange,    // a row in the transaction of the change; its request has `dry_run`
  kSecret,    // the same, and its answer holds a secret that is shown once
};

struct Permission {
  absl::string_view method;  // full name of the descriptor: dumpwarden.v1.Admin.ListHosts
  Who who;
  RoleSet roles;  // of kPerson: any of these is enough
  AuditClass audit;
  const CallLimit* limit;  // null: another one holds (sessions, failures of strangers)
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
  Principal principal;
  const Permission* permission = nullptr;
};

class Authorizer {
 public:
  // All must outlive this.
  Authorizer(Store& store, std::string trust_domain, const Clock& clock, Refusals& refusals)
      : store_(store),
        trust_domain_(std::move(trust_domain)),
        clock_(clock),
        refusals_(refusals),
        authenticator_(MakeCertificateAuthenticator(trust_domain_)) {}

  // Both steps below.  kUnauthenticated or kPermissionDenied; counted, logged and in the audit.  A
  // certificate that was good when the connection was made may have expired since.
  absl::StatusOr<Caller> Authorize(const grpc::ServerContextBase& context,
                                   absl::string_view method);
  // The same, beneath gRPC: `leaf_pem` is the certificate that the handshake verified, or "".
  absl::StatusOr<Caller> Decide(absl::string_view method, absl::string_view leaf_pem,
                                const std::string& source);

  // Who it is, and that the table has the method.
  absl::StatusOr<Caller> Identify(const grpc::ServerContextBase& context, absl::string_view method);
  // What the store says of it now.  A call that is known to OperatorCalls before is either refused
  // here or cut off by a revocation.
  absl::Status Admit(Caller& caller);

 private:
  absl::StatusOr<Caller> Identify(const Shown& shown, absl::string_view method);
  absl::Status AdmitHost(Caller& caller);
  absl::Status AdmitPerson(const Caller& caller);
  absl::Status Refuse(absl::StatusCode code, const char* reason, const Caller& caller,
                      const std::string& message);

  Store& store_;
  const std::string trust_domain_;
  const Clock& clock_;
  Refusals& refusals_;
  const std::unique_ptr<Authenticator> authenticator_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_AUTHORIZE_H_
