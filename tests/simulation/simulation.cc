// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/simulation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/state_digest.h"
#include "server/fleet/policy_push.h"
#include "tests/simulation/drafts.h"

namespace dumpwarden::sim {
namespace {

std::string UuidOf(int number) {
  return absl::StrCat("00000000-0000-4000-8000-0000000000", number / 10, number % 10);
}

std::string TextOf(const std::vector<v1::Finding>& findings) {
  std::vector<std::string> lines;
  for (const v1::Finding& finding : findings) lines.push_back(finding.ShortDebugString());
  std::sort(lines.begin(), lines.end());
  std::string text;
  for (const std::string& line : lines) absl::StrAppend(&text, "\n  ", line);
  return text;
}

}  // namespace

Simulation::Simulation(std::uint64_t seed)
    : world_(seed),
      sqlite_chance_(seed ^ 0xD1B54A32D192ED03u),
      ledger_(world_),
      server_(world_, folder_.File("server")),
      snapshots_(kHosts) {}

Simulation::~Simulation() = default;

absl::Duration Simulation::SomeTime() { return absl::Milliseconds(world_.chance.Skewed(300'000)); }

void Simulation::SetUp() {
  world_.Hide(folder_.path());
  UseSimulatedDisks();
  SeedSqlite(sqlite_chance_);
  std::filesystem::create_directory(folder_.File("server"));
  std::filesystem::create_directory(folder_.File("clone"));
  const bool power_fails = std::exchange(power_fails_, false);  // later
  server_.StartSoon(absl::ZeroDuration());
  world_.Pass(absl::Milliseconds(1));
  for (int i = 0; i < kHosts; ++i) {
    const std::string folder = folder_.File(absl::StrCat("host", i));
    std::filesystem::create_directory(folder);
    hosts_.push_back(
        std::make_unique<Host>(world_, server_.network(), ledger_, i, UuidOf(i), folder));
    server_.Enroll(UuidOf(i), absl::StrCat("host ", i));
    DraftHost(hosts_.back()->machine());
    hosts_.back()->OnSend([this] { return OnAgentSend(); });
    hosts_.back()->StartSoon(absl::Milliseconds(world_.chance.Below(3000)));
  }
  server_.OnStart([this] {
    CheckAcknowledged();
    CheckEvents(false);
  });
  for (int i = 0; i < 3; ++i) server_.Apply({DraftPolicy(world_.chance)});
  world_.Pass(absl::Seconds(5));
  power_fails_ = power_fails;
}

bool Simulation::Run() {
  SetUp();
  for (int step = 0; step < kSteps && !world_.failed(); ++step) {
    Step();
    CheckEvents(false);
  }
  if (!world_.failed()) Settle();
  return !world_.failed();
}

void Simulation::Step() {
  int total = 0;
  for (const Action& action : Actions()) total += action.weight;
  int drawn = world_.chance.Below(total);
  for (const Action& action : Actions()) {
    drawn -= action.weight;
    if (drawn >= 0) continue;
    world_.Trace(absl::StrCat("step ", action.name));
    (this->*action.act)();
    break;
  }
  const int pace = world_.chance.Below(10);
  const int most = pace < 6 ? 2000 : pace < 9 ? 15'000 : 120'000;
  world_.Pass(absl::Milliseconds(world_.chance.Below(most)));
}

// --- The end

void Simulation::Heal() {
  world_.Trace("everything heals");
  server_.network().Heal();
  server_.faults().Heal();
  for (const auto& host : hosts_) {
    host->machine().faults.Heal();
    host->machine().registry.IgnoreWritesOf("", "");
  }
  if (clone_ != nullptr) clone_->machine().faults.Heal();
}

// Twelve minutes are the longest that a host stays away which the server sent away.
void Simulation::Settle() {
  power_fails_ = false;
  Heal();
  world_.Pass(absl::Minutes(2));
  server_.ApplyLostPolicies();
  world_.Pass(absl::Minutes(10));
  std::string why;
  for (int round = 0; round < 20 && !world_.failed(); ++round) {
    world_.Pass(absl::Minutes(6));
    Heal();  // what starts may have armed something anew
    server_.ApplyLostPolicies();
    why.clear();
    for (const auto& host : hosts_) {
      if (why.empty()) why = WhyNotSettled(*host);
    }
    if (why.empty()) break;
  }
  if (!why.empty()) world_.Fail(absl::StrCat("does not come to rest: ", why));
  if (world_.failed()) return;
  server_.CheckPolicies();
  CheckEvents(true);
}

void Simulation::CheckEvents(bool settled) {
  if (!server_.running() || world_.failed()) return;
  const std::map<std::string, EventList> events = server_.Events();
  for (const auto& host : hosts_) {
    if (!host->running()) continue;
    const auto there = events.find(host->machine().uuid);
    CheckEventsOf(*host, there == events.end() ? EventList() : there->second, settled);
  }
}

void Simulation::CheckEventsOf(Host& host, const EventList& kept, bool settled) {
  const std::string& uuid = host.machine().uuid;
  EventList queue = host.Queue();
  if (IsCloned(host)) {
    if (!clone_->running()) return;
    const EventList of_clone = clone_->Queue();
    queue.insert(queue.end(), of_clone.begin(), of_clone.end());
  }
  ledger_.Check(uuid, kept, queue);
  const std::set<std::uint64_t> open = host.OpenDrifts();
  if (!settled || IsCloned(host)) return;
  ledger_.CheckCount(uuid, kept, host.state().next_event() - 1);
  ledger_.CheckEnds(uuid, kept, open);
  CheckOpen(host);
}

void Simulation::CheckOpen(Host& host) {
  const MachineFaults::Pause pause(server_.faults());
  const absl::StatusOr<HostRow> row = server_.store().FindHost(host.machine().uuid);
  if (!row.ok()) return world_.Fail(row.status().ToString());
  DriftQuery query;
  query.host = row->id;
  query.limit = 10'000;
  const absl::StatusOr<std::vector<v1::Drift>> drifts = server_.store().ListDrift(query);
  if (!drifts.ok()) return world_.Fail(drifts.status().ToString());
  std::vector<std::string> open;
  for (const v1::Drift& drift : *drifts) {
    if (drift.state() == "drifted")
      open.push_back(absl::StrCat(drift.mode(), " ", drift.setting()));
  }
  ledger_.CheckOpen(host.machine().uuid, open, host.OpenSettings());
}

std::string Simulation::WhyNotSettled(Host& host) {
  const std::string name = absl::StrCat("host ", host.machine().number);
  if (!server_.running()) return "the server does not run";
  const absl::StatusOr<HostRow> row = server_.store().FindHost(host.machine().uuid);
  if (!row.ok()) return row.status().ToString();
  if (IsCloned(host)) {
    return row->quarantined ? "" : absl::StrCat(name, " has a live clone and is not quarantined");
  }
  if (row->quarantined) {
    world_.Fail(absl::StrCat(name, " is quarantined and was never cloned"));
    return "";
  }
  if (!host.running()) return absl::StrCat(name, " does not run");
  const auto push = LoadPolicyPush(server_.store());
  if (!push.ok()) return push.status().ToString();
  if (host.PolicyDigest() != (*push)->digest) return absl::StrCat(name, " has other policies");
  if (!host.Queue().empty()) return absl::StrCat(name, " has unacknowledged events");
  const absl::StatusOr<HostState> kept = server_.store().ReadState(row->id);
  if (!kept.ok()) return kept.status().ToString();
  if (row->state_digest != StateDigest(*kept)) {
    world_.Fail(absl::StrCat(name, ": the digest at the server is not of what it keeps"));
  }
  const Plan fresh = FreshPlan(host.state(), host.machine());
  if (TextOf(fresh.findings) != TextOf(kept->findings)) {
    return absl::StrCat(name, " shows", TextOf(fresh.findings), "\nand the server has",
                        TextOf(kept->findings));
  }
  const v1::Observation observed =
      Observe(host.machine().registry, host.machine().folders,
              DesiredOf(host.state(), host.machine().facts, world_), host.machine().facts);
  if (StateDigest({fresh.findings, observed}) != row->state_digest) {
    return absl::StrCat(name, ": the server holds another observation than a fresh one");
  }
  return "";
}

}  // namespace dumpwarden::sim
