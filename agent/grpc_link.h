// SPDX-License-Identifier: Apache-2.0
// The link over gRPC, and the two single calls.  grpcpp stays in link.cc,
// channel.{h,cc} and calls.cc.
#ifndef DUMPWARDEN_AGENT_GRPC_LINK_H_
#define DUMPWARDEN_AGENT_GRPC_LINK_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/identity.h"
#include "agent/link.h"
#include "core/base/clock.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "dumpwarden/v1/session.pb.h"

namespace dumpwarden {

inline constexpr absl::Duration kConnectLimit = absl::Seconds(20);

// Where a host dials: `servers` empty is as enrolled, `proxy` empty is directly
// (whatever the environment says).
struct Way {
  std::vector<std::string> servers;
  std::string proxy;
};

// One thread, one completion queue, a new channel for each attempt.  Before it
// dials it looks at its own certificate, and it checks the server's itself, so
// that OnDisconnected can say what is wrong.  `events` and `clock` outlive it;
// no event comes after its destructor.  `load` is asked before each attempt, so
// that a new enrolment counts at once.  An attempt dials one server: the one that
// welcomed this host last, and after an attempt without a welcome the next.
using IdentitySource = std::function<absl::StatusOr<Identity>()>;
std::unique_ptr<Link> MakeGrpcLink(Way way, IdentitySource load, const Clock& clock,
                                   LinkEvents& events);

// Enrols over a channel whose server must show a chain that ends with the root
// of `root_pin` (hex SHA-256 of its DER).  kUnauthenticated when it does not;
// nothing has been sent then, the token least of all.
absl::StatusOr<v1::EnrollResponse> CallEnroll(const std::string& server, const std::string& proxy,
                                              const std::string& root_pin, const Clock& clock,
                                              const v1::EnrollRequest& request);

// Asks for another certificate, one server of `way` after the other until one answers.  The
// certificate of `identity` is shown, even when it has expired.  Ends soon once `stopped`.
absl::StatusOr<v1::RenewResponse> CallRenew(const Way& way, const Identity& identity,
                                            const Clock& clock, const v1::RenewRequest& request,
                                            const std::function<bool()>& stopped);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_GRPC_LINK_H_
