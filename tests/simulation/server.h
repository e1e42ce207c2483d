// SPDX-License-Identifier: Apache-2.0
// The server's machine: the real fleet, policies and store, driven by one
// thread.  It may die at any call and starts again from its disk.
#ifndef DUMPWARDEN_TESTS_SIMULATION_SERVER_H_
#define DUMPWARDEN_TESTS_SIMULATION_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "server/fleet/fleet.h"
#include "server/fleet/policies.h"
#include "server/store/sqlite_store.h"
#include "tests/simulation/disk.h"
#include "tests/simulation/ledger.h"
#include "tests/simulation/network.h"

namespace dumpwarden::sim {

class Server final : public Listener {
 public:
  Server(World& world, const std::string& folder);
  ~Server() override;

  Network& network() { return network_; }
  MachineFaults& faults() { return faults_; }
  MachineClock& clock() { return clock_; }
  bool running() const { return fleet_ != nullptr; }
  Store& store() { return *store_.store; }
  // Runs after each start, when the store can be read.
  void OnStart(std::function<void()> then) { on_start_ = std::move(then); }

  void StartSoon(absl::Duration delay);
  void Kill();
  void PowerCut();
  void Restart();

  // Before the first fault.
  void Enroll(const std::string& uuid, const std::string& name);
  // An operator's call; what it was answered is held against the store from then on.
  void Apply(const std::vector<std::string>& yamls);
  void Delete(const std::string& name);
  std::vector<std::string> PolicyNames();

  // As `dumpwarden-server backup` and `restore` do with the store.  The newest backup counts, and
  // once: of two restores of one the second gives out other numbers only if its clock goes on.
  void BackUp();
  bool has_backup() const { return backup_.has_value(); }
  // What the lost server had of drift, and this one has not, by uuid.
  std::map<std::string, EventList> RestoreFromBackup();
  // As the manual says of policies that were lost: those of the lost server, once more.
  void ApplyLostPolicies();
  void GoAway(absl::Duration time);
  void FailPower(Disk::Unsynced unsynced);  // at this very moment, whatever it does

  // P7: what operators were told is what the store has.
  void CheckPolicies();
  // Everything that the store keeps of drift, by uuid.
  std::map<std::string, EventList> Events();

  // Listener
  absl::StatusOr<SessionId> Accept(const std::string& uuid, SessionOut& out) override;
  void Receive(SessionId session, v1::AgentMessage message) override;
  void Closed(SessionId session) override;

 private:
  using PolicyMap = std::map<std::string, std::string>;  // name -> YAML
  struct Backup {
    std::string store;
    PolicyMap policies;
    std::map<std::string, EventList> events;
  };

  void Start();
  void Tick(int process);
  void Pump();
  void AfterEvent();
  void EndProcess(Network::Death death);
  void TearDown();
  absl::StatusOr<PolicyMap> InForce();
  void Answered(const absl::Status& status, PolicyMap after);

  World& world_;
  MachineFaults faults_;
  MachineClock clock_;
  Disk disk_;
  Network network_;
  PumpedStore store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Policies> policies_;
  std::function<void()> on_start_;
  int process_ = 0;
  bool starting_ = false;
  bool pump_due_ = false;
  PolicyMap told_;                // what must be in force
  std::vector<PolicyMap> maybe_;  // calls that were not answered: it may also be one of these
  std::optional<Backup> backup_;
  std::optional<PolicyMap> lost_policies_;
  absl::Duration away_until_;
  std::optional<Disk::Unsynced> power_fails_;
  std::set<std::int64_t> cursors_;  // of events, ever
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_SERVER_H_
