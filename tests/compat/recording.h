// SPDX-License-Identifier: Apache-2.0
// A conversation as it crossed the wire: what was said, by whom, in order.
// A file is one entry after another, each a line and then its bytes:
//   SIGN CALL MILLISECONDS WHAT SIZE\n<SIZE bytes>\n
// SIGN: > a message of the client, < one of the server, = the end of the call
// (its bytes: CODE MESSAGE), ! something that the recorder did beside the wire
// (WHAT says what).  CALL counts from 1, in order of beginning; WHAT is the
// method: /dumpwarden.v1.Admin/ListHosts.
#ifndef DUMPWARDEN_TESTS_COMPAT_RECORDING_H_
#define DUMPWARDEN_TESTS_COMPAT_RECORDING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

struct RecordedEntry {
  char sign = '!';
  std::int64_t call = 0;
  std::int64_t milliseconds = 0;
  std::string what;
  std::string bytes;
};

std::string FormatRecording(const std::vector<RecordedEntry>& entries);
absl::StatusOr<std::vector<RecordedEntry>> ParseRecording(absl::string_view text);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_COMPAT_RECORDING_H_
