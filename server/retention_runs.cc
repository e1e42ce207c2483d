// SPDX-License-Identifier: Apache-2.0
#include "server/retention_runs.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kPeriod = absl::Hours(24);
constexpr absl::Duration kRetry = absl::Minutes(1);
constexpr absl::Duration kClockCheck = absl::Hours(1);
constexpr absl::Duration kTickTime = absl::Milliseconds(100);

}  // namespace

RetentionRuns::RetentionRuns(Store& store, const Clock& clock, Log& log, Retention retention,
                             OnTrouble on_trouble)
    : store_(store),
      clock_(clock),
      log_(log),
      retention_(retention),
      on_trouble_(std::move(on_trouble)) {
  if (ExpiriesOf(retention_, clock_.Now()).empty()) next_ = absl::InfiniteDuration();
}

absl::Status RetentionRuns::Start() {
  ASSIGN_OR_RETURN(KeptClock kept, store_.ReadClock());
  // Nor is there anything to delete.
  if (kept.believed == absl::InfinitePast()) kept.believed = clock_.Now();
  const absl::Duration now = clock_.Monotonic();
  trust_.believed = {kept.believed, now};
  // As if it had begun so long before: how long no server ran only that clock could tell.
  if (kept.doubted.has_value()) {
    trust_.doubted = {*kept.doubted - kept.doubted_for, now - kept.doubted_for};
  }
  if (!Keep(kept)) unkept_ = kept;
  return absl::OkStatus();
}

// A failure leaves what was kept before, which is no danger.
bool RetentionRuns::Keep(const KeptClock& clock) {
  const absl::Status kept = store_.KeepClock(clock);
  if (!kept.ok()) on_trouble_(std::string(kept.message()));
  return kept.ok();
}

void RetentionRuns::Tick() {
  const absl::Duration begin = clock_.Monotonic();
  const bool due = left_.empty() && begin >= next_;
  if (due || begin >= check_at_) {
    check_at_ = begin + kClockCheck;
    const bool sound = CheckClock();
    if (due && sound) Begin();
    if (due && !sound) next_ = begin + (unkept_.has_value() ? kRetry : kClockCheck);
  }
  if (left_.empty()) return;
  for (int i = 0; i < kMostSteps && !left_.empty(); ++i) {
    Step();
    if (clock_.Monotonic() - begin >= kTickTime) break;
  }
  if (left_.empty()) End();
}

bool RetentionRuns::CheckClock() {
  if (unkept_.has_value() && !Keep(*unkept_)) return false;
  unkept_.reset();
  const ClockReading now{clock_.Now(), clock_.Monotonic()};
  const bool before = trust_.doubted.has_value();
  trust_ = Judge(trust_, now);
  if (!trust_.doubted.has_value()) {
    Keep({now.wall, std::nullopt, {}});
    return true;
  }
  if (next_ == absl::InfiniteDuration()) return false;  // it is said when something would go
  SayDoubt(!before);
  Keep({trust_.believed.wall, now.wall, now.monotonic - trust_.doubted->monotonic});
  return false;
}

void RetentionRuns::SayDoubt(bool first) {
  const auto text = [](absl::Time at) { return absl::FormatTime(at, absl::UTCTimeZone()); };
  const std::string why = absl::StrCat(
      "the clock says ", text(clock_.Now()), ", more than ", absl::FormatDuration(kMostAhead),
      " after what is plausible (last seen ", text(trust_.believed.wall),
      "); nothing is deleted until it is set right, or has gone on for ",
      absl::FormatDuration(kDoubtFor), " from ", text(trust_.doubted->wall));
  on_trouble_(why);
  if (!first) return;
  const auto said = store_.RecordAudit({.actor = "server",
                                        .source = "",
                                        .action = "retention.held",
                                        .object = "clock",
                                        .detail = why,
                                        .before = "",
                                        .after = ""});
  if (!said.ok()) on_trouble_(std::string(said.status().message()));
}

void RetentionRuns::Begin() {
  const std::vector<Expiry> expiries = ExpiriesOf(retention_, clock_.Now());
  left_.assign(expiries.begin(), expiries.end());
  deleted_ = 0;
  failed_ = false;
}

void RetentionRuns::Step() {
  Expiry& expiry = left_.front();
  const std::int64_t before = expiry.deleted;
  const absl::Status done = store_.DeleteExpired(expiry, clock_.Now());
  deleted_ += expiry.deleted - before;
  if (!done.ok()) {
    failed_ = true;
    on_trouble_(std::string(done.message()));
  }
  if (!done.ok() || !expiry.more) left_.pop_front();
}

void RetentionRuns::End() {
  next_ = clock_.Monotonic() + (failed_ ? kRetry : kPeriod);
  if (deleted_ > 0) log_.Info("retention deleted rows", {{"count", absl::StrCat(deleted_)}});
}

}  // namespace dumpwarden
