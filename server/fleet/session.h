// SPDX-License-Identifier: Apache-2.0
// The session service: puts gRPC streams of hosts to the fleet, and their
// renewals to HostRenewal.  Everything that is decided is decided there.
#ifndef DUMPWARDEN_SERVER_FLEET_SESSION_H_
#define DUMPWARDEN_SERVER_FLEET_SESSION_H_

#include <memory>

#include "server/authorize.h"
#include "server/fleet/fleet.h"
#include "server/identity/renewal.h"

namespace grpc {
class Service;
}  // namespace grpc

namespace dumpwarden {

// All must outlive the service.
std::shared_ptr<grpc::Service> MakeSessionService(Fleet& fleet, Authorizer& authorizer,
                                                  HostRenewal& renewal);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_SESSION_H_
