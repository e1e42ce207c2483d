// SPDX-License-Identifier: Apache-2.0
#include "core/base/yaml_reader.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden::yaml {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class YamlReader : public testing::Test {
 protected:
  MapReader On(absl::string_view text) {
    documents_ = *Parse(text, Limits{}, problems_);
    return MapReader(documents_.front(), "spec", problems_);
  }
  const std::vector<std::string>& messages() const { return problems_.messages(); }

  Problems problems_{"f"};
  std::vector<Node> documents_;
};

TEST_F(YamlReader, TakesWhatIsThere) {
  MapReader reader = On("t: x\ni: -7\nb: true\nn: [1]\n");
  EXPECT_EQ(reader.RequireText("t"), "x");
  EXPECT_EQ(reader.TakeInteger("i", -10, 10), -7);
  EXPECT_EQ(reader.TakeBool("b"), true);
  EXPECT_EQ(reader.Require("n")->kind, Node::Kind::kList);
  EXPECT_EQ(reader.TakeText("absent"), std::nullopt);
  reader.Finish();
  EXPECT_THAT(messages(), IsEmpty());
}

TEST_F(YamlReader, SaysWhatIsMissingAndWhatIsUnknown) {
  MapReader reader = On("priorty: 1\nzzz: 2\n");
  reader.TakeText("priority");
  reader.RequireText("settings");
  reader.Finish();
  EXPECT_THAT(messages(),
              ElementsAre("f:1:1: spec: `settings` is missing; it is required",
                          "f:1:1: spec: unknown key \"priorty\"; accepted: priority, settings; did "
                          "you mean `priority`?",
                          "f:2:1: spec: unknown key \"zzz\"; accepted: priority, settings"));
}

TEST_F(YamlReader, SaysOnceThatItIsNoMap) {
  MapReader reader = On("[1]\n");
  reader.RequireText("settings");
  reader.Finish();
  EXPECT_THAT(messages(), ElementsAre("f:1:1: spec: found a list; a map (key: value) is accepted"));
}

TEST_F(YamlReader, AcceptsOneSpellingOfANumber) {
  for (const char* text : {"0x2", "1e3", "+5", "1_000", "007", "-0", "1.0", "'5'", "5 6", "11",
                           "99999999999999999999", "~", "[5]", "''", "yes"}) {
    Problems problems("f");
    const auto documents = Parse(absl::StrCat("i: ", text), Limits{}, problems);
    MapReader reader(documents->front(), "", problems);
    EXPECT_EQ(reader.TakeInteger("i", 0, 10), std::nullopt);
    ASSERT_EQ(problems.messages().size(), 1u) << text;
    EXPECT_THAT(problems.messages()[0], HasSubstr("a whole decimal number from 0 to 10"));
  }
}

TEST_F(YamlReader, AcceptsOneSpellingOfABool) {
  for (const char* text : {"yes", "on", "True", "1", "'true'", "~", "{}"}) {
    Problems problems("f");
    const auto documents = Parse(absl::StrCat("b: ", text), Limits{}, problems);
    MapReader reader(documents->front(), "", problems);
    EXPECT_EQ(reader.TakeBool("b"), std::nullopt) << text;
    EXPECT_EQ(problems.messages().size(), 1u) << text;
  }
}

TEST_F(YamlReader, RefusesAListForAText) {
  MapReader reader = On("t: [x]\nu:\n");
  EXPECT_EQ(reader.TakeText("t"), std::nullopt);
  EXPECT_EQ(reader.TakeText("u"), std::nullopt);
  EXPECT_THAT(messages(), ElementsAre("f:1:4: spec.t: found a list; a text is accepted",
                                      "f:2:1: spec.u: found nothing; a text is accepted"));
}

}  // namespace
}  // namespace dumpwarden::yaml
