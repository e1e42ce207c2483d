// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/hive_registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kFixture[] = DUMPWARDEN_SOURCE_DIR "/tests/golden/hives/minimal.hive";
constexpr char kCrash[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
constexpr char kMemory[] =
    "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management";

std::string Slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}
void Spill(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}
// As Windows computes it, so that a changed base block is still a base block.
void FixChecksum(std::string& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at < 508; at += 4) {
    std::uint32_t word = 0;
    std::memcpy(&word, bytes.data() + at, 4);
    sum ^= word;
  }
  std::memcpy(bytes.data() + 508, &sum, 4);
}

class HiveRegistryTest : public testing::Test {
 protected:
  void SetUp() override { fs::copy_file(kFixture, path_); }
  absl::StatusOr<std::unique_ptr<HiveRegistry>> Open(bool force_dirty = false) {
    return HiveRegistry::Open(path_, "", *vfs_, force_dirty);
  }
  // What reged says of the file: another reader than the one we write with.
  std::multiset<std::string> Export() {
    const std::string out = folder_.File("export.reg");
    const std::string command = absl::StrCat(
        "reged -x '", path_, "' 'HKEY_LOCAL_MACHINE\\SYSTEM' '\\' '", out, "' > /dev/null 2>&1");
    EXPECT_EQ(std::system(command.c_str()), 0) << command;
    return Sections(Slurp(out));
  }
  // Every value with its key: order within a key does not count.
  static std::multiset<std::string> Sections(const std::string& text) {
    std::multiset<std::string> lines;
    std::string key;
    std::string value;
    for (absl::string_view line : absl::StrSplit(text, '\n')) {
      if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
      if (!line.empty() && line.front() == '[') key = std::string(line);
      absl::StrAppend(&value, line);
      if (!line.empty() && line.back() == '\\') continue;
      lines.insert(absl::StrCat(key, value));
      value.clear();
    }
    return lines;
  }
  static std::vector<std::string> Without(const std::multiset<std::string>& all,
                                          const std::multiset<std::string>& known) {
    std::vector<std::string> rest;
    std::set_difference(all.begin(), all.end(), known.begin(), known.end(),
                        std::back_inserter(rest));
    return rest;
  }
  void MakeDirty() {
    std::string bytes = Slurp(path_);
    ++bytes[4];
    FixChecksum(bytes);
    Spill(path_, bytes);
  }
  // Unpacks a real hive, or says by name that it is not there.
  bool UseRealHive(const std::string& name) {
    const char* set = std::getenv("DUMPWARDEN_SHARED_DATA");
    const std::string packed =
        absl::StrCat(set != nullptr ? set : "/work/shared/data", "/", name, ".xz");
    if (!fs::exists(packed)) return false;
    fs::remove(path_);
    return std::system(absl::StrCat("xz -dkc '", packed, "' > '", path_, "'").c_str()) == 0;
  }
  // Writes what "complete, fixed page file" needs; the export changes in that only.
  void ExpectEditChangesNothingElse(bool force_dirty) {
    const auto before = Export();
    ASSERT_OK_AND_ASSIGN(auto registry, Open(force_dirty));
    ASSERT_THAT(registry->Write(kCrash, "CrashDumpEnabled", DwordValue(1)), IsOk());
    ASSERT_THAT(registry->Write(kCrash, "DedicatedDumpFile", SzValue("D:\\dedicated.sys")), IsOk());
    ASSERT_THAT(registry->Write(kMemory, "PagingFiles", MultiSzValue({"C:\\pagefile.sys 9 9"})),
                IsOk());
    ASSERT_THAT(registry->Flush(), IsOk());
    const auto after = Export();
    EXPECT_EQ(Without(before, after).size(), 2u) << "two old values";
    EXPECT_EQ(Without(after, before).size(), 3u) << "three new ones";
    ASSERT_OK_AND_ASSIGN(registry, Open());
    EXPECT_EQ(*registry->Read(kCrash, "CrashDumpEnabled"), DwordValue(1));
    EXPECT_EQ(*registry->Read(kMemory, "PagingFiles"), MultiSzValue({"C:\\pagefile.sys 9 9"}));
  }

  TempFolder folder_;
  std::string path_ = folder_.File("SYSTEM");
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
};

TEST_F(HiveRegistryTest, ReadsTheCurrentControlSet) {
  ASSERT_OK_AND_ASSIGN(const auto registry, Open());
  EXPECT_EQ(*registry->Read(kCrash, "crashdumpenabled"), DwordValue(7));
  EXPECT_EQ(*registry->Read(kMemory, "PagingFiles"), MultiSzValue({"?:\\pagefile.sys"}));
  EXPECT_EQ(*registry->Read("HKLM\\SYSTEM\\Select", "Current"), DwordValue(1));
  EXPECT_THAT(registry->Warnings(), IsEmpty());
  EXPECT_EQ(registry->LastWrite(kCrash), std::nullopt);
  EXPECT_THAT(registry->Read("HKLM\\SOFTWARE\\X", "Y"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("hive:SYSTEM,SOFTWARE")));
}

TEST_F(HiveRegistryTest, EditChangesNothingElse) { ExpectEditChangesNothingElse(false); }

TEST_F(HiveRegistryTest, KeepsModeOfTheFile) {
  ASSERT_EQ(chmod(path_.c_str(), 0640), 0);
  ASSERT_OK_AND_ASSIGN(const auto registry, Open());
  ASSERT_THAT(registry->Write(kCrash, "AutoReboot", DwordValue(0)), IsOk());
  ASSERT_THAT(registry->Flush(), IsOk());
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0640u);
}

TEST_F(HiveRegistryTest, UsesTheSetThatSelectNamesAndNeverMakesOne) {
  ASSERT_OK_AND_ASSIGN(auto registry, Open());
  ASSERT_THAT(registry->Write("HKLM\\SYSTEM\\Select", "Default", DwordValue(2)), IsOk());
  ASSERT_THAT(registry->Flush(), IsOk());
  ASSERT_OK_AND_ASSIGN(registry, Open());
  EXPECT_THAT(registry->Warnings(), ElementsAre(HasSubstr("Select\\Default is 2")));
  ASSERT_THAT(registry->Write("HKLM\\SYSTEM\\Select", "Current", DwordValue(2)), IsOk());
  ASSERT_THAT(registry->Flush(), IsOk());
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kFailedPrecondition,
                               HasSubstr("ControlSet002, which is not there")));
}

TEST_F(HiveRegistryTest, DirtyIsReadAndSaidAndNotWritten) {
  MakeDirty();
  const std::string bytes = Slurp(path_);
  ASSERT_OK_AND_ASSIGN(const auto registry, Open());
  EXPECT_EQ(*registry->Read(kCrash, "CrashDumpEnabled"), DwordValue(7));
  EXPECT_THAT(registry->Warnings(), ElementsAre(HasSubstr("is dirty")));
  EXPECT_THAT(registry->Write(kCrash, "CrashDumpEnabled", DwordValue(7)), IsOk()) << "no change";
  EXPECT_THAT(registry->Write(kCrash, "CrashDumpEnabled", DwordValue(1)),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--force-dirty")));
  EXPECT_THAT(registry->Delete(kCrash, "CrashDumpEnabled"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--force-dirty")));
  EXPECT_THAT(registry->CheckWritable(kCrash),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("--force-dirty")));
  EXPECT_THAT(registry->Flush(), IsOk());
  EXPECT_EQ(Slurp(path_), bytes);
  ASSERT_OK_AND_ASSIGN(const auto forced, Open(true));
  EXPECT_THAT(forced->CheckWritable(kCrash), IsOk());
}

TEST_F(HiveRegistryTest, ForcedItKeepsACopyFirstAndSaysSo) {
  MakeDirty();
  const std::string bytes = Slurp(path_);
  Spill(path_ + ".dirty-1", "an older copy");
  ASSERT_OK_AND_ASSIGN(const auto registry, Open(true));
  ASSERT_THAT(registry->Write(kCrash, "CrashDumpEnabled", DwordValue(1)), IsOk());
  ASSERT_THAT(registry->Flush(), IsOk());
  EXPECT_EQ(Slurp(path_ + ".dirty-1"), "an older copy");
  EXPECT_EQ(Slurp(path_ + ".dirty-2"), bytes);
  EXPECT_THAT(registry->Warnings(), ElementsAre(HasSubstr(".dirty-2")));
}

TEST_F(HiveRegistryTest, EditsWhatSomebodyElseLeftMeanwhile) {
  ASSERT_OK_AND_ASSIGN(const auto ours, Open());
  ASSERT_OK_AND_ASSIGN(const auto theirs, Open());
  ASSERT_THAT(ours->Write(kCrash, "AutoReboot", DwordValue(0)), IsOk());
  ASSERT_THAT(theirs->Write(kCrash, "LogEvent", DwordValue(0)), IsOk());
  ASSERT_THAT(theirs->Flush(), IsOk());
  ASSERT_THAT(ours->Flush(), IsOk());
  EXPECT_EQ(*ours->Read(kCrash, "AutoReboot"), DwordValue(0));
  EXPECT_EQ(*ours->Read(kCrash, "LogEvent"), DwordValue(0));
  EXPECT_THAT(theirs->Reload(), IsOk());
  EXPECT_EQ(*theirs->Read(kCrash, "AutoReboot"), DwordValue(0));
}

// Somebody who changes a value in place, at the same size, and gives the file its old time back.
TEST_F(HiveRegistryTest, AnEditWithTheOldTimePutBackIsSeen) {
  const auto long_ago = fs::file_time_type::clock::now() - std::chrono::hours(1);
  fs::last_write_time(path_, long_ago);
  ASSERT_OK_AND_ASSIGN(const auto ours, Open());
  std::string bytes = Slurp(path_);
  const std::string name = "CrashDumpEnabled";
  const std::size_t at = bytes.find(name);  // a vk cell: the value is 12 bytes before its name
  ASSERT_NE(at, std::string::npos);
  ASSERT_EQ(bytes[at - 12], 7);
  bytes[at - 12] = 1;
  Spill(path_, bytes);
  fs::last_write_time(path_, long_ago);
  ASSERT_THAT(ours->Reload(), IsOk());
  EXPECT_EQ(*ours->Read(kCrash, "CrashDumpEnabled"), DwordValue(1));
}

TEST_F(HiveRegistryTest, ReadsTheSoftwareHiveBesideIt) {
  const std::string software = folder_.File("SOFTWARE");
  fs::copy_file(kFixture, software);
  ASSERT_OK_AND_ASSIGN(const auto registry, HiveRegistry::Open(path_, software, *vfs_, false));
  EXPECT_EQ(*registry->Read("HKLM\\SOFTWARE\\Select", "Current"), DwordValue(1));
  ASSERT_THAT(registry->Write("HKLM\\SOFTWARE\\A\\B", "V", DwordValue(3)), IsOk());
  ASSERT_THAT(registry->Flush(), IsOk());
  EXPECT_EQ(*registry->Read("HKLM\\SOFTWARE\\A\\B", "V"), DwordValue(3));
  EXPECT_EQ(Slurp(path_), Slurp(kFixture));
}

TEST_F(HiveRegistryTest, RefusesAValueThatLibhivexCannotWrite) {
  ASSERT_OK_AND_ASSIGN(const auto registry, Open());
  EXPECT_THAT(
      registry->Write(kCrash, "Big", {RegType::kBinary, std::string(kMaxHiveValueBytes + 1, 'x')}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("16344")));
}

// Windows keeps a name in one byte a character when Latin-1 has them all, else in UTF-16.
TEST_F(HiveRegistryTest, NamesBeyondAsciiKeepTheirBytesWhenAnotherValueIsWritten) {
  const std::string command = absl::StrCat(
      R"(printf 'cd ControlSet001\\Control\\CrashControl\nsetval 2\nGröße\ndword:7\n名\ndword:8\n)",
      "commit\\n' | hivexsh -w '", path_, "'");
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  // A cell in use (its size is negative): vk, length of the name, data, REG_DWORD, flags.
  const auto cell = [](const std::string& name, char number, char one_byte) {
    const std::string numbers = {static_cast<char>(name.size()),
                                 0,
                                 4,
                                 0,
                                 0,
                                 '\x80',
                                 number,
                                 0,
                                 0,
                                 0,
                                 4,
                                 0,
                                 0,
                                 0,
                                 one_byte,
                                 0,
                                 0,
                                 0};
    return absl::StrCat("\xe0\xff\xff\xffvk", numbers, name);
  };
  const std::string cells[] = {cell("Gr\xf6\xdf\x65", 7, 1), cell("\x0d\x54", 8, 0)};
  for (const std::string& bytes : cells) ASSERT_TRUE(absl::StrContains(Slurp(path_), bytes));
  ASSERT_OK_AND_ASSIGN(auto registry, Open());
  ASSERT_THAT(registry->Write(kCrash, "AutoReboot", DwordValue(0)), IsOk());
  ASSERT_THAT(registry->Flush(), IsOk());
  for (const std::string& bytes : cells) EXPECT_TRUE(absl::StrContains(Slurp(path_), bytes));
  ASSERT_OK_AND_ASSIGN(registry, Open());
  EXPECT_EQ(*registry->Read(kCrash, "Größe"), DwordValue(7));
  EXPECT_EQ(*registry->Read(kCrash, "名"), DwordValue(8));
}

TEST_F(HiveRegistryTest, OtherFilesAreRefusedByName) {
  const struct {
    std::string bytes;
    absl::StatusCode code;
    const char* message;
  } cases[] = {
      {"", absl::StatusCode::kInvalidArgument, "not a registry hive"},
      {"MDMP", absl::StatusCode::kInvalidArgument, "not a registry hive"},
      {"regf", absl::StatusCode::kDataLoss, "cut off"},
      {Slurp(kFixture).substr(0, 4096), absl::StatusCode::kDataLoss, "cut off"},
      {"regf" + std::string(8192, '\0'), absl::StatusCode::kDataLoss, "checksum"},
  };
  for (const auto& c : cases) {
    Spill(path_, c.bytes);
    EXPECT_THAT(Open(), StatusIs(c.code, HasSubstr(c.message)));
  }
  fs::remove(path_);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kNotFound, HasSubstr(path_)));
}

// libhivex made room for what the header claims: 1.6 GB for 8 KiB.
TEST_F(HiveRegistryTest, RefusesAHiveThatClaimsMoreThanTheFileHas) {
  std::string bytes = Slurp(kFixture);
  bytes[0x2b] = '\x60';
  FixChecksum(bytes);
  Spill(path_, bytes);
  EXPECT_THAT(Open(), StatusIs(absl::StatusCode::kDataLoss, HasSubstr("1610616832 bytes of data")));
}

// Every byte of the fixture broken in turn, and every cut: read, written, or refused; never a
// crash.
TEST_F(HiveRegistryTest, SurvivesBrokenHives) {
  const std::string good = Slurp(kFixture);
  const auto use = [&](const std::string& bytes) {
    const auto hive = Hive::Open(bytes, "broken");
    if (!hive.ok()) return;
    for (const char* key : {"Select", "ControlSet001\\Control\\CrashControl"}) {
      (*hive)->Values(key).status().IgnoreError();
      (*hive)->SubKeys(key).status().IgnoreError();
      (*hive)->Read(key, "DumpFile").status().IgnoreError();
    }
    const HiveEdit edit{HiveEdit::Kind::kSet, "ControlSet001\\Control\\CrashControl", "A",
                        SzValue("a longer text")};
    (*hive)->Edited({edit}).status().IgnoreError();
  };
  for (std::size_t at = 0; at < good.size(); ++at) {
    if (good[at] == 0 && at % 7 != 0) continue;  // mostly padding
    for (const char with : {'\x00', '\x7f', '\xff'}) {
      std::string bytes = good;
      bytes[at] = with;
      FixChecksum(bytes);
      use(bytes);
    }
  }
  for (std::size_t size = 0; size < good.size(); size += 64) use(good.substr(0, size));
}

TEST_F(HiveRegistryTest, RealWindows7HiveChangesInNothingElse) {
  if (!UseRealHive("SYSTEM.win7sp1")) GTEST_SKIP() << "no SYSTEM.win7sp1.xz in the shared data";
  ASSERT_OK_AND_ASSIGN(const auto registry, Open());
  EXPECT_EQ(*registry->Read(kCrash, "CrashDumpEnabled"), DwordValue(2));
  EXPECT_THAT(registry->Warnings(), IsEmpty());
  ExpectEditChangesNothingElse(false);
}

TEST_F(HiveRegistryTest, RealDirtyWindows10HiveChangesInNothingElse) {
  if (!UseRealHive("SYSTEM.win10-1709-dirty")) {
    GTEST_SKIP() << "no SYSTEM.win10-1709-dirty.xz in the shared data";
  }
  ASSERT_OK_AND_ASSIGN(const auto registry, Open());
  EXPECT_EQ(*registry->Read(kCrash, "CrashDumpEnabled"), DwordValue(7));
  EXPECT_THAT(registry->Warnings(),
              ElementsAre(HasSubstr("primary sequence 1622, secondary 1621")));
  ExpectEditChangesNothingElse(true);
}

}  // namespace
}  // namespace dumpwarden
