// SPDX-License-Identifier: Apache-2.0
#include "core/base/text.h"

#include <random>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

TEST(Text, FoldsAsciiOnly) {
  EXPECT_TRUE(EqualsIgnoreCase("CrashDumpEnabled", "crashdumpenabled"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
  EXPECT_EQ(LowerAscii("ÄB"), "Äb");
}

TEST(Text, SuggestsOnlyWhatIsNear) {
  const std::vector<std::string> ids = {"dump.file", "dump.type", "nmi.crash", "on"};
  const struct {
    const char* word;
    const char* nearest;
    const char* why;
  } kCases[] = {
      {"dump.typ", "dump.type", "a letter missing"},
      {"dumptype", "dump.type", "the dot missing"},
      {"Dump.Type", "dump.type", "another case"},
      {"nmi.carsh", "nmi.crash", "two letters swapped"},
      {"no", "on", "two letters swapped"},
      {"registry", "", "nothing near"},
      {"x", "", "too short to tell"},
  };
  for (const auto& c : kCases) EXPECT_EQ(NearestWord(c.word, ids), c.nearest) << c.why;
  EXPECT_EQ(NearestWord(std::string(100000, 'd'), ids), "") << "not worked out for long words";
}

TEST(Text, MakesForeignTextSafeToPrint) {
  const struct {
    std::string text;
    const char* shown;
    const char* why;
  } kCases[] = {
      {"D:\\Dumps", "D:\\Dumps", "Windows paths stay readable"},
      {"Grüße 漢 😀", "Grüße 漢 😀", "letters of people"},
      {"\x1b[31mred", "\\x1b[31mred", "ESC colours the terminal"},
      {std::string("a\0b", 3), "a\\x00b", "NUL cuts C strings"},
      {"a\r\nb\tc", "a\\x0d\\nb\\tc", "line ends forge log lines"},
      {"\x7f", "\\x7f", "DEL"},
      {"\xC2\x9B"
       "31m",
       "\\x9b31m", "C1 CSI is an ESC [ too"},
      {"\xE2\x80\xAE"
       "exe",
       "\\u202eexe", "right-to-left override"},
      {"\xE2\x81\xA6", "\\u2066", "isolate"},
      {"\xFF\xC3", "\\xff\\xc3", "not UTF-8, cut short"},
      {"\xC0\xAF", "\\xc0\\xaf", "overlong"},
      {"\xED\xA0\x80", "\\xed\\xa0\\x80", "surrogate"},
      {"\xF4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", "above U+10FFFF"},
  };
  for (const auto& c : kCases) EXPECT_EQ(Printable(c.text), c.shown) << c.why;
}

TEST(Text, QuotesAndCuts) {
  EXPECT_EQ(Quote("a \"b\""), "\"a \\\"b\\\"\"");
  EXPECT_EQ(Quote(std::string(120, 'x')), "\"" + std::string(120, 'x') + "\"");
  EXPECT_EQ(Quote(std::string(121, 'x')), "\"" + std::string(120, 'x') + "...\"");
}

TEST(Text, ConvertsToUtf16AndBack) {
  const std::string text = "Aü漢😀";
  ASSERT_OK_AND_ASSIGN(const std::string wide, Utf8ToUtf16Le(text));
  EXPECT_EQ(wide, std::string("A\0\xFC\0\x22\x6F\x3D\xD8\x00\xDE", 10));
  ASSERT_OK_AND_ASSIGN(const std::string again, Utf16LeToUtf8(wide));
  EXPECT_EQ(again, text);
}

TEST(Text, RefusesBrokenUtf16AndUtf8) {
  const auto kInvalid = absl::StatusCode::kInvalidArgument;
  EXPECT_THAT(Utf8ToUtf16Le("a\xFF"), StatusIs(kInvalid, HasSubstr("UTF-8")));
  EXPECT_THAT(Utf16LeToUtf8("abc"), StatusIs(kInvalid, HasSubstr("odd")));
  const std::string high("\x3D\xD8", 2), low("\x00\xDE", 2);
  EXPECT_THAT(Utf16LeToUtf8(high), StatusIs(kInvalid, HasSubstr("lone surrogate")));
  EXPECT_THAT(Utf16LeToUtf8(low), StatusIs(kInvalid, HasSubstr("lone surrogate")));
  EXPECT_THAT(Utf16LeToUtf8(high + high), StatusIs(kInvalid, HasSubstr("lone surrogate")));
}

TEST(Text, SurvivesRandomBytes) {
  std::mt19937 random(11);
  for (int i = 0; i < 5000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const std::string shown = Printable(bytes);
    ASSERT_THAT(Utf8ToUtf16Le(shown), IsOk());
    for (absl::string_view rest = shown; !rest.empty();)
      ASSERT_FALSE(IsControl(*TakeCodePoint(rest)));
  }
}

}  // namespace
}  // namespace dumpwarden
