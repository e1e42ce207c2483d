// SPDX-License-Identifier: Apache-2.0
#include "server/backup_layout.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kDigits = 64;
constexpr absl::string_view kGap = "  ";

// Below the folder, whatever comes before or after it.
bool StaysInside(absl::string_view name) {
  for (absl::string_view part : absl::StrSplit(name, '/')) {
    if (part.empty() || part == "." || part == "..") return false;
  }
  return true;
}

bool IsDigest(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  }
  return text.size() == kDigits;
}

absl::Status Damaged(absl::string_view why) {
  return absl::DataLossError(absl::StrCat(kSums, " of the backup ", why, ": take another backup"));
}

}  // namespace

std::string FormatSums(const Sums& sums) {
  std::string text;
  for (const auto& [name, digest] : sums) absl::StrAppend(&text, digest, kGap, name, "\n");
  return text;
}

absl::StatusOr<Sums> ParseSums(absl::string_view text) {
  Sums sums;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    const absl::string_view digest = line.substr(0, kDigits);
    const absl::string_view name =
        line.size() > kDigits + kGap.size() ? line.substr(kDigits + kGap.size()) : "";
    if (!IsDigest(digest) || line.substr(kDigits, kGap.size()) != kGap || !StaysInside(name)) {
      return Damaged(absl::StrCat("has the line ", Quote(line)));
    }
    sums.emplace(name, digest);
  }
  for (const char* needed : {kSavedConfig, kSavedStore}) {
    if (sums.count(needed) == 0) return Damaged(absl::StrCat("does not name ", needed));
  }
  return sums;
}

}  // namespace dumpwarden
