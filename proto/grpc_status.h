// SPDX-License-Identifier: Apache-2.0
// absl::Status <-> grpc::Status: the only such pair.
#ifndef DUMPWARDEN_PROTO_GRPC_STATUS_H_
#define DUMPWARDEN_PROTO_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

// What gRPC says of a connection that could not be made, in words that an admin can act on; the
// same when there are no better ones.
std::string WhyNotConnected(absl::string_view message);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PROTO_GRPC_STATUS_H_
