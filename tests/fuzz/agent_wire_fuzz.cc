// SPDX-License-Identifier: Apache-2.0
// A server that a thief owns, against a real agent's core: messages in any
// order.  It may choose policies (until they are signed) and nothing else: what
// the agent writes is cells of its table.  Digests that a set leaves out are
// filled in, so that what they guard is reached.
#include <cstddef>
#include <cstdint>
#include <memory>

#include "agent/enroll.h"
#include "core/catalog/catalog.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/frames.h"
#include "tests/support/agent_rig.h"

namespace dumpwarden {
namespace {

void CheckWrites(const FakeRegistry& registry) {
  for (const auto& [path, key] : registry.flushed()) {
    for (const auto& [name, value] : key.values) {
      Check(OwnerOfCell(key.path, value.name) != nullptr, "a value outside the table was written");
    }
  }
}

void Enroll(absl::string_view bytes) {
  static const EnrollmentKeys& kKeys = *new EnrollmentKeys(*MakeEnrollmentKeys());
  v1::EnrollResponse response;
  if (!response.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  Check(!CheckEnrollResponse(response, kKeys, std::string(64, 'a'), absl::Now()).ok(),
        "a stranger's answer was believed");
}

void FillDigests(const std::vector<v1::ServerMessage>& messages, v1::PolicySet& set) {
  if (!set.digest().empty()) return;
  std::vector<v1::PolicyEntry> entries(set.entries().begin(), set.entries().end());
  for (v1::PolicyEntry& entry : entries) {
    for (const v1::ServerMessage& message : messages) {
      const v1::PolicyDocument& document = message.policy_document();
      if (entry.digest().empty() && document.name() == entry.name()) {
        entry.set_digest(Sha256(document.yaml()));
      }
    }
  }
  set = MakePolicySet(std::move(entries));
}

std::vector<v1::ServerMessage> MessagesOf(absl::string_view bytes) {
  std::vector<v1::ServerMessage> messages;
  while (const auto frame = TakeFrame(bytes)) {
    v1::ServerMessage message;
    if (message.ParseFromArray(frame->data(), static_cast<int>(frame->size()))) {
      messages.push_back(std::move(message));
    }
  }
  for (v1::ServerMessage& message : messages) {
    if (message.has_policy_set()) FillDigests(messages, *message.mutable_policy_set());
  }
  return messages;
}

void Converse(absl::string_view bytes) {
  AgentRig rig;
  rig.Connect();
  for (const v1::ServerMessage& message : MessagesOf(bytes)) {
    rig.core->OnMessage(message);
    rig.Pass(absl::Seconds(2));
  }
  CheckWrites(rig.registry);
  rig.Restart();
  Check(rig.start_status.ok(), "the agent does not start again");
}

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  dumpwarden::Enroll(bytes);
  dumpwarden::Converse(bytes);
  return 0;
}
