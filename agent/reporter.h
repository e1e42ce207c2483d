// SPDX-License-Identifier: Apache-2.0
// Reports: what changed since the last acknowledged one, one in flight, each
// below the link's message size however much there is to say.
#ifndef DUMPWARDEN_AGENT_REPORTER_H_
#define DUMPWARDEN_AGENT_REPORTER_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "agent/state.h"
#include "core/base/clock.h"
#include "core/reconcile/state_digest.h"
#include "dumpwarden/v1/session.pb.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxEventsInReport = 1000;

class Reporter {
 public:
  // Both must outlive this.
  Reporter(AgentState& state, const Clock& clock) : state_(state), clock_(clock) {}

  // The next report to send; nullopt while one is in flight and when the server knows it all.  Its
  // number is on disk before it is returned, so a number never stands for two contents.
  absl::StatusOr<std::optional<v1::Report>> Next(const HostState& current,
                                                 const std::string& policy_digest,
                                                 const v1::OpenDrifts& open);
  // Does the server hold, in our epoch, a number that we never gave, or not with this content? Then
  // our state was restored, and what we say under used numbers would be lost.
  bool IsAhead(const v1::Ack& ack) const;
  // The same before any number is given in a session, or the server went on to an epoch after ours:
  // reports that are lost on their way use up numbers, and when these had passed the server's
  // nobody would see it.  Or the server, restored from a copy, keeps none that we know to be kept.
  bool IsAhead(const v1::Welcome& welcome) const;
  // The state began an epoch: everything is told again.
  void OnEpochBegun();
  // True when it acknowledged the report in flight, which is durable then.
  absl::StatusOr<bool> OnAck(const v1::Ack& ack);
  void WantFull() { full_ = true; }
  // What was in flight may or may not have arrived: it is made anew, under another number.
  void OnDisconnected() { in_flight_.reset(); }
  bool in_flight() const { return in_flight_.has_value(); }

 private:
  struct InFlight {
    std::uint64_t sequence = 0;
    std::uint64_t last_event = 0;
    bool full = false;
    HostState after;  // what the server holds once it has the report
  };
  absl::StatusOr<std::uint64_t> AddEvents(v1::Report& report);

  AgentState& state_;
  const Clock& clock_;
  std::optional<InFlight> in_flight_;
  bool full_ = false;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REPORTER_H_
