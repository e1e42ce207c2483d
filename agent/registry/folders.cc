// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/folders.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/policy/facts.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kSystemRoot = "%SystemRoot%\\";

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }

 private:
  int fd_;
};

absl::Status SystemError(const std::string& path, const std::string& part, int error) {
  if (error == ELOOP || error == ENOTDIR) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": ", Quote(part),
                     " is a link or no folder; a dump folder is reached without links"));
  }
  return absl::ErrnoToStatus(error, absl::StrCat(path, ": ", Quote(part)));
}

// The name as the disk spells it; nullopt when there is none.
absl::StatusOr<std::optional<std::string>> NameOnDisk(int folder, const std::string& path,
                                                      const std::string& part) {
  const int again = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (again < 0) return SystemError(path, part, errno);
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(fdopendir(again), &closedir);
  if (entries == nullptr) {
    const int error = errno;
    close(again);
    return SystemError(path, part, error);
  }
  std::optional<std::string> found;
  while (const dirent* entry = readdir(entries.get())) {
    if (part == entry->d_name) return part;  // the very spelling goes first
    if (dumpwarden::EqualsIgnoreCase(entry->d_name, part)) found = entry->d_name;
  }
  return found;
}

absl::StatusOr<Descriptor> OpenMount(const std::string& mount) {
  Descriptor folder(open(mount.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.ok()) return folder;
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot open the mount ", mount, " of the facts"));
}

// One step down.  nullopt when it is absent.
absl::StatusOr<std::optional<Descriptor>> Enter(const Descriptor& folder, const std::string& path,
                                                const std::string& part) {
  ASSIGN_OR_RETURN(const std::optional<std::string> name, NameOnDisk(folder.get(), path, part));
  if (!name) return std::nullopt;
  Descriptor next(
      openat(folder.get(), name->c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!next.ok()) return SystemError(path, part, errno);
  return next;
}

}  // namespace

absl::StatusOr<Folders::Presence> MountedFolders::Look(const std::string& path) {
  ASSIGN_OR_RETURN(const Place place, Locate(path));
  if (place.mount.empty()) return Presence::kUnknown;
  ASSIGN_OR_RETURN(Descriptor folder, OpenMount(place.mount));
  for (const std::string& part : place.parts) {
    ASSIGN_OR_RETURN(std::optional<Descriptor> next, Enter(folder, path, part));
    if (!next) return Presence::kAbsent;
    folder = *std::move(next);
  }
  return Presence::kPresent;
}

// Mode 0700 stands for "SYSTEM and Administrators only"; Windows gives the folder its list when
// the volume is back there.
absl::Status MountedFolders::Make(const std::string& path) {
  ASSIGN_OR_RETURN(const Place place, Locate(path));
  if (place.mount.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": its volume is not mounted here (no `mount` in the facts)"));
  }
  ASSIGN_OR_RETURN(Descriptor folder, OpenMount(place.mount));
  for (const std::string& part : place.parts) {
    ASSIGN_OR_RETURN(std::optional<Descriptor> next, Enter(folder, path, part));
    if (!next) {
      if (mkdirat(folder.get(), part.c_str(), 0700) != 0) return SystemError(path, part, errno);
      if (fsync(folder.get()) != 0) return SystemError(path, part, errno);
      ASSIGN_OR_RETURN(next, Enter(folder, path, part));
      if (!next) return SystemError(path, part, ENOENT);
    }
    folder = *std::move(next);
  }
  return absl::OkStatus();
}

absl::Status MountedFolders::RemoveIfEmpty(const std::string& path) {
  ASSIGN_OR_RETURN(const Place place, Locate(path));
  if (place.mount.empty() || place.parts.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(Descriptor folder, OpenMount(place.mount));
  for (std::size_t i = 0; i + 1 < place.parts.size(); ++i) {
    ASSIGN_OR_RETURN(std::optional<Descriptor> next, Enter(folder, path, place.parts[i]));
    if (!next) return absl::OkStatus();
    folder = *std::move(next);
  }
  const std::string& last = place.parts.back();
  ASSIGN_OR_RETURN(const std::optional<std::string> name, NameOnDisk(folder.get(), path, last));
  if (!name) return absl::OkStatus();
  if (unlinkat(folder.get(), name->c_str(), AT_REMOVEDIR) != 0) {
    if (errno == ENOTEMPTY || errno == EEXIST || errno == ENOENT) return absl::OkStatus();
    return SystemError(path, last, errno);
  }
  if (fsync(folder.get()) != 0) return SystemError(path, last, errno);
  return absl::OkStatus();
}

absl::StatusOr<MountedFolders::Place> MountedFolders::Locate(const std::string& path) const {
  Place place;
  const v1::Facts::Volume* volume = VolumeOf(facts_, path);
  if (volume == nullptr || volume->mount().empty()) return place;
  absl::string_view rest = path;
  if (absl::StartsWithIgnoreCase(rest, kSystemRoot)) {
    rest.remove_prefix(kSystemRoot.size());
    place.parts.push_back("Windows");
  } else if (absl::StartsWithIgnoreCase(rest, volume->path())) {
    rest.remove_prefix(volume->path().size());
  } else {
    return absl::InvalidArgumentError(absl::StrCat(Quote(path), " is no folder on a drive"));
  }
  for (const absl::string_view part : absl::StrSplit(rest, '\\', absl::SkipEmpty())) {
    if (part == "." || part == ".." || part.size() > NAME_MAX || absl::StrContains(part, "/") ||
        absl::StrContains(part, absl::string_view("\0", 1))) {
      return absl::InvalidArgumentError(
          absl::StrCat(Quote(path), ": ", Quote(part), " is no name of a folder"));
    }
    place.parts.emplace_back(part);
  }
  place.mount = volume->mount();
  return place;
}

}  // namespace dumpwarden
