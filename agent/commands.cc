// SPDX-License-Identifier: Apache-2.0
#include "agent/commands.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/local_commands.h"
#include "agent/service.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kProgram = "dumpwarden-agent";

constexpr Command kCommands[] = {
    {"settings", "List the settings that policies can have.", RunSettings},
    {"observe", "Show what the registry holds; writes nothing.", RunObserve},
    {"plan", "Show what policies would change on this host; writes nothing.", RunPlan},
    {"apply", "Make this host match its policies, all or nothing.", RunApply},
    {"restore", "Put back what a backup of apply holds.", RunRestore},
    {"enroll", "Get an identity from a server with a token.", RunEnroll},
    {"run", "Run the service: enforce, report drift, follow the server.", RunService},
    {"status", "Show identity, connection, policies and findings.", RunStatus},
};

void PrintHelp(std::ostream& out) {
  out << "Makes sure that a usable memory dump exists when this host crashes.\n\nUsage: "
      << kProgram << " COMMAND [OPTIONS]; COMMAND --help says more\n\n";
  for (const Command& command : kCommands) {
    out << "  " << command.name << std::string(11 - command.name.size(), ' ') << command.help
        << "\n";
  }
  out << "\nExit codes: 0 done, 1 failed, 2 changes present (with --detailed-exitcode), 64 "
         "usage.\n";
}

int UnknownCommand(absl::string_view word, std::ostream& err) {
  std::vector<std::string> names;
  for (const Command& command : kCommands) names.emplace_back(command.name);
  const std::string near = NearestWord(word, names);
  err << kProgram << ": there is no command " << Quote(word);
  if (!near.empty()) err << "; did you mean " << near << "?";
  err << "\n" << kProgram << " --help lists them\n";
  return kExitUsage;
}

}  // namespace

std::span<const Command> AllCommands() { return kCommands; }

std::optional<int> ParseArguments(Invocation& invocation) {
  std::vector<std::string> reversed(invocation.arguments.rbegin(), invocation.arguments.rend());
  try {  // CLI11 has no other way to say it
    invocation.app.parse(std::move(reversed));
  } catch (const CLI::ParseError& error) {
    std::ostringstream said;
    const int code = invocation.app.exit(error, invocation.out, said);
    if (code == 0) return kExitDone;
    invocation.err << invocation.app.get_name() << ": " << Printable(error.what()) << "\n"
                   << invocation.app.get_name() << " --help lists what is accepted\n";
    return kExitUsage;
  }
  return std::nullopt;
}

std::string WhyNoRegistry(const std::string& text) {
  if (text == "win32") return "";  // another error says where that works
  for (const absl::string_view kind : {"reg:", "hive:"}) {
    if (absl::StartsWith(text, kind) && text.size() > kind.size()) return "";
  }
  return absl::StrCat(Quote(text), " names no registry; accepted: reg:FILE, hive:SYSTEM or ",
                      "hive:SYSTEM,SOFTWARE");
}

int Fail(const Invocation& invocation, const absl::Status& status) {
  invocation.err << invocation.app.get_name() << " failed:\n";
  for (absl::string_view line : absl::StrSplit(status.message(), '\n')) {
    invocation.err << line << "\n";
  }
  return kExitFailed;
}

int RunProgram(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err) {
  if (arguments.empty()) {
    PrintHelp(err);
    return kExitUsage;
  }
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    PrintHelp(out);
    return kExitDone;
  }
  if (name == "--version") {
    out << kProgram << " " << DUMPWARDEN_VERSION << "\n";
    return kExitDone;
  }
  for (const Command& command : kCommands) {
    if (command.name != name) continue;
    CLI::App app(std::string(command.help), absl::StrCat(kProgram, " ", command.name));
    Invocation invocation{app, {arguments.begin() + 1, arguments.end()}, out, err};
    return command.run(invocation);
  }
  return UnknownCommand(name, err);
}

}  // namespace dumpwarden
