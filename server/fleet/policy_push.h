// SPDX-License-Identifier: Apache-2.0
// The policies in force as they go to hosts: every message serialised once,
// shared by all streams, never changed after it was made.
#ifndef DUMPWARDEN_SERVER_FLEET_POLICY_PUSH_H_
#define DUMPWARDEN_SERVER_FLEET_POLICY_PUSH_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/store/store.h"

namespace dumpwarden {

using SharedMessage = std::shared_ptr<const std::string>;  // a serialised v1::ServerMessage

struct PolicyPush {
  std::string digest;                              // of the set
  SharedMessage set;                               // PolicySet
  std::map<std::string, SharedMessage> documents;  // PolicyDocument, by digest of the YAML
  std::map<std::string, std::uint64_t> versions;   // by name
};

absl::StatusOr<std::shared_ptr<const PolicyPush>> LoadPolicyPush(Store& store);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_POLICY_PUSH_H_
