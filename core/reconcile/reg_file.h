// SPDX-License-Identifier: Apache-2.0
// The .reg format: read, edited in place, written.  Lines that are not touched
// keep their bytes, comments and order; encoding (UTF-16LE with BOM, UTF-8) and
// line ends stay as found.  Rules: windows-crash-dumps.md section 8.1.
#ifndef DUMPWARDEN_CORE_RECONCILE_REG_FILE_H_
#define DUMPWARDEN_CORE_RECONCILE_REG_FILE_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/problems.h"
#include "core/catalog/registry_value.h"
#include "core/reconcile/reg_line.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxRegFileBytes = 64 * 1024 * 1024;

// RegFile is a document, and what it amounts to when it is merged into an empty
// registry as regedit merges it: top to bottom, the last word wins.  A REGEDIT4 file (ASCII only)
// becomes version 5 with the first edit, because its texts are of the machine's code page.
class RegFile {
 public:
  // kInvalidArgument with file:line:column.  `file` is for messages.
  static absl::StatusOr<RegFile> Parse(absl::string_view bytes, absl::string_view file);
  // An empty one, as regedit exports: version 5, UTF-16LE with BOM, CR LF.
  static RegFile New();

  std::string Serialize() const;

  std::vector<RegLine> Lines() const;            // value lines, deletions too, top to bottom
  std::vector<std::string> DeletedKeys() const;  // of [-KEY] lines
  std::vector<std::string> Keys() const;         // that the merge leaves
  bool HasKey(absl::string_view key) const;      // it or a key below it
  std::optional<RegistryValue> Read(absl::string_view key, absl::string_view name) const;
  // Where a cell is written more than once, every one of its lines changes.
  void Write(absl::string_view key, absl::string_view name, const RegistryValue& value);
  void Delete(absl::string_view key, absl::string_view name);         // the lines go
  void WriteDeletion(absl::string_view key, absl::string_view name);  // "Name"=-
  void AddComment(absl::string_view text);                            // before the first key
  void DeleteKeyIfEmpty(absl::string_view key);

 private:
  // What the merge leaves: values of a key, by lower-case names.
  struct Key {
    std::string path;  // as first spelled
    std::map<std::string, RegistryValue> values;
  };
  using Merged = std::map<std::string, Key>;

  const Merged& Merge() const;
  bool HasSubKey(const std::string& lower) const;
  void Edit(absl::string_view key, absl::string_view name,
            const std::optional<RegistryValue>& value);
  void Insert(absl::string_view key, const RegTextLine& line);
  std::size_t AppendSection(absl::string_view key);
  void EraseEmptyLine(std::size_t at);
  void MakeVersion5();
  RegTextLine ValueLine(absl::string_view key, absl::string_view name,
                        const std::optional<RegistryValue>& value) const;

  std::vector<RegTextLine> lines_;
  mutable std::optional<Merged> merged_;  // made when asked for, dropped by edits
  bool utf16_ = true;
  bool bom_ = true;
  RegDialect dialect_ = RegDialect::kVersion5;
  std::string line_end_ = "\r\n";
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_REG_FILE_H_
