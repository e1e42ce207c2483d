// SPDX-License-Identifier: Apache-2.0
#include "tests/end_to_end/chaos_checks.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace dumpwarden {
namespace {

// --- Findings

using Findings = std::map<std::string, Json>;

void Add(const Json& finding, Findings& findings) {
  Json kept;
  for (const char* field :
       {"setting", "status", "desired", "configured", "policy", "reason", "mode"}) {
    kept[field] = finding[field];
  }
  findings[absl::StrCat(finding["setting"].get<std::string>(), " ",
                        finding["mode"].get<std::string>())] = kept;
}

Findings FindingsIn(const Json& report) {
  Findings findings;
  for (const Json& finding : report["findings"]) Add(finding, findings);
  return findings;
}

struct ServerView {
  std::vector<std::string> policies;  // files with what is in force
  std::map<std::string, std::string> versions;
  std::map<std::string, Json> hosts;  // by id
  std::map<std::string, Findings> findings;
};

ServerView AskServer(const Server& server, const TempFolder& folder) {
  ServerView view;
  for (const Json& policy : server.CtlJson({"policy", "list"})) {
    const std::string name = policy["name"];
    view.versions[name] = policy["version"].dump();
    view.policies.push_back(folder.File(name + ".yaml"));
    WriteAll(view.policies.back(), server.CtlJson({"policy", "show", name})["yaml"]);
  }
  for (const Json& host : server.CtlJson({"host", "list"})) view.hosts[host["id"]] = host;
  for (const Json& finding : server.CtlJson({"compliance", "report"})) {
    Add(finding, view.findings[finding["host_id"]]);
  }
  return view;
}

Json AskAgent(const Host& host, std::vector<std::string> arguments) {
  arguments.insert(arguments.end(), {"-o", "json"});
  const Finished done = host.Agent(arguments);
  const Json json = Json::parse(done.out, nullptr, /*allow_exceptions=*/false);
  return json.is_discarded() ? Json{{"failed", done.err}} : json;
}

std::string Said(const char* who, const Findings& findings) {
  std::string text = who;
  for (const auto& [key, finding] : findings) absl::StrAppend(&text, "\n  ", finding.dump());
  return text + "\n";
}

// Why this host has not settled; "" when it has.
std::string Unsettled(const Host& host, ServerView& view) {
  const Json& row = view.hosts[host.Id()];
  if (row.is_null() || row["connected"] != true || row["policies"] != "current") {
    return "the server has it as " + row.dump();
  }
  std::vector<std::string> plan = {"plan", "--registry", host.registry(), "--facts",
                                   host.File("facts.yaml")};
  for (const std::string& file : view.policies) plan.insert(plan.end(), {"-f", file});
  const Json fresh = AskAgent(host, plan);
  const Json status = AskAgent(host, {"status", "--config", host.File("agent.yaml")});
  if (!fresh.contains("findings") || !status.contains("findings"))
    return fresh.dump() + status.dump();
  std::map<std::string, std::string> versions;
  for (const Json& policy : status["policies"]) {
    versions[policy["policy"]] = policy["version"].dump();
  }
  if (versions != view.versions) return "the agent has policies " + status["policies"].dump();
  if (status["queued_events"] != 0) return "queued: " + status["queued_events"].dump();
  const Findings of_server = view.findings[host.Id()];
  if (of_server == FindingsIn(fresh) && of_server == FindingsIn(status)) return "";
  return Said("the server:", of_server) + Said("a fresh plan:", FindingsIn(fresh)) +
         Said("the agent:", FindingsIn(status));
}

// --- Drifts

std::string Text(const Json& value) { return value.is_string() ? value.get<std::string>() : ""; }

const Written* WrittenOf(const Machine& machine, const std::string& setting,
                         const std::string& value) {
  for (const Written& written : machine.written()) {
    if (written.setting->id == setting &&
        absl::StrContains(value, written.setting->shown(written.number))) {
      return &written;
    }
  }
  return nullptr;
}

// A value that a policy of the run wanted, or that was there before the first.
bool IsKnown(const std::string& setting, const std::string& value, int steps) {
  static const auto& first = *new std::set<std::string>{
      "", "unset", "automatic", "%SystemRoot%\\MEMORY.DMP", "%SystemRoot%\\Minidump"};
  if (first.contains(value)) return true;
  for (int step = 0; step <= steps; ++step) {
    if (value == BaseValue(setting, step)) return true;
  }
  return false;
}

bool IsInvented(const std::string& setting) {
  return std::any_of(ChaosSettings().begin(), ChaosSettings().end(),
                     [&](const ChaosSetting& known) { return known.id == setting; });
}

// How often each value of a host's setting was told: ours, and those of policies, which come but
// once too.  A type has three words only.
struct Told {
  std::map<const Written*, int> ours;
  std::map<std::string, int> policies;
};

void CheckDrift(const Machine& machine, const Json& row, int steps, Told& told) {
  const std::string setting = row["setting"];
  const std::string state = row["state"];
  EXPECT_NE(state, "compacted") << row;
  EXPECT_EQ(row["ended_host_time"].is_null(), state == "drifted") << row;
  if (!IsInvented(setting)) return;
  const std::string old = Text(row["old"]);
  EXPECT_TRUE(IsKnown(setting, old, steps) || WrittenOf(machine, setting, old) != nullptr)
      << "an old value that never was: " << row;
  const Written* written = WrittenOf(machine, setting, Text(row["new"]));
  if (written == nullptr) {
    EXPECT_TRUE(IsKnown(setting, Text(row["new"]), steps)) << "nobody wrote that: " << row;
    if (setting == "dump.type" || machine.muddled()) return;
    const std::string what = absl::StrCat(machine.host.Id(), " ", setting, " ", Text(row["new"]));
    EXPECT_EQ(++told.policies[what], 1) << "told more than once: " << row;
    return;
  }
  ++told.ours[written];
  EXPECT_NE(old, Text(row["new"])) << row;
  EXPECT_EQ(state == "drifted", machine.Stands(*written)) << row;
}

void CheckWritten(Chaos& chaos, const Machine& machine, const Written& written, int told) {
  const bool stands = machine.Stands(written);
  const std::string what = absl::StrCat(written.setting->shown(written.number), " of ",
                                        written.setting->id, " on ", machine.host.Id());
  ++chaos.counts["drifts made"];
  if (told > 0) ++chaos.counts["drifts told"];
  if (written.muddled) {
    ++chaos.counts["drifts of a lost race"];
    return;
  }
  EXPECT_LE(told, 1) << "told more than once: " << what;
  if (written.aside) {
    ++chaos.counts["drifts kept aside"];
    return;
  }
  if (!written.certain && !stands) return;
  ++chaos.counts["drifts that must be told"];
  EXPECT_EQ(told, 1) << "lost: " << what << (stands ? ", which stands\n" : "\n")
                     << ReadAll(machine.host.File("run.err"));
}

// --- Ends

void CheckLog(const std::string& who, const std::string& err) {
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_TRUE(absl::StartsWith(line, "{")) << who << " said: " << line;
    for (const char* bad : {"terminate called", "ssertion", "Sanitizer", "runtime error:"}) {
      EXPECT_FALSE(absl::StrContains(line, bad)) << who << " said: " << line;
    }
  }
}

}  // namespace

void CheckFindings(Chaos& chaos, absl::Duration limit) {
  const TempFolder folder;
  const absl::Time end = absl::Now() + limit;
  for (;;) {
    ServerView view = AskServer(chaos.server, folder);
    std::string why;
    for (const auto& machine : chaos.machines) {
      why = Unsettled(machine->host, view);
      if (!why.empty()) {
        absl::StrAppend(&why, "host ", machine->host.Id());
        break;
      }
    }
    if (why.empty()) return;
    chaos.Poll();
    ASSERT_TRUE(chaos.problems.empty()) << chaos.problems[0];
    ASSERT_LT(absl::Now(), end) << why;
    absl::SleepFor(absl::Milliseconds(200));
  }
}

void CheckDrifts(Chaos& chaos) {
  std::map<std::string, Machine*> machines;
  for (auto& machine : chaos.machines) {
    EXPECT_EQ(machine->Look(), "");
    machines[machine->host.Id()] = machine.get();
  }
  std::map<std::string, Json> rows;
  Told told;
  for (const Json& row : chaos.List("drift", "cursor")) {
    EXPECT_TRUE(rows.emplace(row["cursor"].dump(), row).second) << row;
    ASSERT_TRUE(machines.contains(row["host_id"])) << row;
    CheckDrift(*machines[row["host_id"]], row, chaos.step(), told);
  }
  for (const auto& [id, machine] : machines) {
    for (const Written& written : machine->written()) {
      CheckWritten(chaos, *machine, written, told.ours[&written]);
    }
  }
  for (const auto& [cursor, seen] : chaos.drifts_seen) {
    ++chaos.counts["drifts read on the way"];
    ASSERT_TRUE(rows.contains(cursor)) << "was shown and is gone: " << seen;
    for (const char* field : {"host_id", "setting", "old", "new", "host_time", "server_time"}) {
      EXPECT_EQ(rows[cursor][field], seen[field]) << seen;
    }
  }
}

void CheckAnswers(Chaos& chaos) {
  std::map<std::string, int> audited;
  for (const Json& row : chaos.List("audit", "sequence")) {
    const std::string detail = Text(row["detail"]);
    const bool versioned = absl::StartsWith(detail, "version ");
    const std::string version = versioned ? detail.substr(8, detail.find(';') - 8) : "";
    ++audited[absl::StrCat(Text(row["action"]), " ", Text(row["object"]), " ", version)];
    if (row["action"] != "policy.apply") continue;
    const Json policy =
        chaos.server.CtlJson({"policy", "show", row["object"], "--version", version});
    EXPECT_EQ(policy["digest"], Text(row["after"])) << row;
  }
  for (const Answered& answer : chaos.answered) {
    ++chaos.counts["answers kept"];
    const std::string key = absl::StrCat(answer.action, " ", answer.object, " ", answer.version);
    EXPECT_EQ(audited[key], 1) << key;
  }
  for (const auto& [key, times] : audited) {
    if (absl::StartsWith(key, "policy.apply")) {
      EXPECT_EQ(times, 1) << key;
    }
  }
  int joined = 0;
  for (const Answered& answer : chaos.answered) {
    if (answer.action != "token.create" || ++joined > 5) continue;
    const Finished enrolled = Host(absl::StrCat("late-", joined)).Enroll(answer.answer);
    EXPECT_EQ(enrolled.exit_code, 0) << enrolled.err;
  }
}

void CheckRegistries(Chaos& chaos) {
  for (const auto& machine : chaos.machines) {
    const std::string text = machine->Registry();
    std::set<std::string> names;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (absl::StartsWith(line, "\"")) names.insert(line.substr(1, line.find('"', 1) - 1));
    }
    for (const char* may : {"FilterPages", "MinidumpDir"}) names.erase(may);
    EXPECT_EQ(names,
              (std::set<std::string>{"AutoReboot", "CrashDumpEnabled", "DumpFile", "DumpFileSize",
                                     "LogEvent", "Overwrite", "PagingFiles"}))
        << text;
    EXPECT_EQ(RegistryData(text, "AutoReboot"), "dword:00000001") << text;
  }
}

void CheckEnds(Chaos& chaos) {
  for (auto& machine : chaos.machines) machine->host.process().Kill(SIGTERM);
  chaos.server.process().Kill(SIGTERM);
  for (auto& machine : chaos.machines) {
    EXPECT_EQ(machine->host.process().Wait(absl::Minutes(5)), 0) << machine->host.process().Err();
    CheckLog("an agent", machine->host.process().Err());
  }
  EXPECT_EQ(chaos.server.process().Wait(absl::Minutes(5)), 0) << chaos.server.Err();
  CheckLog("the server", chaos.server.Err());
  const TempFolder folder;
  const Finished backup = RunProgram({Program("dumpwarden-server"), "backup", "--config",
                                      chaos.server.folder() + "/server.yaml", "--to",
                                      folder.File("backup")});  // checks the database
  EXPECT_EQ(backup.exit_code, 0) << backup.err;
}

}  // namespace dumpwarden
