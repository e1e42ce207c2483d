// SPDX-License-Identifier: Apache-2.0
#include "cli/commands.h"

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "cli/audit_command.h"
#include "cli/compliance_command.h"
#include "cli/context_command.h"
#include "cli/drift_command.h"
#include "cli/errors.h"
#include "cli/host_command.h"
#include "cli/login_command.h"
#include "cli/person_command.h"
#include "cli/policy_command.h"
#include "cli/token_command.h"
#include "core/base/text.h"

namespace dumpwarden {
namespace {

constexpr Command kCommands[] = {
    {"policy", "check", "Read policies and say what is wrong with them; needs no server.",
     "policies/\nweb.yaml sql.yaml\n-", Needs::kNothing, RunPolicyCheck},
    {"policy", "plan", "Show what the fleet would change under draft policies.",
     "-f web.yaml\n-f policies/ -o json\n-f web.yaml --host web-01\n-f web.yaml "
     "--detailed-exitcode",
     Needs::kServer, RunPolicyPlan},
    {"policy", "apply", "Put policies in force.", "-f web.yaml\n-f policies/ --dry-run",
     Needs::kServer, RunPolicyApply},
    {"policy", "delete", "Take a policy out of force; values on hosts stay as they are.",
     "web-baseline\nweb-baseline --dry-run", Needs::kServer, RunPolicyDelete},
    {"policy", "list", "List the policies in force.", "\n-o json", Needs::kServer, RunPolicyList},
    {"policy", "show", "Print a policy as its author wrote it.",
     "web-baseline\nweb-baseline --version 3", Needs::kServer, RunPolicyShow},
    {"host", "list", "List hosts and how they are.", "\n-l role=sql --state drifted\n-o csv",
     Needs::kServer, RunHostList},
    {"host", "show", "Show one host: facts and findings.", "web-01\nweb-01 -o json", Needs::kServer,
     RunHostShow},
    {"host", "explain", "Say why a host has its values: which policy, which layer.",
     "web-01\nweb-01 dump.type", Needs::kServer, RunHostExplain},
    {"host", "revoke", "Take a host out of the fleet for good: its session ends at once.",
     "web-01 --reason 'stolen, case 7741'\nweb-01 --reason scrapped --dry-run", Needs::kServer,
     RunHostRevoke},
    {"host", "approve", "Let in a host that is held.", "web-01\nweb-01 --dry-run", Needs::kServer,
     RunHostApprove},
    {"compliance", "summary", "Count hosts and settings by status.", "\n-l role=sql -o json",
     Needs::kServer, RunComplianceSummary},
    {"compliance", "report", "List the result of every setting on every host.",
     "-o csv\n--status drifted\n-l role=sql", Needs::kServer, RunComplianceReport},
    {"drift", "list", "List drift, the newest first.", "\n--host web-01 --limit 20 -o json",
     Needs::kServer, RunDriftList},
    {"drift", "follow", "Print drift as it happens, a line each, until interrupted.", "\n-o json",
     Needs::kServer, RunDriftFollow},
    {"token", "create", "Make a token that lets one host enrol, or a file of them.",
     "\n--label role=sql --ttl 24h --name sql-01\n--hold\n-f new-hosts.yaml -o csv", Needs::kServer,
     RunTokenCreate},
    {"token", "list", "List tokens, the last to expire first.", "\n--state open -o json",
     Needs::kServer, RunTokenList},
    {"token", "revoke", "Take back a token that nobody has used.",
     "7c0d4a52e1f84b6c9a3b5d7e8f901234", Needs::kServer, RunTokenRevoke},
    {"login", "", "Get a certificate of your own with a code from an admin.",
     "--server dw.example:7444 --code-file FILE\n--server dw.example:7444 --code-file - --context "
     "prod",
     Needs::kServer, RunLogin},
    {"context", "list", "List the servers that dumpctl knows, and who you are there.", "\n-o json",
     Needs::kNothing, RunContextList},
    {"context", "use", "Choose the context that is used without --context.", "prod\nprod --dry-run",
     Needs::kNothing, RunContextUse},
    {"person", "list", "List people, what they may do and until when.", "\n-o json", Needs::kServer,
     RunPersonList},
    {"person", "add", "Add a person, and make the code of their first login.",
     "alice@corp.example --role author\nalice@corp.example --role operator,auditor --ttl 24h",
     Needs::kServer, RunPersonAdd},
    {"person", "code", "Make a code for another login of a person.",
     "alice@corp.example\nalice@corp.example --ttl 15m", Needs::kServer, RunPersonCode},
    {"person", "roles", "Set what a person may do.",
     "alice@corp.example --role viewer\nalice@corp.example --role author --dry-run", Needs::kServer,
     RunPersonRoles},
    {"person", "revoke", "Cut a person off at once: certificates, codes and running calls.",
     "alice@corp.example --reason 'has left'\nalice@corp.example --reason 'laptop lost' --dry-run",
     Needs::kServer, RunPersonRevoke},
    {"audit", "list", "List who did what, the newest first.",
     "\n--action 'policy.*' --limit 20\n--actor alice --since 24h\n"
     "--since 2026-11-22T17:00:00Z --oldest-first -o json",
     Needs::kServer, RunAuditList},
    {"audit", "export", "Write the whole audit log into a file, a JSON object a line.",
     "--output audit.jsonl\n--output audit.jsonl --force", Needs::kServer, RunAuditExport},
};

constexpr absl::string_view kFooter =
    "Exit codes: 0 done, 1 failed, 2 changes or drift present (with --detailed-exitcode),\n"
    "4 not authenticated, 5 not permitted, 6 not found, 7 conflict, 8 timed out, 64 usage.";

// --- Help.

std::string Name(const Command& command) {
  return absl::StrCat(command.noun, command.verb.empty() ? "" : " ", command.verb);
}

std::string FirstExample(const Command& command) {
  const absl::string_view rest = command.examples;
  const absl::string_view first = rest.substr(0, rest.find('\n'));
  return absl::StrCat("dumpctl ", Name(command), first.empty() ? "" : " ", first);
}

std::string Description(const Command& command) {
  std::string text = absl::StrCat(command.help, "\n\nExamples:\n");
  for (absl::string_view example : absl::StrSplit(command.examples, '\n')) {
    absl::StrAppend(&text, "  dumpctl ", Name(command), example.empty() ? "" : " ", example, "\n");
  }
  return text;
}

std::string ProgramHelp(absl::string_view noun) {
  std::string text =
      "Examples:\n"
      "  dumpctl policy check policies/\n"
      "  dumpctl policy apply -f web.yaml --dry-run\n"
      "  dumpctl compliance report -o csv\n"
      "\n"
      "Usage: dumpctl NOUN VERB [OPTIONS]; dumpctl NOUN VERB --help shows the options\n"
      "       dumpctl --version\n"
      "\n"
      "Commands:\n";
  for (const Command& command : kCommands) {
    if (!noun.empty() && command.noun != noun) continue;
    const std::string name = Name(command);
    absl::StrAppend(&text, "  ", name, std::string(20 - name.size(), ' '), command.help, "\n");
  }
  return absl::StrCat(text, "\n", kFooter, "\n");
}

// --- Usage errors.

int Misused(std::ostream& err, absl::string_view why, absl::string_view todo) {
  err << "dumpctl: the command line is wrong\n  why: " << Printable(why) << "\n  do:  " << todo
      << "\n";
  return kExitUsage;
}

int UnknownWord(std::ostream& err, absl::string_view word,
                const std::vector<std::string>& accepted) {
  const std::string nearest = NearestWord(word, accepted);
  const std::string todo =
      absl::StrCat("use one of ", absl::StrJoin(accepted, ", "),
                   nearest.empty() ? "" : "; did you mean ", nearest, nearest.empty() ? "" : "?");
  return Misused(err, absl::StrCat("there is no ", Quote(word)), todo);
}

std::vector<std::string> Nouns() {
  std::vector<std::string> nouns;
  for (const Command& command : kCommands) {
    if (nouns.empty() || nouns.back() != command.noun) nouns.emplace_back(command.noun);
  }
  return nouns;
}

std::vector<std::string> VerbsOf(absl::string_view noun) {
  std::vector<std::string> verbs;
  for (const Command& command : kCommands) {
    if (command.noun == noun) verbs.emplace_back(command.verb);
  }
  return verbs;
}

// --- Finding and running.

void AddServerOptions(CLI::App& app, ServerOptions& options) {
  app.add_option("--config", options.config, "dumpctl.yaml to use")->type_name("FILE");
  app.add_option("--context", options.context, "Context of that file to use")->type_name("NAME");
  app.add_option("--timeout", options.timeout, "How long to wait for an answer")
      ->capture_default_str()
      ->type_name("TIME");
}

bool AsksForHelp(absl::string_view word) { return word == "--help" || word == "-h"; }

int RunCommand(const Command& command, std::vector<std::string> arguments, ServerOptions server,
               Console& console, const Environment& environment) {
  CLI::App app(Description(command), absl::StrCat("dumpctl ", Name(command)));
  app.get_formatter()->column_width(34);
  Invocation invocation{app,     std::move(arguments), std::move(server),
                        console, environment,          FirstExample(command)};
  if (command.needs == Needs::kServer) AddServerOptions(app, invocation.server);
  const absl::StatusOr<int> code = command.run(invocation);
  return code.ok() ? *code : Complain(console.err, code.status());
}

// `dumpctl login` has no verb.
const Command* FindBare(absl::string_view noun) {
  const auto* at = std::find_if(
      std::begin(kCommands), std::end(kCommands),
      [&](const Command& command) { return command.noun == noun && command.verb.empty(); });
  return at == std::end(kCommands) ? nullptr : at;
}

int RunNoun(const std::vector<std::string>& words, ServerOptions server, Console& console,
            const Environment& environment) {
  const std::string& noun = words[0];
  const std::vector<std::string> verbs = VerbsOf(noun);
  if (verbs.empty()) return UnknownWord(console.err, noun, Nouns());
  if (const Command* bare = FindBare(noun)) {
    return RunCommand(*bare, {words.begin() + 1, words.end()}, std::move(server), console,
                      environment);
  }
  if (words.size() == 1) {
    return Misused(console.err, absl::StrCat("a verb is missing after ", noun),
                   absl::StrCat("use one of ", absl::StrJoin(verbs, ", ")));
  }
  if (AsksForHelp(words[1])) {
    console.out << ProgramHelp(noun);
    return kExitDone;
  }
  for (const Command& command : kCommands) {
    if (command.noun != noun || command.verb != words[1]) continue;
    return RunCommand(command, {words.begin() + 2, words.end()}, std::move(server), console,
                      environment);
  }
  return UnknownWord(console.err, words[1], verbs);
}

// Parses the options in front of the noun; CLI11 throws, and nothing lets that out.
std::optional<int> Parse(CLI::App& app, std::vector<std::string> arguments,
                         absl::string_view example, Console& console) {
  std::reverse(arguments.begin(), arguments.end());
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::CallForHelp& help) {
    app.exit(help, console.out, console.err);
    return kExitDone;
  } catch (const CLI::ParseError& error) {
    return Misused(console.err, error.what(),
                   absl::StrCat("write it like ", example, "; see ", app.get_name(), " --help"));
  }
  return std::nullopt;
}

}  // namespace

std::optional<int> ParseArguments(Invocation& invocation) {
  return Parse(invocation.app, invocation.arguments, invocation.example, invocation.console);
}

std::span<const Command> AllCommands() { return kCommands; }

int RunProgram(const std::vector<std::string>& arguments, Console& console,
               const Environment& environment) {
  for (const std::string& argument : arguments) {
    if (Utf8ToUtf16Le(argument).ok()) continue;  // the wire takes nothing else
    return Misused(console.err, absl::StrCat(Quote(argument), " is not UTF-8"),
                   "write it in UTF-8; see the terminal's locale");
  }
  if (!arguments.empty() && AsksForHelp(arguments[0])) {
    console.out << ProgramHelp("");
    return kExitDone;
  }
  if (!arguments.empty() && arguments[0] == "--version") {
    console.out << "dumpctl " << DUMPWARDEN_VERSION << "\n";
    return kExitDone;
  }
  // --config, --context and --timeout may stand before the noun, too.
  CLI::App app("", "dumpctl");
  app.set_help_flag();
  app.prefix_command();
  ServerOptions server;
  AddServerOptions(app, server);
  if (const auto code = Parse(app, arguments, "dumpctl policy list", console)) return *code;
  const std::vector<std::string> words = app.remaining();
  if (words.empty()) {
    return Misused(console.err, "a command is missing", "see dumpctl --help");
  }
  return RunNoun(words, std::move(server), console, environment);
}

}  // namespace dumpwarden
