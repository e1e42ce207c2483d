// SPDX-License-Identifier: Apache-2.0
#include "tests/support/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "absl/time/clock.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

void Redirect(const std::string& path, int flags, int target) {
  const int fd = open(path.c_str(), flags, 0600);
  if (fd < 0 || dup2(fd, target) < 0) _exit(126);
  close(fd);
}

pid_t Start(const std::vector<std::string>& argv, const std::string& in, const std::string& out,
            const std::string& err, const Environment& extra) {
  std::vector<char*> raw;
  for (const std::string& argument : argv) raw.push_back(const_cast<char*>(argument.c_str()));
  raw.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);  // a test that is killed leaves nothing behind
  Redirect(in, O_RDONLY, STDIN_FILENO);
  Redirect(out, O_WRONLY | O_CREAT | O_APPEND, STDOUT_FILENO);
  Redirect(err, O_WRONLY | O_CREAT | O_APPEND, STDERR_FILENO);
  for (const auto& [name, value] : extra) setenv(name.c_str(), value.c_str(), 1);
  execvp(raw[0], raw.data());
  _exit(127);
}

int ExitCode(int status) {
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

}  // namespace

std::string Program(const std::string& name) {
  const char* elsewhere = getenv("DUMPWARDEN_BIN_DIR");
  return std::string(elsewhere != nullptr ? elsewhere : DUMPWARDEN_BIN_DIR) + "/" + name;
}

std::string ReadAll(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

void WriteAll(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

bool Eventually(const std::function<bool()>& holds, absl::Duration limit, absl::Duration* took) {
  const absl::Time start = absl::Now();
  for (;;) {
    const bool held = holds();
    if (took != nullptr) *took = absl::Now() - start;
    if (held || absl::Now() - start > limit) return held;
    absl::SleepFor(absl::Milliseconds(10));
  }
}

Finished RunProgram(const std::vector<std::string>& argv, const std::string& input,
                    const Environment& extra) {
  TempFolder folder;
  WriteAll(folder.File("in"), input);
  const pid_t pid = Start(argv, folder.File("in"), folder.File("out"), folder.File("err"), extra);
  int status = 0;
  const bool ended =
      Eventually([&] { return waitpid(pid, &status, WNOHANG) == pid; }, absl::Minutes(1));
  if (!ended) {
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
  }
  return {ExitCode(status), ReadAll(folder.File("out")), ReadAll(folder.File("err"))};
}

Process::Process(const std::vector<std::string>& argv, const std::string& log,
                 const Environment& extra)
    : pid_(Start(argv, "/dev/null", log + ".out", log + ".err", extra)), log_(log) {}

Process::~Process() {
  if (!Running()) return;
  Kill(SIGKILL);
  waitpid(pid_, nullptr, 0);
}

void Process::Kill(int signal) const { kill(pid_, signal); }

bool Process::Running() {
  if (status_ >= 0) return false;
  int status = 0;
  if (waitpid(pid_, &status, WNOHANG) != pid_) return true;
  status_ = ExitCode(status);
  return false;
}

int Process::Wait(absl::Duration limit) {
  Eventually([&] { return !Running(); }, limit);
  return status_;
}

std::string Process::Out() const { return ReadAll(log_ + ".out"); }
std::string Process::Err() const { return ReadAll(log_ + ".err"); }

}  // namespace dumpwarden
