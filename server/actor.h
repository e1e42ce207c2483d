// SPDX-License-Identifier: Apache-2.0
// Who asks for a change, and why: what the audit log keeps of it.
#ifndef DUMPWARDEN_SERVER_ACTOR_H_
#define DUMPWARDEN_SERVER_ACTOR_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

struct Actor {
  std::string id;      // spiffe id
  std::string source;  // peer address
};

inline constexpr std::size_t kMaxReason = 500;

inline absl::Status CheckReason(absl::string_view reason) {
  if (absl::StripAsciiWhitespace(reason).empty()) {
    return absl::InvalidArgumentError("a reason is missing; it is kept in the audit log");
  }
  if (reason.size() <= kMaxReason) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the reason has ", reason.size(), " bytes; at most ", kMaxReason, " are kept"));
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_ACTOR_H_
