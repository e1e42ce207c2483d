// SPDX-License-Identifier: Apache-2.0
#include "server/retention_runs.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kPeriod = absl::Hours(24);
constexpr absl::Duration kRetry = absl::Minutes(1);
constexpr absl::Duration kTickTime = absl::Milliseconds(100);

}  // namespace

RetentionRuns::RetentionRuns(Store& store, const Clock& clock, Log& log, Retention retention,
                             OnTrouble on_trouble)
    : store_(store),
      clock_(clock),
      log_(log),
      retention_(retention),
      on_trouble_(std::move(on_trouble)) {}

void RetentionRuns::Tick() {
  const absl::Duration begin = clock_.Monotonic();
  if (left_.empty()) {
    if (begin < next_) return;
    Begin();
  }
  for (int i = 0; i < kMostSteps && !left_.empty(); ++i) {
    Step();
    if (clock_.Monotonic() - begin >= kTickTime) break;
  }
  if (left_.empty()) End();
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
