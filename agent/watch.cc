// SPDX-License-Identifier: Apache-2.0
#include "agent/watch.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
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

// A name that appears, vanishes or was written and closed.  IN_CREATE for link(2), which gives no
// other event.  Not IN_MODIFY: half a file is nothing to look at.
constexpr std::uint32_t kChanges = IN_CREATE | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                   IN_DELETE | IN_MOVE_SELF | IN_DELETE_SELF | IN_ONLYDIR;
// The folder itself is no longer what the path names, or no longer watched.
constexpr std::uint32_t kFolderChanges = IN_MOVE_SELF | IN_DELETE_SELF | IN_UNMOUNT | IN_IGNORED;

// How often the paths are looked up again: soon while one names no folder; and once in a while,
// because a folder further up may be replaced too, of which inotify says nothing.
constexpr std::chrono::milliseconds kSoon{1000};
constexpr std::chrono::milliseconds kNowAndThen{60 * 1000};

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

struct WatchedFolder {
  std::string path;
  int watch = -1;                            // inotify's; negative while there is no such folder
  std::map<std::string, std::string> files;  // name -> as given
};

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
  void AddFile(const std::string& file);
  int WatchFolder(const WatchedFolder& folder) const;
  void Run();
  std::chrono::milliseconds UntilNextLook() const;  // never negative
  // Watches what the paths name now; what is another folder than before has changed.
  void Renew();
  void ReadChanges();
  void TellAll(const WatchedFolder& folder) const;
  void Tell(const inotify_event& event, const char* name);

  WatchEvents events_;
  Descriptor changes_{inotify_init1(IN_NONBLOCK | IN_CLOEXEC)};
  Descriptor end_{eventfd(0, EFD_CLOEXEC)};
  std::unique_ptr<Descriptor> signals_;
  std::vector<WatchedFolder> folders_;
  std::chrono::steady_clock::time_point looked_ = std::chrono::steady_clock::now();
  std::thread thread_;
};

void PosixWatch::AddFile(const std::string& file) {
  const std::string path = FolderOf(file);
  const std::size_t slash = file.rfind('/');
  const std::string name = slash == std::string::npos ? file : file.substr(slash + 1);
  const auto same = [&](const WatchedFolder& folder) { return folder.path == path; };
  auto folder = std::find_if(folders_.begin(), folders_.end(), same);
  if (folder == folders_.end()) folder = folders_.insert(folder, WatchedFolder{path, -1, {}});
  folder->files[name] = file;
}

int PosixWatch::WatchFolder(const WatchedFolder& folder) const {
  return inotify_add_watch(changes_.get(), folder.path.c_str(), kChanges);
}

absl::Status PosixWatch::Start(const std::vector<std::string>& files) {
  if (changes_.get() < 0) {
    return SystemError("watch files (inotify; see fs.inotify.max_user_instances)");
  }
  if (end_.get() < 0) return SystemError("make an eventfd");
  for (const std::string& file : files) AddFile(file);
  for (WatchedFolder& folder : folders_) {
    folder.watch = WatchFolder(folder);
    if (folder.watch < 0) return SystemError(absl::StrCat("watch the folder ", folder.path));
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
    // Not only in silence: another folder may change all the time.
    if (UntilNextLook().count() == 0) Renew();
    const int events = poll(ready.data(), ready.size(), static_cast<int>(UntilNextLook().count()));
    if (events < 0 && errno == EINTR) continue;
    if (events < 0) return events_.stop();
    if (ready[2].revents != 0) return;
    if (ready[1].revents != 0) {
      signalfd_siginfo info;
      if (read(signals_->get(), &info, sizeof info) == sizeof info) events_.stop();
    }
    if (ready[0].revents != 0) ReadChanges();
  }
}

std::chrono::milliseconds PosixWatch::UntilNextLook() const {
  const bool lost = std::any_of(folders_.begin(), folders_.end(),
                                [](const WatchedFolder& folder) { return folder.watch < 0; });
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - looked_);
  return std::max(std::chrono::milliseconds(0), (lost ? kSoon : kNowAndThen) - since);
}

void PosixWatch::Renew() {
  looked_ = std::chrono::steady_clock::now();
  for (WatchedFolder& folder : folders_) {
    const int before = std::exchange(folder.watch, WatchFolder(folder));
    if (folder.watch == before) continue;
    if (before >= 0) inotify_rm_watch(changes_.get(), before);
    TellAll(folder);
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

void PosixWatch::TellAll(const WatchedFolder& folder) const {
  for (const auto& [name, file] : folder.files) events_.changed(file);
}

void PosixWatch::Tell(const inotify_event& event, const char* name) {
  const bool all = (event.mask & IN_Q_OVERFLOW) != 0;  // what was lost may be anything
  bool replaced = all;
  for (const WatchedFolder& folder : folders_) {
    if (!all && folder.watch != event.wd) continue;
    if (all || (event.mask & kFolderChanges) != 0) {
      TellAll(folder);
      replaced = true;
    } else if (event.len > 0) {
      const auto file = folder.files.find(name);
      if (file != folder.files.end()) events_.changed(file->second);
    }
  }
  if (replaced) Renew();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Watch>> MakeWatch(const std::vector<std::string>& files,
                                                 WatchEvents events) {
  auto watch = std::make_unique<PosixWatch>(std::move(events));
  RETURN_IF_ERROR(watch->Start(files));
  return watch;
}

}  // namespace dumpwarden
