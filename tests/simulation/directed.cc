// SPDX-License-Identifier: Apache-2.0
// What is made to happen, in place of what may: a week without a server, and
// power that fails at both ends at the moment of an Ack.
#include "absl/strings/str_cat.h"
#include "tests/simulation/drafts.h"
#include "tests/simulation/simulation.h"

namespace dumpwarden::sim {

// --- A week without a server

bool Simulation::RunAWeekAlone() {
  SetUp();
  PassAWeekAlone();
  if (!world_.failed()) Settle();
  return !world_.failed();
}

void Simulation::PassAWeekAlone() {
  if (!server_.running()) return;
  world_.counts.Add(Fault::kServerAway);
  server_.GoAway(absl::Hours(7 * 24));
  Host& busy = AnyHost();
  if (!IsCloned(busy) && !busy.machine().faults.full() && busy.FillQueue()) {
    world_.counts.Add(Fault::kQueueOverflow);
  }
  for (int i = 0; i < 28 && !world_.failed(); ++i) {
    ChangeCells();
    const CellChange change = DraftCellChange(world_.chance);
    busy.ChangeCell(change.cell, change.value, true);
    world_.Pass(absl::Hours(6) - absl::Minutes(1));
  }
  Heal();
  world_.Pass(absl::Minutes(20));
  CheckAloneEnforced();
  world_.Pass(absl::Minutes(10));
}

// Nobody told the hosts anything for days: what their policies say holds all the same.
void Simulation::CheckAloneEnforced() {
  for (const auto& host : hosts_) {
    if (!host->running() || world_.failed()) continue;
    const Plan plan = FreshPlan(host->state(), host->machine());
    if (plan.edits.empty()) continue;
    world_.Fail(absl::StrCat("host ", host->machine().number, " alone does not enforce ",
                             plan.edits.front().setting));
  }
}

// --- Power that fails at an Ack

Host* Simulation::At(int place) {
  if (place < kHosts) return hosts_[static_cast<std::size_t>(place)].get();
  return clone_.get();
}

void Simulation::FailPowerAtAcks() {
  power_fails_ = true;
  server_.network().OnAck(
      [this](int place, const v1::Ack& ack, bool taken) { OnAck(place, ack, taken); });
}

void Simulation::OnAck(int place, const v1::Ack& ack, bool taken) {
  Host* host = At(place);
  // One that wants everything speaks of nothing that is kept.
  if (!power_fails_ || host == nullptr || ack.want_full() || IsCloned(*host)) return;
  if (!taken) acknowledged_.push_back({host->machine().uuid, ack.epoch(), ack.sequence()});
  if (!world_.chance.Happens(0.03)) return;
  ++power_failures_;
  world_.Trace(absl::StrCat("power fails as an Ack of ", ack.sequence(), " is ",
                            taken ? "taken by" : "sent to", " host ", place));
  server_.FailPower(world_.chance.Happens(0.5) ? Disk::Unsynced::kNone : Disk::Unsynced::kSome);
  world_.After(absl::ZeroDuration(), [this, place] {
    if (Host* cut = At(place); cut != nullptr) cut->PowerCut();
  });
}

bool Simulation::OnAgentSend() {
  if (!power_fails_ || !world_.chance.Happens(0.01)) return false;
  ++power_failures_;
  return true;
}

// Nothing has come since: the server knows at least what it has acknowledged.
void Simulation::CheckAcknowledged() {
  const MachineFaults::Pause pause(server_.faults());
  std::map<std::string, Acknowledged> newest;
  for (const Acknowledged& ack : acknowledged_) newest[ack.uuid] = ack;
  acknowledged_.clear();
  for (const auto& [uuid, ack] : newest) {
    const absl::StatusOr<HostRow> row = server_.store().FindHost(uuid);
    if (!row.ok()) return world_.Fail(row.status().ToString());
    ++acks_checked_;
    // Another epoch may have been committed, and its Ack not be sent.
    if (row->epoch != ack.epoch || row->sequence >= ack.sequence) continue;
    world_.Fail(absl::StrCat("P7: host ", uuid, ": report ", ack.sequence,
                             " was acknowledged, and after a power cut the server knows of ",
                             row->sequence));
  }
}

}  // namespace dumpwarden::sim
