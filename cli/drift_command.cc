// SPDX-License-Identifier: Apache-2.0
#include "cli/drift_command.h"

#include <algorithm>
#include <functional>
#include <random>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "cli/output.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

Table DriftColumns() {
  return {{{"cursor", "CURSOR"},
           {"host", "HOST"},
           {"setting", "SETTING"},
           {"state", "STATE"},
           {"old", "OLD"},
           {"new", "NEW"},
           {"desired", "DESIRED"},
           {"policy", "POLICY"},
           {"mode", "MODE"},
           {"host_time", "HOST TIME"},
           {"server_time", "SERVER TIME"},
           {"ended_host_time", "ENDED (HOST)"},
           {"ended_server_time", "ENDED (SERVER)"},
           {"count", "COUNT"},
           {"host_id", "HOST ID"}},
          {}};
}

std::vector<Datum> DriftRow(const v1::Drift& drift) {
  return {Number(drift.cursor()),
          drift.host(),
          drift.setting(),
          drift.state(),
          drift.old_value(),
          drift.new_value(),
          drift.desired(),
          Word(drift.policy()),
          drift.mode(),
          When(drift.has_host_time(), drift.host_time()),
          When(drift.has_server_time(), drift.server_time()),
          When(drift.has_ended_host_time(), drift.ended_host_time()),
          When(drift.has_ended_server_time(), drift.ended_server_time()),
          drift.state() == "compacted" ? Number(drift.count()) : Datum(),
          drift.host_id()};
}

// --- follow

// Chosen up front, as nobody knows what will come; longer text pushes its line to the right.
constexpr std::size_t kWidths[] = {8, 20, 26, 10, 16, 16, 16, 20, 8, 24, 24, 24, 24, 6, 36};

std::string FixedLine(const std::vector<std::string>& texts) {
  std::string line;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const std::size_t pad = kWidths[i] - std::min(kWidths[i], texts[i].size());
    absl::StrAppend(&line, texts[i], std::string(pad + 2, ' '));
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string FollowHeader(Format format) {
  if (format == Format::kJson) return "";
  if (format == Format::kCsv) return Render(DriftColumns(), format);
  std::vector<std::string> headings;
  for (const Column& column : DriftColumns().columns) headings.push_back(column.heading);
  return FixedLine(headings);
}

std::string FollowLine(const v1::Drift& drift, Format format) {
  Table table = DriftColumns();
  table.rows.push_back(DriftRow(drift));
  if (format != Format::kTable) return RenderRow(table, 0, format);
  std::vector<std::string> texts;
  for (const Datum& datum : table.rows[0]) texts.push_back(Text(datum));
  return FixedLine(texts);
}

// Up to 4 s, and not all followers of a restarted server at once.
class Backoff {
 public:
  void Reset() { longest_ = kFirst; }
  void Wait() {
    absl::SleepFor(longest_ * std::uniform_real_distribution<>(0.5, 1.0)(random_));
    longest_ = std::min(longest_ * 2, absl::Seconds(4));
  }

 private:
  static constexpr absl::Duration kFirst = absl::Milliseconds(250);
  absl::Duration longest_ = kFirst;
  std::minstd_rand random_{std::random_device()()};
};

bool IsLost(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsCancelled(status);
}

// Where a follower starts again that has lost its connection before it saw anything.
absl::StatusOr<std::uint64_t> NewestCursor(Client& client) {
  v1::ListDriftRequest request;
  request.set_limit(1);
  ASSIGN_OR_RETURN(const v1::ListDriftResponse newest, client.Do(request));
  return newest.drifts().empty() ? 0 : newest.drifts(0).cursor();
}

// Until `each` says false; a connection that is lost is made again, from where it was.
absl::Status Follow(Client& client, std::uint64_t after, std::ostream& err,
                    const std::function<bool(const v1::Drift&)>& each) {
  ASSIGN_OR_RETURN(const std::uint64_t newest, NewestCursor(client));
  v1::FollowDriftRequest request;
  request.set_after_cursor(after);
  Backoff backoff;
  bool said = false;
  while (true) {
    const absl::Status status = client.Stream(request, [&](const v1::Drift& drift) {
      request.set_after_cursor(drift.cursor());
      backoff.Reset();
      said = false;
      return each(drift);
    });
    if (!IsLost(status)) return status;
    if (!said) err << "dumpctl: lost the server; trying again until it is back\n" << std::flush;
    said = true;
    if (request.after_cursor() == 0) request.set_after_cursor(newest);
    backoff.Wait();
  }
}

}  // namespace

absl::StatusOr<int> RunDriftList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::uint32_t limit = kDefaultLimit;
  std::uint64_t before = 0;
  v1::ListDriftRequest request;
  invocation.app.add_option("--host", *request.mutable_host(), "Only this host, by id or name")
      ->type_name("HOST");
  invocation.app.add_option("--limit", limit, "At most this many; 0 is the default")
      ->capture_default_str();
  invocation.app.add_option("--before", before, "Only drift before this CURSOR");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_limit(limit == 0 ? kDefaultLimit : limit);
  request.set_before_cursor(before);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListDriftResponse response, client->Do(request));
  Table table = DriftColumns();
  for (const v1::Drift& drift : response.drifts()) table.rows.push_back(DriftRow(drift));
  invocation.console.out << Render(table, output.format());
  return kExitDone;
}

absl::StatusOr<int> RunDriftFollow(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::uint64_t after = 0;
  invocation.app.add_option("--after", after, "Start after this CURSOR instead of now");
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  std::ostream& out = invocation.console.out;
  const Format format = output.format();
  out << FollowHeader(format) << std::flush;
  RETURN_IF_ERROR(Follow(*client, after, invocation.console.err, [&](const v1::Drift& drift) {
    out << FollowLine(drift, format) << std::flush;
    return out.good();
  }));
  return kExitDone;
}

}  // namespace dumpwarden
