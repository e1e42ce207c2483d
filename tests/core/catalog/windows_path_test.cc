// SPDX-License-Identifier: Apache-2.0
// The table of paths of security.md section 13 (T28, T30).
#include "core/catalog/windows_path.h"

#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr PathRules kExpanded = {true, true, 200};
constexpr PathRules kPlain = {false, true, 150};
constexpr PathRules kUnsplit = {false, false, 200};

struct Good {
  const char* text;
  const char* canonical;
  const char* why;
};

TEST(WindowsPath, TakesLocalPathsAndSpellsThemOneWay) {
  const Good cases[] = {
      {"%SystemRoot%\\MEMORY.DMP", "%SystemRoot%\\MEMORY.DMP", "Windows' own default"},
      {"%systemroot%\\Memory.dmp", "%SystemRoot%\\Memory.dmp", "names ignore case"},
      {"%SystemRoot%\\Minidump", "%SystemRoot%\\Minidump", "a folder"},
      {"D:\\Dumps\\MEMORY.DMP", "D:\\Dumps\\MEMORY.DMP", "a drive"},
      {"d:\\Dumps\\x.dmp", "D:\\Dumps\\x.dmp", "drive letters are shown in upper case"},
      {"C:\\MEMORY.DMP", "C:\\MEMORY.DMP", "directly in the root"},
      {"D:\\My Dumps\\a b.dmp", "D:\\My Dumps\\a b.dmp", "blanks inside a name"},
      {"D:\\a.b.c\\x.y.dmp", "D:\\a.b.c\\x.y.dmp", "dots inside a name"},
      {"D:\\..a\\x.dmp", "D:\\..a\\x.dmp", "two dots that are part of a name"},
      {"D:\\console\\com10.dmp", "D:\\console\\com10.dmp", "only nearly a device"},
      {"D:\\nullable\\x.dmp", "D:\\nullable\\x.dmp", "starts like a device"},
      {"D:\\com\\lpt\\x.dmp", "D:\\com\\lpt\\x.dmp", "no number, no device"},
      {"D:\\com0\\x.dmp", "D:\\com0\\x.dmp", "COM0 is none"},
      {"D:\\\u00dcbung\\x.dmp", "D:\\\u00dcbung\\x.dmp", "UTF-8"},
      {"D:\\a;b,c\\x.dmp", "D:\\a;b,c\\x.dmp", "punctuation that file names may hold"},
  };
  for (const Good& c : cases) {
    const auto path = ReadWindowsPath(c.text, kExpanded);
    ASSERT_THAT(path, IsOk()) << c.text << ": " << c.why;
    EXPECT_EQ(*path, c.canonical) << c.why;
    EXPECT_EQ(*ReadWindowsPath(*path, kExpanded), *path) << "canonical is canonical";
  }
}

struct Bad {
  const char* text;
  const char* message;  // why it is refused
};

TEST(WindowsPath, RefusesWhatWindowsReadsAsSomethingElse) {
  const Bad cases[] = {
      {"", "starts with neither"},
      {"MEMORY.DMP", "starts with neither"},
      {"\\MEMORY.DMP", "starts with neither"},
      {"D:", "starts with neither"},
      {"D:MEMORY.DMP", "starts with neither"},
      {"1:\\x.dmp", "starts with neither"},
      {"DD:\\x.dmp", "starts with neither"},
      {" D:\\x.dmp", "starts with neither"},
      {"\u00c4:\\x.dmp", "starts with neither"},
      {"\\\\server\\share\\MEMORY.DMP", "network or device"},
      {"\\\\?\\D:\\x.dmp", "holds one of"},
      {"\\\\.\\D:\\x.dmp", "network or device"},
      {"\\??\\D:\\x.dmp", "holds one of"},
      {"//server/share/x.dmp", "forward slash"},
      {"D:/Dumps/x.dmp", "forward slash"},
      {"D:\\Dumps/x.dmp", "forward slash"},
      {"%SystemRoot%/x.dmp", "forward slash"},
      {"D:\\..\\x.dmp", ". or .."},
      {"D:\\a\\..\\..\\x.dmp", ". or .."},
      {"%SystemRoot%\\..\\x.dmp", ". or .."},
      {"D:\\.\\x.dmp", ". or .."},
      {"D:\\", "is empty"},
      {"D:\\\\x.dmp", "is empty"},
      {"D:\\Dumps\\", "is empty"},
      {"%SystemRoot%\\", "is empty"},
      {"%SystemRoot%", "starts with neither"},
      {"%SystemRoot%MEMORY.DMP", "starts with neither"},
      {"%TEMP%\\x.dmp", "starts with neither"},
      {"%WinDir%\\x.dmp", "starts with neither"},
      {"D:\\%TEMP%\\x.dmp", "only %SystemRoot%"},
      {"D:\\%X%..\\x.dmp", "dot or a blank"},
      {"%SystemRoot%\\%SystemRoot%\\x.dmp", "only %SystemRoot%"},
      {"D:\\100%\\x.dmp", "only %SystemRoot%"},
      {"D:\\x.dmp:stream", "colon after the drive"},
      {"D:\\a:b\\x.dmp", "colon after the drive"},
      {"D:\\C:\\x.dmp", "colon after the drive"},
      {"D:\\x.dmp.", "dot or a blank"},
      {"D:\\x.dmp ", "dot or a blank"},
      {"D:\\Dumps \\x.dmp", "dot or a blank"},
      {"D:\\...\\x.dmp", "dot or a blank"},
      {"D:\\CON", "is a device"},
      {"D:\\con.dmp", "is a device"},
      {"D:\\Dumps\\NUL.dmp", "is a device"},
      {"D:\\aux\\x.dmp", "is a device"},
      {"D:\\PRN.a.b\\x.dmp", "is a device"},
      {"D:\\COM1.dmp", "is a device"},
      {"D:\\lpt9\\x.dmp", "is a device"},
      {"D:\\com\u00b9.dmp", "is a device"},
      {"D:\\CONOUT$\\x.dmp", "is a device"},
      {"D:\\nul .dmp", "is a device"},
      {"D:\\*.dmp", "holds one of"},
      {"D:\\a?.dmp", "holds one of"},
      {"D:\\a|b.dmp", "holds one of"},
      {"D:\\\"a\".dmp", "holds one of"},
      {"D:\\<a>.dmp", "holds one of"},
      {"D:\\a\tb.dmp", "control or invisible"},
      {"D:\\a\nb.dmp", "control or invisible"},
      {"D:\\a\x7f.dmp", "control or invisible"},
      {"D:\\a\u202e.dmp", "control or invisible"},
      {"D:\\a\u200b.dmp", "control or invisible"},
      {"D:\\a\u0085.dmp", "control or invisible"},
      {"D:\\a\xff.dmp", "not UTF-8"},
      {"D:\\a\xed\xa0\x80.dmp", "not UTF-8"},
  };
  for (const Bad& c : cases) {
    EXPECT_THAT(ReadWindowsPath(c.text, kExpanded),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.text;
  }
}

TEST(WindowsPath, RefusesANulInside) {
  EXPECT_THAT(ReadWindowsPath(absl::string_view("D:\\a\0.dmp", 9), kExpanded),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("control")));
}

TEST(WindowsPath, CountsLengthAsWindowsDoes) {
  EXPECT_THAT(ReadWindowsPath(absl::StrCat("D:\\", std::string(147, 'a')), kPlain), IsOk());
  EXPECT_THAT(ReadWindowsPath(absl::StrCat("D:\\", std::string(148, 'a')), kPlain),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("longer than 150")));
  std::string wide = "D:\\";
  for (int i = 0; i < 147; ++i) wide += "\u00e4";
  EXPECT_THAT(ReadWindowsPath(wide, kPlain), IsOk()) << "294 bytes, 147 characters";
}

TEST(WindowsPath, KnowsWhatWindowsDoesNotExpandOrSplits) {
  EXPECT_THAT(ReadWindowsPath("%SystemRoot%\\x.sys", kPlain),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("with a drive")));
  EXPECT_THAT(ReadWindowsPath("D:\\a%b\\x.sys", kPlain),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("does not expand")));
  EXPECT_THAT(ReadWindowsPath("D:\\a b.sys", kUnsplit),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("split")));
  EXPECT_THAT(ReadWindowsPath("D:\\a;b.sys", kUnsplit),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("split")));
}

TEST(WindowsPath, FindsFoldersAndRoots) {
  EXPECT_EQ(ParentFolder("D:\\Dumps\\x.dmp"), "D:\\Dumps");
  EXPECT_EQ(ParentFolder("D:\\x.dmp"), "D:\\");
  EXPECT_EQ(ParentFolder("%SystemRoot%\\x.dmp"), "%SystemRoot%");
  EXPECT_TRUE(IsVolumeRoot("D:\\"));
  EXPECT_FALSE(IsVolumeRoot("D:\\Dumps"));
  EXPECT_TRUE(IsBelowSystemRoot("%systemroot%\\x"));
  EXPECT_FALSE(IsBelowSystemRoot("C:\\Windows\\x"));
}

}  // namespace
}  // namespace dumpwarden
