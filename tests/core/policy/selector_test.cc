// SPDX-License-Identifier: Apache-2.0
#include "core/policy/selector.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

v1::Facts Host() {
  v1::Facts facts;
  facts.mutable_os()->set_build(17763);
  facts.mutable_os()->set_product("server");
  facts.mutable_memory()->set_bytes(1024);
  (*facts.mutable_labels())["role"] = "sql";
  (*facts.mutable_labels())["rack"] = "07";
  return facts;
}

Selector Read(absl::string_view text, Problems& problems,
              UnknownFacts unknown = UnknownFacts::kRefuse) {
  const auto documents = yaml::Parse(text, yaml::Limits{}, problems);
  if (!documents) return {};
  return ReadSelector(documents->front(), "spec.selector", problems, unknown);
}

std::string Expression(absl::string_view expression) {
  return absl::StrCat("matchExpressions: [ ", expression, " ]\n");
}

TEST(Selector, MatchesAsKubernetesDoes) {
  const struct {
    std::string text;
    const char* why_not;  // "" = matches
    const char* why;
  } kCases[] = {
      {"{}", "", "an empty selector is every host"},
      {"matchLabels: { role: sql }", "", "label"},
      {"matchLabels: { role: web }", "role In (web): role is sql", "other value"},
      {"matchLabels: { role: sql, tier: x }", "tier In (x): the host has no tier", "all must hold"},
      {"matchLabels: { os.product: server }", "", "facts by name"},
      {Expression("{ key: role, operator: In, values: [web, sql] }"), "", "one of"},
      {Expression("{ key: role, operator: NotIn, values: [sql] }"), "role NotIn (sql): role is sql",
       "listed"},
      {Expression("{ key: tier, operator: NotIn, values: [sql] }"), "", "absent is not in"},
      {Expression("{ key: role, operator: Exists }"), "", "exists"},
      {Expression("{ key: tier, operator: Exists, values: [] }"),
       "tier Exists: the host has no tier", "absent"},
      {Expression("{ key: tier, operator: DoesNotExist }"), "", "absent"},
      {Expression("{ key: role, operator: DoesNotExist }"), "role DoesNotExist: role is sql",
       "exists"},
      {Expression("{ key: os.build, operator: Gte, values: ['17763'] }"), "", "equal"},
      {Expression("{ key: os.build, operator: Gt, values: [17763] }"),
       "os.build Gt (17763): os.build is 17763", "not above"},
      {Expression("{ key: os.build, operator: Lt, values: [100000] }"), "",
       "as numbers; as text 1 would come after"},
      {Expression("{ key: os.build, operator: Gt, values: [9200] }"), "", "as numbers"},
      {Expression("{ key: os.build, operator: Lte, values: [9200] }"),
       "os.build Lte (9200): os.build is 17763", "above"},
      {Expression("{ key: memory.bytes, operator: Gt, values: [-1] }"), "", "negative bound"},
      {Expression("{ key: role, operator: Gt, values: [1] }"), "role Gt (1): role is sql",
       "no number never compares"},
      {Expression("{ key: rack, operator: Lt, values: [8] }"), "rack Lt (8): rack is 07",
       "07 is a name, not a number"},
      {Expression("{ key: tier, operator: Lt, values: [8] }"), "tier Lt (8): the host has no tier",
       "absent never compares"},
  };
  for (const auto& c : kCases) {
    Problems problems("f");
    const Selector selector = Read(c.text, problems);
    EXPECT_THAT(problems.ToStatus(), IsOk()) << c.text;
    EXPECT_EQ(WhyNot(selector, Host()), c.why_not) << c.why;
    EXPECT_EQ(Matches(selector, Host()), *c.why_not == '\0') << c.why;
  }
}

TEST(Selector, RefusesWhatItCannotMean) {
  const struct {
    std::string text;
    const char* message;
    const char* why;
  } kCases[] = {
      {"[role]", "spec.selector: found a list; a map", "no map"},
      {"matchLabel: { role: sql }", "did you mean `matchLabels`?", "unknown key"},
      {"matchLabels: [role]", "spec.selector.matchLabels: found a list", "no map"},
      {"matchLabels: { role: [sql] }", "a text is accepted", "one value"},
      {"matchLabels: { Role: sql }", "label key \"Role\"", "no host can have it"},
      {"matchLabels: { os.bild: 1 }", "unknown fact \"os.bild\"", "misspelt"},
      {"matchLabels: { os.bild: 1 }", "did you mean `os.build`?", "misspelt"},
      {"matchExpressions: { key: role }", "a list is accepted", "no list"},
      {Expression("role"), "matchExpressions[0]: found a word", "no map"},
      {Expression("{ operator: Exists }"), "`key` is missing", "required"},
      {Expression("{ key: role }"), "`operator` is missing", "required"},
      {Expression("{ key: [a], operator: Exists }"), "a label or a fact", "no word"},
      {Expression("{ key: role, operator: in, values: [a] }"), "did you mean `In`?", "other case"},
      {Expression("{ key: role, operator: Matches, values: [a] }"), "unknown operator", "unknown"},
      {Expression("{ key: role, operator: In }"), "at least one value", "never true"},
      {Expression("{ key: role, operator: In, values: sql }"), "a list is accepted", "no list"},
      {Expression("{ key: role, operator: In, values: [[sql]] }"), "a text is accepted", "nested"},
      {Expression("{ key: role, operator: Exists, values: [a] }"), "takes no values", "ignored"},
      {Expression("{ key: os.build, operator: Gt, values: [1, 2] }"), "exactly one", "two"},
      {Expression("{ key: os.build, operator: Gt, values: [0x10] }"), "decimal", "hex"},
      {Expression("{ key: os.build, operator: Gt, values: [1e3] }"), "decimal", "float"},
      {Expression("{ key: os.build, operator: Gt, value: [1] }"), "did you mean `values`?", "key"},
  };
  for (const auto& c : kCases) {
    Problems problems("f");
    Read(c.text, problems);
    EXPECT_THAT(problems.ToStatus(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.why;
  }
}

TEST(Selector, OfANewerServerNamesFactsThatDoNotExistHere) {
  Problems problems("f");
  const Selector selector =
      Read("matchLabels: { os.edition: core }", problems, UnknownFacts::kKeep);
  EXPECT_THAT(problems.ToStatus(), IsOk());
  EXPECT_EQ(WhyNot(selector, Host()), "os.edition In (core): the host has no os.edition");
}

}  // namespace
}  // namespace dumpwarden
