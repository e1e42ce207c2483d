// SPDX-License-Identifier: Apache-2.0
// Real programs, run by tests: once with their output, or in the background
// until the test ends them.
#ifndef DUMPWARDEN_TESTS_SUPPORT_PROCESS_H_
#define DUMPWARDEN_TESTS_SUPPORT_PROCESS_H_

#include <sys/types.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace dumpwarden {

struct Finished {
  int exit_code = -1;  // 128 + signal when it was killed
  std::string out;
  std::string err;
};

using Environment = std::map<std::string, std::string>;

// Runs to the end.  A program that takes longer than a minute is killed.
Finished RunProgram(const std::vector<std::string>& argv, const std::string& input = "",
                    const Environment& extra = {});

// A program of this build, or of DUMPWARDEN_BIN_DIR: Program("dumpctl").
std::string Program(const std::string& name);

std::string ReadAll(const std::string& path);
void WriteAll(const std::string& path, const std::string& bytes);

// Asks until it holds; false after `limit`.  `took` gets the time that passed.
bool Eventually(const std::function<bool()>& holds, absl::Duration limit = absl::Seconds(60),
                absl::Duration* took = nullptr);

// Process runs until it is told to stop; killed with the object.
class Process {
 public:
  // Output goes to <log>.out and <log>.err, appended.
  Process(const std::vector<std::string>& argv, const std::string& log,
          const Environment& extra = {});
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Kill(int signal) const;
  // Exit code as in Finished; -1 when it still runs after `limit`.
  int Wait(absl::Duration limit = absl::Seconds(60));
  bool Running();
  pid_t pid() const { return pid_; }
  std::string Out() const;
  std::string Err() const;

 private:
  pid_t pid_;
  int status_ = -1;
  std::string log_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_PROCESS_H_
