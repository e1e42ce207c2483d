// SPDX-License-Identifier: Apache-2.0
// Retention beside everything else: a run at the start and one a day, a little
// of it each second.  A kind that cannot be deleted does not keep the others, and
// all are tried again in a minute.  Nothing is deleted by a clock that jumped; the clock is looked
// at also while all is kept, because retention may be switched on after it jumped.
#ifndef DUMPWARDEN_SERVER_RETENTION_RUNS_H_
#define DUMPWARDEN_SERVER_RETENTION_RUNS_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "platform/log.h"
#include "server/clock_trust.h"
#include "server/store/store.h"

namespace dumpwarden {

class RetentionRuns {
 public:
  using OnTrouble = std::function<void(const std::string& why)>;
  // All but `retention` must outlive it.
  RetentionRuns(Store& store, const Clock& clock, Log& log, Retention retention,
                OnTrouble on_trouble);

  // Once, before this start leaves anything in the audit log: by a clock that had jumped it would
  // be taken for the last time that was believed.  Nothing is deleted before that one is kept.
  absl::Status Start();
  // Takes 100 ms and the step that was begun, or kMostSteps.
  void Tick();

  static constexpr int kMostSteps = 20;

 private:
  bool CheckClock();
  bool Keep(const KeptClock& clock);
  void SayDoubt(bool first);
  void Begin();
  void Step();
  void End();

  Store& store_;
  const Clock& clock_;
  Log& log_;
  const Retention retention_;
  const OnTrouble on_trouble_;
  std::deque<Expiry> left_;  // of the run; empty: none is on
  std::int64_t deleted_ = 0;
  bool failed_ = false;
  ClockTrust trust_;
  std::optional<KeptClock> unkept_;  // found at the start, and not in the store yet
  absl::Duration check_at_ = -absl::InfiniteDuration();
  absl::Duration next_ = -absl::InfiniteDuration();  // when a run begins; infinite: all is kept
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_RETENTION_RUNS_H_
