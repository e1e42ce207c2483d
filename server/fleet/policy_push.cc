// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/policy_push.h"

#include <utility>
#include <vector>

#include "core/base/status_macros.h"
#include "core/policy/policy_set.h"
#include "dumpwarden/v1/session.pb.h"

namespace dumpwarden {
namespace {

SharedMessage Serialize(const v1::ServerMessage& message) {
  return std::make_shared<const std::string>(message.SerializeAsString());
}

SharedMessage DocumentOf(const PolicyRow& row) {
  v1::ServerMessage message;
  v1::PolicyDocument& document = *message.mutable_policy_document();
  document.set_name(row.name);
  document.set_version(row.version);
  document.set_yaml(row.yaml);
  return Serialize(message);
}

v1::PolicyEntry EntryOf(const PolicyRow& row) {
  v1::PolicyEntry entry;
  entry.set_name(row.name);
  entry.set_version(row.version);
  entry.set_digest(row.digest);
  return entry;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const PolicyPush>> LoadPolicyPush(Store& store) {
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> rows, store.PoliciesInForce());
  auto push = std::make_shared<PolicyPush>();
  std::vector<v1::PolicyEntry> entries;
  for (const PolicyRow& row : rows) {
    entries.push_back(EntryOf(row));
    push->documents[row.digest] = DocumentOf(row);
    push->versions[row.name] = row.version;
  }
  v1::ServerMessage message;
  *message.mutable_policy_set() = MakePolicySet(std::move(entries));
  push->digest = message.policy_set().digest();
  push->set = Serialize(message);
  return push;
}

}  // namespace dumpwarden
