// SPDX-License-Identifier: Apache-2.0
#include "core/base/token.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kFormat = "dwt1";
constexpr std::int64_t kLastSecond = 253402300799;  // 9999-12-31T23:59:59Z

bool IsLowerHex(absl::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

absl::Status Bad(absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("enrolment token: ", why,
                   "; it reads dwt1.<id>.<secret>.<root pin>.<expiry>: copy it whole from "
                   "`dumpctl token create`"));
}

}  // namespace

absl::StatusOr<EnrollmentToken> ParseToken(absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('.', 5));
  if (parts.size() > 1 && parts[0] != kFormat)
    return Bad("this format is not known to this program");
  if (parts.size() != 5) return Bad("it does not have five parts");
  if (!IsLowerHex(parts[1], 32)) return Bad("the id is not 32 lower-case hex digits");
  if (!IsLowerHex(parts[2], 64)) return Bad("the secret is not 64 lower-case hex digits");
  if (!IsLowerHex(parts[3], 64)) return Bad("the root pin is not 64 lower-case hex digits");
  std::int64_t seconds = 0;
  if (!absl::SimpleAtoi(parts[4], &seconds) || seconds < 0 || seconds > kLastSecond ||
      absl::StrCat(seconds) != parts[4]) {
    return Bad("the expiry is not a time in Unix seconds");
  }
  return EnrollmentToken{std::string(parts[1]), std::string(parts[2]), std::string(parts[3]),
                         absl::FromUnixSeconds(seconds)};
}

std::string FormatToken(const EnrollmentToken& token) {
  return absl::StrCat(kFormat, ".", token.id, ".", token.secret, ".", token.root_pin, ".",
                      absl::ToUnixSeconds(token.expires));
}

}  // namespace dumpwarden
