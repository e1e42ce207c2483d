// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/revocation.h"

#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "server/fleet/hosts.h"

namespace dumpwarden {
namespace {

constexpr char kRevokedForGood[] = "this host was revoked, for good; enrol it anew";

}  // namespace

absl::StatusOr<v1::RevokeHostResponse> RevokeHost(Store& store, Fleet& fleet,
                                                  const v1::RevokeHostRequest& request,
                                                  const Actor& actor) {
  RETURN_IF_ERROR(CheckReason(request.reason()));
  ASSIGN_OR_RETURN(const HostRow host, FindHostByText(store, request.host()));
  v1::RevokeHostResponse response;
  response.set_id(host.uuid);
  response.set_name(host.name);
  response.set_changed(!host.revoked);
  if (request.dry_run()) return response;
  ASSIGN_OR_RETURN(const bool changed,
                   store.RevokeHost(host.id, {.actor = actor.id,
                                              .source = actor.source,
                                              .action = "host.revoke",
                                              .object = host.uuid,
                                              .detail = Printable(request.reason()),
                                              .before = "",
                                              .after = ""}));
  response.set_changed(changed);
  response.set_sessions(fleet.Revoke(host.id));
  return response;
}

absl::StatusOr<v1::ApproveHostResponse> ApproveHost(Store& store, Fleet& fleet,
                                                    const v1::ApproveHostRequest& request,
                                                    const Actor& actor) {
  ASSIGN_OR_RETURN(const HostRow host, FindHostByText(store, request.host()));
  v1::ApproveHostResponse response;
  response.set_id(host.uuid);
  response.set_name(host.name);
  response.set_changed(host.hold);
  if (host.revoked) return absl::FailedPreconditionError(kRevokedForGood);
  if (request.dry_run()) return response;
  ASSIGN_OR_RETURN(const bool changed, store.ApproveHost(host.id, {.actor = actor.id,
                                                                   .source = actor.source,
                                                                   .action = "host.approve",
                                                                   .object = host.uuid,
                                                                   .detail = "",
                                                                   .before = "",
                                                                   .after = ""}));
  response.set_changed(changed);
  fleet.Approve(host.id);
  return response;
}

}  // namespace dumpwarden
