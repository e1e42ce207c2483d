// SPDX-License-Identifier: Apache-2.0
#include "server/backup.h"

#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/file_copy.h"
#include "server/backup_layout.h"
#include "server/config.h"
#include "server/new_folder.h"
#include "server/store/backup.h"

namespace dumpwarden {
namespace {

bool IsFolder(const std::string& path) {
  std::error_code absent;
  return std::filesystem::is_directory(path, absent);
}

std::string NameOf(const std::string& to, absl::Time now) {
  if (!IsFolder(to)) return to;
  return absl::StrCat(to, "/dumpwarden-",
                      absl::FormatTime("%Y%m%dT%H%M%SZ", now, absl::UTCTimeZone()));
}

// A file, and its name in the backup.
using Saved = std::pair<std::string, std::string>;

absl::Status AddFilesOf(Vfs& vfs, const std::string& folder, const std::string& name,
                        std::vector<Saved>& files) {
  ASSIGN_OR_RETURN(const std::vector<std::string> names, vfs.List(folder));
  for (const std::string& file : names) {
    const std::string path = absl::StrCat(folder, "/", file);
    std::error_code absent;
    if (!std::filesystem::is_regular_file(path, absent)) continue;
    if (absl::StrContains(path, '\n')) {
      return absl::InvalidArgumentError(
          absl::StrCat("the name ", Quote(path), " has a line end, which ", kSums, " cannot hold"));
    }
    files.emplace_back(path, absl::StrCat(name, "/", file));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Saved>> FilesOf(Vfs& vfs, const ServerConfig& config,
                                           const std::string& operators) {
  std::vector<Saved> files = {{config.tls_chain, kSavedChain}, {config.tls_key, kSavedKey}};
  RETURN_IF_ERROR(AddFilesOf(vfs, config.ca, kSavedAuthority, files));
  if (!IsFolder(operators)) return files;
  ASSIGN_OR_RETURN(const std::vector<std::string> names, vfs.List(operators));
  for (const std::string& name : names) {
    const std::string folder = absl::StrCat(operators, "/", name);
    if (!IsFolder(folder)) continue;
    RETURN_IF_ERROR(AddFilesOf(vfs, folder, absl::StrCat(kSavedOperators, "/", name), files));
  }
  return files;
}

// The file as it is when its paths are those of a backup; otherwise written anew.
absl::StatusOr<std::string> ConfigToSave(Vfs& vfs, const std::string& file, ServerConfig config) {
  ASSIGN_OR_RETURN(std::string text, vfs.Read(file, kMaxConfigFile));
  ASSIGN_OR_RETURN(const ServerConfig moved, ParseServerConfig(text, "/new/server.yaml"));
  const auto at = [](const char* name) { return absl::StrCat("/new/", name); };
  if (moved.store == at(kSavedStore) && moved.ca == at(kSavedAuthority) &&
      moved.tls_chain == at(kSavedChain) && moved.tls_key == at(kSavedKey)) {
    return text;
  }
  config.store = kSavedStore;
  config.ca = kSavedAuthority;
  config.tls_chain = kSavedChain;
  config.tls_key = kSavedKey;
  return FormatServerConfig(config);
}

absl::Status Fill(Vfs& vfs, const BackupOptions& options, const ServerConfig& config,
                  NewFolder& folder) {
  Sums sums;
  const std::string operators = absl::StrCat(FolderOf(options.config), "/", kSavedOperators);
  ASSIGN_OR_RETURN(const std::vector<Saved> files, FilesOf(vfs, config, operators));
  for (const auto& [from, name] : files) {
    ASSIGN_OR_RETURN(const std::string to, folder.Place(name));
    ASSIGN_OR_RETURN(sums[name], CopyFile(from, to));
  }
  ASSIGN_OR_RETURN(const std::string yaml, ConfigToSave(vfs, options.config, config));
  ASSIGN_OR_RETURN(const std::string yaml_file, folder.Place(kSavedConfig));
  RETURN_IF_ERROR(WriteDurably(vfs, yaml_file, yaml));
  ASSIGN_OR_RETURN(sums[kSavedConfig], FileDigest(yaml_file));
  ASSIGN_OR_RETURN(const std::string store, folder.Place(kSavedStore));
  FAILPOINT("backup.files-copied");
  RETURN_IF_ERROR(BackUpStore(config.store, store));
  FAILPOINT("backup.store-copied");
  RETURN_IF_ERROR(vfs.Sync(store));
  ASSIGN_OR_RETURN(sums[kSavedStore], FileDigest(store));
  ASSIGN_OR_RETURN(const std::string sums_file, folder.Place(kSums));
  return WriteDurably(vfs, sums_file, FormatSums(sums));
}

std::string WhatWasSaved(const BackupOptions& options, const std::string& name) {
  const bool operators = IsFolder(absl::StrCat(name, "/", kSavedOperators));
  return absl::StrCat(
      "Backed up to ", name, ":\n",
      "  store.db (its integrity was checked), server.yaml, server.crt, server.key, ca/",
      operators ? ", operators/\n" : "\n",
      "It holds the authority's keys, unencrypted: who has it is the server.\n", "Not saved: ",
      operators ? ""
                : absl::StrCat("operators' keys (there is no folder operators beside ",
                               options.config, "); "),
      "dumpctl's contexts elsewhere, the service's unit, the log.\n\n", "To restore:\n",
      "  dumpwarden-server restore --from ", name, " --dir NEW\n");
}

}  // namespace

absl::StatusOr<std::string> BackUp(const BackupOptions& options, Vfs& vfs, const Clock& clock) {
  ASSIGN_OR_RETURN(const ServerConfig config, ReadServerConfig(vfs, options.config));
  ASSIGN_OR_RETURN(const std::unique_ptr<NewFolder> folder,
                   NewFolder::Make(vfs, NameOf(options.to, clock.Now())));
  RETURN_IF_ERROR(Fill(vfs, options, config, *folder));
  RETURN_IF_ERROR(folder->Keep());
  return WhatWasSaved(options, folder->name());
}

}  // namespace dumpwarden
