// SPDX-License-Identifier: Apache-2.0
// What goes wrong in a simulation, by name and counted, and the calls of one
// machine through which it goes wrong.
#ifndef DUMPWARDEN_TESTS_SIMULATION_FAULTS_H_
#define DUMPWARDEN_TESTS_SIMULATION_FAULTS_H_

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "tests/support/faults.h"

namespace dumpwarden::sim {

enum class Fault {
  kAgentKill,        // kill -9 between two events
  kAgentKillInCall,  // at the n-th write, sync, rename or delete, in the middle of whatever it does
  kAgentKillInApply,  // the same, with an undo record on the disk
  kAgentPowerCut,
  kAgentRestart,  // stopped and started as an administrator would
  kServerKill,
  kServerKillInCall,
  kServerPowerCut,
  kServerRestart,
  kUnsentAck,  // the server died after the commit of a report and before its Ack
  kDiskError,
  kDiskFull,
  kShortWrite,
  kLostWrite,     // written, not synced, gone after a power cut
  kTornWrite,     // some sectors of it are gone
  kLostName,      // made or renamed, the folder not synced, gone
  kRegistryLost,  // written and not flushed
  kRegistryDeaf,  // takes a write without an error and does not do it
  kAgentClockStep,
  kAgentDayAhead,  // the clock is a day off
  kAgentDayBehind,
  kServerClockStep,
  kServerDayAhead,
  kServerDayBehind,
  kServerRestored,  // from its backup
  kServerAway,      // for a week
  kVmRestored,
  kClone,
  kOutsideChange,
  kMissedWatch,  // an outside change that the agent is not told of
  kPolicyApply,
  kPolicyDelete,
  kPolicyConflict,  // refused, because a host would be torn between two
  kStalePolicies,   // an old set again, as from a server that was restored
  kFactsChange,
  kStreamCut,
  kLostMessage,  // of a stream that broke
  kHalfOpen,     // one end is gone and the other does not know
  kPartition,
  kDelay,
  kLateMessage,    // of a stream whose agent has left it: doubles and reorders across streams
  kQueueOverflow,  // more events than the agent keeps, so that it compacts
  kCount
};
inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::kCount);
absl::string_view FaultName(Fault fault);

class FaultCounts {
 public:
  void Add(Fault fault, std::uint64_t count = 1) {
    counts_[static_cast<std::size_t>(fault)] += count;
  }
  void Add(const FaultCounts& other);
  std::uint64_t Of(Fault fault) const { return counts_[static_cast<std::size_t>(fault)]; }
  std::string ToText() const;   // "name count", a line each
  std::string Missing() const;  // names of those that never happened

 private:
  std::array<std::uint64_t, kFaults> counts_{};
};

// MachineFaults is asked by everything through which a machine's programs touch
// the world.  A dead machine's calls all fail and change nothing: to the world
// that is kill -9 at that very call.
class MachineFaults : public Faults {
 public:
  explicit MachineFaults(FaultCounts& counts) : counts_(counts) {}

  absl::Status Check(absl::string_view call) override;

  // The n-th changing call from now on is not made, and none after it.
  void KillAt(int nth) { kill_in_ = nth; }
  // The same, counted from the next call of this name on; so FailAfter.
  void KillAfter(std::string call, int nth) { after_ = {std::move(call), nth, 0}; }
  void FailAfter(std::string call, int nth) { after_ = {std::move(call), 0, nth}; }
  // The n-th call from now on fails, and `more` after it.
  void FailAt(int nth, int more) {
    fail_in_ = nth;
    failing_ = more + 1;
  }
  void SetFull(bool full) { full_ = full; }
  void Die() { dead_ = true; }
  // As after a start: alive, and nothing is armed but a full disk.
  void Revive();
  void Heal();

  bool dead() const { return dead_; }
  bool full() const { return full_; }
  const std::string& killed_in() const { return killed_in_; }  // the call; empty between calls
  std::uint64_t fired() const { return fired_; }               // errors given so far

  // While it lives the test looks on: nothing fails and nothing is counted.
  class Pause {
   public:
    explicit Pause(MachineFaults& faults) : faults_(faults) { ++faults_.paused_; }
    ~Pause() { --faults_.paused_; }
    Pause(const Pause&) = delete;
    Pause& operator=(const Pause&) = delete;

   private:
    MachineFaults& faults_;
  };

 private:
  FaultCounts& counts_;
  bool dead_ = false;
  bool full_ = false;
  int paused_ = 0;
  int kill_in_ = 0;
  struct {
    std::string call;
    int kill_in = 0;
    int fail_in = 0;
  } after_;
  int fail_in_ = 0;
  int failing_ = 0;
  std::uint64_t fired_ = 0;
  std::string killed_in_;
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_FAULTS_H_
