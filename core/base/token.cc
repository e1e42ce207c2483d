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

struct Kind {
  absl::string_view format;
  absl::string_view name;
  absl::string_view source;
};
constexpr Kind kToken = {"dwt1", "enrolment token", "dumpctl token create"};
constexpr Kind kCode = {"dwl1", "login code", "dumpctl person add"};
constexpr std::int64_t kLastSecond = 253402300799;  // 9999-12-31T23:59:59Z

bool IsLowerHex(absl::string_view text, std::size_t digits) {
  return text.size() == digits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

absl::Status Bad(const Kind& kind, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(kind.name, ": ", why, "; it reads ", kind.format,
                   ".<id>.<secret>.<root pin>.<expiry>: copy it whole from `", kind.source, "`"));
}

absl::StatusOr<SecretText> Parse(const Kind& kind, absl::string_view text) {
  const std::vector<absl::string_view> parts = absl::StrSplit(text, absl::MaxSplits('.', 5));
  if (parts.size() > 1 && parts[0] != kind.format)
    return Bad(kind, "this format is not known to this program");
  if (parts.size() != 5) return Bad(kind, "it does not have five parts");
  if (!IsLowerHex(parts[1], 32)) return Bad(kind, "the id is not 32 lower-case hex digits");
  if (!IsLowerHex(parts[2], 64)) return Bad(kind, "the secret is not 64 lower-case hex digits");
  if (!IsLowerHex(parts[3], 64)) return Bad(kind, "the root pin is not 64 lower-case hex digits");
  std::int64_t seconds = 0;
  if (!absl::SimpleAtoi(parts[4], &seconds) || seconds < 0 || seconds > kLastSecond ||
      absl::StrCat(seconds) != parts[4]) {
    return Bad(kind, "the expiry is not a time in Unix seconds");
  }
  return SecretText{std::string(parts[1]), std::string(parts[2]), std::string(parts[3]),
                    absl::FromUnixSeconds(seconds)};
}

std::string Format(const Kind& kind, const SecretText& text) {
  return absl::StrCat(kind.format, ".", text.id, ".", text.secret, ".", text.root_pin, ".",
                      absl::ToUnixSeconds(text.expires));
}

}  // namespace

absl::StatusOr<EnrollmentToken> ParseToken(absl::string_view text) { return Parse(kToken, text); }
std::string FormatToken(const EnrollmentToken& token) { return Format(kToken, token); }

absl::StatusOr<LoginCode> ParseLoginCode(absl::string_view text) { return Parse(kCode, text); }
std::string FormatLoginCode(const LoginCode& code) { return Format(kCode, code); }

}  // namespace dumpwarden
