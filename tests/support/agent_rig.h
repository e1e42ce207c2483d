// SPDX-License-Identifier: Apache-2.0
// An agent with a fake host and a server that is played by the test: the real
// core, state file, applier and policies; time, registry, disk and link are the
// test's.
#ifndef DUMPWARDEN_TESTS_SUPPORT_AGENT_RIG_H_
#define DUMPWARDEN_TESTS_SUPPORT_AGENT_RIG_H_

#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "agent/agent.h"
#include "agent/state.h"
#include "core/base/digest.h"
#include "core/policy/policy_set.h"
#include "platform/log.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"
#include "tests/support/memory_vfs.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {

inline constexpr char kCrashKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

// Keeps what the agent sends, and tells nobody.
class ScriptedLink : public Link {
 public:
  void Connect() override { ++connects; }
  void Send(const v1::AgentMessage& message) override { sent.push_back(message); }
  void Disconnect() override { ++disconnects; }

  int connects = 0;
  int disconnects = 0;
  std::deque<v1::AgentMessage> sent;
};

class SilentLog : public Log {
 protected:
  void Write(LogLevel, absl::string_view message, const std::vector<LogField>& fields) override {
    lines.emplace_back(message);
    for (const LogField& field : fields) absl::StrAppend(&lines.back(), " ", field.value);
  }

 public:
  std::vector<std::string> lines;
};

class SeededRandom : public Random {
 public:
  std::string Bytes(std::size_t count) override {
    std::string bytes(count, 0);
    for (char& byte : bytes) byte = static_cast<char>(engine_());
    return bytes;
  }
  double Fraction() override { return std::uniform_real_distribution<double>(0, 1)(engine_); }

 private:
  std::mt19937_64 engine_{42};
};

// One policy with one setting, for every host.
inline std::string PolicyYaml(const std::string& name, const std::string& setting,
                              const std::string& value, const std::string& mode = "enforce") {
  return absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata:\n  name: ", name,
                      "\nspec:\n  priority: 100\n  mode: ", mode, "\n  settings:\n    ", setting,
                      ": ", value, "\n");
}

struct Document {
  std::string name;
  std::uint64_t version = 1;
  std::string yaml;
};

class AgentRig {
 public:
  AgentRig() {
    facts.mutable_os()->set_build(20348);
    facts.mutable_os()->set_product("server");
    facts.mutable_memory()->set_bytes(std::uint64_t{16} << 30);
    facts.mutable_boot()->set_id("boot-1");
    registry.Set(kCrashKey, "CrashDumpEnabled", DwordValue(2));
    registry.Set(kCrashKey, "AutoReboot", DwordValue(1));
    Start();
  }

  // As after kill -9, or a new start: only what is durable stays.
  void Restart() {
    core.reset();
    applier.reset();
    state.reset();
    registry.PowerCut();
    vfs.Crash();
    link.sent.clear();
    connected = false;
    Start();
  }
  void Start() {
    auto opened = AgentState::Open(folder.File("state.db"), random);
    if (!opened.ok()) std::abort();
    state = *std::move(opened);
    applier = std::make_unique<Applier>(registry, folders, vfs, clock, ApplyPlace{"/place"});
    AgentOptions options;
    options.version = "test";
    options.host_name = "web-01";
    core = std::make_unique<AgentCore>(
        AgentParts{clock, random, registry, folders, *applier, *state, link, log}, options);
    start_status = core->Start(facts);
  }

  void Pass(absl::Duration time) {
    const absl::Duration end = clock.Monotonic() + time;
    while (core->NextDeadline() <= end) {
      const absl::Duration step = core->NextDeadline() - clock.Monotonic();
      if (step > absl::ZeroDuration()) clock.Advance(step);
      core->Tick();
    }
    clock.Advance(end - clock.Monotonic());
  }
  // What a server says that keeps what it has acknowledged, and nothing after it.
  v1::Welcome KeepsWhatItAcknowledged() const {
    v1::Welcome kept;
    if (state->acknowledged() != 0) kept.set_epoch(state->epoch());
    kept.set_sequence(state->acknowledged());
    return kept;
  }
  // Waits for the dial, accepts, and says Welcome, which speaks of the report that `kept` names.
  void Connect(bool want_full = false) { Connect(want_full, KeepsWhatItAcknowledged()); }
  void Connect(bool want_full, const v1::Welcome& kept) {
    while (link.connects == dialled) Pass(absl::Seconds(1));
    dialled = link.connects;
    core->OnConnected();
    v1::ServerMessage message;
    *message.mutable_welcome() = kept;
    message.mutable_welcome()->set_protocol(kAgentProtocol);
    message.mutable_welcome()->set_check_in_seconds(60);
    message.mutable_welcome()->set_reconnect_window_ms(1000);
    message.mutable_welcome()->set_want_full(want_full);
    core->OnMessage(message);
    connected = true;
  }
  void Disconnect() {
    core->OnDisconnected(absl::UnavailableError("gone"));
    connected = false;
  }

  // The reports sent since the last call.
  std::vector<v1::Report> TakeReports() {
    std::vector<v1::Report> reports;
    for (const v1::AgentMessage& message : link.sent) {
      if (message.has_report()) reports.push_back(message.report());
    }
    link.sent.clear();
    return reports;
  }
  void Acknowledge(const v1::Report& report, bool want_full = false) {
    v1::ServerMessage message;
    message.mutable_ack()->set_epoch(report.epoch());
    message.mutable_ack()->set_sequence(report.sequence());
    message.mutable_ack()->set_want_full(want_full);
    core->OnMessage(message);
  }

  static v1::PolicyEntry EntryOf(const Document& document) {
    v1::PolicyEntry entry;
    entry.set_name(document.name);
    entry.set_version(document.version);
    entry.set_digest(Sha256(document.yaml));
    return entry;
  }
  void SendSet(const std::vector<Document>& documents) {
    std::vector<v1::PolicyEntry> entries;
    for (const Document& document : documents) entries.push_back(EntryOf(document));
    v1::ServerMessage message;
    *message.mutable_policy_set() = MakePolicySet(std::move(entries));
    core->OnMessage(message);
  }
  void SendDocument(const Document& document) {
    v1::ServerMessage message;
    message.mutable_policy_document()->set_name(document.name);
    message.mutable_policy_document()->set_version(document.version);
    message.mutable_policy_document()->set_yaml(document.yaml);
    core->OnMessage(message);
  }
  // The whole exchange.
  void Push(const std::vector<Document>& documents) {
    SendSet(documents);
    for (const Document& document : documents) SendDocument(document);
  }

  // Another program writes, and the watch sees it.
  void Change(const std::string& name, std::uint32_t value) {
    registry.Set(kCrashKey, name, DwordValue(value));
    core->OnRegistryChanged();
    Pass(absl::Milliseconds(100));
  }
  std::optional<std::uint32_t> Cell(const std::string& name) const {
    const std::optional<RegistryValue> value = registry.Get(kCrashKey, name);
    return value.has_value() ? AsDword(*value) : std::nullopt;
  }
  v1::Finding FindingOf(const std::string& setting) const {
    for (const v1::Finding& finding : core->current().findings) {
      if (finding.setting() == setting) return finding;
    }
    return {};
  }
  std::vector<v1::DriftEvent> Events() { return *state->Events(20000); }

  TempFolder folder;
  FakeClock clock;
  SeededRandom random;
  FakeRegistry registry;
  FakeFolders folders;
  MemoryVfs vfs;
  ScriptedLink link;
  SilentLog log;
  v1::Facts facts;
  std::unique_ptr<AgentState> state;
  std::unique_ptr<Applier> applier;
  std::unique_ptr<AgentCore> core;
  absl::Status start_status;
  int dialled = 0;
  bool connected = false;
};

inline Document Reboot(std::uint64_t version, const std::string& value,
                       const std::string& mode = "enforce") {
  return {"base", version, PolicyYaml("base", "dump.auto-reboot", value, mode)};
}
inline Document DumpType(std::uint64_t version, const std::string& value) {
  return {"base", version, PolicyYaml("base", "dump.type", value)};
}

inline std::vector<v1::DriftEvent::Kind> Kinds(const std::vector<v1::DriftEvent>& events) {
  std::vector<v1::DriftEvent::Kind> kinds;
  for (const v1::DriftEvent& event : events) kinds.push_back(event.kind());
  return kinds;
}

inline constexpr auto kDrifted = v1::DriftEvent::KIND_DRIFTED;
inline constexpr auto kCorrected = v1::DriftEvent::KIND_CORRECTED;
inline constexpr auto kResolved = v1::DriftEvent::KIND_RESOLVED;

// A host whose policy is in force and acknowledged: quiet.
inline void Settle(AgentRig& rig, const std::vector<Document>& documents) {
  rig.Connect();
  rig.Push(documents);
  for (int i = 0; i < 5; ++i) {
    rig.Pass(absl::Milliseconds(300));
    for (const v1::Report& report : rig.TakeReports()) rig.Acknowledge(report);
  }
  rig.registry.ClearLog();
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_AGENT_RIG_H_
