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
  if (!ExpiriesOf(retention_, clock_.Now()).empty()) return;
  next_ = check_at_ = absl::InfiniteDuration();  // all is kept
}

absl::Status RetentionRuns::Start() {
  if (check_at_ == absl::InfiniteDuration()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const absl::Time believed, store_.BelievedTime());
  const ClockReading now{clock_.Now(), clock_.Monotonic()};
  const bool none = believed == absl::InfinitePast();  // nor is there anything to delete
  trust_ = ClockTrust{{none ? now.wall : believed, now.monotonic}, std::nullopt};
  Keep();
  return absl::OkStatus();
}

// Kept once, it is read from there: a later failure leaves an earlier time, which is no danger.
void RetentionRuns::Keep() {
  const absl::Status kept = store_.BelieveTime(trust_.believed.wall);
  kept_ |= kept.ok();
  if (!kept.ok()) on_trouble_(std::string(kept.message()));
}

void RetentionRuns::Tick() {
  const absl::Duration begin = clock_.Monotonic();
  const bool due = left_.empty() && begin >= next_;
  if (due || begin >= check_at_) {
    check_at_ = begin + kClockCheck;
    const bool sound = CheckClock();
    if (due && sound) Begin();
    if (due && !sound) next_ = begin + (kept_ ? kClockCheck : kRetry);
  }
  if (left_.empty()) return;
  for (int i = 0; i < kMostSteps && !left_.empty(); ++i) {
    Step();
    if (clock_.Monotonic() - begin >= kTickTime) break;
  }
  if (left_.empty()) End();
}

bool RetentionRuns::CheckClock() {
  if (!kept_) Keep();
  if (!kept_) return false;
  const bool before = trust_.doubted.has_value();
  trust_ = Judge(trust_, {clock_.Now(), clock_.Monotonic()});
  if (trust_.doubted.has_value()) {
    SayDoubt(!before);
    return false;
  }
  Keep();
  return true;
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
