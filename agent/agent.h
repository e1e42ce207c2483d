// SPDX-License-Identifier: Apache-2.0
// The agent as a state machine: events in, writes and messages out.  It has no
// thread, socket, file or clock of its own, so that a seeded simulation drives
// the same object as the service.
#ifndef DUMPWARDEN_AGENT_AGENT_H_
#define DUMPWARDEN_AGENT_AGENT_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/backoff.h"
#include "agent/link.h"
#include "agent/policy_intake.h"
#include "agent/reconciler.h"
#include "agent/reconnect.h"
#include "agent/reporter.h"
#include "agent/state.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/reconcile/apply.h"
#include "core/reconcile/folders.h"
#include "core/reconcile/registry.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/log.h"

namespace dumpwarden {

inline constexpr std::uint32_t kAgentProtocol = 1;

struct AgentOptions {
  std::string version;
  std::string host_name;
  absl::Duration full_check = absl::Minutes(5);
  bool alone = false;  // there is no server to dial
};

// What the agent works with.  All must outlive it.
struct AgentParts {
  const Clock& clock;
  Random& random;
  Registry& registry;
  Folders& folders;
  Applier& applier;
  AgentState& state;
  Link& link;
  Log& log;
};

// Says what AgentState::ActAs dropped.
void WarnOfDropped(std::size_t events, Log& log);

class AgentCore {
 public:
  AgentCore(const AgentParts& parts, AgentOptions options);

  // Once, before anything else.  Puts right what a crash left, checks the host
  // against the last good policies, and asks for a connection some time later.
  absl::Status Start(v1::Facts facts);

  // The link's events.
  void OnConnected();
  void OnMessage(const v1::ServerMessage& message);
  void OnDisconnected(const absl::Status& why);
  // The host's.
  void OnRegistryChanged();
  void OnFactsChanged(v1::Facts facts);  // nothing happens when they did not
  // This host is another one to the server now, with the labels of another token among its facts.
  // Until the state can go on as it, nothing is dialled, recorded or written: the tries follow one
  // another as Backoff says.
  void OnEnrolledAnew(absl::string_view host_id, v1::Facts facts);

  // This host has another certificate on disk: a session with the old one is given up for one with
  // it, at once.
  void OnRenewed();

  // When Tick has something to do: monotonic; infinite when never.
  absl::Duration NextDeadline() const;
  void Tick();
  // When the next full check is due, before which facts are to be brought up to date.
  absl::Duration full_check_at() const { return full_check_at_; }

  const HostState& current() const { return reconciler_.current(); }

 private:
  enum class Session { kNone, kDialling, kGreeting, kLive, kLeaving };

  void Reconcile(Cause cause);
  bool AwaitsNewHost() const { return new_host_.failing(); }
  void BecomeNewHost();
  void ScheduleDial();
  void Redial();
  void ScheduleCheckIn();
  void ReportSoon(absl::Duration delay);
  void SendReport();
  void SendCheckIn();
  void SendFacts();
  void SendHello();
  void OnWelcome(const v1::Welcome& welcome);
  void OnAck(const v1::Ack& ack);
  void BeginEpoch();
  void OnProbe(const v1::Probe& probe);
  void OnNotice(const v1::Notice& notice);
  void OnGoodbye(const v1::Goodbye& goodbye);
  void OnPolicies(absl::StatusOr<PolicyIntake::Outcome> outcome);
  void KeepWindow(std::uint32_t milliseconds);
  void HangUp(const std::string& why);
  bool Due(absl::Duration& deadline) const;
  void Complain(const absl::Status& status);  // of a state that cannot be kept

  const Clock& clock_;
  Random& random_;
  AgentState& state_;
  Link& link_;
  Log& log_;
  AgentOptions options_;
  std::string instance_;  // nonce of this process
  v1::Facts facts_;
  PolicyIntake policies_;
  Reconciler reconciler_;
  Reporter reporter_;
  Reconnect reconnect_;

  Session session_ = Session::kNone;
  absl::Duration live_since_ = absl::InfiniteDuration();
  absl::Duration check_in_every_ = absl::Minutes(1);
  bool noticed_ = false;  // in this session
  // Digests of the policies that the present findings speak of, and of those that the server last
  // heard of.  What was received and could not be held against the host is neither.
  std::string found_policies_;
  std::string told_policies_;
  std::string farewell_;  // why the session ends, when we know better than the link
  // The server turned this host away: about how long until the next dial.  Zero: it did not.
  absl::Duration parked_ = absl::ZeroDuration();
  bool redial_ = false;  // at once, when the session that is given up has ended
  std::string new_host_id_;
  Backoff new_host_;  // the state could not go on as it

  // Monotonic; infinite = not set.
  absl::Duration full_check_at_ = absl::InfiniteDuration();
  absl::Duration reconcile_at_ = absl::InfiniteDuration();
  absl::Duration retry_at_ = absl::InfiniteDuration();  // of what could not be written
  absl::Duration dial_at_ = absl::InfiniteDuration();
  absl::Duration report_at_ = absl::InfiniteDuration();
  Backoff report_;  // it could not be made
  absl::Duration check_in_at_ = absl::InfiniteDuration();
  absl::Duration answer_by_ = absl::InfiniteDuration();  // Welcome, or an Ack
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_AGENT_H_
