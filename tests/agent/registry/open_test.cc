// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/open.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kHive[] = DUMPWARDEN_SOURCE_DIR "/tests/golden/hives/minimal.hive";

class OpenRegistryTest : public testing::Test {
 protected:
  absl::StatusOr<OpenedRegistry> Open(const std::string& text) {
    return OpenRegistry(text, *vfs_, false);
  }
  TempFolder folder_;
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
};

TEST_F(OpenRegistryTest, OpensARegFileAndSaysWhatBelongsToIt) {
  const std::string file = folder_.File("host.reg");
  std::ofstream(file) << "Windows Registry Editor Version 5.00\n";
  ASSERT_OK_AND_ASSIGN(const OpenedRegistry opened, Open("reg:" + file));
  EXPECT_FALSE(opened.is_hive);
  EXPECT_EQ(opened.place.folder, file + ".dumpwarden");
  EXPECT_EQ(opened.place.host, file);
  EXPECT_THAT(opened.files, ElementsAre(file));
  EXPECT_FALSE(fs::exists(opened.place.folder));
}

TEST_F(OpenRegistryTest, OpensOneHiveOrTwo) {
  const std::string hive = kHive;
  ASSERT_OK_AND_ASSIGN(const OpenedRegistry one, Open("hive:" + hive));
  EXPECT_TRUE(one.is_hive);
  ASSERT_OK_AND_ASSIGN(const OpenedRegistry two, Open("hive:" + hive + "," + hive));
  EXPECT_THAT(two.files, ElementsAre(hive, hive));
}

TEST_F(OpenRegistryTest, LinkStandsForItsFile) {
  const std::string file = fs::canonical(folder_.path()).string() + "/host.reg";
  std::ofstream(file) << "Windows Registry Editor Version 5.00\n";
  fs::create_symlink(file, folder_.File("link.reg"));
  ASSERT_OK_AND_ASSIGN(const OpenedRegistry opened, Open("reg:" + folder_.File("link.reg")));
  EXPECT_EQ(opened.place.folder, file + ".dumpwarden");
}

TEST_F(OpenRegistryTest, SaysWhatItAccepts) {
  for (const char* text :
       {"", "reg:", "hive:", "hive:,", "hive:a,", "hive:a,b,c", "file.reg", "REG:x"}) {
    EXPECT_THAT(Open(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("accepted: reg:FILE, hive:SYSTEM")))
        << text;
  }
  EXPECT_THAT(Open("win32"),
              StatusIs(absl::StatusCode::kUnimplemented, HasSubstr("needs Windows")));
  EXPECT_THAT(Open("reg:/none.reg"), StatusIs(absl::StatusCode::kNotFound, HasSubstr("/none.reg")));
}

}  // namespace
}  // namespace dumpwarden
