// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_
#define DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/vfs.h"

namespace dumpwarden {

// A file, and the note beside it that says what is about to be put in its place.
struct ReplacedFile {
  std::string path;
  std::string note;  // in a folder that nobody else may write
  std::size_t max_bytes = 0;
};
// FILE.dumpwarden: of the lock, the undo record, the backups and the notes.
std::string PlaceOfFile(const std::string& file);

// Puts `bytes` in place of the file that holds `expected`, durably: a temp file beside it, a note
// with the digests of both, and the two names exchanged.  When what comes out is not `expected`,
// another program was faster: its file goes back, and kAborted.  Where the file system cannot
// exchange names (NFS, some FUSE) the file is compared once more and renamed over, so that what
// comes in between is lost; so is, anywhere, what a program writes to a file that it had open
// before.  The new file has the mode and owner of the old one.  A kill leaves
// `path`.dumpwarden-tmp, and until MendFile the note: call that first.
absl::Status ReplaceFile(Vfs& vfs, const ReplacedFile& file, absl::string_view expected,
                         absl::string_view bytes);

// After a kill, by the note: what another program had put in place when ours was exchanged with it
// goes back, or when yet another file stands there by now, is kept beside it.  Adds to `said` what
// an admin must know.  Without a note there is nothing to do.
absl::Status MendFile(Vfs& vfs, const ReplacedFile& file, std::vector<std::string>& said);

// Makes of what the file holds what it is to hold; asked again when the file has changed.
using EditBytes = std::function<absl::StatusOr<std::string>(const std::string& found)>;
// Reads, edits and replaces, at most three times.  Nothing new touches nothing.
absl::Status EditFile(Vfs& vfs, const ReplacedFile& file, const EditBytes& edit);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_
