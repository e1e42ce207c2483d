// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_TESTS_SUPPORT_FAKE_FOLDERS_H_
#define DUMPWARDEN_TESTS_SUPPORT_FAKE_FOLDERS_H_

#include <map>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/folders.h"
#include "tests/support/faults.h"

namespace dumpwarden {

// FakeFolders is a set of Windows paths.  A path on a drive that was not added
// is unknown; a path that was made a link is refused.
class FakeFolders : public Folders {
 public:
  // With the backslash: D:, backslash.
  void AddDrive(const std::string& root) { drives_.insert(LowerAscii(root)); }
  void AddFolder(const std::string& path) { folders_.insert(LowerAscii(path)); }
  void AddLink(const std::string& path) { links_.insert(LowerAscii(path)); }
  // Something lies in the folder that is not ours.
  void AddFile(const std::string& folder) { occupied_.insert(LowerAscii(folder)); }
  // Looking at it, or removing it, is an error.
  void MakeUnreadable(const std::string& path) { unreadable_.insert(LowerAscii(path)); }
  void MakeUnremovable(const std::string& path) { unremovable_.insert(LowerAscii(path)); }
  void UseFaults(Faults& faults) { faults_ = &faults; }
  const std::set<std::string>& folders() const { return folders_; }  // lower case

  absl::StatusOr<Presence> Look(const std::string& path) override {
    RETURN_IF_ERROR(Check("Folders::Look"));
    if (unreadable_.count(LowerAscii(path)) != 0) return Denied(path);
    if (!OnDrive(path)) return Presence::kUnknown;
    return Has(path) ? Presence::kPresent : Presence::kAbsent;
  }

  absl::Status Make(const std::string& path) override {
    RETURN_IF_ERROR(Check("Folders::Make"));
    if (!OnDrive(path)) return absl::FailedPreconditionError(absl::StrCat(path, ": no such drive"));
    std::string partial = LowerAscii(path);
    for (const std::string& link : links_) {
      if (absl::StartsWith(partial, link)) {
        return absl::FailedPreconditionError(absl::StrCat(path, ": is a link"));
      }
    }
    for (; partial.size() > 3; partial = Parent(partial)) folders_.insert(partial);
    return absl::OkStatus();
  }

  absl::Status RemoveIfEmpty(const std::string& path) override {
    RETURN_IF_ERROR(Check("Folders::RemoveIfEmpty"));
    const std::string lower = LowerAscii(path);
    if (unremovable_.count(lower) != 0) return Denied(path);
    if (occupied_.count(lower) != 0) return absl::OkStatus();
    for (const std::string& folder : folders_) {
      if (absl::StartsWith(folder, lower + "\\")) return absl::OkStatus();
    }
    folders_.erase(lower);
    return absl::OkStatus();
  }

 private:
  static std::string Parent(const std::string& path) {
    const std::size_t slash = path.find_last_of('\\');
    return slash == std::string::npos ? std::string() : path.substr(0, slash);
  }
  static absl::Status Denied(const std::string& path) {
    return absl::PermissionDeniedError(absl::StrCat(path, ": Permission denied"));
  }
  absl::Status Check(const char* call) {
    return faults_ == nullptr ? absl::OkStatus() : faults_->Check(call);
  }
  bool OnDrive(const std::string& path) const {
    return path.size() >= 3 && drives_.count(LowerAscii(path.substr(0, 3))) != 0;
  }
  bool Has(const std::string& path) const {
    const std::string lower = LowerAscii(path);
    return lower.size() == 3 || folders_.count(lower) != 0;
  }

  std::set<std::string> drives_;
  std::set<std::string> folders_;
  std::set<std::string> links_;
  std::set<std::string> occupied_;
  std::set<std::string> unreadable_;
  std::set<std::string> unremovable_;
  Faults* faults_ = nullptr;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_FAKE_FOLDERS_H_
