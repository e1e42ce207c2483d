// SPDX-License-Identifier: Apache-2.0
#include "cli/token_command.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/errors.h"
#include "cli/output.h"
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

void Hint(const v1::CreateTokenResponse& response, std::ostream& err) {
  err << "Good for one host until " << Text(When(response.has_expires(), response.expires()))
      << "; it is shown only now.  On the host, with the token in a file:\n"
      << "  dumpwarden-agent enroll --server " << Printable(response.address())
      << " --token-file FILE\n";
}

}  // namespace

absl::StatusOr<int> RunTokenCreate(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::vector<std::string> labels;
  std::string ttl = "1h";
  v1::CreateTokenRequest request;
  bool dry_run = false;
  CLI::App& app = invocation.app;
  app.add_option("--label", labels, "Label that the host gets, as role=sql; repeatable")
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
  app.add_option("--ttl", ttl, "How long it is good, at most 168h")
      ->capture_default_str()
      ->type_name("TIME");
  const CLI::Option* name =
      app.add_option("--name", *request.mutable_expected_name(), "Only for a host of this name")
          ->type_name("NAME");
  app.add_flag("--dry-run", dry_run, "Check, and make nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const absl::Duration life, ParseTime("--ttl", ttl, kTokenLife));
  if (name->count() > 0 && request.expected_name().empty()) {
    return Misuse("--name ''", "an empty name would make the token good for any host",
                  "name the host, or leave --name out when any may use the token");
  }
  RETURN_IF_ERROR(AddLabels(labels, request));
  request.set_ttl_seconds(static_cast<std::uint32_t>(absl::ToInt64Seconds(life)));
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::CreateTokenResponse response, client->Do(request));
  if (dry_run) {
    if (output.format() != Format::kTable) Print(response, output.format(), invocation.console);
    invocation.console.err << "a token would be made (dry run)\n";
    return kExitDone;
  }
  Print(response, output.format(), invocation.console);
  Hint(response, invocation.console.err);
  return kExitDone;
}

}  // namespace dumpwarden
