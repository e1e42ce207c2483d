// SPDX-License-Identifier: Apache-2.0
#include "core/policy/merge.h"

#include <algorithm>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

PolicyInForce Make(const std::string& name, std::int32_t priority, const std::string& type,
                   v1::Mode mode = v1::MODE_ENFORCE, const std::string& role = "") {
  PolicyInForce in_force;
  in_force.version = 7;
  Policy& policy = in_force.policy;
  policy.name = name;
  policy.priority = priority;
  policy.mode = mode;
  policy.settings = {{"dump.type", type, true}};
  if (!role.empty()) {
    policy.selector.requirements = {{"role", Requirement::Operator::kIn, {role}}};
  }
  return in_force;
}

v1::Facts SqlHost() {
  v1::Facts facts;
  (*facts.mutable_labels())["role"] = "sql";
  return facts;
}

Decision DecideOne(const std::vector<PolicyInForce>& policies) {
  const Desired desired = Merge(policies, SqlHost());
  EXPECT_EQ(desired.decisions.size(), 1u);
  return desired.decisions.empty() ? Decision{} : desired.decisions.front();
}

std::string ToText(const Desired& desired) {
  std::string text;
  for (const Decision& d : desired.decisions) {
    absl::StrAppend(&text, d.setting, " ", d.mode, " ", d.value, " ", d.policy, " ", d.known, "\n");
    for (const std::string& name : d.conflict) absl::StrAppend(&text, "  conflict ", name, "\n");
    for (const Layer& l : d.layers) {
      absl::StrAppend(&text, "  ", l.policy, " ", l.version, " ", l.priority, " ", l.value, " ",
                      l.won, " ", l.why, "\n");
    }
  }
  return text;
}

TEST(Merge, LetsTheHighestPriorityWin) {
  const Decision d = DecideOne({Make("base", 0, "kernel"), Make("sql", 100, "complete"),
                                Make("web", 500, "small", v1::MODE_ENFORCE, "web")});
  EXPECT_EQ(d.value, "complete");
  EXPECT_EQ(d.policy, "sql");
  EXPECT_EQ(d.version, 7u);
  EXPECT_THAT(d.conflict, IsEmpty());
  ASSERT_EQ(d.layers.size(), 2u);
  EXPECT_TRUE(d.layers[0].won);
  EXPECT_EQ(d.layers[0].why, "highest priority");
  EXPECT_FALSE(d.layers[1].won);
  EXPECT_EQ(d.layers[1].why, "lower priority than sql");
}

TEST(Merge, NamesAllWhoDisagreeAtTheTop) {
  const Decision d = DecideOne({Make("c", 9, "kernel"), Make("a", 9, "kernel"),
                                Make("b", 9, "small"), Make("low", 1, "none")});
  EXPECT_EQ(d.value, "");
  EXPECT_EQ(d.policy, "");
  EXPECT_THAT(d.conflict, ElementsAre("a", "b", "c"));
  EXPECT_EQ(d.layers[0].why, "conflict: a, b, c");
  EXPECT_FALSE(d.layers[0].won);
}

TEST(Merge, TwoSpellingsOfOneSizeAreNoConflictWhereTheMemoryIsKnown) {
  const auto with = [](const std::string& name, const std::string& size) {
    PolicyInForce in_force = Make(name, 1, "kernel");
    in_force.policy.settings = {{"dump.dedicated-file-size", size, true}};
    return in_force;
  };
  const std::vector<PolicyInForce> policies = {with("a", "ram + 257MiB"), with("b", "8449MiB")};
  v1::Facts facts;
  EXPECT_THAT(Merge(policies, facts).decisions[0].conflict, ElementsAre("a", "b"))
      << "nobody knows whether they agree";
  facts.mutable_memory()->set_bytes(std::uint64_t{8} << 30);
  EXPECT_THAT(Merge(policies, facts).decisions[0].conflict, IsEmpty());
  facts.mutable_memory()->set_bytes(std::uint64_t{16} << 30);
  EXPECT_THAT(Merge(policies, facts).decisions[0].conflict, ElementsAre("a", "b"));
}

TEST(Merge, DoesNotMindADisagreementBelowTheTop) {
  const Decision d =
      DecideOne({Make("a", 1, "kernel"), Make("b", 1, "small"), Make("top", 2, "none")});
  EXPECT_EQ(d.value, "none");
  EXPECT_THAT(d.conflict, IsEmpty());
}

TEST(Merge, TakesTheFirstByNameOfEqualValues) {
  const Decision d = DecideOne({Make("b", 5, "D:\\X.DMP"), Make("a", 5, "d:\\x.dmp")});
  EXPECT_EQ(d.policy, "a");
  EXPECT_EQ(d.value, "d:\\x.dmp");
  EXPECT_EQ(d.layers[1].why, "same value as a");
}

TEST(Merge, TreatsUnsetAsAValue) {
  EXPECT_EQ(DecideOne({Make("a", 1, "kernel"), Make("b", 2, "unset")}).value, "unset");
  EXPECT_THAT(DecideOne({Make("a", 1, "kernel"), Make("b", 1, "unset")}).conflict,
              ElementsAre("a", "b"));
}

TEST(Merge, NeverLetsAnAuditPolicyWinAnEnforcedValue) {
  const std::vector<PolicyInForce> policies = {Make("audit", 900, "complete", v1::MODE_AUDIT),
                                               Make("base", 0, "kernel")};
  const Desired desired = Merge(policies, SqlHost());
  ASSERT_EQ(desired.decisions.size(), 2u);
  EXPECT_EQ(desired.decisions[0].mode, v1::MODE_ENFORCE);
  EXPECT_EQ(desired.decisions[0].value, "kernel");
  EXPECT_EQ(desired.decisions[1].mode, v1::MODE_AUDIT);
  EXPECT_EQ(desired.decisions[1].value, "complete");
}

TEST(Merge, IsKnownWhenTheWinnerIs) {
  PolicyInForce newer = Make("newer", 1, "quantum");
  newer.policy.settings[0].known = false;
  EXPECT_FALSE(DecideOne({newer}).known);
  EXPECT_TRUE(DecideOne({newer, Make("base", 2, "kernel")}).known);
  EXPECT_FALSE(DecideOne({newer, Make("base", 0, "kernel")}).known);
}

TEST(Merge, DoesNotDependOnTheOrderOfPolicies) {
  std::mt19937 random(5);
  const char* kTypes[] = {"kernel", "small", "none"};
  for (int round = 0; round < 200; ++round) {
    std::vector<PolicyInForce> policies;
    for (int i = 0; i < 8; ++i) {
      policies.push_back(Make(
          absl::StrCat("p", i), static_cast<std::int32_t>(random() % 3), kTypes[random() % 3],
          random() % 3 == 0 ? v1::MODE_AUDIT : v1::MODE_ENFORCE, random() % 4 == 0 ? "web" : ""));
    }
    const std::string merged = ToText(Merge(policies, SqlHost()));
    for (int shuffle = 0; shuffle < 5; ++shuffle) {
      std::shuffle(policies.begin(), policies.end(), random);
      ASSERT_EQ(ToText(Merge(policies, SqlHost())), merged);
    }
  }
}

TEST(ExplainSetting, ListsUnselectedPoliciesToo) {
  const std::vector<PolicyInForce> policies = {Make("web", 500, "small", v1::MODE_ENFORCE, "web"),
                                               Make("base", 0, "kernel"),
                                               Make("look", 1, "complete", v1::MODE_AUDIT)};
  const std::vector<Layer> layers = ExplainSetting(policies, SqlHost(), "dump.type");
  ASSERT_EQ(layers.size(), 3u);
  EXPECT_EQ(layers[0].policy, "base");
  EXPECT_TRUE(layers[0].won);
  EXPECT_EQ(layers[0].why, "the only policy that sets it");
  EXPECT_EQ(layers[1].policy, "look");
  EXPECT_EQ(layers[2].policy, "web");
  EXPECT_FALSE(layers[2].won);
  EXPECT_EQ(layers[2].why, "selector: role In (web): role is sql");
  EXPECT_THAT(ExplainSetting(policies, SqlHost(), "nmi.crash"), IsEmpty());
}

}  // namespace
}  // namespace dumpwarden
