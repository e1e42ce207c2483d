// SPDX-License-Identifier: Apache-2.0
// How much policy an agent takes from a server that keeps no limit: at each
// limit, one above it, and a hundred times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/policy/policy.h"
#include "core/policy/policy_set.h"
#include "tests/support/agent_rig.h"

namespace dumpwarden {
namespace {

Document Commented(Document document, std::size_t bytes) {
  std::string& yaml = document.yaml;
  while (yaml.size() < bytes) {
    yaml.append("#").append(std::min<std::size_t>(bytes - yaml.size(), 79) - 1, 'x');
    if (yaml.size() < bytes) yaml.append("\n");
  }
  return document;
}

TEST(PolicyIntakeCaps, SetHasAtMostAThousandPolicies) {
  for (const int count : {kMaxPolicies, kMaxPolicies + 1, 100 * kMaxPolicies}) {
    SCOPED_TRACE(count);
    AgentRig rig;
    Settle(rig, {});
    std::vector<Document> documents;
    for (int i = 0; i < count; ++i) documents.push_back({absl::StrCat("p", i), 1, absl::StrCat(i)});
    rig.link.sent.clear();
    rig.SendSet(documents);
    if (count == kMaxPolicies) {
      ASSERT_EQ(rig.link.sent.size(), 1u);
      EXPECT_EQ(rig.link.sent[0].policy_request().digests_size(), count);
    } else {
      EXPECT_TRUE(rig.link.sent.empty()) << "nothing is asked for";
    }
  }
}

TEST(PolicyIntakeCaps, DocumentHasAtMost256Kibibytes) {
  for (const std::size_t bytes : {kMaxPolicyBytes, kMaxPolicyBytes + 1, 100 * kMaxPolicyBytes}) {
    SCOPED_TRACE(bytes);
    AgentRig rig;
    Settle(rig, {Reboot(1, "on")});
    rig.Push({Commented(Reboot(2, "off"), bytes)});
    rig.Pass(absl::Seconds(1));
    EXPECT_EQ(rig.Cell("AutoReboot"), bytes == kMaxPolicyBytes ? 0u : 1u);
    EXPECT_EQ(rig.FindingOf("dump.auto-reboot").policy_version(), bytes == kMaxPolicyBytes ? 2 : 1);
  }
}

TEST(PolicyIntakeCaps, SetHasAtMostFourMebibytes) {
  constexpr std::size_t kWhole = kMaxPolicySetBytes / kMaxPolicyBytes;
  // A hundred times would be refused for the number of policies.
  for (const std::size_t count : {kWhole, kWhole + 1, 10 * kWhole}) {
    SCOPED_TRACE(count);
    AgentRig rig;
    Settle(rig, {});
    std::vector<Document> documents = {Commented(Reboot(1, "off"), kMaxPolicyBytes)};
    while (documents.size() < count) {
      const std::string name = absl::StrCat("p", documents.size());
      documents.push_back({name, 1, PolicyYaml(name, "dump.overwrite", "on")});
      if (documents.size() <= kWhole || count > kWhole + 1) {
        documents.back() = Commented(documents.back(), kMaxPolicyBytes);
      }
    }
    rig.Push(documents);
    rig.Pass(absl::Seconds(1));
    EXPECT_EQ(rig.Cell("AutoReboot"), count == kWhole ? 0u : 1u) << "all of a set, or none";
  }
}

}  // namespace
}  // namespace dumpwarden
