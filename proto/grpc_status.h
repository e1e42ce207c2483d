// SPDX-License-Identifier: Apache-2.0
// absl::Status <-> grpc::Status: the only such pair.
#ifndef DUMPWARDEN_PROTO_GRPC_STATUS_H_
#define DUMPWARDEN_PROTO_GRPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace dumpwarden {

grpc::Status ToGrpc(const absl::Status& status);
absl::Status FromGrpc(const grpc::Status& status);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PROTO_GRPC_STATUS_H_
