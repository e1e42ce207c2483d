// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/reg_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/text.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kHeader[] = "Windows Registry Editor Version 5.00\r\n\r\n";
constexpr char kKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
constexpr char kSection[] =
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\r\n";

std::string Utf16(const std::string& utf8) { return "\xff\xfe" + Utf8ToUtf16Le(utf8).value(); }

RegFile Parsed(const std::string& text) {
  absl::StatusOr<RegFile> file = RegFile::Parse(text, "host.reg");
  EXPECT_THAT(file, IsOk());
  return std::move(file).value();
}

RegFile WithValue(const std::string& line) { return Parsed(absl::StrCat(kHeader, kSection, line)); }

TEST(RegFile, ReadsEveryKindOfData) {
  const struct {
    std::string line;
    RegistryValue value;
    const char* why;
  } cases[] = {
      {"\"V\"=dword:00000007", DwordValue(7), "as exported"},
      {"\"V\"=dword:a", DwordValue(10), "by hand: fewer digits"},
      {"\"V\"=\"C:\\\\a \\\"b\\\"\"", SzValue("C:\\a \"b\""), "escapes"},
      {"\"V\"=\"\"", SzValue(""), "an empty text still has its terminator"},
      {"\"V\"=\"a\r\nb\"", SzValue("a\r\nb"), "regedit exports line ends inside the quotes"},
      {"\"V\"=hex(2):25,00,53,00,00,00", ExpandSzValue("%S"), "REG_EXPAND_SZ"},
      {"\"V\"=hex(2):25,00,\\\r\n  53,00,\\\r\n  00,00", ExpandSzValue("%S"), "continuation"},
      {"\"V\"=hex(7):61,00,00,00,00,00", MultiSzValue({"a"}), "REG_MULTI_SZ"},
      {"\"V\"=hex:01,2,FF", {RegType::kBinary, std::string("\x01\x02\xff")}, "REG_BINARY"},
      {"\"V\"=hex:", {RegType::kBinary, ""}, "no bytes"},
      {"\"V\"=hex(0):", {RegType::kNone, ""}, "REG_NONE"},
      {"\"V\"=hex(b):01,00,00,00,00,00,00,00",
       {RegType::kQword, std::string("\1\0\0\0\0\0\0\0", 8)},
       "REG_QWORD"},
      {"\"V\"=hex(63):aa", {static_cast<RegType>(0x63), "\xaa"}, "a type that nobody knows"},
      {"\"V\"=hex(1):61,00", {RegType::kSz, std::string("a\0", 2)}, "a text without terminator"},
      {"  \"V\" = dword:00000001 ; why", DwordValue(1), "blanks and a comment"},
      {"\"v\"=dword:00000002", DwordValue(2), "names ignore case"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_EQ(WithValue(c.line).Read(kKey, "V"), c.value);
  }
}

TEST(RegFile, ReadsAKeyWithBracketsInItsName) {
  const RegFile file = Parsed(absl::StrCat(kHeader, "[HKEY_LOCAL_MACHINE\\A[1];x]b] \t\r\n"));
  EXPECT_THAT(file.Keys(), ElementsAre("HKLM\\A[1];x]b"));
}

TEST(RegFile, ReadsTheDefaultValue) {
  EXPECT_EQ(WithValue("@=\"x\"\r\n").Read(kKey, ""), SzValue("x"));
}

TEST(RegFile, LastWordWinsAsInAnImport) {
  const RegFile file = Parsed(absl::StrCat(
      kHeader, kSection, "\"A\"=dword:1\r\n\"A\"=dword:2\r\n\"B\"=dword:1\r\n", kSection,
      "\"b\"=-\r\n\"C\"=dword:3\r\n", "[-HKEY_LOCAL_MACHINE\\SYSTEM\\Gone]\r\n"));
  EXPECT_EQ(file.Read(kKey, "A"), DwordValue(2));
  EXPECT_EQ(file.Read(kKey, "B"), std::nullopt);
  EXPECT_EQ(file.Read(kKey, "C"), DwordValue(3));
  EXPECT_THAT(file.DeletedKeys(), ElementsAre("HKLM\\SYSTEM\\Gone"));
}

TEST(RegFile, DeletedKeyTakesWhatIsBelowAndNothingBeside) {
  const RegFile file = Parsed(absl::StrCat(kHeader,
                                           "[HKEY_LOCAL_MACHINE\\A]\r\n\"V\"=dword:1\r\n"
                                           "[HKEY_LOCAL_MACHINE\\A\\B]\r\n\"V\"=dword:1\r\n"
                                           "[HKEY_LOCAL_MACHINE\\A2]\r\n\"V\"=dword:1\r\n"
                                           "[-HKEY_LOCAL_MACHINE\\a]\r\n"));
  EXPECT_THAT(file.Keys(), ElementsAre("HKLM\\A2"));
  EXPECT_FALSE(file.HasKey("HKLM\\A\\B"));
}

TEST(RegFile, KeepsEveryByteThatItDoesNotEdit) {
  const std::string text =
      absl::StrCat(kHeader, "; a comment\r\n", kSection, "  \"AutoReboot\"=dword:1\n",
                   "\"Odd\" = hex(2):25,00,\\\r\n   00,00 ; why\r\n\r\n\r\n",
                   "[HKEY_CURRENT_USER\\Software]\r\n\"x\"=\"\xc3\xa4\"");
  for (const std::string& bytes : {text, "\xef\xbb\xbf" + text, Utf16(text)}) {
    EXPECT_EQ(Parsed(bytes).Serialize(), bytes);
  }
}

TEST(RegFile, EditsOneLineInPlace) {
  const std::string before = absl::StrCat(kHeader, kSection, "; keep\r\n\"autoreboot\"=dword:1\r\n",
                                          "\"Other\"=dword:2\r\n");
  RegFile file = Parsed(Utf16(before));
  file.Write(kKey, "AutoReboot", DwordValue(0));
  EXPECT_EQ(file.Serialize(),
            Utf16(absl::StrReplaceAll(before, {{"dword:1\r\n", "dword:00000000\r\n"}})));
}

TEST(RegFile, EqualValueIsNoEdit) {
  const std::string bytes = absl::StrCat(kHeader, kSection, "\"A\"  =dword:1");
  RegFile file = Parsed(bytes);
  file.Write(kKey, "a", DwordValue(1));
  file.Delete(kKey, "Absent");
  EXPECT_EQ(file.Serialize(), bytes);
}

TEST(RegFile, EditsEveryOccurrenceOfACell) {
  RegFile file =
      Parsed(absl::StrCat(kHeader, kSection, "\"A\"=dword:1\r\n", kSection, "\"a\"=dword:2\r\n"));
  file.Write(kKey, "A", DwordValue(5));
  EXPECT_EQ(file.Serialize(), absl::StrCat(kHeader, kSection, "\"A\"=dword:00000005\r\n", kSection,
                                           "\"a\"=dword:00000005\r\n"));
  file.Delete(kKey, "A");
  EXPECT_EQ(file.Read(kKey, "A"), std::nullopt);
  EXPECT_EQ(file.Serialize(), absl::StrCat(kHeader, kSection, kSection));
}

TEST(RegFile, WritesBelowAKeyThatALaterLineDeletes) {
  RegFile file = Parsed(absl::StrCat(kHeader, kSection, "\"A\"=dword:1\r\n",
                                     "[-HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet]\r\n"));
  EXPECT_EQ(file.Read(kKey, "A"), std::nullopt);
  file.Write(kKey, "A", DwordValue(2));
  EXPECT_EQ(Parsed(file.Serialize()).Read(kKey, "A"), DwordValue(2));
}

TEST(RegFile, AddsAndRemovesASectionWithoutATrace) {
  const std::string bytes = absl::StrCat(kHeader, kSection, "\"A\"=dword:1\r\n");
  RegFile file = Parsed(bytes);
  file.Write("HKLM\\SYSTEM\\New\\Key", "V", MultiSzValue({"a", "b"}));
  EXPECT_TRUE(file.HasKey("HKLM\\SYSTEM\\New"));
  EXPECT_THAT(file.Serialize(), StartsWith(bytes));
  EXPECT_THAT(file.Serialize(),
              HasSubstr("\r\n\r\n[HKEY_LOCAL_MACHINE\\SYSTEM\\New\\Key]\r\n\"V\"="));
  file.DeleteKeyIfEmpty("HKLM\\SYSTEM\\New\\Key");
  EXPECT_TRUE(file.HasKey("HKLM\\SYSTEM\\New\\Key")) << "not empty";
  file.Delete("HKLM\\SYSTEM\\New\\Key", "V");
  file.DeleteKeyIfEmpty("HKLM\\SYSTEM\\New\\Key");
  EXPECT_EQ(file.Serialize(), bytes);
}

// An apply and its restore are two programs: what there is to know is in the file.
TEST(RegFile, ASectionThatComesAndGoesLeavesTheEndOfTheFileAsItWas) {
  const std::string keys[] = {"HKLM\\SYSTEM\\New\\Key", "HKLM\\SYSTEM\\Other"};
  const std::string values = absl::StrCat(kHeader, kSection, "\"A\"=dword:1");
  const struct {
    std::string bytes;
    const char* why;
  } cases[] = {
      {absl::StrCat(values, "\r\n"), "a line end"},
      {absl::StrCat(values, "\r\n\r\n"), "an empty line, as regedit exports"},
      {absl::StrCat(values, "\r\n\r\n\r\n"), "two empty lines"},
      {absl::StrCat(values, "\r\n \t\r\n"), "blanks"},
      {absl::StrCat(values, "\r\n \t"), "blanks without a line end"},
      {values, "no line end"},
      {absl::StrCat(values, "\r\n; why"), "a comment without a line end"},
      {absl::StrCat(values, "\n\n"), "other line ends"},
      {kHeader, "a header and an empty line"},
      {"Windows Registry Editor Version 5.00\r\n", "a header"},
      {"Windows Registry Editor Version 5.00\n", "a header and another line end"},
      {"Windows Registry Editor Version 5.00", "nothing but the header's words"},
  };
  for (const auto& c : cases) {
    for (const bool first_goes_first : {true, false}) {
      SCOPED_TRACE(absl::StrCat(c.why, first_goes_first));
      RegFile file = Parsed(Utf16(c.bytes));
      for (const std::string& key : keys) {
        file = Parsed(file.Serialize());
        file.Write(key, "V", MultiSzValue({"a", "b"}));
        file.Write(key, "W", DwordValue(1));
      }
      for (const int i : {0, 1}) {
        const std::string& key = keys[first_goes_first ? i : 1 - i];
        file = Parsed(file.Serialize());
        EXPECT_EQ(file.Read(key, "W"), DwordValue(1));
        file.Delete(key, "V");
        file.Delete(key, "W");
        file.DeleteKeyIfEmpty(key);
      }
      EXPECT_EQ(file.Serialize(), Utf16(c.bytes));
    }
  }
}

TEST(RegFile, AValueThatComesAndGoesLeavesALastLineWithoutEnd) {
  RegFile file = WithValue("\"A\"=dword:1");
  const std::string before = file.Serialize();
  file.Write(kKey, "B", DwordValue(2));
  EXPECT_EQ(file.Serialize(),
            absl::StrCat(kHeader, kSection, "\"A\"=dword:1\r\n\"B\"=dword:00000002"));
  file.Delete(kKey, "B");
  EXPECT_EQ(file.Serialize(), before);
}

TEST(RegFile, EveryValueSurvivesWritingAndReading) {
  const RegistryValue values[] = {
      DwordValue(0xffffffff),
      {RegType::kDword, "\1"},  // too short for dword:
      SzValue("D:\\Dumps \"x\""),
      SzValue("two\r\nlines"),
      {RegType::kSz, ""},
      {RegType::kSz, "odd"},
      {RegType::kSz, std::string("a\0\0\0b\0\0\0", 8)},    // text after the terminator
      {RegType::kSz, std::string("\x00\xd8\x00\x00", 4)},  // a lone surrogate
      ExpandSzValue("%SystemRoot%\\MEMORY.DMP"),
      MultiSzValue({}),
      MultiSzValue({"C:\\pagefile.sys 1 2", "D:\\pagefile.sys"}),
      {RegType::kNone, "x"},
      {static_cast<RegType>(0x63), std::string(300, '\x7f')},
      {static_cast<RegType>(0xffffffff), ""},
  };
  for (const RegistryValue& value : values) {
    SCOPED_TRACE(ToText(value));
    RegFile file = RegFile::New();
    file.Write(kKey, "V \"q\" \\", value);
    EXPECT_EQ(Parsed(file.Serialize()).Read(kKey, "V \"q\" \\"), value);
  }
}

TEST(RegFile, WrapsHexAsRegeditDoes) {
  RegFile file = RegFile::New();
  file.Write(kKey, "DumpFile", ExpandSzValue("%SystemRoot%\\MEMORY.DMP"));
  const std::string text = Utf16LeToUtf8(file.Serialize().substr(2)).value();
  EXPECT_THAT(text, HasSubstr("\"DumpFile\"=hex(2):25,00,53,00,79,00,73,00,74,00,65,00,6d,00,52,00,"
                              "6f,00,6f,00,\\\r\n  74,00,25,"));
}

TEST(RegFile, NewOneIsWhatRegeditImports) {
  RegFile file = RegFile::New();
  file.AddComment("made by a test");
  file.Write(kKey, "A", DwordValue(1));
  file.WriteDeletion(kKey, "B");
  EXPECT_EQ(file.Serialize(), Utf16(absl::StrCat(kHeader, "; made by a test\r\n\r\n", kSection,
                                                 "\"A\"=dword:00000001\r\n\"B\"=-\r\n")));
  const std::vector<RegLine> lines = Parsed(file.Serialize()).Lines();
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_EQ(lines[1].value, std::nullopt);
  EXPECT_EQ(lines[1].mark.line, 7);
}

TEST(RegFile, Regedit4BecomesVersion5WhenEdited) {
  const std::string bytes =
      "REGEDIT4\n[HKEY_LOCAL_MACHINE\\A]\n\"E\"=hex(2):25,53,00\n\"D\"=dword:00000001\n";
  RegFile file = Parsed(bytes);
  EXPECT_EQ(file.Read("HKLM\\A", "E"), ExpandSzValue("%S"));
  EXPECT_EQ(file.Serialize(), bytes);
  file.Write("HKLM\\A", "D", DwordValue(2));
  EXPECT_EQ(file.Serialize(),
            "Windows Registry Editor Version 5.00\n[HKEY_LOCAL_MACHINE\\A]\n"
            "\"E\"=hex(2):25,00,53,00,00,00\n\"D\"=dword:00000002\n");
}

TEST(RegFile, SaysWhereAndWhatIsWrong) {
  std::string deep = "[HKEY_LOCAL_MACHINE";
  for (int i = 0; i < 600; ++i) deep += "\\k";
  std::string big = "\"V\"=hex:00";
  for (std::size_t i = 0; i < kMaxRegValueBytes; ++i) big += ",00";
  const std::string section = absl::StrCat(kHeader, kSection);
  const struct {
    std::string bytes;
    const char* message;
    const char* why;
  } cases[] = {
      {"", "host.reg:1:1: ", "empty file"},
      {"\xff\xfe", "host.reg:1:1: ", "nothing behind the mark"},
      {"Windows Registry Editor Version 6.00\n", "Version 5.00", "a version of the future"},
      {std::string("\xff\xfe\x00", 3), "host.reg:1:1: ", "half a character"},
      {std::string("\xff\xfe\x00\xd8", 4), "host.reg:1:1: ", "lone surrogate"},
      {absl::StrCat(kHeader, "\xff"), "host.reg:1:1: ", "not UTF-8"},
      {absl::StrCat(kHeader, "\"V\"=dword:1"), "host.reg:3:1: ", "no key yet"},
      {absl::StrCat(kHeader, "[-HKEY_LOCAL_MACHINE\\A]\n\"V\"=dword:1"),
       "host.reg:4:1: ", "a value below a deleted key"},
      {absl::StrCat(kHeader, "[HKLM\\A]"), "HKEY_LOCAL_MACHINE", "short root"},
      {absl::StrCat(kHeader, "[HKEY_LOCAL_MACHINE\\A"), "\"]\"", "open bracket"},
      {absl::StrCat(kHeader, "[HKEY_LOCAL_MACHINE\\A] ; see [1]"),
       "host.reg:3:1: ", "a comment that would be part of the key"},
      {absl::StrCat(kHeader, " [HKEY_LOCAL_MACHINE\\A]\t; why"),
       "host.reg:3:2: ", "text behind the bracket"},
      {absl::StrCat(kHeader, "[HKEY_LOCAL_MACHINE\\A] x"), "nothing behind", "text behind"},
      {absl::StrCat(kHeader, "[HKEY_LOCAL_MACHINE\\\\A]"), "empty component", "two backslashes"},
      {absl::StrCat(kHeader, deep, "]"), "deeper than 512", "nesting"},
      {absl::StrCat(section, "nonsense"), "host.reg:4:1: ", "no line at all"},
      {absl::StrCat(section, "\"V\"=dword:0x2"), "host.reg:4:12: ", "hex prefix"},
      {absl::StrCat(section, "\"V\"=dword:123456789"), "8 hex digits", "nine digits"},
      {absl::StrCat(section, "\"V\"=dword:"), "8 hex digits", "no digit"},
      {absl::StrCat(section, "\"V\"=7"), "accepted: \"text\"", "bare number"},
      {absl::StrCat(section, "\"V\"=\"a\\n\""), "escape", "unknown escape"},
      {absl::StrCat(section, "\"V\"=\"a"), "closing quote", "open quote"},
      {absl::StrCat(section, "\"V=dword:1"), "closing quote", "open name"},
      {absl::StrCat(section, "\"V\" dword:1"), "\"=\"", "no equals sign"},
      {absl::StrCat(section, "\"\"=dword:1"), "@", "empty name"},
      {absl::StrCat(section, "\"V\"=hex(g):00"), "hex(n)", "type is no number"},
      {absl::StrCat(section, "\"V\"=hex:0g"), "host.reg:4:10: ", "no byte"},
      {absl::StrCat(section, "\"V\"=hex:00,"), "byte", "comma at the end"},
      {absl::StrCat(section, "\"V\"=hex:00,\\ x\n"), "continuation", "text behind the backslash"},
      {absl::StrCat(section, big), "larger than", "value over 1 MiB"},
      {"REGEDIT4\n; \xc3\xa4\n", "code page", "beyond ASCII"},
      {"REGEDIT4\n[HKEY_LOCAL_MACHINE\\A]\n\"V\"=hex(7):e4,00,00", "code page", "the same in hex"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.why);
    EXPECT_THAT(RegFile::Parse(c.bytes, "host.reg"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)));
  }
}

TEST(RegFile, RefusesAFileOverTheCap) {
  EXPECT_THAT(RegFile::Parse(std::string(kMaxRegFileBytes + 1, ' '), "host.reg"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("larger than")));
}

// Cut anywhere, a good file is read or refused, and nothing else happens.
TEST(RegFile, SurvivesCutAndFlippedFiles) {
  const std::string good =
      absl::StrCat(kHeader, kSection, "\"A\"=\"b\\\\c\"\r\n@=hex(7):00,\\\r\n  00",
                   "\r\n\"D\"=dword:00000001\r\n[-HKEY_LOCAL_MACHINE\\A]\r\n");
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string flipped = good;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x15);
    for (const std::string& bytes : {good.substr(0, i), flipped}) {
      const absl::StatusOr<RegFile> file = RegFile::Parse(bytes, "host.reg");
      if (file.ok()) {
        EXPECT_EQ(file->Serialize(), bytes);
      }
    }
  }
}

}  // namespace
}  // namespace dumpwarden
