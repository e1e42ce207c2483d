// SPDX-License-Identifier: Apache-2.0
// pagefile.files: what a policy may say, and how Windows' own lines read
// (windows-crash-dumps.md section 3.2).
#include "core/catalog/list_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "core/base/sizes.h"
#include "core/catalog/catalog.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

const Setting& Row() { return *FindSetting("pagefile.files"); }

// The value as a policy file holds it: `files: TEXT`.
std::optional<std::string> Read(const std::string& text, Problems& problems) {
  const auto documents = yaml::Parse(absl::StrCat("files: ", text), {}, problems);
  if (!documents) return std::nullopt;
  return ReadValue(Row(), *documents->front().Find("files"), "files", problems);
}

struct Spelling {
  const char* yaml;
  const char* canonical;
};

TEST(PageFiles, HaveOneSpelling) {
  const Spelling cases[] = {
      {"automatic", "automatic"},
      {"none", "none"},
      {"unset", "unset"},
      {"[{path: 'C:\\pagefile.sys'}]", "C:\\pagefile.sys system"},
      {"[{path: 'c:\\pagefile.sys', initial: 4096MiB, maximum: 8GiB}]",
       "C:\\pagefile.sys 4GiB 8GiB"},
      {"[{path: 'C:\\pagefile.sys', initial: ram + 257MiB, maximum: ram + 257MiB}]",
       "C:\\pagefile.sys ram + 257MiB ram + 257MiB"},
      {"[{path: 'C:\\p.sys', initial: ram * 0.5 + 1GiB, maximum: ram * 3},"
       " {path: 'D:\\p.sys'}]",
       "C:\\p.sys ram * 0.5 + 1GiB ram * 3; D:\\p.sys system"},
      {"[{path: 'C:\\p.sys', initial: ram - 1GiB, maximum: ram}]", "C:\\p.sys ram - 1GiB ram"},
  };
  for (const Spelling& c : cases) {
    Problems problems("p.yaml");
    EXPECT_EQ(Read(c.yaml, problems), c.canonical) << problems.ToStatus();
    EXPECT_THAT(problems.messages(), IsEmpty()) << c.yaml;
    const auto resolved = Resolve(Row(), c.canonical, 16 * kGiB);
    EXPECT_THAT(resolved, IsOk()) << "parses back: " << c.canonical;
  }
}

struct Refusal {
  const char* yaml;
  const char* message;
};

TEST(PageFiles, RefuseWhatWindowsOrPeopleWouldReadOtherwise) {
  const Refusal cases[] = {
      {"on", "found \"on\""},
      {"{path: 'C:\\p.sys'}", "found a map"},
      {"[]", "found a list of 0"},
      {"['C:\\p.sys']", "files[0]: found"},
      {"[{}]", "path"},
      {"[{path: 'C:\\p.sys', initial: 1GiB}]", "maximum is missing"},
      {"[{path: 'C:\\p.sys', maximum: 1GiB}]", "initial is missing"},
      {"[{path: 'C:\\p.sys', initial: 2GiB, maximum: 1GiB}]", "maximum 1GiB is below initial 2GiB"},
      {"[{path: 'C:\\p.sys', initial: ram * 2, maximum: ram}]", "is below initial"},
      {"[{path: 'C:\\p.sys', initial: 4096, maximum: 8192}]", "no unit"},
      {"[{path: 'C:\\p.sys', initial: 0MiB, maximum: 1GiB}]", "system-managed"},
      {"[{path: 'C:\\p.sys', initial: 0x10MiB, maximum: 1GiB}]", "0x10MiB"},
      {"[{path: 'C:\\p.sys', size: 1GiB}]", "size"},
      {"[{path: 'C:\\page file.sys'}]", "blank"},
      {"[{path: '%SystemRoot%\\p.sys'}]", "does not start with a drive"},
      {"[{path: '?:\\pagefile.sys'}]", "holds one of"},
      {"[{path: '\\\\server\\share\\p.sys'}]", "network"},
      {"[{path: 'C:\\p.sys'}, {path: 'c:\\P.SYS'}]", "named twice"},
      {"[{path: [a]}]", "files[0].path"},
      {"[{path: 'C:\\p.sys', initial: [1], maximum: 1GiB}]", "files[0].initial: found a list"},
      {"'C:\\p.sys 16 16'", "no unit"},
  };
  for (const Refusal& c : cases) {
    Problems problems("p.yaml");
    EXPECT_EQ(Read(c.yaml, problems), std::nullopt) << c.yaml;
    EXPECT_THAT(problems.messages(), Contains(HasSubstr(c.message))) << c.yaml;
    EXPECT_THAT(problems.messages(), Contains(HasSubstr("p.yaml:1:"))) << c.yaml;
  }
}

TEST(PageFiles, AreAtMostSixteen) {
  const auto list = [](int count) {
    std::string yaml = "[";
    for (int i = 0; i < count; ++i) absl::StrAppend(&yaml, "{path: 'C:\\p", i, ".sys'},");
    return yaml + "]";
  };
  Problems sixteen("p.yaml");
  EXPECT_NE(Read(list(16), sixteen), std::nullopt) << sixteen.ToStatus();
  Problems seventeen("p.yaml");
  EXPECT_EQ(Read(list(17), seventeen), std::nullopt);
  EXPECT_THAT(seventeen.messages(), Contains(HasSubstr("a list of 17")));
}

TEST(PageFiles, AreWorkedOutWithMemoryAndRoundedUp) {
  const auto resolved = Resolve(Row(), "C:\\p.sys ram + 257MiB ram * 1.5", 16 * kGiB + 1);
  EXPECT_EQ(resolved.value_or(""), "C:\\p.sys 16642MiB 24577MiB");
  EXPECT_THAT(Resolve(Row(), "C:\\p.sys ram ram", std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("memory")));
  EXPECT_THAT(Resolve(Row(), "C:\\p.sys 16GiB ram", 8 * kGiB),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("is below initial")));
  EXPECT_THAT(Resolve(Row(), "C:\\p.sys ram - 8GiB ram", 8 * kGiB),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("system-managed")));
  EXPECT_THAT(Resolve(Row(), "C:\\p.sys ram * 16 ram * 16", 2 * 1024 * kGiB),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("16TiB")));
}

struct Lines {
  std::vector<std::string> lines;
  const char* reads;
  const char* why;
};

TEST(PageFiles, AreReadAsWindowsReadsThem) {
  const Lines cases[] = {
      {{"?:\\pagefile.sys"}, "automatic", "[HIVE] both real hives"},
      {{"?:\\pagefile.sys 0 0"}, "automatic", "no sizes and zero sizes are one"},
      {{"?:\\pagefile.sys", "?:\\PAGEFILE.SYS"}, "automatic", "[ROS-smss] a second ? is skipped"},
      {{}, "none", "[SA-frz] empty"},
      {{"C:\\pagefile.sys 0 0"}, "C:\\pagefile.sys system", "[SA-frz]"},
      {{"C:\\pagefile.sys"}, "C:\\pagefile.sys system", "[ROS-smss] no sizes"},
      {{"C:\\pagefile.sys 0"}, "C:\\pagefile.sys system", "[ROS-smss] \"0\""},
      {{"C:\\pagefile.sys   "}, "C:\\pagefile.sys system", "[ROS-smss] \"  \""},
      {{"C:\\pagefile.sys 4096 8192"}, "C:\\pagefile.sys 4GiB 8GiB", "[SA-frz]"},
      {{"c:\\pagefile.sys 512 512"}, "C:\\pagefile.sys 512MiB 512MiB", "[ROS-smss] upper-cased"},
      {{"\\??\\D:\\pagefile.sys 512 512"}, "D:\\pagefile.sys 512MiB 512MiB", "[ROS-smss] prefix"},
      {{"C:\\p.sys 1 2", "D:\\p.sys 0 0"}, "C:\\p.sys 1MiB 2MiB; D:\\p.sys system", "two"},
      {{"C:\\p.sys 4096"}, "custom ([\"C:\\p.sys 4096\"])", "one size: maximum is Windows' choice"},
      {{"C:\\p.sys 4096 0"}, "custom ([\"C:\\p.sys 4096 0\"])", "maximum 0 is Windows' choice"},
      {{"C:\\p.sys 0 4096"}, "custom ([\"C:\\p.sys 0 4096\"])", "no initial size"},
      {{"C:\\p.sys 8192 4096"}, "custom ([\"C:\\p.sys 8192 4096\"])", "maximum below initial"},
      {{"C:\\p.sys abc def"}, "custom ([\"C:\\p.sys abc def\"])", "[ROS-smss] invalid"},
      {{"C:\\p.sys 0x10 0x10"}, "custom ([\"C:\\p.sys 0x10 0x10\"])", "decimal only"},
      {{"C:\\p.sys -1 -1"}, "custom ([\"C:\\p.sys -1 -1\"])", "no signs"},
      {{"C:\\p.sys 1 2 3"}, "custom ([\"C:\\p.sys 1 2 3\"])", "more than two sizes"},
      {{"C:\\p.sys 99999999 99999999"}, "custom ([\"C:\\p.sys 99999999 99999999\"])", ">16TiB"},
      {{"C:\\p.sys 1 99999999999999999999"},
       "custom ([\"C:\\p.sys 1 99999999999999999999\"])",
       "does not fit 64 bits"},
      {{"?:\\pagefile.sys 512 512"}, "custom ([\"?:\\pagefile.sys 512 512\"])", "any drive, fixed"},
      {{"?:\\pagefile.sys", "C:\\p.sys 0 0"},
       "custom ([\"?:\\pagefile.sys\",\"C:\\p.sys 0 0\"])",
       "any drive and one drive"},
      {{"C:\\p.sys 0 0", "c:\\P.sys 1 1"},
       "custom ([\"C:\\p.sys 0 0\",\"c:\\P.sys 1 1\"])",
       "twice"},
      {{"pagefile.sys"}, "custom ([\"pagefile.sys\"])", "no drive"},
      {{" "}, "custom ([\" \"])", "nothing but a blank"},
  };
  for (const Lines& c : cases) {
    const std::vector<CellValue> cells = {MultiSzValue(c.lines)};
    EXPECT_EQ(Describe(Row(), cells, 20348), c.reads) << c.why;
  }
}

TEST(PageFiles, OfAnotherTypeOrTooManyAreCustom) {
  EXPECT_EQ(Describe(Row(), std::vector<CellValue>{SzValue("?:\\pagefile.sys")}, 0),
            "custom (REG_SZ \"?:\\pagefile.sys\")");
  const std::vector<CellValue> many = {MultiSzValue(std::vector<std::string>(17, "C:\\p.sys"))};
  EXPECT_THAT(Describe(Row(), many, 0), HasSubstr("custom"));
  EXPECT_EQ(Describe(Row(), std::vector<CellValue>{std::nullopt}, 20348), "unset")
      << "3.2 does not say what an absent value means";
}

TEST(PageFiles, AreWrittenAsWindowsWritesThem) {
  const auto lines = [](const char* resolved) {
    const auto cells = Encode(Row(), resolved);
    return AsMultiSz(**cells->begin()).value();
  };
  using testing::ElementsAre;
  EXPECT_THAT(lines("automatic"), ElementsAre("?:\\pagefile.sys"));  // [HIVE] 8.1
  EXPECT_THAT(lines("none"), ElementsAre());                         // [SA-frz] 3.2
  EXPECT_THAT(lines("C:\\pagefile.sys 16GiB 16GiB; D:\\pagefile.sys system"),
              ElementsAre("C:\\pagefile.sys 16384 16384", "D:\\pagefile.sys 0 0"));
  EXPECT_THAT(Encode(Row(), "C:\\p.sys ram ram"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("memory")))
      << "only what is worked out can be written";
}

TEST(PageFiles, AreGivenOneByOne) {
  const std::vector<PageFile> files = PageFilesOf("C:\\p.sys 1GiB 2GiB; D:\\p.sys system");
  ASSERT_EQ(files.size(), 2u);
  EXPECT_EQ(files[0].path, "C:\\p.sys");
  EXPECT_EQ(files[0].initial, kGiB);
  EXPECT_EQ(files[0].maximum, 2 * kGiB);
  EXPECT_EQ(files[1].path, "D:\\p.sys");
  EXPECT_EQ(files[1].initial, std::nullopt);
  for (const char* none : {"automatic", "none", "unset", "custom ([\"x\"])", ""}) {
    EXPECT_THAT(PageFilesOf(none), IsEmpty()) << none;
  }
}

TEST(PageFiles, CompareWithoutCaseAndInOrder) {
  const std::vector<CellValue> cells = {MultiSzValue({"c:\\PAGEFILE.SYS 1024 1024", "D:\\p.sys"})};
  EXPECT_TRUE(Means(Row(), cells, "C:\\pagefile.sys 1GiB 1GiB; D:\\p.sys system", 20348));
  EXPECT_FALSE(Means(Row(), cells, "D:\\p.sys system; C:\\pagefile.sys 1GiB 1GiB", 20348));
}

}  // namespace
}  // namespace dumpwarden
