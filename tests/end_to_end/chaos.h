// SPDX-License-Identifier: Apache-2.0
// A real server and real agents, of which anything may be killed at any moment,
// and a ledger of what was done to them.  One thread, and one seed for what it
// decides; what the processes make of it differs from run to run.
#ifndef DUMPWARDEN_TESTS_END_TO_END_CHAOS_H_
#define DUMPWARDEN_TESTS_END_TO_END_CHAOS_H_

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "tests/end_to_end/chaos_machine.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {

struct ChaosOptions {
  int agents = 8;
  absl::Duration time = absl::Seconds(20);
  unsigned seed = 1;
};

// A command that was answered: what it did is there for good.
struct Answered {
  std::string action;   // of its audit row
  std::string object;   // name of the policy, id of the token
  std::string version;  // of the policy
  Json answer;
};

class Chaos {
 public:
  explicit Chaos(const ChaosOptions& options);

  void Build();   // everything connected, and the first policies in force
  void Run();     // chaos, for the time given
  void Repair();  // everything runs
  void Poll();    // looks at every command and process that is under way

  ChaosOptions options;
  Server server;
  std::vector<std::unique_ptr<Machine>> machines;
  std::vector<Answered> answered;
  std::map<std::string, Json> drifts_seen;  // by cursor, as an answer had them
  std::map<std::string, int> counts;
  std::vector<std::string> problems;  // what must not be, seen on the way
  int step() const { return step_; }

  // All rows of a list: `drift list` by cursor, `audit list` by sequence.
  Json List(const std::string& noun, const std::string& key) const;

 private:
  struct Action {
    const char* name;
    double per_second;  // of the whole, and of each agent
    double per_second_and_agent;
    void (Chaos::*act)();
  };
  static const std::vector<Action>& Actions();
  struct Later {
    absl::Time at;
    std::function<void()> act;
  };
  struct Command {
    std::unique_ptr<Process> process;
    std::string log;
    absl::Time kill_at;  // infinite = not
    bool killed = false;
    std::function<void(const Json&)> done;  // of exit 0
  };

  void KillAgent();
  void KillSeveral();
  void KillServer();
  void KillServerInABurst();
  void KillAgentsInABurst();
  void KillEverything();
  void StopAgent();
  void StopServer();
  void Drift();
  void PutBackOne();
  void ChangeFacts();
  void ApplyPolicy();
  void ApplyPolicyAndKillTheServer();
  void ApplyPolicyAndKillDumpctl();
  void DeleteOrApplyExtra();
  void CreateToken();
  void ReadDrifts();
  void LookAtOne();

  void Kill(Machine& machine);
  void StartAgent(Machine& machine);
  void StartServer();
  void After(absl::Duration longest, std::function<void()> act);
  Command& Ctl(std::vector<std::string> arguments, std::function<void(const Json&)> done);
  Command* Apply();
  void Tick();
  void DriftOne(Machine& machine);
  void LookAt(Machine& machine);
  Machine& Any();

  std::mt19937 random_;
  TempFolder temp_;
  std::vector<Later> later_;
  std::vector<std::unique_ptr<Command>> commands_;
  Command* changing_ = nullptr;  // policies: one at a time, so that steps are in order
  bool server_up_ = false;
  bool server_stopped_ = false;
  int server_incarnation_ = 0;
  bool extra_ = true;
  int step_ = 0;
  int number_ = 100001;
  int commands_made_ = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_END_TO_END_CHAOS_H_
