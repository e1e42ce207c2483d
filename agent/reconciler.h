// SPDX-License-Identifier: Apache-2.0
// One pass over the host: merge, observe, plan, record drift, write, read
// again.  The drift is on disk before the first write that ends it.
#ifndef DUMPWARDEN_AGENT_RECONCILER_H_
#define DUMPWARDEN_AGENT_RECONCILER_H_

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/backoff.h"
#include "agent/drift.h"
#include "agent/state.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/catalog/catalog.h"
#include "core/policy/merge.h"
#include "core/reconcile/apply.h"
#include "core/reconcile/folders.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/registry.h"
#include "core/reconcile/state_digest.h"
#include "platform/log.h"

namespace dumpwarden {

// Somebody else may write a setting as often as we do; then we wait for the
// next full check instead of wearing out the disk.
inline constexpr std::size_t kMaxCorrections = 10;
inline constexpr absl::Duration kCorrectionWindow = absl::Minutes(1);

// Why a pass is made.
enum class Cause {
  kFullCheck,  // everything is tried again; `corrected` becomes `compliant`
  kChange,     // the registry or the facts changed
  kPolicies,   // other policies: what failed or was held back is tried again
};

class Reconciler {
 public:
  // All must outlive this.
  Reconciler(Registry& registry, Folders& folders, Applier& applier, AgentState& state,
             const Clock& clock, Log& log);

  // To be called once, before Run: what is tracked from the last process, the
  // snapshot of this boot, then the end of an interrupted apply.
  absl::Status Start(const v1::Facts& facts);
  // An error means that the state could not be kept; nothing was written then.
  // What fails on the host itself is a finding.
  absl::Status Run(Cause cause, std::span<const PolicyInForce> policies, const v1::Facts& facts);

  // When what failed is to be tried again, with kChange: monotonic; infinite when nothing did.
  absl::Duration RetryAt() const;

  // An epoch of the state (see there), in which what is open is told again.
  absl::Status BeginEpoch(Random& random);

  // What is open was told of another host: what still drifts at the next Run drifts anew.
  void ForgetDrifts();

  v1::OpenDrifts Open() const;

  // What is to be reported.
  const HostState& current() const { return current_; }

 private:
  // A write that failed, and of which cells: other ones are another matter.
  struct Failure {
    std::string why;
    std::vector<CellValue> cells;
    Backoff backoff;
  };
  absl::Status Pass(Cause cause, const Desired& desired, const v1::Facts& facts);
  absl::Status TakeSnapshot(const v1::Facts& facts);
  const v1::Observation* Snapshot() const { return at_boot_.has_value() ? &*at_boot_ : nullptr; }
  void Recover();
  void SayMended();
  // Observes into raw_ and current_, and plans from it.
  Plan Look(const Desired& desired, const v1::Facts& facts);
  absl::Status RecordUnderLock(const Plan& plan);
  absl::Status AfterApply(const Desired& desired, const std::set<std::string>& tried,
                          const Applied& applied, const v1::Facts& facts);
  absl::Status AfterFailure(const std::set<std::string>& settings, const absl::Status& why);
  absl::Status ReportUnreadable(const Desired& desired, const absl::Status& why);
  // Makes the step durable, and what is reported follow it.
  absl::Status Record(DriftStep step);
  void KeepCorrected(std::vector<v1::Finding>& findings) const;
  std::vector<CellValue> CellsNow(const std::string& setting) const;
  bool IsBlockedByFailure(const std::string& setting) const;
  void Fail(const std::string& setting, const absl::Status& why);
  // Of what failed, only what still has to be written and stands as it stood then.
  void ForgetFailures(const std::set<std::string>& settings);
  void HoldBack(const std::set<std::string>& settings);
  void CountCorrections(const std::set<std::string>& settings);
  Desired WithoutHeldBack(const Desired& desired) const;
  void ExplainHeldBack(TrackedSettings& tracked) const;

  Registry& registry_;
  Folders& folders_;
  Applier& applier_;
  AgentState& state_;
  const Clock& clock_;
  Log& log_;
  TrackedSettings tracked_;
  v1::Observation raw_;  // current_.observation before it was cut to what may be reported
  HostState current_;
  std::string boot_id_;
  std::optional<v1::Observation> at_boot_;
  absl::Status recovered_ = absl::UnknownError("not tried");
  std::map<std::string, std::deque<absl::Duration>> corrections_;  // by setting, monotonic
  std::map<std::string, Failure> failed_;                          // by setting
  std::set<std::string> held_;  // written too often; until the next full check
  Backoff pass_;                // state or registry could not be read or written at all
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_RECONCILER_H_
