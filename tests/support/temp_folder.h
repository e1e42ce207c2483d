// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_TESTS_SUPPORT_TEMP_FOLDER_H_
#define DUMPWARDEN_TESTS_SUPPORT_TEMP_FOLDER_H_

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace dumpwarden {

// TempFolder is a folder of one test's own; gone with it.
class TempFolder {
 public:
  TempFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "dumpwarden-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_TEMP_FOLDER_H_
