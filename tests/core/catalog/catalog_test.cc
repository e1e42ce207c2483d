// SPDX-License-Identifier: Apache-2.0
// Every row through every function, and what Windows' own cells mean.
#include "core/catalog/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/sizes.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Cells = std::vector<CellValue>;

constexpr std::uint32_t kWindows7 = 7601;
constexpr std::uint32_t kServer2022 = 20348;
constexpr std::uint32_t kBuilds[] = {0, kWindows7, 9200, 9600, 14393, kServer2022};

// Resolved values of a row: all of its words, and samples of what it does not list.
std::vector<std::string> ValuesOf(const Setting& row) {
  std::vector<std::string> values = {std::string(kUnset)};
  switch (row.shape) {
    case Shape::kSwitch:
      values.insert(values.end(), {"on", "off"});
      break;
    case Shape::kOneOf:
      for (const Choice& choice : row.choices) {
        if (!choice.word.empty()) values.emplace_back(choice.word);
      }
      break;
    case Shape::kInteger:
      values.insert(values.end(), {absl::StrCat(row.min), absl::StrCat(row.max)});
      break;
    case Shape::kText:
      values.insert(values.end(), {"D:\\Dumps\\a.dmp", "C:\\Long Name\\b.dmp"});
      break;
    case Shape::kSize:
      values.insert(values.end(),
                    {FormatBytes(row.min * kMiB), FormatBytes(row.max * kMiB), "4097MiB", "16GiB"});
      break;
    case Shape::kList:
      values.insert(values.end(), {"automatic", "none", "C:\\pagefile.sys system",
                                   "C:\\pagefile.sys 4097MiB 8GiB; D:\\pagefile.sys system"});
      break;
  }
  return values;
}

// --- derived from the rows

TEST(Catalog, EveryValueOfEveryRowReadsBackAsItself) {
  for (const Setting& row : AllSettings()) {
    for (const std::string& value : ValuesOf(row)) {
      ASSERT_OK_AND_ASSIGN(const Cells cells, Encode(row, value));
      ASSERT_EQ(cells.size(), CellCount(row));
      for (const std::uint32_t build : kBuilds) {
        EXPECT_TRUE(Means(row, cells, value, build)) << row.id << " " << value << " " << build;
        if (value != kUnset) {
          EXPECT_EQ(Describe(row, cells, build), value) << row.id;
        }
      }
      EXPECT_EQ(Resolve(row, value, std::nullopt).value_or(""), value) << row.id;
    }
  }
}

TEST(Catalog, NoValueMeansAnother) {
  for (const Setting& row : AllSettings()) {
    for (const std::string& written : ValuesOf(row)) {
      if (written == kUnset) continue;
      ASSERT_OK_AND_ASSIGN(const Cells cells, Encode(row, written));
      for (const std::string& other : ValuesOf(row)) {
        EXPECT_EQ(Means(row, cells, other, kServer2022), written == other)
            << row.id << ": " << written << " as " << other;
      }
    }
  }
}

TEST(Catalog, EveryCellOfAWrongTypeIsNeverMeant) {
  for (const Setting& row : AllSettings()) {
    for (const std::string& value : ValuesOf(row)) {
      ASSERT_OK_AND_ASSIGN(Cells cells, Encode(row, value));
      if (!cells.front()) continue;
      cells.front()->type = RegType::kBinary;
      EXPECT_FALSE(Means(row, cells, value, kServer2022)) << row.id << " " << value;
      EXPECT_THAT(Describe(row, cells, kServer2022), HasSubstr("custom (")) << row.id;
      EXPECT_THAT(Describe(row, cells, kServer2022), HasSubstr("REG_BINARY")) << row.id;
    }
  }
}

TEST(Catalog, EveryRowIsFoundByIdAndByCell) {
  EXPECT_THAT(SettingIds(),
              ElementsAre("dump.auto-reboot", "dump.dedicated-file", "dump.dedicated-file-size",
                          "dump.file", "dump.log-event", "dump.minidump-dir", "dump.overwrite",
                          "dump.type", "nmi.crash", "pagefile.files"))
      << "ids are for ever: add, never rename";
  for (const Setting& row : AllSettings()) {
    EXPECT_EQ(FindSetting(row.id), &row);
    EXPECT_FALSE(Accepts(row).empty());
    for (std::size_t i = 0; i < CellCount(row); ++i) {
      const std::string key(row.cells[i].key);
      EXPECT_EQ(OwnerOfCell(key, row.cells[i].name), &row);
    }
  }
  EXPECT_EQ(FindSetting("dump.typ"), nullptr);
  EXPECT_EQ(FindSetting(""), nullptr);
  EXPECT_EQ(FindSetting("zzz"), nullptr);
}

TEST(Catalog, CellsAreOwnedWithoutRegardToCase) {
  const char* key = "hklm\\system\\currentcontrolset\\control\\crashcontrol";
  ASSERT_NE(OwnerOfCell(key, "filterpages"), nullptr);
  EXPECT_EQ(OwnerOfCell(key, "filterpages")->id, "dump.type");
  EXPECT_EQ(OwnerOfCell(key, "DumpFilters"), nullptr) << "read-only evidence, never ours";
  EXPECT_EQ(OwnerOfCell("HKLM\\SYSTEM", "FilterPages"), nullptr);
}

TEST(Catalog, HasADigest) {
  EXPECT_EQ(CatalogDigest().size(), 32u);
  EXPECT_EQ(CatalogDigest(), CatalogDigest());
}

// --- cells as the reference gives them

struct Meaning {
  const char* setting;
  Cells cells;
  std::uint32_t build;
  const char* reads;
  const char* source;
};

TEST(Catalog, ReadsWindowsCellsAsTheReferenceDoes) {
  const CellValue none;
  const Meaning cases[] = {
      {"dump.type", {DwordValue(0), none}, kServer2022, "none", "1.1 [SA-rec]"},
      {"dump.type", {DwordValue(0), DwordValue(1)}, kServer2022, "none", "1.1 FilterPages any"},
      {"dump.type", {DwordValue(1), none}, kServer2022, "complete", "1.1 [SA-rec]"},
      {"dump.type", {DwordValue(1), DwordValue(0)}, kServer2022, "complete", "1.1 absent or 0"},
      {"dump.type", {DwordValue(1), DwordValue(1)}, kServer2022, "active", "1.1 [SA-rec]"},
      {"dump.type", {DwordValue(2), none}, kServer2022, "kernel", "1.1"},
      {"dump.type", {DwordValue(2), DwordValue(1)}, kServer2022, "kernel", "1.1 no effect with 2"},
      {"dump.type", {DwordValue(3), none}, kServer2022, "small", "1.1"},
      {"dump.type", {DwordValue(7), none}, kServer2022, "automatic", "1.1"},
      {"dump.type", {DwordValue(7), DwordValue(1)}, kServer2022, "automatic", "1.1"},
      {"dump.type", {DwordValue(5), none}, kServer2022, "custom (0x5)", "1.1 4,5,6"},
      {"dump.type",
       {DwordValue(1), DwordValue(2)},
       kServer2022,
       "custom (CrashDumpEnabled 0x1, FilterPages 0x2)",
       "not documented"},
      {"dump.type",
       {DwordValue(1), SzValue("1")},
       kServer2022,
       "custom (CrashDumpEnabled 0x1, FilterPages REG_SZ \"1\")",
       "1.1 REG_DWORD for both"},
      {"dump.type", {SzValue("7"), none}, kServer2022, "custom (REG_SZ \"7\")", "1.1 REG_DWORD"},
      {"dump.type", {none, none}, kWindows7, "kernel", "1.1 [HIVE] Vista..7"},
      {"dump.type", {none, none}, 9199, "kernel", "1.1 below 9200"},
      {"dump.type", {none, none}, 9200, "automatic", "1.1 [SA-page] 8 and later"},
      {"dump.type", {none, DwordValue(1)}, kServer2022, "automatic", "FilterPages only refines"},
      {"dump.type", {none, none}, 0, "unset", "the default depends on the build"},
      {"dump.type", {none, DwordValue(1)}, 0, "custom (FilterPages 0x1)", "the same"},
      {"dump.auto-reboot", {none}, kServer2022, "on", "1.2 default 1"},
      {"dump.auto-reboot", {DwordValue(0)}, kServer2022, "off", "1.2"},
      {"dump.auto-reboot", {DwordValue(2)}, kServer2022, "custom (0x2)", "not documented"},
      {"dump.log-event", {none}, 0, "on", "1.2 default 1 on all builds"},
      {"dump.overwrite", {none}, kServer2022, "on", "1.2 default 1"},
      {"dump.file", {none}, kServer2022, "%SystemRoot%\\MEMORY.DMP", "1.2 [SA-opt]"},
      {"dump.file",
       {ExpandSzValue("%systemroot%\\memory.dmp")},
       0,
       "%SystemRoot%\\memory.dmp",
       "one spelling of the root"},
      {"dump.file", {SzValue("D:\\a.dmp")}, 0, "custom (REG_SZ \"D:\\a.dmp\")", "1.2 EXPAND_SZ"},
      {"dump.file",
       {ExpandSzValue("\\\\srv\\dumps\\a.dmp")},
       0,
       "custom (\"\\\\srv\\dumps\\a.dmp\")",
       "1.2 must be local"},
      {"dump.minidump-dir", {none}, 0, "%SystemRoot%\\Minidump", "1.2 [SA-opt]"},
      {"dump.dedicated-file", {none}, kServer2022, "unset", "1.2 default absent"},
      {"dump.dedicated-file", {SzValue("d:\\Dedicated.sys")}, 0, "D:\\Dedicated.sys", "1.2 SZ"},
      {"dump.dedicated-file",
       {ExpandSzValue("D:\\Dedicated.sys")},
       0,
       "custom (REG_EXPAND_SZ \"D:\\Dedicated.sys\")",
       "1.2 SZ"},
      {"dump.dedicated-file-size", {DwordValue(16384)}, 0, "16GiB", "1.2 [WSD-core] MB"},
      {"dump.dedicated-file-size", {DwordValue(0)}, 0, "custom (0x0)", "1.2 0 is Windows' choice"},
      {"dump.dedicated-file-size", {none}, 0, "unset", "1.2 default absent"},
      {"nmi.crash", {DwordValue(1)}, kWindows7, "on", "1.2 [SA-gen]"},
      {"nmi.crash", {none}, kWindows7, "unset", "1.2: sources differ on the default"},
  };
  for (const Meaning& c : cases) {
    EXPECT_EQ(Describe(*FindSetting(c.setting), c.cells, c.build), c.reads)
        << c.setting << ": " << c.source;
  }
}

TEST(Catalog, WritesWhatTheReferenceSays) {
  const CellValue none;
  struct Written {
    const char* setting;
    const char* value;
    Cells cells;
    const char* source;
  };
  const Written cases[] = {
      {"dump.type", "none", {DwordValue(0), none}, "1.1 [SA-rec][SA-opt]"},
      {"dump.type", "complete", {DwordValue(1), none}, "1.1 the control panel deletes FilterPages"},
      {"dump.type", "active", {DwordValue(1), DwordValue(1)}, "1.1 [WDD-active-memory-dump]"},
      {"dump.type", "kernel", {DwordValue(2), none}, "1.1"},
      {"dump.type", "small", {DwordValue(3), none}, "1.1"},
      {"dump.type", "automatic", {DwordValue(7), none}, "1.1 [WDD-automatic-memory-dump]"},
      {"dump.type", "unset", {none, none}, "unset is absent"},
      {"dump.auto-reboot", "off", {DwordValue(0)}, "1.2 [SA-rec]"},
      {"dump.log-event", "on", {DwordValue(1)}, "1.2 [SA-rec]"},
      {"dump.overwrite", "off", {DwordValue(0)}, "1.2 [SA-rec]"},
      {"dump.file", "D:\\a.dmp", {ExpandSzValue("D:\\a.dmp")}, "1.2 [SA-opt] EXPAND_SZ"},
      {"dump.minidump-dir", "D:\\m", {ExpandSzValue("D:\\m")}, "1.2 [SA-opt] EXPAND_SZ"},
      {"dump.dedicated-file", "D:\\d.sys", {SzValue("D:\\d.sys")}, "1.2 [WSD-core] SZ"},
      {"dump.dedicated-file-size", "16GiB", {DwordValue(16384)}, "1.2 [WSD-core] in MB"},
      {"nmi.crash", "on", {DwordValue(1)}, "1.2 [SA-gen][SA-nmi]"},
  };
  for (const Written& c : cases) {
    const auto cells = Encode(*FindSetting(c.setting), c.value);
    ASSERT_THAT(cells, IsOk());
    EXPECT_EQ(*cells, c.cells) << c.setting << " " << c.value << ": " << c.source;
  }
}

TEST(Catalog, EncodesNothingThatIsNotAValue) {
  for (const Setting& row : AllSettings()) {
    for (const char* bad : {"", "custom (0x5)", "yes", "-1", "0x2", "\\\\srv\\a.dmp"}) {
      EXPECT_THAT(Encode(row, bad), StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("")))
          << row.id << " " << bad;
    }
  }
}

TEST(Catalog, ComparesPathsWithoutCase) {
  const Setting& row = *FindSetting("dump.file");
  const Cells cells = {ExpandSzValue("d:\\DUMPS\\memory.DMP")};
  EXPECT_TRUE(Means(row, cells, "D:\\Dumps\\MEMORY.DMP", kServer2022));
  EXPECT_FALSE(Means(row, cells, "D:\\Dumps\\MEMORY2.DMP", kServer2022));
}

TEST(Catalog, UnsetIsMetByAbsenceOnly) {
  const Setting& row = *FindSetting("dump.type");
  EXPECT_TRUE(Means(row, Cells{std::nullopt, std::nullopt}, kUnset, kServer2022));
  EXPECT_FALSE(Means(row, Cells{DwordValue(7), std::nullopt}, kUnset, kServer2022));
  EXPECT_FALSE(Means(row, Cells{std::nullopt, DwordValue(0)}, kUnset, kServer2022));
}

// --- builds

TEST(Catalog, SaysWhatABuildIgnores) {
  struct Case {
    const char* setting;
    const char* value;
    std::uint32_t build;
    const char* why;  // "" = honoured
    bool depends;
  };
  const Case cases[] = {
      {"nmi.crash", "on", kWindows7, "", true},
      {"nmi.crash", "on", 9199, "", true},
      {"nmi.crash", "on", 9200, "ignore NMICrashDump", true},
      {"nmi.crash", "off", kServer2022, "ignore NMICrashDump", true},
      {"nmi.crash", "unset", kServer2022, "ignore NMICrashDump", true},
      {"nmi.crash", "unset", kWindows7, "", true},
      {"nmi.crash", "on", 0, "", true},
      {"dump.type", "automatic", kWindows7, "from build 9200", true},
      {"dump.type", "automatic", 9200, "", true},
      {"dump.type", "active", 9600, "from build 10240", true},
      {"dump.type", "active", 14393, "", true},
      {"dump.type", "kernel", kWindows7, "", false},
      {"dump.type", "complete", 0, "", false},
      {"dump.file", "D:\\a.dmp", 0, "", false},
  };
  for (const Case& c : cases) {
    const Setting& row = *FindSetting(c.setting);
    const std::string why = WhyIgnored(row, c.value, c.build);
    EXPECT_EQ(why.empty(), std::string(c.why).empty())
        << c.setting << " " << c.build << ": " << why;
    EXPECT_THAT(why, HasSubstr(c.why));
    EXPECT_EQ(DependsOnBuild(row, c.value), c.depends) << c.setting << " " << c.value;
  }
}

// --- policies

struct Written {
  const char* setting;
  const char* yaml;
  const char* canonical;  // null: refused
  const char* message;    // of the refusal
};

TEST(Catalog, ReadsPolicyValuesStrictly) {
  const Written cases[] = {
      {"dump.auto-reboot", "on", "on", ""},
      {"dump.auto-reboot", "'off'", "off", ""},
      {"dump.auto-reboot", "yes", nullptr, "accepted is on or off"},
      {"dump.auto-reboot", "true", nullptr, "accepted is on or off"},
      {"dump.auto-reboot", "1", nullptr, "accepted is on or off"},
      {"dump.auto-reboot", "On", nullptr, "did you mean on?"},
      {"dump.auto-reboot", "unset", "unset", ""},
      {"dump.auto-reboot", "", nullptr, "found nothing"},
      {"dump.auto-reboot", "[on]", nullptr, "found a list"},
      {"dump.type", "kernel", "kernel", ""},
      {"dump.type", "kernal", nullptr, "did you mean kernel?"},
      {"dump.type", "7", nullptr, "none, small, kernel, automatic, active or complete"},
      {"dump.type", "0x2", nullptr, "found \"0x2\""},
      {"dump.dedicated-file-size", "16GiB", "16GiB", ""},
      {"dump.dedicated-file-size", "4096MiB", "4GiB", ""},
      {"dump.dedicated-file-size", "ram * 1.5", "ram * 1.5", ""},
      {"dump.dedicated-file-size", "4096", nullptr, "no unit"},
      {"dump.dedicated-file-size", "0MiB", nullptr, "accepted is a size from 1MiB"},
      {"dump.dedicated-file-size", "0x2MiB", nullptr, "0x2MiB"},
      {"dump.file", "'D:\\Dumps\\MEMORY.DMP'", "D:\\Dumps\\MEMORY.DMP", ""},
      {"dump.file", "D:\\Dumps\\MEMORY.DMP", "D:\\Dumps\\MEMORY.DMP", ""},
      {"dump.file", "'%SystemRoot%\\MEMORY.DMP'", "%SystemRoot%\\MEMORY.DMP", ""},
      {"dump.file", "'D:\\Dumps\\MEMORY.TXT'", nullptr, "does not end in .dmp"},
      {"dump.file", "'\\\\srv\\dumps\\MEMORY.DMP'", nullptr, "network or device path"},
      {"dump.minidump-dir", "'D:\\Dumps'", "D:\\Dumps", ""},
      {"dump.minidump-dir", "'D:\\'", nullptr, "is empty"},
      {"dump.dedicated-file", "'D:\\DedicatedDumpFile.sys'", "D:\\DedicatedDumpFile.sys", ""},
      {"dump.dedicated-file", "'%SystemRoot%\\d.sys'", nullptr, "does not start with a drive"},
  };
  for (const Written& c : cases) {
    Problems problems("p.yaml");
    const auto documents = yaml::Parse(absl::StrCat("x: ", c.yaml), {}, problems);
    ASSERT_TRUE(documents) << c.yaml;
    const auto value =
        ReadValue(*FindSetting(c.setting), *documents->front().Find("x"), "spec.x", problems);
    if (c.canonical != nullptr) {
      EXPECT_EQ(value, c.canonical) << c.setting << ": " << problems.ToStatus();
      EXPECT_THAT(problems.messages(), IsEmpty());
    } else {
      EXPECT_EQ(value, std::nullopt) << c.setting << ": " << c.yaml;
      EXPECT_THAT(problems.messages(), ElementsAre(HasSubstr(c.message))) << c.yaml;
      EXPECT_THAT(problems.messages(), Contains(HasSubstr("p.yaml:1:"))) << c.yaml;
    }
  }
}

TEST(Catalog, WorksSizesOutWithMemoryAndRoundsUp) {
  const Setting& row = *FindSetting("dump.dedicated-file-size");
  EXPECT_EQ(Resolve(row, "ram + 257MiB", 16 * kGiB).value_or(""), "16641MiB");
  EXPECT_EQ(Resolve(row, "ram + 257MiB", 16 * kGiB + 1).value_or(""), "16642MiB");
  EXPECT_EQ(Resolve(row, "ram", 16 * kGiB).value_or(""), "16GiB");
  EXPECT_THAT(Resolve(row, "ram", std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("memory")));
  EXPECT_THAT(Resolve(row, "ram - 1GiB", kGiB),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("accepted")));
}

// --- the shape that no row of the product uses yet

TEST(Catalog, IntegersAreDecimalAndInRange) {
  constexpr Setting kRow = {.id = "test.count",
                            .summary = "How many are kept.",
                            .shape = Shape::kInteger,
                            .cells = {{{"HKLM\\SYSTEM\\CurrentControlSet\\Control\\X", "Count"}}},
                            .min = 1,
                            .max = 50,
                            .fallback = {{{0, "5"}}},
                            .source = "test"};
  EXPECT_EQ(*Encode(kRow, "50"), Cells{DwordValue(50)});
  EXPECT_EQ(Describe(kRow, Cells{DwordValue(50)}, 0), "50");
  EXPECT_EQ(Describe(kRow, Cells{std::nullopt}, 0), "5");
  EXPECT_EQ(Describe(kRow, Cells{DwordValue(51)}, 0), "custom (0x33)");
  EXPECT_EQ(Resolve(kRow, "7", std::nullopt).value_or(""), "7");
  for (const char* bad : {"0", "51", "0x2", "+5", "05", "1e1", "5.0", "", " 5", "99999999999"}) {
    EXPECT_THAT(Encode(kRow, bad),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("from 1 to 50")))
        << bad;
  }
}

TEST(Catalog, ASwitchOfSeveralCellsIsOnWhenAllAre) {
  constexpr Setting kRow = {.id = "test.keys",
                            .summary = "Whether the keys crash the host.",
                            .shape = Shape::kSwitch,
                            .cells = {{{"HKLM\\SYSTEM\\CurrentControlSet\\X", "A"},
                                       {"HKLM\\SYSTEM\\CurrentControlSet\\Y", "A"}}},
                            .fallback = {{{0, "off"}}},
                            .source = "test"};
  EXPECT_EQ(*Encode(kRow, "on"), (Cells{DwordValue(1), DwordValue(1)}));
  EXPECT_EQ(Describe(kRow, Cells{DwordValue(1), DwordValue(1)}, 0), "on");
  EXPECT_EQ(Describe(kRow, Cells{DwordValue(0), std::nullopt}, 0), "off");
  EXPECT_THAT(Describe(kRow, Cells{DwordValue(1), std::nullopt}, 0), HasSubstr("custom"));
}

}  // namespace
}  // namespace dumpwarden
