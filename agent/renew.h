// SPDX-License-Identifier: Apache-2.0
// Getting another certificate for an identity that there is: when, what is
// asked for, and how far the answer is believed.
#ifndef DUMPWARDEN_AGENT_RENEW_H_
#define DUMPWARDEN_AGENT_RENEW_H_

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/identity.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/keys.h"

namespace dumpwarden {

// From 45 to 55 % of the certificate's life, as `fraction` in [0, 1] says: hosts that were enrolled
// at one moment do not renew at one.  InfiniteFuture when there is nothing to renew: no readable
// certificate, or one that expired so long ago that the host has to be enrolled anew.
absl::Time WhenToRenew(const Identity& identity, double fraction, absl::Time now);

struct Renewal {
  KeyPtr key;  // the new one of TLS
  v1::RenewRequest request;
};
// The host key is the core's: of the request the link only carries its signature.
absl::StatusOr<Renewal> MakeRenewal(const Identity& identity, EVP_PKEY& host_key);

// `identity` with the new key and certificate.  kInvalidArgument when the certificate is not for
// that key and this host, or not of the CA in identity/ca.crt.
absl::StatusOr<Identity> CheckRenewResponse(const v1::RenewResponse& response,
                                            const Identity& identity, EVP_PKEY& key,
                                            absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_RENEW_H_
