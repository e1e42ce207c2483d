// SPDX-License-Identifier: Apache-2.0
// The operators' RPCs: each asks who calls, calls one function and converts
// its status.
#ifndef DUMPWARDEN_SERVER_ADMIN_SERVICE_H_
#define DUMPWARDEN_SERVER_ADMIN_SERVICE_H_

#include <memory>

#include "server/authorize.h"
#include "server/enrollment_service.h"
#include "server/fleet/drift_feed.h"
#include "server/fleet/fleet.h"
#include "server/fleet/hosts.h"
#include "server/fleet/policies.h"
#include "server/identity/enrollment.h"
#include "server/identity/refusals.h"
#include "server/people.h"
#include "server/store/store.h"

namespace dumpwarden {

// All must outlive the service.
struct AdminParts {
  Store& store;
  const Clock& clock;
  Authorizer& authorizer;
  Fleet& fleet;
  Policies& policies;
  Hosts& hosts;
  HostEnrollment& enrollment;
  People& people;
  EnrollmentDoor& door;
  DriftFeed& feed;
  Refusals& refusals;
  // host:port of the enrolment listener for people, out of the bound address.
  std::function<std::string(const std::string& bound)> public_address;
};

std::shared_ptr<grpc::Service> MakeAdminService(AdminParts parts);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_ADMIN_SERVICE_H_
