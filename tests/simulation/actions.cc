// SPDX-License-Identifier: Apache-2.0
// What may happen in a step of a simulation, and how often.
#include "absl/strings/str_cat.h"
#include "server/fleet/policy_push.h"
#include "tests/simulation/drafts.h"
#include "tests/simulation/simulation.h"

namespace dumpwarden::sim {

const std::vector<Simulation::Action>& Simulation::Actions() {
  static const std::vector<Action> kActions = {
      {"nothing", 8, &Simulation::Nothing},
      {"change-cells", 24, &Simulation::ChangeCells},
      {"kill-host", 3, &Simulation::KillHost},
      {"kill-host-in-call", 14, &Simulation::KillHostInCall},
      {"cut-host-power", 4, &Simulation::CutHostPower},
      {"restart-host", 2, &Simulation::RestartHost},
      {"break-host-disk", 8, &Simulation::BreakHostDisk},
      {"fill-host-disk", 3, &Simulation::FillHostDisk},
      {"deaf-registry", 4, &Simulation::MakeRegistryDeaf},
      {"step-host-clock", 3, &Simulation::StepHostClock},
      {"kill-server", 2, &Simulation::KillServer},
      {"kill-server-in-call", 5, &Simulation::KillServerInCall},
      {"cut-server-power", 2, &Simulation::CutServerPower},
      {"restart-server", 1, &Simulation::RestartServer},
      {"break-server-disk", 4, &Simulation::BreakServerDisk},
      {"fill-server-disk", 2, &Simulation::FillServerDisk},
      {"step-server-clock", 1, &Simulation::StepServerClock},
      {"back-up-server", 2, &Simulation::BackUpServer},
      {"restore-server", 1, &Simulation::RestoreServer},
      {"send-server-away", 1, &Simulation::SendServerAway},
      {"apply-policies", 10, &Simulation::ApplyPolicies},
      {"delete-policy", 3, &Simulation::DeletePolicy},
      {"change-facts", 5, &Simulation::ChangeFacts},
      {"break-stream", 6, &Simulation::BreakStream},
      {"partition-hosts", 4, &Simulation::PartitionHosts},
      {"slow-host", 5, &Simulation::SlowHost},
      {"snapshot-host", 4, &Simulation::SnapshotHost},
      {"restore-host", 3, &Simulation::RestoreHost},
      {"clone-host", 1, &Simulation::CloneHost},
      {"stale-policies", 3, &Simulation::SendStalePolicies},
      {"overflow-queue", 1, &Simulation::OverflowQueue},
  };
  return kActions;
}

// --- Hosts

void Simulation::ChangeCells() {
  Host& host = AnyHost();
  const int count = world_.chance.Skewed(6);
  for (int i = 0; i < count; ++i) {
    const CellChange change = DraftCellChange(world_.chance);
    const bool seen = world_.chance.Happens(0.85);
    world_.counts.Add(Fault::kOutsideChange);
    if (!seen) world_.counts.Add(Fault::kMissedWatch);
    host.ChangeCell(change.cell, change.value, seen);
  }
}

// Dies in the middle of whatever comes next; a change gives it something to do.
void Simulation::KillHostInCall() {
  Host& host = AnyHost();
  if (world_.chance.Happens(0.5)) {
    host.machine().faults.KillAfter("Vfs::Lock", world_.chance.Between(2, 24));  // in an apply
  } else {
    host.machine().faults.KillAt(world_.chance.Skewed(80));
  }
  const CellChange change = DraftCellChange(world_.chance);
  world_.counts.Add(Fault::kOutsideChange);
  host.ChangeCell(change.cell, change.value, true);
}

void Simulation::BreakHostDisk() {
  Host& host = AnyHost();
  if (world_.chance.Happens(0.5)) {
    host.machine().faults.FailAt(world_.chance.Skewed(200), world_.chance.Skewed(4) - 1);
    return;
  }
  host.machine().faults.FailAfter("Vfs::Rename", world_.chance.Between(2, 40));  // in an apply
  const CellChange change = DraftCellChange(world_.chance);
  world_.counts.Add(Fault::kOutsideChange);
  host.ChangeCell(change.cell, change.value, true);
}

void Simulation::FillHostDisk() {
  MachineFaults& faults = AnyHost().machine().faults;
  faults.SetFull(true);
  world_.After(SomeTime(), [&faults] { faults.SetFull(false); });
}

// As another program's filter driver does: the write is taken, and the value stays.
void Simulation::MakeRegistryDeaf() {
  Host& host = AnyHost();
  const CellChange change = DraftCellChange(world_.chance);
  world_.counts.Add(Fault::kRegistryDeaf);
  host.ChangeCell(change.cell, change.value, true);
  host.machine().registry.IgnoreWritesOf(change.cell.key, change.cell.name);
  world_.After(SomeTime(), [&host] { host.machine().registry.IgnoreWritesOf("", ""); });
}

void Simulation::StepHostClock() {
  MachineClock& clock = AnyHost().machine().clock;
  if (world_.chance.Happens(0.5)) {
    const bool ahead = world_.chance.Happens(0.5);
    world_.counts.Add(ahead ? Fault::kAgentDayAhead : Fault::kAgentDayBehind);
    return clock.Step(absl::Hours(ahead ? 24 : -24));
  }
  world_.counts.Add(Fault::kAgentClockStep);
  clock.Step(absl::Minutes(world_.chance.Between(-4000, 4000)));
}

void Simulation::ChangeFacts() {
  world_.counts.Add(Fault::kFactsChange);
  AnyHost().ChangeFacts([this](v1::Facts& facts) { DraftFactsChange(world_.chance, facts); });
}

void Simulation::SnapshotHost() {
  const auto number = static_cast<std::size_t>(world_.chance.Below(kHosts));
  if (IsCloned(*hosts_[number])) return;
  snapshots_[number].push_back(hosts_[number]->TakeSnapshot());
}

// To any of its snapshots, and again: lives branch.
void Simulation::RestoreHost() {
  const int first = world_.chance.Below(kHosts);
  for (int i = 0; i < kHosts; ++i) {
    const auto number = static_cast<std::size_t>((first + i) % kHosts);
    Host& host = *hosts_[number];
    const int taken = static_cast<int>(snapshots_[number].size());
    if (taken == 0 || IsCloned(host)) continue;
    const auto which = static_cast<std::size_t>(world_.chance.Below(taken));
    const Host::Snapshot& snapshot = snapshots_[number][which];
    world_.counts.Add(Fault::kVmRestored);
    world_.Trace(absl::StrCat("host ", number, " is restored from snapshot ", which));
    ledger_.Restored(host.machine().uuid, snapshot.events);
    host.Restore(snapshot);
    return;
  }
}

void Simulation::CloneHost() {
  if (clone_ != nullptr || !world_.chance.Happens(0.4)) return;
  cloned_ = &AnyHost();
  world_.counts.Add(Fault::kClone);
  world_.Trace(absl::StrCat("host ", cloned_->machine().number, " is cloned"));
  ledger_.Of(cloned_->machine().uuid).cloned = true;
  clone_ = std::make_unique<Host>(world_, server_.network(), ledger_, kHosts,
                                  cloned_->machine().uuid, folder_.File("clone"));
  clone_->Restore(cloned_->TakeSnapshot());
}

void Simulation::OverflowQueue() {
  if (!world_.chance.Happens(0.04)) return;
  Host& host = AnyHost();
  if (IsCloned(host) || host.machine().faults.full()) return;
  const int place = host.machine().number;
  server_.network().Cut(place, true);
  world_.After(absl::Seconds(60), [this, place] { server_.network().Cut(place, false); });
  if (!host.FillQueue()) return;
  world_.counts.Add(Fault::kQueueOverflow);
  for (int i = 0; i < 8; ++i) {
    const CellChange change = DraftCellChange(world_.chance);
    host.ChangeCell(change.cell, change.value, true);
  }
}

// --- Network

void Simulation::BreakStream() {
  if (server_.network().Break(world_.chance.Below(kHosts))) {
    world_.counts.Add(Fault::kStreamCut);
  }
}

void Simulation::PartitionHosts() {
  const int count = world_.chance.Skewed(kHosts);
  const absl::Duration time = SomeTime() * 2;
  for (int i = 0; i < count; ++i) {
    const int place = world_.chance.Below(kHosts);
    world_.counts.Add(Fault::kPartition);
    server_.network().Cut(place, true);
    world_.After(time * world_.chance.Fraction(),
                 [this, place] { server_.network().Cut(place, false); });
  }
}

void Simulation::SlowHost() {
  const int place = world_.chance.Below(kHosts);
  const bool slow = world_.chance.Happens(0.7);
  server_.network().Slow(place,
                         slow ? absl::Seconds(world_.chance.Skewed(120)) : absl::ZeroDuration());
}

// --- The server

void Simulation::KillServerInCall() { server_.faults().KillAt(world_.chance.Skewed(60)); }

void Simulation::BreakServerDisk() {
  server_.faults().FailAt(world_.chance.Skewed(100), world_.chance.Skewed(3) - 1);
}

void Simulation::FillServerDisk() {
  server_.faults().SetFull(true);
  world_.After(SomeTime(), [this] { server_.faults().SetFull(false); });
}

void Simulation::StepServerClock() {
  if (world_.chance.Happens(0.5)) {
    const bool ahead = world_.chance.Happens(0.5);
    world_.counts.Add(ahead ? Fault::kServerDayAhead : Fault::kServerDayBehind);
    return server_.clock().Step(absl::Hours(ahead ? 24 : -24));
  }
  world_.counts.Add(Fault::kServerClockStep);
  server_.clock().Step(absl::Minutes(world_.chance.Between(-4000, 4000)));
}

void Simulation::RestoreServer() {
  if (!world_.chance.Happens(0.3) || !server_.running() || !server_.has_backup()) return;
  world_.counts.Add(Fault::kServerRestored);
  world_.Trace("the server is restored from its backup");
  acknowledged_.clear();
  for (const auto& [uuid, lost] : server_.RestoreFromBackup()) ledger_.ServerRestored(uuid, lost);
}

void Simulation::SendServerAway() {
  if (world_.chance.Happens(0.04)) PassAWeekAlone();
}

void Simulation::ApplyPolicies() {
  if (!server_.running()) return;
  if (const auto push = LoadPolicyPush(server_.store()); push.ok()) {
    std::vector<v1::ServerMessage>& messages = old_policies_.emplace_back();
    if (!messages.emplace_back().ParseFromString(*(*push)->set)) messages.clear();
    for (const auto& [digest, document] : (*push)->documents) {
      messages.emplace_back().ParseFromString(*document);
    }
  }
  std::vector<std::string> yamls = {DraftPolicy(world_.chance)};
  server_.Apply(yamls);
}

void Simulation::DeletePolicy() {
  const std::vector<std::string> names = server_.PolicyNames();
  if (names.empty()) return;
  server_.Delete(
      names[static_cast<std::size_t>(world_.chance.Below(static_cast<int>(names.size())))]);
}

void Simulation::SendStalePolicies() {
  if (old_policies_.empty()) return;
  const auto& messages = old_policies_[static_cast<std::size_t>(
      world_.chance.Below(static_cast<int>(old_policies_.size())))];
  const int place = world_.chance.Below(kHosts);
  bool sent = false;
  for (const v1::ServerMessage& message : messages) {
    sent = server_.network().Inject(place, message) || sent;
  }
  if (sent) world_.counts.Add(Fault::kStalePolicies);
}

}  // namespace dumpwarden::sim
