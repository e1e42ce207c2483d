// SPDX-License-Identifier: Apache-2.0
// Getting an identity: keys made here, a request that proves both, and a
// response that is believed only as far as it can be checked.
#ifndef DUMPWARDEN_AGENT_ENROLL_H_
#define DUMPWARDEN_AGENT_ENROLL_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/identity.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "platform/keys.h"

namespace dumpwarden {

struct EnrollmentKeys {
  KeyPtr tls;
  KeyPtr host;
};
absl::StatusOr<EnrollmentKeys> MakeEnrollmentKeys();

absl::StatusOr<v1::EnrollRequest> MakeEnrollRequest(const EnrollmentKeys& keys,
                                                    absl::string_view token,
                                                    const std::string& host_name);

// The chain that a server issued for `key`, as PEM.  kInvalidArgument when it does not lead from
// one of `roots` to a client certificate for that key and `spiffe_id`.
absl::StatusOr<std::string> CheckIssued(
    const google::protobuf::RepeatedPtrField<std::string>& chain_der,
    const std::vector<CertificatePtr>& roots, const std::string& spiffe_id, EVP_PKEY& key,
    absl::Time now);

// The identity that a response gives.  kInvalidArgument when the root is not
// the token's, the chain does not verify, or the certificate is not for our key
// and the host that the response names.
absl::StatusOr<Identity> CheckEnrollResponse(const v1::EnrollResponse& response,
                                             const EnrollmentKeys& keys,
                                             const std::string& root_pin, absl::Time now);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_ENROLL_H_
