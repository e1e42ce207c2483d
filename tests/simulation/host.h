// SPDX-License-Identifier: Apache-2.0
// A machine and its agent: the real core, state, applier; what happens to them
// is the simulation's.  The process may die at any call and starts again.
#ifndef DUMPWARDEN_TESTS_SIMULATION_HOST_H_
#define DUMPWARDEN_TESTS_SIMULATION_HOST_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/agent.h"
#include "agent/link.h"
#include "agent/state.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/apply.h"
#include "tests/simulation/apply_check.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/machine.h"
#include "tests/simulation/network.h"

namespace dumpwarden::sim {

class Host final : public Link, public LinkEvents {
 public:
  Host(World& world, Network& network, Ledger& ledger, int number, std::string uuid,
       const std::string& folder);
  ~Host() override;

  Machine& machine() { return machine_; }
  bool running() const { return core_ != nullptr; }
  const AgentCore& core() const { return *core_; }
  AgentState& state() { return *state_; }

  void StartSoon(absl::Duration delay);
  void Kill();      // kill -9: what was written stays
  void PowerCut();  // what was not synced may go
  void Restart();   // in good order
  void ChangeFacts(const std::function<void(v1::Facts&)>& change);
  // Another program writes; `seen`: the watch tells the agent.
  void ChangeCell(const CellName& cell, const std::optional<RegistryValue>& value, bool seen);
  // So many events that the next one overflows the queue.  False when it has some already.
  bool FillQueue();

  struct Snapshot {
    Machine::Image image;
    ApplyCheck::Memory apply;
    std::set<std::string> events;
  };
  Snapshot TakeSnapshot();
  void Restore(const Snapshot& snapshot);  // of this host or, for a clone, of another
  EventList Queue();                       // on disk now; the agent runs
  std::string PolicyDigest();              // of the set in force
  // Numbers of the drifts that are open on disk; a setting that drifts without one is a failure.
  std::set<std::uint64_t> OpenDrifts();
  std::set<std::string> OpenSettings();  // "enforce dump.type"
  // Runs after each message that the agent sends; true: the power fails at that very moment.
  void OnSend(std::function<bool()> then) { on_send_ = std::move(then); }

  // Link
  void Connect() override;
  void Send(const v1::AgentMessage& message) override;
  void Disconnect() override;
  // LinkEvents
  void OnConnected() override;
  void OnMessage(v1::ServerMessage message) override;
  void OnDisconnected(absl::Status why) override;

 private:
  enum class End { kKilled, kPowerCut, kStopped };

  void Start();
  bool Build();
  void RecoverByHand();
  void Do(const std::string& what, const std::function<void(AgentCore&)>& event);
  void AfterEvent(const std::string& what);
  void EndProcess(End end);
  void LosePower();
  void LoseUnflushed(bool power);
  void ScheduleTick();
  void NoteEvents();
  void ClaimPolicies(const std::string& digest);
  void CheckClaims();
  void CheckVersions(bool after_restore);
  std::string Name() const;

  World& world_;
  Network& network_;
  Ledger& ledger_;
  Machine machine_;
  ApplyCheck check_;
  std::unique_ptr<AgentState> state_;
  std::unique_ptr<Applier> applier_;
  std::unique_ptr<AgentCore> core_;
  std::unique_ptr<Log> log_;
  int process_ = 0;
  int boots_ = 1;
  StreamId stream_ = 0;
  absl::Duration tick_at_ = absl::InfiniteDuration();
  std::uint64_t noted_ = 0;  // next event when the ledger last looked
  bool starting_ = false;
  bool restored_ = false;  // since the last start
  bool power_fails_ = false;
  std::function<bool()> on_send_;

  // What the agent has said to the server, and must know after any crash.
  struct Claims {
    std::string epoch;
    std::uint64_t acknowledged = 0;
    std::uint64_t sequence = 0;
    std::string policies;
    bool other_policies = false;  // came since, or could not be kept yet
    std::string offered{};        // digest of the set that came to this process last
  };
  Claims claims_;
  std::map<std::string, std::uint64_t> versions_;  // highest ever in force
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_HOST_H_
