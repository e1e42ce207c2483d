// SPDX-License-Identifier: Apache-2.0
// What commands share: -o, and messages made into table cells.
#ifndef DUMPWARDEN_CLI_OUTPUT_H_
#define DUMPWARDEN_CLI_OUTPUT_H_

#include <google/protobuf/map.h>
#include <google/protobuf/timestamp.pb.h>

#include <CLI/App.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "core/report/table.h"

namespace dumpwarden {

// OutputOption is -o table|json|csv.  Outlives the parse.
class OutputOption {
 public:
  explicit OutputOption(CLI::App& app);
  Format format() const;

 private:
  std::string word_ = "table";
};

inline constexpr std::uint32_t kDefaultLimit = 100;  // of lists: the newest

// The server of --context, with --timeout, ready to be asked.
absl::StatusOr<std::unique_ptr<Client>> Connect(const Invocation& invocation);

struct TimeRange {
  absl::Duration least;
  absl::Duration most;
};
// 90s, 15m, 24h, and in the range; else a Misuse.
absl::StatusOr<absl::Duration> ParseTime(absl::string_view option, const std::string& text,
                                         const TimeRange& accepted);

// 2026-11-22T17:00:00Z, or 24h, which is so long ago; else a Misuse.
absl::StatusOr<absl::Time> ParseMoment(absl::string_view option, const std::string& text);

// Wrong ones are a Misuse; empty is "any".
absl::Status CheckSelector(absl::string_view selector);  // role=sql,site=a
absl::Status CheckStatus(const std::string& word);
absl::Status CheckState(const std::string& word);  // a status, unknown, hold, ...

Datum Word(absl::string_view text);  // "" is "not there"
Datum Number(std::uint64_t number);
Datum When(bool present, const google::protobuf::Timestamp& time);  // RFC 3339, UTC, milliseconds
Datum ExactlyWhen(const google::protobuf::Timestamp& time);         // the same, microseconds
Datum Labels(const google::protobuf::Map<std::string, std::string>& labels);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_OUTPUT_H_
