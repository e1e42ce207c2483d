// SPDX-License-Identifier: Apache-2.0
#include "tests/compat/recording.h"

#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dumpwarden {

std::string FormatRecording(const std::vector<RecordedEntry>& entries) {
  std::string text;
  for (const RecordedEntry& entry : entries) {
    absl::StrAppend(&text, absl::string_view(&entry.sign, 1), " ", entry.call, " ",
                    entry.milliseconds, " ", entry.what, " ", entry.bytes.size(), "\n", entry.bytes,
                    "\n");
  }
  return text;
}

absl::StatusOr<std::vector<RecordedEntry>> ParseRecording(absl::string_view text) {
  std::vector<RecordedEntry> entries;
  while (!text.empty()) {
    const absl::string_view line = text.substr(0, text.find('\n'));
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    RecordedEntry entry;
    std::size_t size = 0;
    if (words.size() != 5 || words[0].size() != 1 || !absl::SimpleAtoi(words[1], &entry.call) ||
        !absl::SimpleAtoi(words[2], &entry.milliseconds) || !absl::SimpleAtoi(words[4], &size) ||
        text.size() < line.size() + size + 2) {
      return absl::DataLossError(absl::StrCat("entry ", entries.size() + 1, " is damaged"));
    }
    entry.sign = words[0][0];
    entry.what = std::string(words[3]);
    entry.bytes = std::string(text.substr(line.size() + 1, size));
    text.remove_prefix(line.size() + size + 2);
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace dumpwarden
