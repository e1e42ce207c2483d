// SPDX-License-Identifier: Apache-2.0
// The commands of dumpwarden-agent.  TO ADD A COMMAND: a function of this
// signature and a row in commands.cc.
#ifndef DUMPWARDEN_AGENT_COMMANDS_H_
#define DUMPWARDEN_AGENT_COMMANDS_H_

#include <CLI/App.hpp>
#include <optional>
#include <ostream>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitChanges = 2;  // only with --detailed-exitcode
inline constexpr int kExitUsage = 64;

// Invocation is one call of one command.  The command adds its options to
// `app`, calls ParseArguments, and works.
struct Invocation {
  CLI::App& app;                       // "dumpwarden-agent plan", with the row's help
  std::vector<std::string> arguments;  // what follows the command's name
  std::ostream& out;                   // data
  std::ostream& err;                   // everything else
};

// nullopt when the command is to run; else the exit code: help was asked for,
// or the arguments are wrong, which has been said.
std::optional<int> ParseArguments(Invocation& invocation);

// For --registry: why `text` is none of reg:FILE and hive:FILE[,FILE]; "" when it is.
std::string WhyNoRegistry(const std::string& text);

// Says what failed on `err`, and gives kExitFailed.
int Fail(const Invocation& invocation, const absl::Status& status);

struct Command {
  absl::string_view name;
  absl::string_view help;  // one line
  int (*run)(Invocation& invocation);
};

std::span<const Command> AllCommands();

// The whole program but for main: finds the row and runs it.
int RunProgram(const std::vector<std::string>& arguments, std::ostream& out, std::ostream& err);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_COMMANDS_H_
