// SPDX-License-Identifier: Apache-2.0
#include "agent/reporter.h"

#include <utility>
#include <vector>

#include "agent/link.h"
#include "core/base/status_macros.h"
#include "core/base/timestamp.h"

namespace dumpwarden {
namespace {

// Room for events, digests and the frame beside findings and observation.
constexpr std::size_t kMaxFindingBytes = kMaxLinkMessage / 4;
constexpr std::size_t kMaxReportBytes = kMaxLinkMessage - 16 * 1024;
constexpr int kMaxRemoved = 2000;
constexpr std::size_t kFieldOverhead = 8;  // tag and length of a repeated message, at most

// Leaves out what is too much for one message: it follows in the next, because
// the state after this one is computed from what is left.
void CutToSize(v1::Report& report) {
  std::size_t bytes = 0;
  int kept = 0;
  while (kept < report.findings_size()) {
    bytes += report.findings(kept).ByteSizeLong() + kFieldOverhead;
    if (kept > 0 && bytes > kMaxFindingBytes) break;
    ++kept;
  }
  report.mutable_findings()->DeleteSubrange(kept, report.findings_size() - kept);
  if (report.removed_size() > kMaxRemoved) {
    report.mutable_removed()->DeleteSubrange(kMaxRemoved, report.removed_size() - kMaxRemoved);
  }
}

}  // namespace

absl::StatusOr<std::uint64_t> Reporter::AddEvents(v1::Report& report) {
  ASSIGN_OR_RETURN(std::vector<v1::DriftEvent> events, state_.Events(kMaxEventsInReport));
  std::size_t bytes = report.ByteSizeLong();
  std::uint64_t last = 0;
  for (v1::DriftEvent& event : events) {
    bytes += event.ByteSizeLong() + kFieldOverhead;
    if (bytes > kMaxReportBytes) break;
    last = event.sequence();
    *report.add_events() = std::move(event);
  }
  ASSIGN_OR_RETURN(const std::size_t waiting, state_.EventCount());
  report.set_more_events(waiting > static_cast<std::size_t>(report.events_size()));
  return last;
}

absl::StatusOr<std::optional<v1::Report>> Reporter::Next(const HostState& current,
                                                         const std::string& policy_digest,
                                                         const v1::OpenDrifts& open) {
  if (in_flight_.has_value()) return std::optional<v1::Report>();
  const std::optional<HostState>& acknowledged = state_.acknowledged_state();
  const HostState* base = full_ || !acknowledged.has_value() ? nullptr : &*acknowledged;
  const bool changed = base == nullptr || state_.acknowledged_digest() != StateDigest(current);
  v1::Report report;
  if (changed) report = MakeReport(base, current);
  CutToSize(report);
  InFlight flight;
  flight.full = base == nullptr;
  if (base != nullptr) flight.after = *base;
  ApplyReport(report, flight.after);
  *report.mutable_open_drifts() = open;
  ASSIGN_OR_RETURN(flight.last_event, AddEvents(report));
  if (!changed && report.events_size() == 0) return std::optional<v1::Report>();
  ASSIGN_OR_RETURN(flight.sequence, state_.TakeReportSequence(flight.last_event));
  report.set_epoch(state_.epoch());
  report.set_sequence(flight.sequence);
  report.set_state_digest(StateDigest(flight.after));
  report.set_policy_digest(policy_digest);
  *report.mutable_at() = ToTimestamp(clock_.Now());
  in_flight_ = std::move(flight);
  return std::optional<v1::Report>(std::move(report));
}

bool Reporter::IsAhead(const v1::Ack& ack) const {
  if (ack.epoch() != state_.epoch()) return false;
  if (ack.sequence() >= state_.next_report()) return true;
  return ack.want_full() && in_flight_.has_value() && ack.sequence() == in_flight_->sequence;
}

bool Reporter::IsAhead(const v1::Welcome& welcome) const {
  if (welcome.epoch() == state_.epoch()) return welcome.sequence() >= state_.next_report();
  if (state_.acknowledged() == 0) return false;
  // A server of before Welcome.epoch says none either, but does not always ask for everything.
  return !welcome.epoch().empty() || welcome.want_full();
}

void Reporter::OnEpochBegun() {
  in_flight_.reset();
  full_ = true;
}

absl::StatusOr<bool> Reporter::OnAck(const v1::Ack& ack) {
  const bool ours = in_flight_.has_value() && ack.epoch() == state_.epoch() &&
                    ack.sequence() == in_flight_->sequence;
  if (ours) {
    RETURN_IF_ERROR(state_.Acknowledge(in_flight_->sequence, in_flight_->after,
                                       in_flight_->last_event, clock_.Now()));
    if (in_flight_->full) full_ = false;
    in_flight_.reset();
  }
  if (ack.want_full()) {  // what is in flight does not fit what the server holds
    full_ = true;
    in_flight_.reset();
  }
  return ours;
}

}  // namespace dumpwarden
