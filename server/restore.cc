// SPDX-License-Identifier: Apache-2.0
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/file_copy.h"
#include "server/backup.h"
#include "server/backup_layout.h"
#include "server/config.h"
#include "server/identity/authority.h"
#include "server/new_folder.h"
#include "server/store/backup.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxSums = 16 * 1024 * 1024;

absl::StatusOr<std::string> ReadSums(Vfs& vfs, const std::string& backup) {
  absl::StatusOr<std::string> text = vfs.Read(absl::StrCat(backup, "/", kSums), kMaxSums);
  if (text.ok() || !absl::IsNotFound(text.status())) return text;
  return absl::NotFoundError(absl::StrCat(
      backup, " holds no ", kSums, ": give --from a folder that `dumpwarden-server backup` made"));
}

absl::Status CopyAll(const Sums& sums, const std::string& backup, NewFolder& folder) {
  for (const auto& [name, sum] : sums) {
    const std::string from = absl::StrCat(backup, "/", name);
    ASSIGN_OR_RETURN(const std::string to, folder.Place(name));
    ASSIGN_OR_RETURN(const std::string copied, CopyFile(from, to));
    if (copied == sum) continue;
    return absl::DataLossError(absl::StrCat(from, " is damaged (it is not what ", kSums,
                                            " says): restore from another backup"));
  }
  return absl::OkStatus();
}

// That `serve` will be able to start with it.
absl::StatusOr<ServerConfig> Check(Vfs& vfs, Random& random, const std::string& folder) {
  ASSIGN_OR_RETURN(ServerConfig config,
                   ReadServerConfig(vfs, absl::StrCat(folder, "/", kSavedConfig)));
  ASSIGN_OR_RETURN(const std::unique_ptr<Authority> authority,
                   Authority::Open(vfs, random, config.ca));
  if (authority->trust_domain() == config.trust_domain) return config;
  return absl::FailedPreconditionError(
      absl::StrCat("the backup's trust-domain is ", config.trust_domain,
                   ", but its authority is that of ", authority->trust_domain()));
}

std::string WhatNext(const std::string& folder) {
  return absl::StrCat(
      "Restored in ", folder,
      ". Tokens that were open are closed. Lost is what happened after the backup: hosts enrolled\n"
      "since must enrol anew, hosts and people revoked since be revoked again, and policies\n"
      "applied since be applied again (their numbers are not reissued); drift that began and ended "
      "since is not "
      "told "
      "again.\n\n",
      "Next, when the old server is off and names and listeners in server.yaml are this "
      "machine's:\n",
      "  dumpwarden-server serve --config ", folder, "/", kSavedConfig, "\n");
}

}  // namespace

absl::StatusOr<std::string> Restore(const RestoreOptions& options, Vfs& vfs, const Clock& clock,
                                    Random& random) {
  ASSIGN_OR_RETURN(const std::string sums_text, ReadSums(vfs, options.from));
  ASSIGN_OR_RETURN(const Sums sums, ParseSums(sums_text));
  ASSIGN_OR_RETURN(const std::unique_ptr<NewFolder> folder, NewFolder::Make(vfs, options.folder));
  RETURN_IF_ERROR(CopyAll(sums, options.from, *folder));
  ASSIGN_OR_RETURN(const ServerConfig config, Check(vfs, random, folder->path()));
  if (config.store != absl::StrCat(folder->path(), "/", kSavedStore)) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.from, "/", kSavedConfig, " names the store ", Quote(config.store),
        ", not the one in the backup: `store: ", kSavedStore, "` is accepted; was it edited?"));
  }
  FAILPOINT("restore.files-copied");
  RETURN_IF_ERROR(BeginAfterRestore(config.store, clock.Now(), options.from, Sha256(sums_text)));
  FAILPOINT("restore.store-begun");
  RETURN_IF_ERROR(folder->Keep());
  return WhatNext(folder->name());
}

}  // namespace dumpwarden
