// SPDX-License-Identifier: Apache-2.0
#include "agent/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/vfs.h"

namespace dumpwarden {
namespace {

// A name that appears, vanishes or was written and closed.  Not IN_MODIFY: half
// a file is nothing to look at.
constexpr std::uint32_t kChanges =
    IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ONLYDIR;

absl::Status SystemError(absl::string_view what) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what));
}

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

class PosixWatch : public Watch {
 public:
  explicit PosixWatch(WatchEvents events) : events_(std::move(events)) {}
  ~PosixWatch() override {
    if (!thread_.joinable()) return;
    const std::uint64_t one = 1;
    if (write(end_.get(), &one, sizeof one) == sizeof one) thread_.join();
  }

  absl::Status Start(const std::vector<std::string>& files);

 private:
  void Run();
  void ReadChanges();
  void Tell(const inotify_event& event, const char* name);

  WatchEvents events_;
  Descriptor changes_{inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  Descriptor end_{eventfd(0, EFD_CLOEXEC)};
  std::unique_ptr<Descriptor> signals_;
  std::map<int, std::map<std::string, std::string>> watched_;  // watch -> name -> file as given
  std::thread thread_;
};

absl::Status PosixWatch::Start(const std::vector<std::string>& files) {
  if (changes_.get() < 0) return SystemError("watch files (inotify)");
  if (end_.get() < 0) return SystemError("make an eventfd");
  for (const std::string& file : files) {
    const std::string folder = FolderOf(file);
    const int watch = inotify_add_watch(changes_.get(), folder.c_str(), kChanges);
    if (watch < 0) return SystemError(absl::StrCat("watch the folder ", folder));
    const std::size_t slash = file.rfind('/');
    watched_[watch][slash == std::string::npos ? file : file.substr(slash + 1)] = file;
  }
  const sigset_t signals = StopSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signals_ = std::make_unique<Descriptor>(signalfd(-1, &signals, SFD_CLOEXEC));
  if (signals_->get() < 0) return SystemError("wait for signals");
  thread_ = std::thread([this] { Run(); });
  return absl::OkStatus();
}

void PosixWatch::Run() {
  std::array<pollfd, 3> ready = {pollfd{changes_.get(), POLLIN, 0},
                                 pollfd{signals_->get(), POLLIN, 0}, pollfd{end_.get(), POLLIN, 0}};
  while (true) {
    if (poll(ready.data(), ready.size(), -1) < 0) {
      if (errno == EINTR) continue;
      return events_.stop();
    }
    if (ready[2].revents != 0) return;
    if (ready[1].revents != 0) {
      signalfd_siginfo info;
      if (read(signals_->get(), &info, sizeof info) == sizeof info) events_.stop();
    }
    if (ready[0].revents != 0) ReadChanges();
  }
}

void PosixWatch::ReadChanges() {
  alignas(inotify_event) std::array<char, 16 * 1024> buffer;
  while (true) {
    const ssize_t size = read(changes_.get(), buffer.data(), buffer.size());
    if (size <= 0) return;
    std::size_t at = 0;
    while (at < static_cast<std::size_t>(size)) {
      inotify_event event;
      std::memcpy(&event, buffer.data() + at, sizeof event);
      Tell(event, buffer.data() + at + sizeof event);
      at += sizeof event + event.len;
    }
  }
}

void PosixWatch::Tell(const inotify_event& event, const char* name) {
  for (const auto& [watch, names] : watched_) {
    const bool all = (event.mask & IN_Q_OVERFLOW) != 0;  // what was lost may be anything
    if (!all && watch != event.wd) continue;
    for (const auto& [known, file] : names) {
      if (all || (event.len > 0 && known == name)) events_.changed(file);
    }
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Watch>> MakeWatch(const std::vector<std::string>& files,
                                                 WatchEvents events) {
  auto watch = std::make_unique<PosixWatch>(std::move(events));
  RETURN_IF_ERROR(watch->Start(files));
  return watch;
}

}  // namespace dumpwarden
