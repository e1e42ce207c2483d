// SPDX-License-Identifier: Apache-2.0
// The ready-made policies on the hosts of the quick start: each is good, none
// gets in another's way, and together they change exactly what is listed here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/policy/facts.h"
#include "core/policy/merge.h"
#include "core/policy/policy.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/reg_file.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::IsEmpty;
using testing::UnorderedElementsAreArray;

std::string Source(const std::string& path) {
  std::ifstream in(absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/", path), std::ios::binary);
  EXPECT_TRUE(in) << path;
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::vector<PolicyInForce> Baselines() {
  std::vector<PolicyInForce> policies;
  const std::filesystem::path folder = absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/policies");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".yaml") continue;
    const std::string name = entry.path().filename().string();
    auto policy = ReadPolicy(Source("policies/" + name), name);
    EXPECT_THAT(policy, IsOk());
    if (!policy.ok()) continue;
    EXPECT_EQ(policy->name + ".yaml", name) << "a policy is found by its name";
    EXPECT_FALSE(policy->description.empty()) << name;
    policies.push_back({*std::move(policy), 1});
  }
  return policies;
}

v1::Facts FactsOf(const std::string& host, const std::string& role) {
  const std::string file = absl::StrCat("deploy/quickstart/", host, ".facts.yaml");
  auto facts = ReadFacts(Source(file), file);
  EXPECT_THAT(facts, IsOk());
  if (!facts.ok()) return {};
  (*facts->mutable_labels())["role"] = role;  // as the token of the quick start gives it
  return *std::move(facts);
}

// The registry of a host of the quick start.
FakeRegistry RegistryOf(const std::string& host) {
  FakeRegistry registry;
  const std::string file = absl::StrCat("deploy/quickstart/", host, ".reg");
  const auto parsed = RegFile::Parse(Source(file), file);
  EXPECT_THAT(parsed, IsOk());
  if (!parsed.ok()) return registry;
  for (const RegLine& line : parsed->Lines()) registry.Set(line.key, line.name, *line.value);
  return registry;
}

Plan PlanFor(const v1::Facts& facts, FakeRegistry& registry) {
  FakeFolders folders;
  const Desired desired = Merge(Baselines(), facts);
  return MakePlan(desired, Observe(registry, folders, desired, facts), facts);
}

struct Case {
  const char* host;
  const char* role;
  std::vector<std::string> edits;
  const char* why;
};

TEST(Baselines, ChangeExactlyWhatIsWrongOnTheQuickStartsHosts) {
  const Case cases[] = {
      {"desk-07", "desktop", {"set CrashDumpEnabled", "set NMICrashDump"}, "dumps were off"},
      {"sql-01",
       "sql",
       {"set CrashDumpEnabled", "set DumpFile", "set Overwrite", "set PagingFiles"},
       "own volume, fixed page file; overwrite comes from servers"},
      {"hv-01", "hyper-v", {"set FilterPages"}, "complete becomes active"},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(absl::StrCat(c.host, ": ", c.why));
    FakeRegistry registry = RegistryOf(c.host);
    const Plan plan = PlanFor(FactsOf(c.host, c.role), registry);
    std::vector<std::string> edits;
    for (const Edit& edit : plan.edits) {
      edits.push_back(absl::StrCat(ActionWord(edit.action), " ", edit.name));
    }
    EXPECT_THAT(edits, UnorderedElementsAreArray(c.edits));
    for (const v1::Finding& finding : plan.findings) {
      EXPECT_NE(finding.status(), v1::STATUS_BLOCKED) << finding.ShortDebugString();
      EXPECT_NE(finding.status(), v1::STATUS_ERROR) << finding.ShortDebugString();
    }
  }
}

TEST(Baselines, NeverConflict) {
  for (const auto& [host, role] : {std::pair{"desk-07", "desktop"}, std::pair{"sql-01", "sql"},
                                   std::pair{"hv-01", "hyper-v"}, std::pair{"web-01", "web"}}) {
    for (const Decision& decision : Merge(Baselines(), FactsOf(host, role)).decisions) {
      EXPECT_THAT(decision.conflict, IsEmpty()) << host << " " << decision.setting;
      EXPECT_TRUE(decision.known) << decision.setting;
    }
  }
}

TEST(Baselines, LeaveDomainControllersAloneAndSayWhatTheyWouldDo) {
  v1::Facts facts = FactsOf("sql-01", "directory");
  facts.mutable_os()->set_product("domain-controller");
  FakeRegistry registry = RegistryOf("sql-01");
  const Plan plan = PlanFor(facts, registry);
  EXPECT_THAT(plan.edits, IsEmpty());
  std::set<std::string> drifted;
  for (const v1::Finding& finding : plan.findings) {
    EXPECT_EQ(finding.mode(), v1::MODE_AUDIT) << finding.ShortDebugString();
    if (finding.status() == v1::STATUS_DRIFTED) drifted.insert(finding.setting());
  }
  EXPECT_EQ(drifted, std::set<std::string>{"dump.overwrite"});
}

// A selector that no host meets would be a policy that nobody notices.
TEST(Baselines, EachIsForSomeHost) {
  std::set<std::string> used;
  v1::Facts controller = FactsOf("web-01", "directory");
  controller.mutable_os()->set_product("domain-controller");
  for (const v1::Facts& facts :
       {FactsOf("desk-07", "desktop"), FactsOf("sql-01", "sql"), FactsOf("hv-01", "hyper-v"),
        FactsOf("web-01", "web"), controller}) {
    for (const Decision& decision : Merge(Baselines(), facts).decisions) {
      used.insert(decision.policy);
    }
  }
  EXPECT_EQ(used.size(), Baselines().size());
}

}  // namespace
}  // namespace dumpwarden
