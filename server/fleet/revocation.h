// SPDX-License-Identifier: Apache-2.0
// How an operator takes a host out of the fleet for good: one that was stolen,
// copied or thrown away; what comes back is a new host, enrolled anew.  And how
// one that is held is let in.
#ifndef DUMPWARDEN_SERVER_FLEET_REVOCATION_H_
#define DUMPWARDEN_SERVER_FLEET_REVOCATION_H_

#include "absl/status/statusor.h"
#include "dumpwarden/v1/admin.pb.h"
#include "server/fleet/fleet.h"
#include "server/fleet/policies.h"
#include "server/store/store.h"

namespace dumpwarden {

// In the store first, then its sessions end.  kInvalidArgument without a reason or with one of more
// than 500 bytes; of the host as FindHostByText.
absl::StatusOr<v1::RevokeHostResponse> RevokeHost(Store& store, Fleet& fleet,
                                                  const v1::RevokeHostRequest& request,
                                                  const Actor& actor);

// In the store first; it is let in when it comes the next time.  kFailedPrecondition when it was
// revoked.
absl::StatusOr<v1::ApproveHostResponse> ApproveHost(Store& store, Fleet& fleet,
                                                    const v1::ApproveHostRequest& request,
                                                    const Actor& actor);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_REVOCATION_H_
