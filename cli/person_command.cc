// SPDX-License-Identifier: Apache-2.0
#include "cli/person_command.h"

#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

// What the server accepts, in its whole seconds.
constexpr TimeRange kCodeLife{absl::Seconds(1), absl::Hours(7 * 24)};

std::vector<std::string> RolesOf(const v1::Person& person) {
  return {person.roles().begin(), person.roles().end()};
}

std::vector<Field> PersonFields(const v1::Person& person) {
  return {{{"name", "NAME"}, person.name()},
          {{"roles", "ROLES"}, RolesOf(person)},
          {{"state", "STATE"}, Word(person.has_revoked() ? "revoked" : "active")},
          {{"certificates", "CERTIFICATES"},
           person.unlisted() ? Word("any") : Number(person.certificates())},
          {{"certificate_expires", "UNTIL"},
           When(person.has_certificate_expires(), person.certificate_expires())},
          {{"added", "ADDED"}, When(person.has_added(), person.added())},
          {{"revoked", "REVOKED"}, When(person.has_revoked(), person.revoked())}};
}

Table PeopleTable(const v1::ListPeopleResponse& response) {
  Table table;
  for (const Field& field : PersonFields({})) table.columns.push_back(field.name);
  for (const v1::Person& person : response.people()) {
    table.rows.emplace_back();
    for (Field& field : PersonFields(person)) table.rows.back().push_back(std::move(field.value));
  }
  return table;
}

Sheet CodeSheet(const v1::Person& person, const v1::LoginCode& code) {
  Sheet sheet;
  sheet.fields = {{{"code", "Code"}, Word(code.code())},
                  {{"id", "Id"}, Word(code.id())},
                  {{"name", "Name"}, Word(person.name())},
                  {{"roles", "Roles"}, RolesOf(person)},
                  {{"expires", "Expires"}, When(code.has_expires(), code.expires())},
                  {{"address", "Address"}, Word(code.address())}};
  return sheet;
}

Table OneRow(const Sheet& sheet) {
  Table table;
  table.rows.emplace_back();
  for (const Field& field : sheet.fields) {
    table.columns.push_back(field.name);
    table.rows[0].push_back(field.value);
  }
  return table;
}

// The bare code on stdout, so that `dumpctl person add ... >code` works.
void PrintCode(const v1::Person& person, const v1::LoginCode& code, Format format,
               Console& console) {
  const Sheet sheet = CodeSheet(person, code);
  if (format == Format::kTable) {
    console.out << Printable(code.code()) << "\n";
  } else {
    console.out << (format == Format::kJson ? Render(sheet, format)
                                            : Render(OneRow(sheet), format));
  }
  console.err << "Good for one login of " << Printable(person.name()) << " until "
              << Text(When(code.has_expires(), code.expires()))
              << "; it is shown only now.  On their machine, with the code in a file:\n"
              << "  dumpctl login --server " << Printable(code.address()) << " --code-file FILE\n";
}

// A person whose roles are what they are afterwards.
void PrintChange(const v1::Person& person, bool changed, bool dry_run, Format format,
                 Console& console) {
  if (format == Format::kTable) {
    console.out << "person/" << Printable(person.name()) << " "
                << Printable(absl::StrJoin(person.roles(), ",")) << (changed ? "" : " (as before)")
                << (dry_run ? " (dry run)" : "") << "\n";
    return;
  }
  Table table{
      {{"name", "NAME"}, {"roles", "ROLES"}, {"changed", "CHANGED"}, {"dry_run", "DRY RUN"}},
      {{person.name(), RolesOf(person), changed, dry_run}}};
  console.out << Render(table, format);
}

void AddName(CLI::App& app, std::string* name) {
  app.add_option("NAME", *name, "As alice@corp.example")->required();
}

void AddRoles(CLI::App& app, std::vector<std::string>& roles) {
  app.add_option("--role", roles,
                 "viewer, auditor, author, operator, requester, approver or admin; repeatable")
      ->required()
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("ROLE[,ROLE]");
}

void AddTtl(CLI::App& app, std::string& ttl) {
  app.add_option("--ttl", ttl, "How long the code is good, at most 168h")
      ->capture_default_str()
      ->type_name("TIME");
}

absl::StatusOr<std::uint32_t> Seconds(const std::string& ttl) {
  ASSIGN_OR_RETURN(const absl::Duration life, ParseTime("--ttl", ttl, kCodeLife));
  return static_cast<std::uint32_t>(absl::ToInt64Seconds(life));
}

}  // namespace

absl::StatusOr<int> RunPersonList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListPeopleResponse response, client->Do(v1::ListPeopleRequest()));
  invocation.console.out << Render(PeopleTable(response), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunPersonAdd(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::AddPersonRequest request;
  std::vector<std::string> roles;
  std::string ttl = "1h";
  bool dry_run = false;
  AddName(invocation.app, request.mutable_name());
  AddRoles(invocation.app, roles);
  AddTtl(invocation.app, ttl);
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const std::uint32_t seconds, Seconds(ttl));
  request.set_ttl_seconds(seconds);
  request.mutable_roles()->Add(roles.begin(), roles.end());
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::AddPersonResponse response, client->Do(request));
  if (dry_run) {
    PrintChange(response.person(), true, dry_run, output.format(), invocation.console);
  } else {
    PrintCode(response.person(), response.code(), output.format(), invocation.console);
  }
  return kExitDone;
}

absl::StatusOr<int> RunPersonCode(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::CreateLoginCodeRequest request;
  std::string ttl = "1h";
  bool dry_run = false;
  AddName(invocation.app, request.mutable_name());
  AddTtl(invocation.app, ttl);
  invocation.app.add_flag("--dry-run", dry_run, "Check, and make nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  ASSIGN_OR_RETURN(const std::uint32_t seconds, Seconds(ttl));
  request.set_ttl_seconds(seconds);
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::CreateLoginCodeResponse response, client->Do(request));
  if (dry_run) {
    PrintChange(response.person(), false, dry_run, output.format(), invocation.console);
  } else {
    PrintCode(response.person(), response.code(), output.format(), invocation.console);
  }
  return kExitDone;
}

absl::StatusOr<int> RunPersonRoles(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::SetRolesRequest request;
  std::vector<std::string> roles;
  bool dry_run = false;
  AddName(invocation.app, request.mutable_name());
  AddRoles(invocation.app, roles);
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.mutable_roles()->Add(roles.begin(), roles.end());
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::SetRolesResponse response, client->Do(request));
  PrintChange(response.person(), response.changed(), dry_run, output.format(), invocation.console);
  return kExitDone;
}

absl::StatusOr<int> RunPersonRevoke(Invocation& invocation) {
  const OutputOption output(invocation.app);
  v1::RevokePersonRequest request;
  bool dry_run = false;
  AddName(invocation.app, request.mutable_name());
  invocation.app.add_option("--reason", *request.mutable_reason(), "Why, for the audit log")
      ->required()
      ->type_name("TEXT");
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  if (absl::StripAsciiWhitespace(request.reason()).empty()) {
    return Misuse(absl::StrCat("--reason ", Quote(request.reason())), "the reason is empty",
                  "say why; it is kept in the audit log");
  }
  request.set_dry_run(dry_run);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::RevokePersonResponse response, client->Do(request));
  Console& console = invocation.console;
  if (output.format() != Format::kTable) {
    const Table table{
        {{"name", "NAME"}, {"changed", "CHANGED"}, {"calls", "CALLS"}, {"dry_run", "DRY RUN"}},
        {{request.name(), response.changed(), Number(response.calls()), dry_run}}};
    console.out << Render(table, output.format());
  } else {
    console.out << "person/" << Printable(request.name())
                << (response.changed() ? " revoked" : " was revoked before")
                << (dry_run ? " (dry run)" : "") << "\n";
  }
  return kExitDone;
}

}  // namespace dumpwarden
