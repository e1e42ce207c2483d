// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CORE_BASE_PROBLEMS_H_
#define DUMPWARDEN_CORE_BASE_PROBLEMS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

struct Mark {  // where in a text file; both count from 1
  int line = 1;
  int column = 1;
};

// Problems collects what is wrong with one file, so that its author sees every
// mistake at once, in the order of the file.  A message reads
//   file:line:column: path: what was found; what is accepted; did you mean ...?
// The 101st message says that there are more, and is the last.
class Problems {
 public:
  explicit Problems(absl::string_view file) : file_(file) {}
  // `path` is where in the document (spec.settings.dump.type), or "".
  void Add(Mark mark, absl::string_view path, absl::string_view what);
  bool empty() const { return messages_.empty(); }
  const std::vector<std::string>& messages() const { return messages_; }
  const std::string& file() const { return file_; }
  // OK when empty, else kInvalidArgument with a message a line.
  absl::Status ToStatus() const;

 private:
  std::string file_;
  std::vector<std::string> messages_;
  std::vector<Mark> marks_;  // of each message
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_BASE_PROBLEMS_H_
