// SPDX-License-Identifier: Apache-2.0
#include "cli/output.h"

#include <CLI/Validators.hpp>
#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "cli/contexts.h"
#include "cli/errors.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"
#include "core/reconcile/status.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kLongestAgo = absl::Hours(24 * 365 * 30);

// Of every status that this program knows, and `more`.
absl::Status CheckWord(absl::string_view option, const std::string& word,
                       std::vector<std::string> more) {
  std::vector<std::string> accepted;
  for (int number = v1::Status_MIN + 1; number <= v1::Status_MAX; ++number) {
    if (v1::Status_IsValid(number)) {
      accepted.emplace_back(StatusWord(static_cast<v1::Status>(number)));
    }
  }
  accepted.insert(accepted.end(), more.begin(), more.end());
  if (word.empty() || std::find(accepted.begin(), accepted.end(), word) != accepted.end()) {
    return absl::OkStatus();
  }
  const std::string nearest = NearestWord(word, accepted);
  return Misuse(
      absl::StrCat(option, " ", Quote(word)), "there is no such word",
      absl::StrCat("use one of ", absl::StrJoin(accepted, ", "),
                   nearest.empty() ? "" : "; did you mean ", nearest, nearest.empty() ? "" : "?"));
}

}  // namespace

OutputOption::OutputOption(CLI::App& app) {
  app.add_option("-o,--output", word_, "How to print; table when not said")
      ->check(CLI::IsMember({"table", "json", "csv"}).description(""))
      ->type_name("table|json|csv");
}

Format OutputOption::format() const {
  if (word_ == "json") return Format::kJson;
  return word_ == "csv" ? Format::kCsv : Format::kTable;
}

absl::StatusOr<absl::Duration> ParseTime(absl::string_view option, const std::string& text,
                                         const TimeRange& accepted) {
  absl::Duration duration;
  if (absl::ParseDuration(text, &duration) && duration >= accepted.least &&
      duration <= accepted.most) {
    return duration;
  }
  return Misuse(absl::StrCat(option, " ", Quote(text)),
                absl::StrCat("that is not a time from ", absl::FormatDuration(accepted.least),
                             " to ", absl::FormatDuration(accepted.most)),
                "write it like 90s, 15m or 24h");
}

absl::StatusOr<absl::Time> ParseMoment(absl::string_view option, const std::string& text) {
  absl::Time time;
  std::string unread;
  if (absl::ParseTime(absl::RFC3339_full, text, &time, &unread) && IsSendable(ToTimestamp(time))) {
    return time;
  }
  absl::Duration ago;
  if (absl::ParseDuration(text, &ago) && ago >= absl::ZeroDuration() && ago <= kLongestAgo) {
    return absl::Now() - ago;
  }
  return Misuse(absl::StrCat(option, " ", Quote(text)), "that is not a moment",
                "write it like 2026-11-22T17:00:00Z, or 24h for so long ago");
}

absl::StatusOr<std::unique_ptr<Client>> Connect(const Invocation& invocation) {
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  ASSIGN_OR_RETURN(const absl::Duration timeout,
                   ParseTime("--timeout", invocation.server.timeout,
                             {absl::Milliseconds(1), absl::Hours(24 * 365)}));
  ASSIGN_OR_RETURN(const Context context,
                   LoadContext(*vfs, invocation.server, invocation.environment));
  return Client::Make(context, timeout, *vfs);
}

absl::Status CheckSelector(absl::string_view selector) {
  for (absl::string_view part : absl::StrSplit(selector, ',', absl::SkipWhitespace())) {
    const std::size_t at = part.find('=');
    if (at != absl::string_view::npos && at != 0) continue;
    return Misuse(absl::StrCat("--selector ", Quote(selector)),
                  absl::StrCat(Quote(part), " is not key=value"), "write it like role=sql,site=a");
  }
  return absl::OkStatus();
}

absl::Status CheckStatus(const std::string& word) {
  return CheckWord("--status", word, {"unknown"});
}

absl::Status CheckState(const std::string& word) {
  return CheckWord("--state", word, {"unknown", "hold", "quarantined", "revoked"});
}

Datum Word(absl::string_view text) {
  if (text.empty()) return std::monostate();
  return std::string(text);
}

Datum Number(std::uint64_t number) { return number; }

Datum When(bool present, const google::protobuf::Timestamp& time) {
  if (!present) return std::monostate();
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", FromTimestamp(time), absl::UTCTimeZone());
}

Datum ExactlyWhen(const google::protobuf::Timestamp& time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E6SZ", FromTimestamp(time), absl::UTCTimeZone());
}

Datum Labels(const google::protobuf::Map<std::string, std::string>& labels) {
  return std::map<std::string, std::string>(labels.begin(), labels.end());
}

}  // namespace dumpwarden
