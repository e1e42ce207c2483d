// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/status.h"

#include <algorithm>
#include <iterator>

namespace dumpwarden {
namespace {

struct Word {
  v1::Status status;
  absl::string_view word;
  bool needs_attention;
};

// Worst first.
constexpr Word kWords[] = {
    {v1::STATUS_ERROR, "error", false},  // exit code 1 says more
    {v1::STATUS_BLOCKED, "blocked", true},
    {v1::STATUS_CONTESTED, "contested", true},
    {v1::STATUS_DRIFTED, "drifted", true},
    {v1::STATUS_PENDING_REBOOT, "pending-reboot", true},
    {v1::STATUS_UNSUPPORTED, "unsupported", false},
    {v1::STATUS_WAIVED, "waived", false},
    {v1::STATUS_NOT_APPLICABLE, "not-applicable", false},
    {v1::STATUS_CORRECTED, "corrected", false},
    {v1::STATUS_COMPLIANT, "compliant", false},
};

// The place in kWords; behind all for a status of a newer program.
std::ptrdiff_t Rank(v1::Status status) {
  const auto found = std::find_if(std::begin(kWords), std::end(kWords),
                                  [&](const Word& word) { return word.status == status; });
  return found - std::begin(kWords);
}

}  // namespace

absl::string_view StatusWord(v1::Status status) {
  const std::ptrdiff_t rank = Rank(status);
  return rank < std::ssize(kWords) ? kWords[rank].word : "unknown";
}

v1::Status StatusFromWord(absl::string_view word) {
  for (const Word& known : kWords) {
    if (known.word == word) return known.status;
  }
  return v1::STATUS_UNSPECIFIED;
}

absl::string_view ModeWord(v1::Mode mode) {
  switch (mode) {
    case v1::MODE_ENFORCE:
      return "enforce";
    case v1::MODE_AUDIT:
      return "audit";
    default:
      return "unknown";
  }
}

v1::Status Worse(v1::Status a, v1::Status b) { return Rank(a) <= Rank(b) ? a : b; }

v1::Status WorstOf(std::span<const v1::Finding> findings) {
  v1::Status worst = v1::STATUS_COMPLIANT;
  for (const v1::Finding& finding : findings) worst = Worse(worst, finding.status());
  return worst;
}

bool NeedsAttention(v1::Status status) {
  const std::ptrdiff_t rank = Rank(status);
  return rank < std::ssize(kWords) && kWords[rank].needs_attention;
}

}  // namespace dumpwarden
