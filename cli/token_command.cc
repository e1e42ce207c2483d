// SPDX-License-Identifier: Apache-2.0
#include "cli/token_command.h"

#include <algorithm>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "cli/token_file.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

// What the server accepts, in its whole seconds.
constexpr TimeRange kTokenLife{absl::Seconds(1), absl::Hours(7 * 24)};

absl::Status AddLabels(const std::vector<std::string>& labels, v1::CreateTokenRequest& request) {
  for (const std::string& label : labels) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(label, absl::MaxSplits('=', 1));
    const bool added = request.mutable_labels()->insert({parts.first, parts.second}).second;
    if (label.find('=') != std::string::npos && !parts.first.empty() && added) continue;
    return Misuse(absl::StrCat("--label ", Quote(label)),
                  added ? "that is not key=value" : "the same key is given twice",
                  "write it like --label role=sql");
  }
  return absl::OkStatus();
}

Sheet TokenSheet(const v1::CreateTokenResponse& response) {
  Sheet sheet;
  sheet.fields = {
      {{"token", "Token"}, Word(response.token())},
      {{"id", "Id"}, Word(response.id())},
      {{"expires", "Expires"}, When(response.has_expires(), response.expires())},
      {{"address", "Address"}, Word(response.address())},
  };
  return sheet;
}

Table TokenTable(const Sheet& sheet) {
  Table table;
  table.rows.emplace_back();
  for (const Field& field : sheet.fields) {
    table.columns.push_back(field.name);
    table.rows[0].push_back(field.value);
  }
  return table;
}

// The bare token, so that TOKEN=$(dumpctl token create) works.
void Print(const v1::CreateTokenResponse& response, Format format, Console& console) {
  const Sheet sheet = TokenSheet(response);
  switch (format) {
    case Format::kTable:
      console.out << Printable(response.token()) << "\n";
      break;
    case Format::kJson:
      console.out << Render(sheet, format);
      break;
    case Format::kCsv:
      console.out << Render(TokenTable(sheet), format);
      break;
  }
}

void Hint(const v1::CreateTokenResponse& response, bool hold, std::ostream& err) {
  err << "Good for one host until " << Text(When(response.has_expires(), response.expires()))
      << "; it is shown only now.  On the host, with the token in a file:\n"
      << "  dumpwarden-agent enroll --server " << Printable(response.address())
      << " --token-file FILE\n";
  if (hold) err << "Then let it in: dumpctl host approve HOST\n";
}

struct CreateOptions {
  std::vector<std::string> labels;
  std::string ttl = "1h";
  std::string name;
  const CLI::Option* name_given = nullptr;
  std::string file;
  bool hold = false;
  bool dry_run = false;
};

void AddCreateOptions(CLI::App& app, CreateOptions& options) {
  CLI::Option* labels =
      app.add_option("--label", options.labels, "Label that the host gets, as role=sql; repeatable")
          ->allow_extra_args(false)
          ->type_name("KEY=VALUE");
  app.add_option("--ttl", options.ttl, "How long it is good, at most 168h")
      ->capture_default_str()
      ->type_name("TIME");
  CLI::Option* name =
      app.add_option("--name", options.name, "Only for a host of this name")->type_name("NAME");
  options.name_given = name;
  app.add_flag("--hold", options.hold, "The host waits until host approve lets it in");
  app.add_option(
         "-f,--file", options.file,
         "Make all tokens of a YAML list, or none: - { name: web-01, labels: { role: web } }")
      ->excludes(labels)
      ->excludes(name)
      ->type_name("FILE");
  app.add_flag("--dry-run", options.dry_run, "Check, and make nothing");
}

Table BatchTable(const v1::CreateTokensRequest& request, const v1::CreateTokensResponse& response) {
  Table table{{{"token", "TOKEN"},
               {"id", "ID"},
               {"name", "NAME"},
               {"labels", "LABELS"},
               {"hold", "HOLD"},
               {"expires", "EXPIRES"},
               {"address", "ADDRESS"}},
              {}};
  const int count = std::min(request.tokens_size(), response.tokens_size());
  for (int i = 0; i < count; ++i) {
    const v1::CreateTokenResponse& made = response.tokens(i);
    table.rows.push_back({Word(made.token()), Word(made.id()),
                          Word(request.tokens(i).expected_name()),
                          Labels(request.tokens(i).labels()), request.tokens(i).hold(),
                          When(made.has_expires(), made.expires()), Word(made.address())});
  }
  return table;
}

absl::StatusOr<int> CreateFromFile(const CreateOptions& options, std::uint32_t ttl_seconds,
                                   Format format, Invocation& invocation) {
  Console& console = invocation.console;
  ASSIGN_OR_RETURN(v1::CreateTokensRequest request, ReadTokenFile(options.file, console.in));
  for (v1::CreateTokenRequest& token : *request.mutable_tokens()) {
    token.set_ttl_seconds(ttl_seconds);
    token.set_hold(token.hold() || options.hold);
  }
  request.set_dry_run(options.dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::CreateTokensResponse response, client->Do(request));
  // Secrets for other programs: a line each, whatever a table would look like.
  console.out << Render(BatchTable(request, response),
                        format == Format::kTable ? Format::kCsv : format);
  console.err << response.tokens_size()
              << (options.dry_run ? " tokens would be made (dry run)\n"
                                  : " tokens were made; they are shown only now\n");
  return kExitDone;
}

Table ListTable(const v1::ListTokensResponse& response) {
  Table table{{{"id", "ID"},
               {"state", "STATE"},
               {"name", "NAME"},
               {"labels", "LABELS"},
               {"hold", "HOLD"},
               {"expires", "EXPIRES"},
               {"ended", "ENDED"},
               {"host_id", "HOST ID"}},
              {}};
  for (const v1::TokenSummary& token : response.tokens()) {
    table.rows.push_back({token.id(), token.state(), Word(token.expected_name()),
                          Labels(token.labels()), token.hold(),
                          When(token.has_expires(), token.expires()),
                          When(token.has_ended(), token.ended()), Word(token.host_id())});
  }
  return table;
}

}  // namespace

absl::StatusOr<int> RunTokenCreate(Invocation& invocation) {
  const OutputOption output(invocation.app);
  CreateOptions options;
  AddCreateOptions(invocation.app, options);
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const absl::Duration life, ParseTime("--ttl", options.ttl, kTokenLife));
  const auto seconds = static_cast<std::uint32_t>(absl::ToInt64Seconds(life));
  if (!options.file.empty()) return CreateFromFile(options, seconds, output.format(), invocation);
  v1::CreateTokenRequest request;
  request.set_expected_name(options.name);
  if (options.name_given->count() > 0 && options.name.empty()) {
    return Misuse("--name ''", "an empty name would make the token good for any host",
                  "name the host, or leave --name out when any may use the token");
  }
  RETURN_IF_ERROR(AddLabels(options.labels, request));
  request.set_ttl_seconds(seconds);
  request.set_hold(options.hold);
  request.set_dry_run(options.dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::CreateTokenResponse response, client->Do(request));
  if (options.dry_run) {
    if (output.format() != Format::kTable) Print(response, output.format(), invocation.console);
    invocation.console.err << "a token would be made (dry run)\n";
    return kExitDone;
  }
  Print(response, output.format(), invocation.console);
  Hint(response, options.hold, invocation.console.err);
  return kExitDone;
}

absl::StatusOr<int> RunTokenList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::ListTokensRequest request;
  std::uint32_t limit = kDefaultLimit;
  invocation.app.add_option("--state", *request.mutable_state(), "Only tokens in this state")
      ->check(CLI::IsMember({"open", "used", "expired", "revoked"}))
      ->type_name("STATE");
  invocation.app.add_option("--limit", limit, "At most so many")
      ->capture_default_str()
      ->check(CLI::Range(1, 100'000))
      ->type_name("COUNT");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_limit(limit);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListTokensResponse response, client->Do(request));
  invocation.console.out << Render(ListTable(response), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunTokenRevoke(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::RevokeTokenRequest request;
  bool dry_run = false;
  invocation.app.add_option("ID", *request.mutable_id(), "Id of the token, as token list shows it")
      ->required();
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::RevokeTokenResponse response, client->Do(request));
  Console& console = invocation.console;
  if (output.format() != Format::kTable) {
    const Table table{{{"id", "ID"}, {"changed", "CHANGED"}, {"dry_run", "DRY RUN"}},
                      {{request.id(), response.changed(), dry_run}}};
    console.out << Render(table, output.format());
  } else {
    console.out << "token/" << Printable(request.id())
                << (response.changed() ? " revoked" : " was over before")
                << (dry_run ? " (dry run)" : "") << "\n";
  }
  return kExitDone;
}

}  // namespace dumpwarden
