// SPDX-License-Identifier: Apache-2.0
#include "core/base/yaml.h"

#include <chrono>
#include <random>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden::yaml {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<std::string> ProblemsOf(absl::string_view text, const Limits& limits = {}) {
  Problems problems("f");
  const auto documents = Parse(text, limits, problems);
  EXPECT_EQ(documents.has_value(), problems.empty());
  return problems.messages();
}

Node Read(absl::string_view text) {
  Problems problems("f");
  auto documents = Parse(text, Limits{}, problems);
  EXPECT_TRUE(documents.has_value()) << problems.ToStatus();
  return documents ? documents->front() : Node{};
}

std::string Repeat(absl::string_view text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) absl::StrAppend(&out, text);
  return out;
}

std::string NestedMap(int depth) {
  std::string out;
  for (int i = 0; i < depth; ++i)
    absl::StrAppend(&out, std::string(static_cast<size_t>(i), ' '), "a:\n");
  return out;
}

TEST(Yaml, BuildsATreeWithMarks) {
  const Node root = Read("a: 1\nb:\n  - 'x y'\n  - { c: ~ }\n");
  ASSERT_EQ(root.kind, Node::Kind::kMap);
  ASSERT_EQ(root.entries.size(), 2u);
  EXPECT_EQ(root.Find("a")->scalar, "1");
  EXPECT_FALSE(root.Find("a")->quoted);
  const Node& list = *root.Find("b");
  ASSERT_EQ(list.kind, Node::Kind::kList);
  EXPECT_EQ(list.items[0].scalar, "x y");
  EXPECT_TRUE(list.items[0].quoted);
  EXPECT_EQ(list.items[0].mark.line, 3);
  EXPECT_EQ(list.items[0].mark.column, 5);
  EXPECT_EQ(list.items[1].Find("c")->kind, Node::Kind::kNull);
  EXPECT_EQ(root.Find("z"), nullptr);
}

TEST(Yaml, KeepsScalarsAsText) {
  for (const char* word : {"on", "yes", "no", "true", "0x2", "1e3", "010", "16GiB", "<<"}) {
    EXPECT_EQ(Read(absl::StrCat("a: ", word)).Find("a")->scalar, word);
  }
}

TEST(Yaml, AcceptsWhatEditorsWrite) {
  EXPECT_EQ(Read("\xEF\xBB\xBF"
                 "a: 1\r\nb: 2\r\n")
                .Find("b")
                ->scalar,
            "2")
      << "BOM, CRLF";
  EXPECT_EQ(Read("%YAML 1.2\n---\na: 1\n...\n").Find("a")->scalar, "1");
  EXPECT_EQ(Read("a: 'it''s'\n").Find("a")->scalar, "it's");
  EXPECT_EQ(Read("a: |\n  x\n  y\n").Find("a")->scalar, "x\ny\n");
}

TEST(Yaml, RefusesWithPlaceAndReason) {
  const struct {
    std::string text;
    const char* message;
    const char* why;
  } kCases[] = {
      {"", "f:1:1: the file is empty", "no document"},
      {"# only a comment\n", "f:1:1: the file is empty", "no document"},
      {"~\n", "f:1:1: the document is empty", "null is no document"},
      {"a: &x 1\n", "f:1:4: a: anchors", "anchor"},
      {"a: *x\n", "f:1:4: a: aliases", "alias without anchor"},
      {"b: 1\n*x : 1\n", "f:2:1: aliases", "alias as key"},
      {"a: !!str 1\n", "f:1:4: a: tags", "tag"},
      {"a: !!python/object:os.system x\n", "f:1:4: a: tags", "tag"},
      {"a: ! x\n", "f:1:4: a: tags", "non-specific tag"},
      {"a: !x [1]\n", "f:1:4: a: tags", "tag of a list"},
      {"a: !<tag:x> {}\n", "f:1:4: a: tags", "verbatim tag"},
      {"a: 1\nb: 2\na: 3\n", "f:3:1: key \"a\" stands here again; it is in line 1", "duplicate"},
      {"x:\n  a: 1\n  'a': 3\n", "f:3:3: x: key \"a\" stands here again", "duplicate, quoted"},
      {"? [a]\n: b\n", "f:1:3: a list stands where a key is wanted", "list as key"},
      {"{a: 1}: b\n", "a map stands where a key is wanted", "map as key"},
      {"~: b\n", "f:1:1: a key is missing", "null as key"},
      {"a: 1\n---\nb: 2\n", "f:2:1: a second document", "second document"},
      {"{a: b} c\n", "f:1:8: this follows the end", "rest after the document"},
      {"a: [1, 2\nb: 3\n", "a [ is not closed", "open bracket"},
      {"a:\n\tb: 1\n", "a tab in the indentation", "tab"},
      {"a: 'x\n", "f:1:4: a: a quote is opened here", "open single quote"},
      {"a: \"x\n", "a quote is", "open double quote"},
      {"a: \"D:\\Dumps\"\n", "use single quotes for Windows paths", "unknown escape"},
      {"a: b: c\n", "f:1:5: ", "two colons"},
      {"a: @x\n", "f:1:4: a: this character cannot start a value", "reserved character"},
      {std::string("a: x\0y", 6), "f:1:5: control character \"\\x00\"", "NUL"},
      {"a: 1\nb: \x1b[0m", "f:2:4: control character \"\\x1b\"", "ESC"},
      {"a: 1\rb: 2", "f:1:5: control character", "lone CR hides lines"},
      {"ü: \xE2\x80\xAE"
       "x",
       "f:1:4: control character", "right-to-left override"},
      {"a: \"\\x1b\"\n", "f:1:4: a: an escape in double quotes", "ESC by escape"},
      {"a: \"\\0\"\n", "f:1:4: a: an escape in double quotes", "NUL by escape"},
      {"a: 1\nb: \xff\n", "f:2:4: this is not valid UTF-8", "not UTF-8"},
      {std::string("a\0:\0", 4), "control character", "UTF-16"},
      {"{ü: 1, ü: 2}", "f:1:8: key \"ü\"", "columns count characters"},
  };
  for (const auto& c : kCases) {
    const std::vector<std::string> problems = ProblemsOf(c.text);
    ASSERT_FALSE(problems.empty()) << c.why;
    EXPECT_THAT(problems[0], HasSubstr(c.message)) << c.why;
  }
}

TEST(Yaml, SaysAllThatIsWrongAtOnce) {
  EXPECT_THAT(ProblemsOf("a: &x 1\na: !t 2\nb: 3\nb: 4\n"),
              ElementsAre(HasSubstr("f:1:4: "), HasSubstr("f:2:1: "), HasSubstr("f:2:4: "),
                          HasSubstr("f:4:1: ")));
}

TEST(Yaml, HoldsItsLimits) {
  Limits limits;
  limits.bytes = 10;
  limits.documents = 2;
  EXPECT_TRUE(ProblemsOf("a: 1\n---\nb: 2\n", limits).empty());
  EXPECT_THAT(ProblemsOf("a: 1\n---\nb: 2222222\n", limits),
              ElementsAre(HasSubstr("f:2:1: this document is longer than 10 bytes")));
  EXPECT_THAT(ProblemsOf("a\n---\nb\n---\nc\n", limits),
              ElementsAre(HasSubstr("f:4:1: at most 2 documents")));
  EXPECT_THAT(ProblemsOf(std::string(21, 'a'), limits),
              ElementsAre(HasSubstr("f:1:1: the file has 21 bytes; at most 20")));
  EXPECT_TRUE(ProblemsOf(NestedMap(16)).empty());
  EXPECT_THAT(ProblemsOf(NestedMap(17)), ElementsAre(HasSubstr("nested more than 16")));
  for (const char* brackets : {"[", "{", "[\n"}) {
    EXPECT_THAT(ProblemsOf("a: " + Repeat(brackets, 50000)),
                ElementsAre(HasSubstr("f:1:4: a: nested more than 16")))
        << "that none is closed is the lesser fault";
  }
  EXPECT_THAT(ProblemsOf("a: [[[\n"), ElementsAre(HasSubstr("is a ] or } missing?")));
  EXPECT_THAT(ProblemsOf(Repeat("- a\n", 20000)), ElementsAre(HasSubstr("more than 20000 values")));
  EXPECT_TRUE(ProblemsOf(Repeat("- a\n", 19999)).empty());
}

// Each takes some 50 ms; quadratic or recursive work would take minutes or the
// stack.  The bound is wide, for sanitizers and slow machines.
TEST(Yaml, RefusesBombsQuickly) {
  const std::string kBombs[] = {
      std::string(100000, '['),
      std::string(100000, '[') + std::string(100000, ']'),
      std::string(100000, '{'),
      Repeat("[\n", 100000),
      Repeat("{a: ", 60000),
      Repeat("- ", 100000),
      Repeat("? ", 100000),
      Repeat("&a ", 80000),
      Repeat("*a ", 80000),
      std::string(250000, '!'),
      Repeat("a:\n- ", 50000),
      Repeat("---\n", 60000),
      "\"" + std::string(200000, '\\'),
      NestedMap(700),
      std::string(2 << 20, 'a'),
  };
  for (const std::string& bomb : kBombs) {
    const auto start = std::chrono::steady_clock::now();
    EXPECT_FALSE(ProblemsOf(bomb).empty()) << bomb.substr(0, 10);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5))
        << bomb.substr(0, 10);
  }
}

TEST(Yaml, SurvivesRandomInput) {
  const std::string kPieces[] = {"a",  ":", " ",   "\n", "-", "[", "]",   "{",    "}",  ",", "'",
                                 "\"", "#", "&",   "*",  "!", "|", ">",   "%",    "?",  "@", "\t",
                                 "\\", "~", "---", "\r", "0", "ü", "\n ", "\n  ", ": ", "- "};
  std::mt19937 random(3);
  for (int i = 0; i < 4000; ++i) {
    std::string text;
    for (std::size_t n = random() % 60; n > 0; --n) text += kPieces[random() % std::size(kPieces)];
    if (i % 4 == 0 && !text.empty()) text[random() % text.size()] = static_cast<char>(random());
    ProblemsOf(text);
  }
}

}  // namespace
}  // namespace dumpwarden::yaml
