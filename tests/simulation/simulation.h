// SPDX-License-Identifier: Apache-2.0
// A server and twenty agents in one thread, everything that can go wrong, and
// the promises held against them.  A seed is a run, the same each time.
#ifndef DUMPWARDEN_TESTS_SIMULATION_SIMULATION_H_
#define DUMPWARDEN_TESTS_SIMULATION_SIMULATION_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/host.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/server.h"
#include "tests/simulation/world.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden::sim {

inline constexpr int kHosts = 20;
inline constexpr int kSteps = 200;

class Simulation {
 public:
  explicit Simulation(std::uint64_t seed);
  ~Simulation();

  // True when every promise held.
  bool Run();
  World& world() { return world_; }
  // Before Run: at some of the moments at which an Ack is sent or taken, or an agent has sent
  // something, the power of both ends fails, and what was not synced is gone.
  void FailPowerAtAcks();
  // How often, and after how many of them what was acknowledged was looked for and found.
  int power_failures() const { return power_failures_; }
  int acks_checked() const { return acks_checked_; }
  // Instead of Run: the server is gone for a week, in which much happens.
  bool RunAWeekAlone();

 private:
  struct Action {
    const char* name;
    int weight;
    void (Simulation::*act)();
  };
  static const std::vector<Action>& Actions();

  void SetUp();
  void Step();
  Host& AnyHost() { return *hosts_[static_cast<std::size_t>(world_.chance.Below(kHosts))]; }
  absl::Duration SomeTime();

  // actions.cc: what may happen in a step.
  void Nothing() {}
  void ChangeCells();
  void KillHost() { AnyHost().Kill(); }
  void KillHostInCall();
  void CutHostPower() { AnyHost().PowerCut(); }
  void RestartHost() { AnyHost().Restart(); }
  void BreakHostDisk();
  void FillHostDisk();
  void MakeRegistryDeaf();
  void StepHostClock();
  void KillServer() { server_.Kill(); }
  void KillServerInCall();
  void CutServerPower() { server_.PowerCut(); }
  void RestartServer() { server_.Restart(); }
  void BreakServerDisk();
  void FillServerDisk();
  void StepServerClock();
  void BackUpServer() { server_.BackUp(); }
  void RestoreServer();
  void SendServerAway();
  void ApplyPolicies();
  void DeletePolicy();
  void ChangeFacts();
  void BreakStream();
  void PartitionHosts();
  void SlowHost();
  void SnapshotHost();
  void RestoreHost();
  void CloneHost();
  void SendStalePolicies();
  void OverflowQueue();

  void PassAWeekAlone();
  void CheckAloneEnforced();
  void OnAck(int place, const v1::Ack& ack, bool taken);
  bool OnAgentSend();
  void CheckAcknowledged();

  // The end.
  void Heal();
  void Settle();
  void CheckEvents(bool settled);
  void CheckEventsOf(Host& host, const EventList& kept, bool settled);
  void CheckOpen(Host& host);
  Host* At(int place);
  // Empty, or why this host has not come to rest.
  std::string WhyNotSettled(Host& host);
  bool IsCloned(const Host& host) const { return clone_ != nullptr && &host == cloned_; }

  World world_;
  Chance sqlite_chance_;
  TempFolder folder_;
  Ledger ledger_;
  Server server_;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::unique_ptr<Host> clone_;
  Host* cloned_ = nullptr;
  std::vector<std::vector<Host::Snapshot>> snapshots_;
  std::vector<std::vector<v1::ServerMessage>> old_policies_;
  struct Acknowledged {
    std::string uuid;
    std::string epoch;
    std::uint64_t sequence = 0;
  };
  std::vector<Acknowledged> acknowledged_;  // the last of each host, while power may fail
  bool power_fails_ = false;
  int power_failures_ = 0;
  int acks_checked_ = 0;
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_SIMULATION_H_
