// SPDX-License-Identifier: Apache-2.0
#include "core/base/problems.h"

#include <algorithm>
#include <cstddef>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxMessages = 100;

bool Before(Mark a, Mark b) { return std::tie(a.line, a.column) < std::tie(b.line, b.column); }

}  // namespace

void Problems::Add(Mark mark, absl::string_view path, absl::string_view what) {
  if (messages_.size() > kMaxMessages) return;
  if (messages_.size() == kMaxMessages) {
    messages_.push_back(absl::StrCat(file_, ": there are more problems; these are the first ",
                                     kMaxMessages, " that were found"));
    return;
  }
  const auto at = std::upper_bound(marks_.begin(), marks_.end(), mark, Before) - marks_.begin();
  marks_.insert(marks_.begin() + at, mark);
  messages_.insert(messages_.begin() + at,
                   absl::StrCat(file_, ":", mark.line, ":", mark.column, ": ", path,
                                path.empty() ? "" : ": ", what));
}

absl::Status Problems::ToStatus() const {
  if (empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrJoin(messages_, "\n"));
}

}  // namespace dumpwarden
