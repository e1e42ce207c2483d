// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/host.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/timestamp.h"
#include "core/policy/policy_set.h"
#include "platform/log.h"

namespace dumpwarden::sim {
namespace {

class TraceLog : public Log {
 public:
  TraceLog(World& world, std::string name) : world_(world), name_(std::move(name)) {}

 protected:
  void Write(LogLevel level, absl::string_view message,
             const std::vector<LogField>& fields) override {
    if (level == LogLevel::kInfo) return;
    std::string line = absl::StrCat(name_, " says: ", message);
    for (const LogField& field : fields) absl::StrAppend(&line, " ", field.value);
    world_.Trace(line);
  }

 private:
  World& world_;
  std::string name_;
};

std::string StatePath(const Machine& machine) {
  return absl::StrCat(machine.disk.folder(), "/state.db");
}

}  // namespace

Host::Host(World& world, Network& network, Ledger& ledger, int number, std::string uuid,
           const std::string& folder)
    : world_(world),
      network_(network),
      ledger_(ledger),
      machine_(world, number, std::move(uuid), folder),
      check_(machine_, [this] { NoteEvents(); }) {
  log_ = std::make_unique<TraceLog>(world, Name());
  check_.Attach();
}

Host::~Host() {
  machine_.faults.Die();
  core_.reset();
  applier_.reset();
  state_.reset();
}

std::string Host::Name() const { return absl::StrCat("host ", machine_.number); }

// --- Life of the process

void Host::StartSoon(absl::Duration delay) {
  if (core_ != nullptr || starting_) return;
  starting_ = true;
  world_.After(delay, [this] {
    starting_ = false;
    if (core_ == nullptr) Start();
  });
}

void Host::Start() {
  ++process_;
  machine_.faults.Revive();
  if (world_.chance.Happens(0.15)) {  // a start that dies or fails too
    machine_.faults.KillAt(world_.chance.Skewed(60));
  }
  check_.Begin(nullptr);
  const bool by_hand = check_.applying() && world_.chance.Happens(0.5);
  if (by_hand) RecoverByHand();
  if (!Build()) {
    world_.Trace(absl::StrCat(Name(), " could not start"));
    return EndProcess(End::kKilled);
  }
  AfterEvent("start");
}

// As the command line does before it shows a plan.
void Host::RecoverByHand() {
  Applier applier(machine_.registry, machine_.folders, *machine_.vfs, machine_.clock,
                  ApplyPlace{kPlace});
  const absl::StatusOr<bool> recovered = applier.Recover();
  world_.Trace(absl::StrCat(Name(), " is recovered by hand: ", recovered.status().ToString()));
  if (recovered.ok()) check_.CheckRecovered();
}

bool Host::Build() {
  auto opened = AgentState::Open(StatePath(machine_), world_.random);
  if (!opened.ok()) {
    if (absl::IsDataLoss(opened.status())) {
      world_.Fail(absl::StrCat(Name(), ": P7: ", opened.status().ToString()));
    }
    return false;
  }
  state_ = *std::move(opened);
  if (!machine_.faults.dead()) {
    const MachineFaults::Pause pause(machine_.faults);
    noted_ = 0;
    NoteEvents();
    CheckClaims();
  }
  applier_ = std::make_unique<Applier>(machine_.registry, machine_.folders, *machine_.vfs,
                                       machine_.clock, ApplyPlace{kPlace});
  AgentOptions options;
  options.version = "simulated";
  options.host_name = Name();
  core_ =
      std::make_unique<AgentCore>(AgentParts{machine_.clock, world_.random, machine_.registry,
                                             machine_.folders, *applier_, *state_, *this, *log_},
                                  options);
  check_.Begin(state_.get());
  const absl::Status started = core_->Start(machine_.facts);
  if (!started.ok()) world_.Trace(absl::StrCat(Name(), ": ", started.ToString()));
  return started.ok() || machine_.faults.dead();
}

void Host::EndProcess(End end) {
  const bool in_call = !machine_.faults.killed_in().empty();
  if (in_call && end == End::kKilled) {
    world_.counts.Add(Fault::kAgentKillInCall);
    if (check_.applying()) world_.counts.Add(Fault::kAgentKillInApply);
  }
  if (end != End::kStopped) machine_.faults.Die();
  core_.reset();
  applier_.reset();
  state_.reset();
  ++process_;
  tick_at_ = absl::InfiniteDuration();
  const bool power = end == End::kPowerCut || (in_call && world_.chance.Happens(0.5));
  network_.AgentDied(stream_, power ? Network::Death::kPower : Network::Death::kProcess);
  stream_ = 0;
  if (power) {
    LosePower();
  } else {
    LoseUnflushed(false);
  }
  StartSoon(absl::Milliseconds(world_.chance.Between(500, power ? 60000 : 6000)));
}

void Host::LosePower() {
  world_.counts.Add(Fault::kAgentPowerCut);
  machine_.disk.PowerCut();
  const bool synced = world_.chance.Happens(0.6);
  machine_.vfs->Crash(synced ? MemoryVfs::Entries::kAsSynced : MemoryVfs::Entries::kAsWritten,
                      static_cast<std::size_t>(world_.chance.Below(600)));
  LoseUnflushed(true);
  machine_.facts.mutable_boot()->set_id(absl::StrCat("boot-", ++boots_));
  check_.Attach();
}

// Windows keeps what a process wrote; a registry in a file loses it with the process.
void Host::LoseUnflushed(bool power) {
  const bool all = !power && world_.chance.Happens(0.5);
  const FakeRegistry::Keys before = machine_.registry.now();
  machine_.registry.PowerCut(all ? 1000 : static_cast<std::size_t>(world_.chance.Below(6)));
  if (machine_.registry.now() != before) world_.counts.Add(Fault::kRegistryLost);
}

void Host::Kill() {
  if (core_ == nullptr) return;
  world_.counts.Add(Fault::kAgentKill);
  world_.Trace(absl::StrCat(Name(), " is killed"));
  EndProcess(End::kKilled);
}

void Host::PowerCut() {
  if (core_ == nullptr) return;
  world_.Trace(absl::StrCat(Name(), " loses power"));
  EndProcess(End::kPowerCut);
}

void Host::Restart() {
  if (core_ == nullptr) return;
  world_.counts.Add(Fault::kAgentRestart);
  world_.Trace(absl::StrCat(Name(), " is restarted"));
  EndProcess(End::kStopped);
}

// --- Events

void Host::Do(const std::string& what, const std::function<void(AgentCore&)>& event) {
  if (core_ == nullptr) return;
  check_.Begin(state_.get());
  event(*core_);
  AfterEvent(what);
}

void Host::AfterEvent(const std::string& what) {
  check_.End();
  if (machine_.faults.dead()) {
    world_.Trace(absl::StrCat(Name(), " died in ", what, " at ", machine_.faults.killed_in()));
    return EndProcess(std::exchange(power_fails_, false) ? End::kPowerCut : End::kKilled);
  }
  const MachineFaults::Pause pause(machine_.faults);
  NoteEvents();
  ScheduleTick();
}

void Host::ScheduleTick() {
  const absl::Duration deadline = core_->NextDeadline();
  if (deadline == tick_at_) return;
  tick_at_ = deadline;
  if (deadline == absl::InfiniteDuration()) return;
  world_.At(deadline, [this, process = process_, deadline] {
    if (process != process_ || deadline != tick_at_) return;
    tick_at_ = absl::InfiniteDuration();
    Do("tick", [](AgentCore& core) { core.Tick(); });
  });
}

void Host::Connect() { stream_ = network_.Dial(machine_.uuid, machine_.number, *this); }

void Host::Send(const v1::AgentMessage& message) {
  if (!machine_.faults.Check("Link::Send").ok()) return;
  if (message.has_hello()) {
    claims_.epoch = message.hello().epoch();
    claims_.acknowledged = message.hello().acknowledged();
    ClaimPolicies(message.hello().policy_digest());
  } else if (message.has_report()) {
    if (claims_.epoch != message.report().epoch()) claims_.acknowledged = 0;
    claims_.epoch = message.report().epoch();
    claims_.sequence = std::max(claims_.sequence, message.report().sequence());
  } else if (message.has_check_in()) {
    claims_.acknowledged = message.check_in().sequence();
    ClaimPolicies(message.check_in().policy_digest());
  }
  network_.SendUp(stream_, message);
  if (!on_send_ || !on_send_()) return;
  power_fails_ = true;
  machine_.faults.Die();
}

// A set whose keeping failed is tried again, whatever is said meanwhile.
void Host::ClaimPolicies(const std::string& digest) {
  claims_.policies = digest;
  claims_.other_policies = !claims_.offered.empty() && claims_.offered != digest;
}

void Host::Disconnect() {
  if (!machine_.faults.dead()) network_.HangUp(stream_);
}

void Host::OnConnected() {
  Do("connect", [](AgentCore& core) { core.OnConnected(); });
}

void Host::OnMessage(v1::ServerMessage message) {
  const bool policies = message.has_policy_set() || message.has_policy_document();
  if (policies) claims_.other_policies = true;
  if (message.has_policy_set()) claims_.offered = message.policy_set().digest();
  Do(absl::StrCat("message ", static_cast<int>(message.message_case())),
     [&message](AgentCore& core) { core.OnMessage(message); });
  if (policies && core_ != nullptr) {
    const MachineFaults::Pause pause(machine_.faults);
    CheckVersions(false);
  }
}

void Host::OnDisconnected(absl::Status why) {
  stream_ = 0;
  Do("disconnect", [&why](AgentCore& core) { core.OnDisconnected(why); });
}

// --- What others do

void Host::ChangeFacts(const std::function<void(v1::Facts&)>& change) {
  change(machine_.facts);
  Do("facts", [this](AgentCore& core) { core.OnFactsChanged(machine_.facts); });
}

void Host::ChangeCell(const CellName& cell, const std::optional<RegistryValue>& value, bool seen) {
  check_.Touched(LowerAscii(absl::StrCat(cell.key, "\n", cell.name)));
  if (value) {
    machine_.registry.Set(cell.key, cell.name, *value);
  } else {
    machine_.registry.Unset(cell.key, cell.name);
  }
  if (seen) Do("watch", [](AgentCore& core) { core.OnRegistryChanged(); });
}

bool Host::FillQueue() {
  if (core_ == nullptr) return false;
  const MachineFaults::Pause pause(machine_.faults);
  const absl::StatusOr<TrackedSettings> tracked = state_->Tracked();
  const absl::StatusOr<std::size_t> count = state_->EventCount();
  if (!tracked.ok() || !count.ok()) return false;
  std::vector<v1::DriftEvent> events;
  std::uint64_t sequence = state_->next_event();
  for (std::size_t i = *count; i + 1 < kMaxQueuedEvents; i += 2) {
    v1::DriftEvent& drifted = events.emplace_back();
    drifted.set_sequence(sequence++);
    drifted.set_kind(v1::DriftEvent::KIND_DRIFTED);
    drifted.set_setting(i % 4 == 0 ? "filler.one" : "filler.two");
    drifted.set_mode(v1::MODE_AUDIT);
    drifted.set_new_value(absl::StrCat("filler ", i));
    *drifted.mutable_at() = ToTimestamp(machine_.clock.Now());
    v1::DriftEvent resolved = drifted;
    resolved.set_sequence(sequence++);
    resolved.set_kind(v1::DriftEvent::KIND_RESOLVED);
    resolved.set_drift_sequence(drifted.sequence());
    resolved.set_old_value(drifted.new_value());  // as an agent's end does
    events.push_back(std::move(resolved));
  }
  if (events.empty() || !state_->Record(*tracked, events).ok()) return false;
  NoteEvents();
  world_.Trace(absl::StrCat(Name(), " has its queue filled with ", events.size(), " events"));
  return true;
}

// --- Images

Host::Snapshot Host::TakeSnapshot() {
  return {machine_.Save(), check_.Save(), ledger_.Known(machine_.uuid)};
}

void Host::Restore(const Snapshot& snapshot) {
  if (core_ != nullptr) EndProcess(End::kPowerCut);
  machine_.Load(snapshot.image);
  check_.Load(snapshot.apply);
  check_.Attach();
  machine_.facts.mutable_boot()->set_id(absl::StrCat("boot-", machine_.number, "-", ++boots_));
  restored_ = true;
  claims_ = {};
  versions_.clear();
  StartSoon(absl::Milliseconds(world_.chance.Between(100, 20000)));
}

// --- Checks

EventList Host::Queue() {
  const MachineFaults::Pause pause(machine_.faults);
  absl::StatusOr<std::vector<v1::DriftEvent>> events = state_->Events(2 * kMaxQueuedEvents);
  if (!events.ok()) world_.Fail(absl::StrCat(Name(), ": ", events.status().ToString()));
  return events.ok() ? *std::move(events) : EventList();
}

std::set<std::uint64_t> Host::OpenDrifts() {
  const MachineFaults::Pause pause(machine_.faults);
  std::set<std::uint64_t> open;
  const absl::StatusOr<TrackedSettings> tracked = state_->Tracked();
  if (!tracked.ok()) world_.Fail(absl::StrCat(Name(), ": ", tracked.status().ToString()));
  if (!tracked.ok()) return open;
  for (const auto& [key, setting] : *tracked) {
    if (setting.drift != 0) open.insert(setting.drift);
    if (setting.drift == 0 && setting.finding.status() == v1::STATUS_DRIFTED) {
      world_.Fail(absl::StrCat(Name(), ": P6: ", key, " has drifted, and no event says so"));
    }
  }
  return open;
}

std::set<std::string> Host::OpenSettings() {
  const MachineFaults::Pause pause(machine_.faults);
  std::set<std::string> open;
  const absl::StatusOr<TrackedSettings> tracked = state_->Tracked();
  if (!tracked.ok()) world_.Fail(absl::StrCat(Name(), ": ", tracked.status().ToString()));
  if (!tracked.ok()) return open;
  for (const auto& [key, setting] : *tracked) {
    if (setting.drift != 0) open.insert(key);
  }
  return open;
}

void Host::NoteEvents() {
  if (state_->next_event() == noted_) return;
  noted_ = state_->next_event();
  ledger_.Record(machine_.uuid, Queue());
}

std::string Host::PolicyDigest() {
  const MachineFaults::Pause pause(machine_.faults);
  std::vector<v1::PolicyEntry> entries;
  const absl::StatusOr<std::vector<StoredPolicy>> stored = state_->Policies();
  if (!stored.ok()) return "";
  for (const StoredPolicy& policy : *stored) {
    v1::PolicyEntry& entry = entries.emplace_back();
    entry.set_name(policy.name);
    entry.set_version(policy.version);
    entry.set_digest(policy.digest);
  }
  return MakePolicySet(std::move(entries)).digest();
}

// P7, the agent's side: what it said it knew it knows after the crash.
void Host::CheckClaims() {
  claims_.offered.clear();
  CheckVersions(std::exchange(restored_, false));
  const std::string at = absl::StrCat(Name(), ": P7: after a crash the agent ");
  if (claims_.epoch == state_->epoch()) {
    if (state_->acknowledged() < claims_.acknowledged) {
      world_.Fail(absl::StrCat(at, "knows of report ", state_->acknowledged(),
                               " as acknowledged, it said ", claims_.acknowledged));
    }
    if (state_->next_report() <= claims_.sequence) {
      world_.Fail(absl::StrCat(at, "would use number ", state_->next_report(), " again, it sent ",
                               claims_.sequence));
    }
  }
  if (!claims_.policies.empty() && !claims_.other_policies && PolicyDigest() != claims_.policies) {
    world_.Fail(absl::StrCat(at, "has other policies than it said were in force"));
  }
}

void Host::CheckVersions(bool after_restore) {
  const absl::StatusOr<std::vector<StoredPolicy>> stored = state_->Policies();
  if (!stored.ok()) return world_.Fail(absl::StrCat(Name(), ": ", stored.status().ToString()));
  if (after_restore) versions_.clear();
  for (const StoredPolicy& policy : *stored) {
    std::uint64_t& highest = versions_[policy.name];
    if (policy.version < highest) {
      world_.Fail(absl::StrCat(Name(), ": policy ", policy.name, " went back from version ",
                               highest, " to ", policy.version));
    }
    highest = std::max(highest, policy.version);
    ledger_.SeePolicy(policy.name, policy.version, policy.digest);
  }
}

}  // namespace dumpwarden::sim
