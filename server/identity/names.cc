// SPDX-License-Identifier: Apache-2.0
#include "server/identity/names.h"

#include <arpa/inet.h>

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxDnsName = 253;
constexpr std::size_t kMaxLabel = 63;
constexpr std::size_t kMaxOperator = 64;

bool IsLabel(absl::string_view label) {
  return !label.empty() && label.size() <= kMaxLabel && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
           return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
         });
}

bool IsLowerHex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

bool IsUuid(absl::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : !IsLowerHex(text[i])) return false;
  }
  return true;
}

bool IsDnsName(absl::string_view text) {
  if (text.size() > kMaxDnsName) return false;
  const std::vector<absl::string_view> labels = absl::StrSplit(text, '.');
  return std::all_of(labels.begin(), labels.end(), IsLabel);
}

bool IsAddress(absl::string_view text) {
  unsigned char bytes[16];
  const std::string address(text);
  if (address.find('\0') != std::string::npos) return false;
  return inet_pton(AF_INET, address.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, address.c_str(), bytes) == 1;
}

absl::Status CheckTrustDomain(absl::string_view text) {
  const bool lower = std::none_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isupper(static_cast<unsigned char>(c));
  });
  if (lower && IsDnsName(text) && !IsAddress(text)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the trust domain ", Quote(text),
                   " is not accepted: a lower-case DNS name is expected, as in corp.example"));
}

absl::Status CheckOperatorName(absl::string_view text) {
  const bool good = !text.empty() && text.size() <= kMaxOperator &&
                    absl::ascii_isalnum(static_cast<unsigned char>(text.front())) &&
                    std::all_of(text.begin(), text.end(), [](char c) {
                      return absl::ascii_islower(static_cast<unsigned char>(c)) ||
                             absl::ascii_isdigit(static_cast<unsigned char>(c)) || c == '.' ||
                             c == '_' || c == '-' || c == '@';
                    });
  if (good) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the operator's name ", Quote(text),
      " is not accepted: 1 to 64 of a-z 0-9 . _ - @, beginning with a letter or digit"));
}

}  // namespace dumpwarden
