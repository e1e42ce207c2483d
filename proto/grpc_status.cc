// SPDX-License-Identifier: Apache-2.0
#include "proto/grpc_status.h"

#include <string>

#include "absl/strings/match.h"

namespace dumpwarden {
namespace {

struct Words {
  const char* grpc;  // what its message holds
  const char* ours;
};
constexpr Words kWords[] = {
    {"Connection refused", "nothing listens there (connection refused)"},
    {"DNS resolution failed",
     "its name cannot be resolved; is it spelled right, and known to DNS?"},
    {"No route to host", "there is no way there (no route to host); look at network and firewalls"},
    {"Network is unreachable",
     "there is no way there (network is unreachable); look at the network"},
    {"wrong version number", "what listens there does not speak TLS"},
    {"Handshake read failed", "what listens there says nothing to a TLS handshake"},
};

}  // namespace

// Both enumerations carry the same numbers, by their own documentation.
grpc::Status ToGrpc(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return {static_cast<grpc::StatusCode>(status.raw_code()), std::string(status.message())};
}

absl::Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return {static_cast<absl::StatusCode>(status.error_code()), status.error_message()};
}

std::string WhyNotConnected(absl::string_view message) {
  for (const Words& row : kWords) {
    if (absl::StrContains(message, row.grpc)) return row.ours;
  }
  return std::string(message);
}

}  // namespace dumpwarden
