// SPDX-License-Identifier: Apache-2.0
#include "server/store/audit_filter.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"

namespace dumpwarden {
namespace {

using Words = google::protobuf::RepeatedPtrField<std::string>;

bool IsMeant(absl::string_view word, absl::string_view text) {
  return absl::ConsumeSuffix(&word, "*") ? absl::StartsWith(text, word) : text == word;
}

// Whole, or from behind one of its slashes.
bool IsMeantActor(absl::string_view word, absl::string_view actor) {
  while (!IsMeant(word, actor)) {
    const auto slash = actor.find('/');
    if (slash == absl::string_view::npos) return false;
    actor.remove_prefix(slash + 1);
  }
  return true;
}

template <typename Meant>
bool AnyOf(const Words& words, absl::string_view text, const Meant& meant) {
  return words.empty() || std::any_of(words.begin(), words.end(),
                                      [&](const std::string& word) { return meant(word, text); });
}

}  // namespace

bool MatchesAudit(const v1::AuditFilter& filter, absl::string_view actor, absl::string_view action,
                  absl::string_view object) {
  return AnyOf(filter.actions(), action, &IsMeant) &&
         AnyOf(filter.actors(), actor, &IsMeantActor) && AnyOf(filter.objects(), object, &IsMeant);
}

}  // namespace dumpwarden
