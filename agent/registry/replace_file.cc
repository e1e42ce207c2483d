// SPDX-License-Identifier: Apache-2.0
#include "agent/registry/replace_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

constexpr int kMaxTries = 3;
constexpr absl::string_view kNoteFormat = "dumpwarden-replacing/1\n";
constexpr std::size_t kMaxNoteBytes = 1024;
constexpr std::size_t kDigestDigits = 64;

absl::Status Failed(absl::string_view what, const std::string& path) {
  return absl::ErrnoToStatus(errno, absl::StrCat("cannot ", what, " ", path));
}

// The file that `path` was when we made it: in a shared folder the name may lead elsewhere by now.
absl::Status CheckOurs(const struct stat& file, const std::string& path) {
  if (S_ISREG(file.st_mode) && file.st_nlink == 1) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat(
      path,
      " was replaced by somebody else while it was written, so nothing was changed; take "
      "the right to write that folder away from other users and try again"));
}

// Owner first: chown clears set-id bits.  Without the right to give a file away nobody but its
// owner is let in, so the mode never grants more than the old one did.
absl::Status GiveOwnerAndMode(const struct stat& old, int file, const std::string& path) {
  struct stat now {};
  if (fstat(file, &now) != 0) return Failed("look at", path);
  RETURN_IF_ERROR(CheckOurs(now, path));
  const bool owned = (now.st_uid == old.st_uid && now.st_gid == old.st_gid) ||
                     fchown(file, old.st_uid, old.st_gid) == 0;
  const mode_t mode = old.st_mode & (owned ? 07777u : 0700u);
  return fchmod(file, mode) == 0 ? absl::OkStatus() : Failed("set the mode of", path);
}

absl::Status CopyOwnerAndMode(const std::string& from, const std::string& to) {
  struct stat old {};
  if (stat(from.c_str(), &old) != 0) return absl::OkStatus();  // not on a disk: a test's
  const int file = open(to.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (file < 0) return Failed("open", to);
  const absl::Status status = GiveOwnerAndMode(old, file, to);
  close(file);
  return status;
}

absl::Status WriteTemp(Vfs& vfs, const std::string& temp, const std::string& path,
                       absl::string_view bytes) {
  RETURN_IF_ERROR(vfs.Write(temp, bytes));
  RETURN_IF_ERROR(CopyOwnerAndMode(path, temp));
  return vfs.Sync(temp);
}

absl::StatusOr<bool> Holds(Vfs& vfs, const std::string& path, absl::string_view bytes) {
  const absl::StatusOr<std::string> found = vfs.Read(path, bytes.size());
  if (absl::IsResourceExhausted(found.status())) return false;  // it is larger
  RETURN_IF_ERROR(found.status());
  return *found == bytes;
}

// After the exchange: true when what came out is `expected`, false when it was put back.
absl::StatusOr<bool> Settle(Vfs& vfs, const std::string& temp, const std::string& path,
                            absl::string_view expected, absl::string_view bytes) {
  const absl::StatusOr<bool> replaced = Holds(vfs, temp, expected);
  if (replaced.ok() && *replaced) return true;
  RETURN_IF_ERROR(vfs.Exchange(temp, path));
  RETURN_IF_ERROR(replaced.status());
  ASSIGN_OR_RETURN(const bool ours, Holds(vfs, temp, bytes));
  // Otherwise yet another file had replaced ours, and is newer than the one that went back.
  if (!ours) RETURN_IF_ERROR(vfs.Exchange(temp, path));
  return false;
}

// --- The note: its format, and the SHA-256 of the old content and of ours, a line each

struct Note {
  std::string expected;
  std::string ours;
};

std::string FormatNote(absl::string_view expected, absl::string_view bytes) {
  return absl::StrCat(kNoteFormat, Sha256Hex(expected), "\n", Sha256Hex(bytes), "\n");
}

std::optional<Note> ParseNote(absl::string_view text) {
  if (!absl::ConsumePrefix(&text, kNoteFormat)) return std::nullopt;
  if (text.size() != 2 * (kDigestDigits + 1)) return std::nullopt;
  if (text[kDigestDigits] != '\n' || text.back() != '\n') return std::nullopt;
  return Note{std::string(text.substr(0, kDigestDigits)),
              std::string(text.substr(kDigestDigits + 1, kDigestDigits))};
}

absl::StatusOr<Note> ReadNote(Vfs& vfs, const ReplacedFile& file, const std::string& temp) {
  ASSIGN_OR_RETURN(const std::string text, vfs.Read(file.note, kMaxNoteBytes));
  std::optional<Note> note = ParseNote(text);
  if (note) return *std::move(note);
  return absl::DataLossError(
      absl::StrCat(file.note, " is damaged, so it is not known whether ", temp,
                   " is what another program wrote; compare it with ", file.path,
                   ", leave the right one under that name, then remove the note and start again"));
}

// "" for a file that is not there, or is too large to be one of ours.
absl::StatusOr<std::string> DigestOf(Vfs& vfs, const std::string& path, std::size_t max_bytes) {
  const absl::StatusOr<std::string> bytes = vfs.Read(path, max_bytes);
  if (absl::IsNotFound(bytes.status()) || absl::IsResourceExhausted(bytes.status())) return "";
  RETURN_IF_ERROR(bytes.status());
  return Sha256Hex(*bytes);
}

// The note goes durably and first: a later temp file is none that it speaks of.
absl::Status RemoveNote(Vfs& vfs, const ReplacedFile& file, const std::string& temp) {
  RETURN_IF_ERROR(RemoveDurably(vfs, file.note));
  vfs.Remove(temp).IgnoreError();  // the next write does it
  return absl::OkStatus();
}

// What was done last, by a killed process perhaps, is durable before the note that speaks of it
// goes.
absl::Status Forget(Vfs& vfs, const ReplacedFile& file, const std::string& temp) {
  RETURN_IF_ERROR(vfs.SyncFolder(FolderOf(file.path)));
  return RemoveNote(vfs, file, temp);
}

absl::StatusOr<std::string> KeepAside(Vfs& vfs, const std::string& temp, const std::string& path) {
  for (int n = 1;; ++n) {
    std::string aside = absl::StrCat(path, ".replaced-", n);
    ASSIGN_OR_RETURN(const bool taken, vfs.Exists(aside));
    if (taken) continue;
    RETURN_IF_ERROR(vfs.Rename(temp, aside));
    RETURN_IF_ERROR(vfs.SyncFolder(FolderOf(path)));
    return aside;
  }
}

// `temp` holds what another program wrote.  True when it is in its place again.
absl::StatusOr<bool> PutBack(Vfs& vfs, const ReplacedFile& file, const std::string& temp,
                             const Note& note) {
  ASSIGN_OR_RETURN(const std::string now, DigestOf(vfs, file.path, file.max_bytes));
  if (now != note.ours) return false;
  RETURN_IF_ERROR(vfs.Exchange(temp, file.path));
  ASSIGN_OR_RETURN(const std::string out, DigestOf(vfs, temp, file.max_bytes));
  if (out == note.ours) {
    RETURN_IF_ERROR(vfs.SyncFolder(FolderOf(file.path)));
    return true;
  }
  RETURN_IF_ERROR(vfs.Exchange(temp, file.path));  // yet another, and newer
  return false;
}

absl::Status ChangedFile(const std::string& path) {
  return absl::AbortedError(absl::StrCat(path, " was changed by another program meanwhile"));
}

std::string TempOf(const std::string& path) { return absl::StrCat(path, ".dumpwarden-tmp"); }

// The temp file is whole, and has its name, before there is a note of it.  An earlier note, of a
// write that is over, would be taken for one of this temp file: it goes first, for good.
absl::Status Prepare(Vfs& vfs, const ReplacedFile& file, const std::string& temp,
                     absl::string_view expected, absl::string_view bytes) {
  RETURN_IF_ERROR(vfs.MakeFolder(FolderOf(file.note)));  // whoever holds the lock has made it
  RETURN_IF_ERROR(vfs.SyncFolder(FolderOf(file.path)));  // what that write has left
  RETURN_IF_ERROR(RemoveDurably(vfs, file.note));
  RETURN_IF_ERROR(WriteTemp(vfs, temp, file.path, bytes));
  RETURN_IF_ERROR(vfs.SyncFolder(FolderOf(temp)));
  return WriteDurably(vfs, file.note, FormatNote(expected, bytes));
}

absl::Status RenameOver(Vfs& vfs, const std::string& temp, const std::string& path,
                        absl::string_view expected) {
  ASSIGN_OR_RETURN(const bool same, Holds(vfs, path, expected));
  return same ? vfs.Rename(temp, path) : ChangedFile(path);
}

}  // namespace

std::string PlaceOfFile(const std::string& file) { return absl::StrCat(file, ".dumpwarden"); }

absl::Status ReplaceFile(Vfs& vfs, const ReplacedFile& file, absl::string_view expected,
                         absl::string_view bytes) {
  const std::string& path = file.path;
  const std::string temp = TempOf(path);
  absl::Status status = Prepare(vfs, file, temp, expected, bytes);
  bool exchanged = false;
  if (status.ok()) {
    status = vfs.Exchange(temp, path);
    exchanged = status.ok();
    if (absl::IsUnimplemented(status)) status = RenameOver(vfs, temp, path, expected);
  }
  if (!status.ok()) {
    Forget(vfs, file, temp).IgnoreError();  // the first failure is the one to tell
    return status;
  }
  FAILPOINT("replace.exchanged");
  if (!exchanged) {
    status = vfs.SyncFolder(FolderOf(path));
    if (status.ok()) RemoveNote(vfs, file, temp).IgnoreError();  // or the next write does it
    return status;
  }
  const absl::StatusOr<bool> replaced = Settle(vfs, temp, path, expected, bytes);
  if (!replaced.ok()) {  // then the temp name is not ours to remove
    return absl::Status(replaced.status().code(),
                        absl::StrCat(replaced.status().message(), "; what stood in ", path,
                                     " may be in ", temp, ": compare the two"));
  }
  status = vfs.SyncFolder(FolderOf(path));
  if (status.ok()) RemoveNote(vfs, file, temp).IgnoreError();
  return *replaced ? status : ChangedFile(path);
}

absl::Status MendFile(Vfs& vfs, const ReplacedFile& file, std::vector<std::string>& said) {
  ASSIGN_OR_RETURN(const bool noted, vfs.Exists(file.note));
  if (!noted) return absl::OkStatus();
  const std::string temp = TempOf(file.path);
  ASSIGN_OR_RETURN(const bool there, vfs.Exists(temp));
  if (!there) return Forget(vfs, file, temp);
  ASSIGN_OR_RETURN(const Note note, ReadNote(vfs, file, temp));
  ASSIGN_OR_RETURN(const std::string found, DigestOf(vfs, temp, file.max_bytes));
  // Not exchanged, or exchanged for what was expected.
  if (found == note.ours || found == note.expected) return Forget(vfs, file, temp);
  ASSIGN_OR_RETURN(const bool back, PutBack(vfs, file, temp, note));
  if (back) {
    said.push_back(absl::StrCat("what another program wrote to ", file.path,
                                " in the instant in which an apply was killed was put back"));
    return Forget(vfs, file, temp);
  }
  ASSIGN_OR_RETURN(const std::string aside, KeepAside(vfs, temp, file.path));
  said.push_back(absl::StrCat("what another program wrote to ", file.path,
                              " in the instant in which an apply was killed is kept in ", aside,
                              ", because the file was replaced once more since; compare the two"));
  return Forget(vfs, file, temp);
}

absl::Status EditFile(Vfs& vfs, const ReplacedFile& file, const EditBytes& edit) {
  absl::Status status;
  for (int tries = 0; tries < kMaxTries; ++tries) {
    ASSIGN_OR_RETURN(const std::string found, vfs.Read(file.path, file.max_bytes));
    ASSIGN_OR_RETURN(const std::string edited, edit(found));
    status = edited == found ? absl::OkStatus() : ReplaceFile(vfs, file, found, edited);
    if (!absl::IsAborted(status)) return status;
  }
  return status;
}

}  // namespace dumpwarden
