// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_command.h"

#include <algorithm>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"
#include "platform/new_file.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kMostRows = 10'000;  // of one answer

Table AuditColumns() {
  return {{{"sequence", "SEQ"},
           {"at", "AT"},
           {"actor", "ACTOR"},
           {"source", "SOURCE"},
           {"action", "ACTION"},
           {"object", "OBJECT"},
           {"detail", "DETAIL"},
           {"before", "BEFORE"},
           {"after", "AFTER"}},
          {}};
}

std::vector<Datum> AuditRow(const v1::AuditEntry& entry, Datum at) {
  return {Number(entry.sequence()),
          std::move(at),
          entry.actor(),
          Word(entry.source()),
          entry.action(),
          Word(entry.object()),
          Word(entry.detail()),
          Word(absl::BytesToHexString(entry.before())),
          Word(absl::BytesToHexString(entry.after()))};
}

void SayBeginning(std::uint64_t first, std::ostream& err) {
  if (first <= 1) return;
  err << "dumpctl: the log begins at " << first
      << ": what was before went by retention (retention.delete)\n";
}

// --- list

struct ListWords {
  std::vector<std::string> actors;
  std::vector<std::string> actions;
  std::vector<std::string> objects;
  std::string since;
  std::string until;
};

void AddFilterOptions(CLI::App& app, ListWords& words) {
  app.add_option("--actor", words.actors, "Only by them, as alice or spiffe://...; repeatable")
      ->allow_extra_args(false)
      ->type_name("ACTOR");
  app.add_option("--action", words.actions, "Only these, as policy.apply or 'policy.*'; repeatable")
      ->allow_extra_args(false)
      ->type_name("ACTION");
  app.add_option("--object", words.objects, "Only of these, as a policy's name; repeatable")
      ->allow_extra_args(false)
      ->type_name("OBJECT");
  app.add_option("--since", words.since, "Only from then on: 2026-11-22T17:00:00Z, or 24h ago")
      ->type_name("WHEN");
  app.add_option("--until", words.until, "Only before then")->type_name("WHEN");
}

absl::StatusOr<v1::AuditFilter> FilterOf(const ListWords& words) {
  v1::AuditFilter filter;
  filter.mutable_actors()->Add(words.actors.begin(), words.actors.end());
  filter.mutable_actions()->Add(words.actions.begin(), words.actions.end());
  filter.mutable_objects()->Add(words.objects.begin(), words.objects.end());
  if (!words.since.empty()) {
    ASSIGN_OR_RETURN(const absl::Time since, ParseMoment("--since", words.since));
    *filter.mutable_since() = ToTimestamp(since);
  }
  if (!words.until.empty()) {
    ASSIGN_OR_RETURN(const absl::Time until, ParseMoment("--until", words.until));
    *filter.mutable_until() = ToTimestamp(until);
  }
  const bool none = filter.has_since() && filter.has_until() &&
                    FromTimestamp(filter.since()) >= FromTimestamp(filter.until());
  if (!none) return filter;
  return Misuse(absl::StrCat("--since ", Quote(words.since), " --until ", Quote(words.until)),
                "nothing lies between: --since is not before --until", "exchange them");
}

// A full answer is hardly ever all.
void SayMore(const v1::ListAuditRequest& request, const v1::ListAuditResponse& response,
             std::ostream& err) {
  const auto rows = static_cast<std::uint32_t>(response.entries_size());
  if (rows == 0 || rows < std::min(request.limit(), kMostRows)) return;
  err << "dumpctl: there may be more; go on with --"
      << (request.oldest_first() ? "after " : "before ") << response.entries().rbegin()->sequence()
      << "\n";
}

// --- export

absl::Status NotWritten(const absl::Status& why) {
  if (absl::IsAlreadyExists(why)) {
    return Trouble(why.code(), why.message(), "nothing is overwritten unasked",
                   "name another file, or replace a plain one with --force");
  }
  return Trouble(why.code(), why.message(), "the export is not kept",
                 "mend that, or name another file");
}

// Export counts what it has written, and knows when that is all.
class Export {
 public:
  Export(NewFile& file, std::ostream& err) : file_(file), err_(err) {}

  absl::Status Take(const v1::ExportAuditResponse& piece) {
    if (piece.last_sequence() != 0) {
      promised_ = piece.last_sequence();
      SayBeginning(piece.first_sequence(), err_);
    }
    for (const v1::AuditEntry& entry : piece.entries()) {
      line_.rows.assign(1, AuditRow(entry, ExactlyWhen(entry.at())));
      const absl::Status written = file_.Append(RenderRow(line_, 0, Format::kJson));
      if (!written.ok()) return NotWritten(written);
      if (count_++ == 0) first_ = entry.sequence();
      last_ = entry.sequence();
    }
    return absl::OkStatus();
  }

  absl::Status CheckWhole() const {
    if (count_ > 0 && last_ == promised_) return absl::OkStatus();
    return Trouble(absl::StatusCode::kDataLoss, "the export is not kept",
                   absl::StrCat("the server's answer ends at ", last_, ", not at ", promised_),
                   "export it again; the server's log says more");
  }
  std::string Said() const { return absl::StrCat(count_, " rows, ", first_, " to ", last_); }

 private:
  NewFile& file_;
  std::ostream& err_;
  Table line_ = AuditColumns();
  std::uint64_t promised_ = 0;
  std::uint64_t count_ = 0;
  std::uint64_t first_ = 0;
  std::uint64_t last_ = 0;
};

}  // namespace

absl::StatusOr<int> RunAuditList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::uint32_t limit = kDefaultLimit;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  bool oldest_first = false;
  ListWords words;
  CLI::App& app = invocation.app;
  AddFilterOptions(app, words);
  app.add_option("--limit", limit, "At most this many, up to 10000; 0 is the default")
      ->capture_default_str();
  app.add_option("--before", before, "Only entries before this SEQ");
  app.add_option("--after", after, "Only entries after this SEQ");
  app.add_flag("--oldest-first", oldest_first, "The oldest first, not the newest");
  if (const auto code = ParseArguments(invocation)) return *code;
  v1::ListAuditRequest request;
  ASSIGN_OR_RETURN(*request.mutable_filter(), FilterOf(words));
  request.set_limit(limit == 0 ? kDefaultLimit : limit);
  request.set_before_sequence(before);
  request.set_after_sequence(after);
  request.set_oldest_first(oldest_first);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListAuditResponse response, client->Do(request));
  SayBeginning(response.first_sequence(), invocation.console.err);
  Table table = AuditColumns();
  for (const v1::AuditEntry& entry : response.entries()) {
    table.rows.push_back(AuditRow(entry, When(entry.has_at(), entry.at())));
  }
  invocation.console.out << Render(table, output.format());
  SayMore(request, response, invocation.console.err);
  return kExitDone;
}

absl::StatusOr<int> RunAuditExport(Invocation& invocation) {
  std::string path;
  bool force = false;
  invocation.app.add_option("--output", path, "Where to; for its owner only")
      ->required()
      ->type_name("FILE");
  invocation.app.add_flag("--force", force, "Replace the file when it is there");
  if (const auto code = ParseArguments(invocation)) return *code;
  // Before the server is asked: it records who exports.
  const absl::StatusOr<std::unique_ptr<NewFile>> file = NewFile::Make(path, force);
  if (!file.ok()) return NotWritten(file.status());
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  Export all(**file, invocation.console.err);
  RETURN_IF_ERROR(
      client->Stream(v1::ExportAuditRequest(), [&](const auto& piece) { return all.Take(piece); }));
  RETURN_IF_ERROR(all.CheckWhole());
  const absl::Status kept = (*file)->Keep();
  if (!kept.ok()) return NotWritten(kept);
  invocation.console.out << Printable(path) << ": " << all.Said() << "\n";
  return kExitDone;
}

}  // namespace dumpwarden
