// SPDX-License-Identifier: Apache-2.0
// The earlier versions that tests/compat/ has recordings of.
#ifndef DUMPWARDEN_TESTS_COMPAT_VERSIONS_H_
#define DUMPWARDEN_TESTS_COMPAT_VERSIONS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/compat/recording.h"
#include "tests/support/process.h"

namespace dumpwarden {

inline std::string CompatFile(const std::string& version, const std::string& name) {
  return std::string(DUMPWARDEN_SOURCE_DIR) + "/tests/compat/" + version + "/" + name;
}

inline std::vector<std::string> CompatVersions() {
  std::vector<std::string> versions;
  for (const auto& entry : std::filesystem::directory_iterator(CompatFile("", ""))) {
    if (entry.is_directory()) versions.push_back(entry.path().filename());
  }
  std::sort(versions.begin(), versions.end());
  return versions;
}

inline std::vector<RecordedEntry> RecordingOf(const std::string& version) {
  const auto entries = ParseRecording(ReadAll(CompatFile(version, "session.recording")));
  EXPECT_TRUE(entries.ok()) << entries.status();
  return entries.ok() ? *entries : std::vector<RecordedEntry>{};
}

// For SCOPED_TRACE.
inline std::string NameOf(const RecordedEntry& entry) {
  return absl::StrCat(absl::string_view(&entry.sign, 1), " ", entry.call, " ", entry.milliseconds,
                      " ", entry.what);
}

// One run of a suite for each version, named after it.
class CompatTest : public testing::TestWithParam<std::string> {};
inline std::string VersionName(const testing::TestParamInfo<std::string>& info) {
  std::string name = "v" + info.param;
  for (char& c : name) {
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_COMPAT_VERSIONS_H_
