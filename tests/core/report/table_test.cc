// SPDX-License-Identifier: Apache-2.0
#include "core/report/table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::Not;

// What a host may put into its name to get at whoever looks (T23).
constexpr char kHostile[] = "\x1b[2Jweb\xc2\x9b\x7f\xe2\x80\xae-01\n\t";

Table Hosts() {
  Table table{{{"name", "NAME"}, {"state", "STATE"}, {"build", "BUILD"}}, {}};
  table.rows = {{std::string("web-01"), std::string("drifted"), std::uint64_t{20348}},
                {std::string("m\xc3\xbcnchen"), std::string("compliant"), Datum()}};
  return table;
}

TEST(Table, AlignsColumnsAndLeavesNoTrailingSpace) {
  EXPECT_EQ(Render(Hosts(), Format::kTable),
            "NAME     STATE      BUILD\n"
            "web-01   drifted    20348\n"
            "m\xc3\xbcnchen  compliant  <none>\n");
}

TEST(Table, IsAnArrayOfObjectsInColumnOrderAsJson) {
  EXPECT_EQ(Render(Hosts(), Format::kJson), R"([
  {
    "name": "web-01",
    "state": "drifted",
    "build": 20348
  },
  {
    "name": "m\u00fcnchen",
    "state": "compliant",
    "build": null
  }
]
)");
}

TEST(Table, IsRfc4180AsCsv) {
  Table table{{{"a", "A"}, {"b", "B"}}, {}};
  table.rows = {{std::string("x,y"), std::string("say \"no\"")}, {Datum(), true}};
  EXPECT_EQ(Render(table, Format::kCsv), "a,b\r\n\"x,y\",\"say \"\"no\"\"\"\r\n,yes\r\n");
}

TEST(Table, WithoutRowsIsStillWellFormed) {
  const Table table{{{"a", "A"}}, {}};
  EXPECT_EQ(Render(table, Format::kTable), "A\n");
  EXPECT_EQ(Render(table, Format::kJson), "[]\n");
  EXPECT_EQ(Render(table, Format::kCsv), "a\r\n");
}

TEST(Csv, GuardsWhatASpreadsheetWouldRun) {
  const struct {
    std::string text;
    std::string field;
    const char* why;
  } cases[] = {
      {"=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0", "formula"},
      {"+1", "'+1", "formula in every spreadsheet"},
      {"-1", "'-1", "text, not a number of ours"},
      {"@SUM(1)", "'@SUM(1)", "Lotus style"},
      {"\t=1", "'\\t=1", "leading TAB is skipped by importers"},
      {"\r=1", "'\\x0d=1", "leading CR likewise"},
      {"a=1", "a=1", "not at the start"},
      {"", "", "nothing"},
  };
  for (const auto& c : cases) {
    const Table table{{{"a", "A"}}, {{c.text}}};
    EXPECT_EQ(Render(table, Format::kCsv), absl::StrCat("a\r\n", c.field, "\r\n")) << c.why;
  }
}

TEST(Csv, LeavesNumbersAlone) {
  const Table table{{{"a", "A"}}, {{std::int64_t{-5}}}};
  EXPECT_EQ(Render(table, Format::kCsv), "a\r\n-5\r\n");
}

TEST(Table, LetsNoControlCharacterThroughInAnyFormat) {
  Table table{{{"name", "NAME"}, {"list", "LIST"}, {"map", "MAP"}}, {}};
  table.rows = {{std::string(kHostile), std::vector<std::string>{kHostile},
                 std::map<std::string, std::string>{{kHostile, kHostile}}}};
  for (const Format format : {Format::kTable, Format::kJson, Format::kCsv}) {
    const std::string out = Render(table, format);
    for (const char* bad : {"\x1b", "\x7f", "\xc2\x9b", "\xe2\x80\xae", "\t"}) {
      EXPECT_THAT(out, Not(HasSubstr(bad)));
    }
  }
  const std::vector<std::string> lines =
      absl::StrSplit(Render(table, Format::kTable), '\n', absl::SkipEmpty());
  EXPECT_EQ(lines.size(), 2U) << "a line break in a name would make a row";
}

TEST(Table, GivesBackWhatWasPutIntoJson) {
  const Table table{{{"name", "NAME"}}, {{std::string(kHostile)}}};
  EXPECT_EQ(nlohmann::json::parse(Render(table, Format::kJson))[0]["name"], kHostile);
}

TEST(Table, SurvivesBytesThatAreNotUtf8) {
  const Table table{{{"a", "A"}}, {{std::string("\xff\xfe\xed\xa0\x80")}}};
  EXPECT_THAT(Render(table, Format::kJson), HasSubstr("\\ufffd"));
  EXPECT_THAT(Render(table, Format::kTable), Not(HasSubstr("\xff")));
}

TEST(Table, HasTheSameRowsInEveryFormat) {
  Table table{{{"i", "I"}}, {}};
  for (std::uint64_t i = 0; i < 37; ++i) table.rows.push_back({absl::StrCat("line\n", i)});
  const auto count = [](const std::string& text, const char* line_end) {
    return std::vector<std::string>(absl::StrSplit(text, line_end, absl::SkipEmpty())).size();
  };
  EXPECT_EQ(count(Render(table, Format::kTable), "\n"), 38U);
  EXPECT_EQ(count(Render(table, Format::kCsv), "\r\n"), 38U);
  EXPECT_EQ(nlohmann::json::parse(Render(table, Format::kJson)).size(), 37U);
}

TEST(Table, RendersOneRowAsOneLine) {
  EXPECT_EQ(RenderRow(Hosts(), 0, Format::kJson),
            "{\"name\":\"web-01\",\"state\":\"drifted\",\"build\":20348}\n");
  EXPECT_EQ(RenderRow(Hosts(), 0, Format::kTable), "web-01  drifted  20348\n");
  EXPECT_EQ(RenderRow(Hosts(), 1, Format::kCsv), "m\xc3\xbcnchen,compliant,\r\n");
}

TEST(Sheet, ShowsFieldsThenSections) {
  Sheet sheet;
  sheet.fields = {{{"name", "Name"}, std::string("web-01")}, {{"connected", "Connected"}, true}};
  sheet.sections = {{{"empty", "Empty"}, Table{{{"a", "A"}}, {}}}, {{"hosts", "Hosts"}, Hosts()}};
  EXPECT_EQ(Render(sheet, Format::kTable),
            "Name:       web-01\n"
            "Connected:  yes\n"
            "\n"
            "Hosts\n"
            "NAME     STATE      BUILD\n"
            "web-01   drifted    20348\n"
            "m\xc3\xbcnchen  compliant  <none>\n");
  const auto json = nlohmann::json::parse(Render(sheet, Format::kJson));
  EXPECT_EQ(json["connected"], true);
  EXPECT_EQ(json["hosts"].size(), 2U);
  EXPECT_EQ(json["empty"].size(), 0U);
  EXPECT_EQ(Render(sheet, Format::kCsv), "a\r\n") << "the first section";
}

}  // namespace
}  // namespace dumpwarden
