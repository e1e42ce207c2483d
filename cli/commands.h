// SPDX-License-Identifier: Apache-2.0
// The commands of dumpctl.  TO ADD A COMMAND: a function of this signature in
// a file of its noun, and a row in commands.cc.
#ifndef DUMPWARDEN_CLI_COMMANDS_H_
#define DUMPWARDEN_CLI_COMMANDS_H_

#include <CLI/App.hpp>
#include <functional>
#include <istream>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitChanges = 2;  // only with --detailed-exitcode
inline constexpr int kExitNotAuthenticated = 4;
inline constexpr int kExitNotPermitted = 5;
inline constexpr int kExitNotFound = 6;
inline constexpr int kExitConflict = 7;
inline constexpr int kExitTimedOut = 8;
inline constexpr int kExitUsage = 64;

// The value of an environment variable; nullopt when not set or empty.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

struct Console {
  std::istream& in;
  std::ostream& out;  // data
  std::ostream& err;  // everything else
};

// How to reach the server: options that every command with Needs::kServer has.
struct ServerOptions {
  std::string config;   // empty = the usual places
  std::string context;  // empty = the file's current one
  std::string timeout = "30s";
};

// Invocation is one call of one command.  The command adds its options to
// `app`, calls ParseArguments, and works.
struct Invocation {
  CLI::App& app;                       // "dumpctl policy list", with the row's help
  std::vector<std::string> arguments;  // what follows noun and verb
  ServerOptions server;
  Console& console;
  const Environment& environment;
  std::string example;  // a command line that works, for usage errors
};

// nullopt when the command is to run; else the exit code: help was asked for,
// or the arguments are wrong, which has been said.
std::optional<int> ParseArguments(Invocation& invocation);

enum class Needs { kNothing, kServer };

struct Command {
  absl::string_view noun;
  absl::string_view verb;
  absl::string_view help;      // one line
  absl::string_view examples;  // a line each, what follows "dumpctl NOUN VERB "
  Needs needs;
  // The exit code, or what went wrong, which the caller says.
  absl::StatusOr<int> (*run)(Invocation& invocation);
};

std::span<const Command> AllCommands();

// The whole program but for main: finds the row, runs it, says what went wrong.
int RunProgram(const std::vector<std::string>& arguments, Console& console,
               const Environment& environment);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_COMMANDS_H_
