// SPDX-License-Identifier: Apache-2.0
// Stands beside a registry and holds every write against the promises: P1 a
// compliant host is not touched, P2 what is written is the plan, P3 all or
// nothing over every crash, P6 drift is on disk before the write that ends it.
#ifndef DUMPWARDEN_TESTS_SIMULATION_APPLY_CHECK_H_
#define DUMPWARDEN_TESTS_SIMULATION_APPLY_CHECK_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>

#include "agent/state.h"
#include "core/policy/merge.h"
#include "core/reconcile/plan.h"
#include "dumpwarden/v1/undo.pb.h"
#include "tests/simulation/machine.h"

namespace dumpwarden::sim {

// What the host should hold by the policies that are in force on its disk.
Desired DesiredOf(AgentState& state, const v1::Facts& facts, World& world);
// As the host would plan now.
Plan FreshPlan(AgentState& state, Machine& machine);

class ApplyCheck {
 public:
  // `on_write` runs before the first write of an apply.
  ApplyCheck(Machine& machine, std::function<void()> on_write)
      : machine_(machine), on_write_(std::move(on_write)) {}

  // To be called whenever the machine's registry was replaced.
  void Attach();
  // Around everything that the agent does; `state` is null while it starts.
  void Begin(AgentState* state);
  void End();
  // Nothing is left of an interrupted apply: it must be all old or all new.
  void CheckRecovered();
  // Somebody else wrote this cell.
  void Touched(const std::string& cell) {
    if (interrupted_) touched_.insert(cell);
  }
  bool applying() const { return interrupted_.has_value(); }

  // An apply of which it is not known how it ended; it goes with the machine's image.
  struct Memory {
    std::optional<v1::UndoRecord> interrupted;
    std::set<std::string> touched;
  };
  Memory Save() const { return {interrupted_, touched_}; }
  void Load(const Memory& memory) {
    interrupted_ = memory.interrupted;
    touched_ = memory.touched;
  }

 private:
  void OnWrite();
  void CheckPlan(const v1::UndoRecord& record, const Plan& plan);
  void CheckDriftIsKept(const v1::UndoRecord& record);
  void CheckNothingElse();
  void Fail(const std::string& what);

  Machine& machine_;
  std::function<void()> on_write_;
  AgentState* state_ = nullptr;
  std::string undo_seen_;
  bool wrote_ = false;
  int vfs_changes_ = 0;
  std::uint64_t errors_ = 0;
  std::size_t folders_ = 0;
  FakeRegistry::Keys before_;  // before the apply, or the end of an interrupted one, of this event
  std::optional<v1::UndoRecord> interrupted_;
  std::set<std::string> touched_;  // cells of it that somebody else wrote since
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_APPLY_CHECK_H_
