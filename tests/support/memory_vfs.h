// SPDX-License-Identifier: Apache-2.0
// A disk in memory that knows what was synced: names (folder entries) and
// contents apart.  Crash loses the rest, so that a missing fsync turns a test red.
#ifndef DUMPWARDEN_TESTS_SUPPORT_MEMORY_VFS_H_
#define DUMPWARDEN_TESTS_SUPPORT_MEMORY_VFS_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/vfs.h"
#include "tests/support/faults.h"

namespace dumpwarden {

class MemoryVfs : public Vfs {
 public:
  MemoryVfs() { PutFolder("/"); }

  void UseFaults(Faults& faults) { faults_ = &faults; }
  // What is there before the test: durable, and with all its folders.
  void Put(const std::string& path, absl::string_view bytes) {
    std::lock_guard<std::mutex> lock(mutex_);
    PutFolder(FolderOf(path));
    auto inode = std::make_shared<Inode>(Inode{std::string(bytes), std::string(bytes)});
    names_[path] = inode;
    durable_names_[path] = inode;
  }
  void AddFolder(const std::string& path) {
    std::lock_guard<std::mutex> lock(mutex_);
    PutFolder(path);
  }
  // Nothing can be made, written, renamed or removed in this folder.
  void MakeUnwritable(const std::string& folder) {
    std::lock_guard<std::mutex> lock(mutex_);
    unwritable_.insert(folder);
  }
  // Runs before each Exchange, as another writer would: to the code under test it is as if that
  // had come in just before.
  void Interfere(std::function<void(MemoryVfs&)> other) { other_ = std::move(other); }
  void RefuseExchange() { can_exchange_ = false; }
  std::optional<std::string> Get(const std::string& path) const {
    std::lock_guard<std::mutex> lock(mutex_);
    const auto found = names_.find(path);
    if (found == names_.end()) return std::nullopt;
    return found->second->bytes;
  }
  std::vector<std::string> Paths() const {  // of files
    std::lock_guard<std::mutex> lock(mutex_);
    std::vector<std::string> paths;
    for (const auto& [path, inode] : names_) paths.push_back(path);
    return paths;
  }
  int changes() const { return changes_; }  // calls that wrote, renamed, removed or made something

  // Power fails.  Of contents that were not synced only the first `kept` bytes are there.  Entries
  // of folders that were not synced may be as they were, or as they became: both are legal.
  enum class Entries { kAsSynced, kAsWritten };
  void Crash(Entries entries = Entries::kAsSynced, std::size_t kept = 0) {
    std::lock_guard<std::mutex> lock(mutex_);
    if (entries == Entries::kAsSynced) {
      names_ = durable_names_;
      folders_ = durable_folders_;
    }
    for (auto& [path, inode] : names_) {
      if (inode->synced != inode->bytes && inode->bytes.size() > kept) inode->bytes.resize(kept);
      inode->synced = inode->bytes;
    }
    std::erase_if(names_,
                  [this](const auto& name) { return !folders_.count(FolderOf(name.first)); });
    durable_names_ = names_;
    durable_folders_ = folders_;
    locked_->clear();
  }

  absl::StatusOr<std::string> Read(const std::string& path, std::size_t max_bytes) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Check("Vfs::Read"));
    const auto found = names_.find(path);
    if (found == names_.end()) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    if (found->second->bytes.size() > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(path, ": larger than ", max_bytes));
    }
    return found->second->bytes;
  }
  absl::Status Write(const std::string& path, absl::string_view bytes) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Change("Vfs::Write", path));
    names_[path] = std::make_shared<Inode>(Inode{std::string(bytes), ""});
    return absl::OkStatus();
  }
  absl::Status Sync(const std::string& path) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Check("Vfs::Sync"));
    const auto found = names_.find(path);
    if (found == names_.end()) return absl::NotFoundError(absl::StrCat(path, ": no such file"));
    found->second->synced = found->second->bytes;
    return absl::OkStatus();
  }
  absl::Status SyncFolder(const std::string& folder) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Check("Vfs::SyncFolder"));
    if (!folders_.count(folder)) return absl::NotFoundError(absl::StrCat(folder, ": no folder"));
    std::erase_if(durable_names_,
                  [&folder](const auto& name) { return FolderOf(name.first) == folder; });
    for (const auto& [path, inode] : names_) {
      if (FolderOf(path) == folder) durable_names_[path] = inode;
    }
    for (const std::string& child : folders_) {
      if (FolderOf(child) == folder) durable_folders_.insert(child);
    }
    return absl::OkStatus();
  }
  absl::Status Rename(const std::string& from, const std::string& to) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Change("Vfs::Rename", to));
    const auto found = names_.find(from);
    if (found == names_.end()) return absl::NotFoundError(absl::StrCat(from, ": no such file"));
    auto inode = found->second;
    names_.erase(found);
    names_[to] = std::move(inode);
    return absl::OkStatus();
  }
  absl::Status Exchange(const std::string& a, const std::string& b) override {
    if (other_) other_(*this);
    std::lock_guard<std::mutex> lock(mutex_);
    if (!can_exchange_) return absl::UnimplementedError(absl::StrCat(b, ": cannot exchange"));
    RETURN_IF_ERROR(Change("Vfs::Exchange", b));
    const auto first = names_.find(a);
    const auto second = names_.find(b);
    if (first == names_.end() || second == names_.end()) {
      return absl::NotFoundError(absl::StrCat(a, ", ", b, ": no such file"));
    }
    std::swap(first->second, second->second);
    return absl::OkStatus();
  }
  absl::Status Remove(const std::string& path) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Change("Vfs::Remove", path));
    names_.erase(path);
    return absl::OkStatus();
  }
  absl::StatusOr<bool> Exists(const std::string& path) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Check("Vfs::Exists"));
    return names_.count(path) != 0 || folders_.count(path) != 0;
  }
  absl::Status MakeFolder(const std::string& path) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (folders_.count(path)) return Check("Vfs::MakeFolder");
    RETURN_IF_ERROR(Change("Vfs::MakeFolder", path));
    folders_.insert(path);
    return absl::OkStatus();
  }
  // Nobody else is on this disk.
  absl::Status CheckPrivateFolder(const std::string&) override {
    return Check("Vfs::CheckPrivateFolder");
  }
  absl::StatusOr<std::vector<std::string>> List(const std::string& folder) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Check("Vfs::List"));
    if (!folders_.count(folder)) return absl::NotFoundError(absl::StrCat(folder, ": no folder"));
    std::vector<std::string> names;
    const auto add = [&](const std::string& path) {
      if (FolderOf(path) == folder && path != folder) {
        names.push_back(path.substr(path.find_last_of('/') + 1));
      }
    };
    for (const auto& [path, inode] : names_) add(path);
    for (const std::string& path : folders_) add(path);
    std::sort(names.begin(), names.end());
    return names;
  }
  absl::StatusOr<std::unique_ptr<FileLock>> Lock(const std::string& path) override {
    std::lock_guard<std::mutex> lock(mutex_);
    RETURN_IF_ERROR(Change("Vfs::Lock", path));
    if (!locked_->insert(path).second) {
      return absl::UnavailableError(absl::StrCat(path, ": locked by another process"));
    }
    if (!names_.count(path)) names_[path] = std::make_shared<Inode>();
    return std::make_unique<HeldLock>(locked_, path);
  }

 private:
  struct Inode {
    std::string bytes;
    std::string synced;
  };
  using Locked = std::shared_ptr<std::set<std::string>>;
  struct HeldLock : FileLock {
    HeldLock(Locked l, std::string p) : locked(std::move(l)), path(std::move(p)) {}
    ~HeldLock() override { locked->erase(path); }
    Locked locked;
    std::string path;
  };

  void PutFolder(const std::string& path) {
    for (std::string folder = path;; folder = FolderOf(folder)) {
      folders_.insert(folder);
      durable_folders_.insert(folder);
      if (folder == "/" || folder == ".") return;
    }
  }
  absl::Status Check(const char* call) {
    return faults_ == nullptr ? absl::OkStatus() : faults_->Check(call);
  }
  absl::Status Change(const char* call, const std::string& path) {
    RETURN_IF_ERROR(Check(call));
    if (!folders_.count(FolderOf(path))) {
      return absl::NotFoundError(absl::StrCat(path, ": no such folder"));
    }
    if (unwritable_.count(FolderOf(path))) {
      return absl::PermissionDeniedError(absl::StrCat(path, ": Permission denied"));
    }
    ++changes_;
    return absl::OkStatus();
  }

  mutable std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Inode>> names_;
  std::map<std::string, std::shared_ptr<Inode>> durable_names_;
  std::set<std::string> folders_;
  std::set<std::string> durable_folders_;
  std::set<std::string> unwritable_;
  Locked locked_ = std::make_shared<std::set<std::string>>();
  std::function<void(MemoryVfs&)> other_;
  bool can_exchange_ = true;
  Faults* faults_ = nullptr;
  int changes_ = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_MEMORY_VFS_H_
