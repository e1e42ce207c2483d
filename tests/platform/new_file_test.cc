// SPDX-License-Identifier: Apache-2.0
#include "platform/new_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class NewFileTest : public testing::Test {
 protected:
  std::string Content() { return vfs_->Read(path_, 1 << 20).value_or("none"); }
  std::vector<std::string> Names() { return *vfs_->List(folder_.path()); }

  TempFolder folder_;
  const std::string path_ = folder_.File("out");
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
};

TEST_F(NewFileTest, HasItsNameWhenItIsKeptAndIsForItsOwnerOnly) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, NewFile::Make(path_, false));
    ASSERT_THAT(file->Append(std::string(100'000, 'a')), IsOk());
    ASSERT_THAT(file->Append("b"), IsOk());
    EXPECT_EQ(Content(), "none");
    ASSERT_THAT(file->Keep(), IsOk());
  }
  EXPECT_EQ(Content(), std::string(100'000, 'a') + "b");
  EXPECT_THAT(Names(), ElementsAre("out"));
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
}

TEST_F(NewFileTest, LeavesNothingWhenItIsNotKept) {
  {
    ASSERT_OK_AND_ASSIGN(const auto file, NewFile::Make(path_, false));
    ASSERT_THAT(file->Append(std::string(100'000, 'a')), IsOk());
  }
  EXPECT_TRUE(Names().empty());
}

TEST_F(NewFileTest, TakesNoNameThatIsTaken) {
  ASSERT_THAT(vfs_->Write(path_, "old"), IsOk());
  EXPECT_THAT(NewFile::Make(path_, false),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("is there already")));
  ASSERT_OK_AND_ASSIGN(const auto file, NewFile::Make(path_, true));
  ASSERT_THAT(file->Append("new"), IsOk());
  EXPECT_EQ(Content(), "old");
  ASSERT_THAT(file->Keep(), IsOk());
  EXPECT_EQ(Content(), "new");
}

TEST_F(NewFileTest, TakesNoNameThatWasTakenMeanwhile) {
  ASSERT_OK_AND_ASSIGN(const auto file, NewFile::Make(path_, false));
  ASSERT_THAT(vfs_->Write(path_, "somebody's"), IsOk());
  EXPECT_THAT(file->Keep(), StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("meanwhile")));
  EXPECT_EQ(Content(), "somebody's");
}

TEST_F(NewFileTest, ReplacesPlainFilesOnly) {
  std::filesystem::create_symlink("/dev/null", path_);
  EXPECT_THAT(NewFile::Make(path_, true),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("no plain file")));
  EXPECT_THAT(NewFile::Make(folder_.path(), true),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("no plain file")));
  EXPECT_THAT(NewFile::Make(folder_.File("absent/out"), false),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("absent/out")));
}

}  // namespace
}  // namespace dumpwarden
