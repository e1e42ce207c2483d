// SPDX-License-Identifier: Apache-2.0
#include "server/audit_log.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/timestamp.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kDefaultRows = 100;
constexpr std::uint32_t kMaxRows = 10'000;
constexpr std::uint32_t kRowsAtOnce = 500;
constexpr int kMaxWords = 16;
constexpr std::size_t kMaxWord = 500;

absl::Status CheckWords(absl::string_view kind,
                        const google::protobuf::RepeatedPtrField<std::string>& words) {
  if (words.size() > kMaxWords) {
    return absl::InvalidArgumentError(absl::StrCat(words.size(), " ", kind,
                                                   " are asked for; at most ", kMaxWords,
                                                   " are accepted: use a * at the end of one"));
  }
  for (const std::string& word : words) {
    if (!word.empty() && word.size() <= kMaxWord) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(kind, ": one has ", word.size(), " bytes; 1 to ", kMaxWord, " are accepted"));
  }
  return absl::OkStatus();
}

absl::Status CheckFilter(const v1::AuditFilter& filter) {
  RETURN_IF_ERROR(CheckWords("actors", filter.actors()));
  RETURN_IF_ERROR(CheckWords("actions", filter.actions()));
  RETURN_IF_ERROR(CheckWords("objects", filter.objects()));
  const bool sendable = (!filter.has_since() || IsSendable(filter.since())) &&
                        (!filter.has_until() || IsSendable(filter.until()));
  if (sendable) return absl::OkStatus();
  return absl::InvalidArgumentError("since, until: years 1970 to 9999 are accepted");
}

absl::StatusOr<std::uint64_t> SayExport(Store& store, const Actor& actor) {
  v1::ListAuditRequest nothing;
  nothing.set_limit(1);
  ASSIGN_OR_RETURN(const AuditPage page, store.ReadAudit(nothing));
  return store.RecordAudit({.actor = actor.id,
                            .source = actor.source,
                            .action = "audit.export",
                            .object = "audit",
                            .detail = absl::StrCat("all from ", page.floor, " up to this"),
                            .before = "",
                            .after = ""});
}

absl::Status Cut(std::uint64_t after) {
  return absl::AbortedError(absl::StrCat("retention let go of audit rows behind ", after,
                                         " while the log was exported; export it again"));
}

}  // namespace

absl::StatusOr<v1::ListAuditResponse> ListAudit(Store& store, v1::ListAuditRequest request) {
  RETURN_IF_ERROR(CheckFilter(request.filter()));
  request.set_limit(request.limit() == 0 ? kDefaultRows : std::min(request.limit(), kMaxRows));
  ASSIGN_OR_RETURN(AuditPage page, store.ReadAudit(request));
  v1::ListAuditResponse response;
  if (page.floor > 1) response.set_first_sequence(page.floor);
  for (v1::AuditEntry& entry : page.entries) *response.add_entries() = std::move(entry);
  return response;
}

absl::Status ExportAudit(Store& store, const Actor& actor,
                         absl::FunctionRef<absl::Status(const v1::ExportAuditResponse&)> write) {
  ASSIGN_OR_RETURN(const std::uint64_t last, SayExport(store, actor));
  v1::ListAuditRequest next;
  next.set_oldest_first(true);
  next.set_limit(kRowsAtOnce);
  next.set_before_sequence(last + 1);
  while (next.after_sequence() < last) {
    ASSIGN_OR_RETURN(AuditPage page, store.ReadAudit(next));
    const bool first = next.after_sequence() == 0;
    // The rows of this piece are read, and stay: what counts is what was cut before them.
    if (page.entries.empty() || (!first && page.floor > next.after_sequence() + 1)) {
      return Cut(next.after_sequence());
    }
    v1::ExportAuditResponse piece;
    if (first) {
      piece.set_first_sequence(page.floor);
      piece.set_last_sequence(last);
    }
    next.set_after_sequence(page.entries.back().sequence());
    for (v1::AuditEntry& entry : page.entries) *piece.add_entries() = std::move(entry);
    RETURN_IF_ERROR(write(piece));
  }
  return absl::OkStatus();
}

}  // namespace dumpwarden
