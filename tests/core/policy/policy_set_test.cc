// SPDX-License-Identifier: Apache-2.0
#include "core/policy/policy_set.h"

#include <gtest/gtest.h>

#include <set>

namespace dumpwarden {
namespace {

v1::PolicyEntry Entry(const std::string& name, std::uint64_t version, const std::string& digest) {
  v1::PolicyEntry entry;
  entry.set_name(name);
  entry.set_version(version);
  entry.set_digest(digest);
  return entry;
}

TEST(PolicySet, DoesNotDependOnTheOrder) {
  const v1::PolicySet a = MakePolicySet({Entry("b", 1, "x"), Entry("a", 2, "y")});
  const v1::PolicySet b = MakePolicySet({Entry("a", 2, "y"), Entry("b", 1, "x")});
  EXPECT_EQ(a.SerializeAsString(), b.SerializeAsString());
  EXPECT_EQ(a.entries(0).name(), "a");
  EXPECT_EQ(a.digest().size(), 32u);
}

TEST(PolicySet, TellsEverySetApart) {
  const std::vector<std::vector<v1::PolicyEntry>> kSets = {
      {},
      {Entry("a", 1, "x")},
      {Entry("a", 2, "x")},
      {Entry("a", 1, "y")},
      {Entry("ax", 1, "")},
      {Entry("", 1, "ax")},
      {Entry("a", 1, "x"), Entry("b", 1, "x")},
  };
  std::set<std::string> digests;
  for (const auto& entries : kSets) digests.insert(MakePolicySet(entries).digest());
  EXPECT_EQ(digests.size(), kSets.size());
}

}  // namespace
}  // namespace dumpwarden
