// SPDX-License-Identifier: Apache-2.0
// What a backup's files are called, and its SHA256SUMS (as of sha256sum, which
// can check it too).
#ifndef DUMPWARDEN_SERVER_BACKUP_LAYOUT_H_
#define DUMPWARDEN_SERVER_BACKUP_LAYOUT_H_

#include <cstddef>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

inline constexpr char kSavedConfig[] = "server.yaml";
inline constexpr char kSavedStore[] = "store.db";
inline constexpr char kSavedChain[] = "server.crt";
inline constexpr char kSavedKey[] = "server.key";
inline constexpr char kSavedAuthority[] = "ca";
inline constexpr char kSavedOperators[] = "operators";
inline constexpr char kSums[] = "SHA256SUMS";
inline constexpr std::size_t kMaxConfigFile = 256 * 1024;

using Sums = std::map<std::string, std::string>;  // relative name -> SHA-256 in hex

std::string FormatSums(const Sums& sums);
// kDataLoss for anything that FormatSums does not write, names that lead elsewhere among it, and
// when server.yaml or store.db is missing.
absl::StatusOr<Sums> ParseSums(absl::string_view text);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_BACKUP_LAYOUT_H_
