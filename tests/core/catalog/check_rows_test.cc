// SPDX-License-Identifier: Apache-2.0
// What the compiler refuses, run at run time, where the throw can be caught.
#include "core/catalog/check_rows.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

namespace dumpwarden {
namespace {

constexpr absl::string_view kKey = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\X";

std::vector<Setting> GoodRows() {
  return {{.id = "a.one",
           .summary = "Whether the first holds.",
           .shape = Shape::kOneOf,
           .cells = {{{kKey, "One"}, {kKey, "Two"}}},
           .choices = {{{"low", {Number(0), kCleared}}, {"high", {Number(1), kAbsent}}}},
           .fallback = {{{0, "low"}, {9200, "high"}}},
           .source = "test"},
          {.id = "b.two-x",
           .summary = "Whether the second holds.",
           .shape = Shape::kInteger,
           .cells = {{{kKey, "Three"}}},
           .min = 1,
           .max = 9,
           .fallback = {{{0, "5"}}},
           .source = "test"}};
}

std::string Fault(const std::vector<Setting>& rows) {
  try {
    return CheckRows(rows) ? "" : "false";
  } catch (const char* fault) {
    return fault;
  }
}

struct Case {
  const char* fault;
  std::function<void(std::vector<Setting>&)> spoil;
};

TEST(CheckRows, AcceptsGoodRows) { EXPECT_EQ(Fault(GoodRows()), ""); }

TEST(CheckRows, NamesEveryFault) {
  using Rows = std::vector<Setting>;
  const std::vector<Case> cases = {
      {"id: malformed", [](Rows& r) { r[0].id = "one"; }},
      {"id: malformed", [](Rows& r) { r[0].id = "A.one"; }},
      {"id: malformed", [](Rows& r) { r[0].id = "a.one-"; }},
      {"id: malformed", [](Rows& r) { r[0].id = "a..one"; }},
      {"id: out of order", [](Rows& r) { r[0].id = "c.one"; }},
      {"id: out of order", [](Rows& r) { r[0].id = "b.two-x"; }},
      {"summary: not a sentence", [](Rows& r) { r[0].summary = "Whether it holds"; }},
      {"summary: not a sentence", [](Rows& r) { r[0].summary = "whether it holds."; }},
      {"source: missing", [](Rows& r) { r[1].source = ""; }},
      {"cells: none", [](Rows& r) { r[1].cells = {}; }},
      {"cells: this shape has one",
       [](Rows& r) {
         r[1].cells[1] = {kKey, "Four"};
       }},
      {"cells: used ones come first",
       [](Rows& r) {
         r[0].cells[3] = {kKey, "Four"};
       }},
      {"cells: key is outside the control set", [](Rows& r) { r[0].cells[0].key = "HKLM\\X"; }},
      {"cells: type does not fit the shape", [](Rows& r) { r[1].cells[0].type = RegType::kSz; }},
      {"cells: owned twice", [](Rows& r) { r[1].cells[0].name = "TWO"; }},
      {"cells: owned twice", [](Rows& r) { r[0].cells[1].name = "one"; }},
      {"choices: a cell is not filled", [](Rows& r) { r[0].choices[1].wants[1] = {}; }},
      {"choices: more wants than cells", [](Rows& r) { r[0].choices[1].wants[2] = kAbsent; }},
      {"choices: first cell is not a number", [](Rows& r) { r[0].choices[0].wants[0] = kAbsent; }},
      {"choices: word twice", [](Rows& r) { r[0].choices[1].word = "low"; }},
      {"choices: same cells twice", [](Rows& r) { r[0].choices[1].wants = r[0].choices[0].wants; }},
      {"choices: fewer than two", [](Rows& r) { r[0].choices[1] = {}; }},
      {"choices: only one-of has them", [](Rows& r) { r[1].choices = r[0].choices; }},
      {"range: empty", [](Rows& r) { r[1].min = 10; }},
      {"range: empty", [](Rows& r) { r[1].min = r[1].max = 0; }},
      {"range: this shape has none", [](Rows& r) { r[0].max = 3; }},
      {"range: above a DWORD", [](Rows& r) { r[1].max = std::uint64_t{1} << 32; }},
      {"range: empty builds",
       [](Rows& r) {
         r[1].builds = {9200, 9200, "why"};
       }},
      {"builds: a bound and its why go together",
       [](Rows& r) {
         r[1].builds = {0, 9200, ""};
       }},
      {"text: kind missing", [](Rows& r) { r[1].text = TextKind::kDumpFile; }},
      {"list: item missing", [](Rows& r) { r[1].item = ItemKind::kPageFile; }},
      {"fallback: not a spelling of the row", [](Rows& r) { r[0].fallback[0].value = "Low"; }},
      {"fallback: not a spelling of the row", [](Rows& r) { r[1].fallback[0].value = "10"; }},
      {"fallback: not a spelling of the row", [](Rows& r) { r[1].fallback[0].value = "05"; }},
      {"fallback: used ones come first", [](Rows& r) { r[0].fallback[0] = {}; }},
      {"fallback: builds out of order", [](Rows& r) { r[0].fallback[0].min_build = 9999; }},
  };
  for (const Case& c : cases) {
    std::vector<Setting> rows = GoodRows();
    c.spoil(rows);
    EXPECT_EQ(Fault(rows), c.fault);
  }
}

}  // namespace
}  // namespace dumpwarden
