// SPDX-License-Identifier: Apache-2.0
#include "agent/agent.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kSettle = absl::Milliseconds(100);       // several writes are one change
constexpr absl::Duration kReportDelay = absl::Milliseconds(100);  // several findings, one report
constexpr absl::Duration kFullReportDelay = absl::Seconds(1);     // a server may ask for ever
constexpr absl::Duration kWelcomeLimit = absl::Seconds(30);       // a probe takes the server ten
constexpr absl::Duration kAckLimit = absl::Minutes(2);
constexpr absl::Duration kGoodSession = absl::Seconds(30);
constexpr std::size_t kMaxNonce = 64;
constexpr std::size_t kMaxNotice = 1024;

// Of a host that needs a person; one that is held is in when that person has said so.
absl::Duration ParkedFor(v1::Goodbye::Reason reason) {
  if (reason == v1::Goodbye::REASON_HOLD) return kHeldPause;
  const bool for_good =
      reason == v1::Goodbye::REASON_QUARANTINED || reason == v1::Goodbye::REASON_REVOKED;
  return for_good ? kReconnectCap : absl::ZeroDuration();
}

// Mounts are this machine's business.
v1::Facts FactsToSend(v1::Facts facts) {
  for (v1::Facts::Volume& volume : *facts.mutable_volumes()) volume.clear_mount();
  return facts;
}

}  // namespace

void WarnOfDropped(std::size_t events, Log& log) {
  if (events == 0) return;
  log.Warning(
      "this host was enrolled anew; drift events that the server had not acknowledged to the old "
      "one are dropped",
      {{"events", absl::StrCat(events)}});
}

AgentCore::AgentCore(const AgentParts& parts, AgentOptions options)
    : clock_(parts.clock),
      random_(parts.random),
      state_(parts.state),
      link_(parts.link),
      log_(parts.log),
      options_(std::move(options)),
      instance_(parts.random.Bytes(16)),
      policies_(parts.state, parts.clock, parts.log),
      reconciler_(parts.registry, parts.folders, parts.applier, parts.state, parts.clock,
                  parts.log),
      reporter_(parts.state, parts.clock),
      reconnect_(parts.random, kDefaultReconnectWindow) {}

absl::Status AgentCore::Start(v1::Facts facts) {
  facts_ = std::move(facts);
  ASSIGN_OR_RETURN(const absl::Duration window, state_.ReconnectWindow(kDefaultReconnectWindow));
  reconnect_.SetWindow(window);
  RETURN_IF_ERROR(policies_.Start());
  RETURN_IF_ERROR(reconciler_.Start(facts_));
  Reconcile(Cause::kFullCheck);
  ScheduleDial();
  return absl::OkStatus();
}

void AgentCore::Complain(const absl::Status& status) {
  if (status.ok()) return;
  log_.Error("the agent's state cannot be kept; nothing is written to the registry meanwhile",
             {{"why", std::string(status.message())}});
}

// --- The host

void AgentCore::Reconcile(Cause cause) {
  reconcile_at_ = absl::InfiniteDuration();
  if (cause == Cause::kFullCheck) full_check_at_ = clock_.Monotonic() + options_.full_check;
  if (AwaitsNewHost()) return;  // its drift would be the old host's, and go with it
  const absl::Status kept = reconciler_.Run(cause, policies_.policies(), facts_);
  if (kept.ok()) found_policies_ = policies_.digest();
  Complain(kept);
  retry_at_ = reconciler_.RetryAt();
  ReportSoon(kReportDelay);
}

void AgentCore::OnRegistryChanged() {
  // Not put off by further changes: a host that is written all the time is still looked at.
  reconcile_at_ = std::min(reconcile_at_, clock_.Monotonic() + kSettle);
}

void AgentCore::OnFactsChanged(v1::Facts facts) {
  if (google::protobuf::util::MessageDifferencer::Equals(facts, facts_)) return;
  const bool tell = FactsDigest(facts) != FactsDigest(facts_);
  facts_ = std::move(facts);
  if (tell && session_ == Session::kLive) SendFacts();
  Reconcile(Cause::kChange);
}

void AgentCore::OnEnrolledAnew(absl::string_view host_id, v1::Facts facts) {
  HangUp("this host was enrolled anew");
  new_host_id_ = std::string(host_id);
  facts_ = std::move(facts);  // first: what drifts only by the old labels is not the new host's
  BecomeNewHost();
}

void AgentCore::OnRenewed() {
  if (options_.alone || AwaitsNewHost()) return;
  parked_ = absl::ZeroDuration();
  if (session_ == Session::kNone) {
    dial_at_ = clock_.Monotonic();
    return;
  }
  redial_ = true;
  HangUp("this host has a new certificate");
}

void AgentCore::BecomeNewHost() {
  const absl::StatusOr<std::optional<std::size_t>> acts = state_.ActAs(new_host_id_, random_);
  if (!acts.ok()) {
    new_host_.Failed(clock_.Monotonic());
    dial_at_ = retry_at_ = absl::InfiniteDuration();
    const absl::Duration next = new_host_.at() - clock_.Monotonic();
    return log_.Error(
        "the state cannot go on as the new host; until it can, nothing is sent or written",
        {{"host", new_host_id_},
         {"why", std::string(acts.status().message())},
         {"next", absl::FormatDuration(next)}});
  }
  new_host_.Succeeded();
  if (acts->has_value()) {  // not when the enrolment was taken back before the state could follow
    reconciler_.ForgetDrifts();
    WarnOfDropped(**acts, log_);
  }
  reporter_.OnDisconnected();
  parked_ = absl::ZeroDuration();
  reconnect_.SetWindow(kDefaultReconnectWindow);
  reconnect_.Succeeded();
  Reconcile(Cause::kChange);  // what drifts, drifts for the new host from now on
  if (session_ == Session::kNone) ScheduleDial();
}

// --- Time

bool AgentCore::Due(absl::Duration& deadline) const {
  if (clock_.Monotonic() < deadline) return false;
  deadline = absl::InfiniteDuration();
  return true;
}

absl::Duration AgentCore::NextDeadline() const {
  return std::min({full_check_at_, reconcile_at_, retry_at_, new_host_.at(), dial_at_, report_at_,
                   check_in_at_, answer_by_});
}

void AgentCore::Tick() {
  if (clock_.Monotonic() >= new_host_.at()) BecomeNewHost();
  if (Due(full_check_at_)) {
    Reconcile(Cause::kFullCheck);
  } else if (Due(reconcile_at_) || Due(retry_at_)) {
    Reconcile(Cause::kChange);
  }
  if (Due(dial_at_)) {
    session_ = Session::kDialling;
    link_.Connect();
  }
  if (Due(answer_by_)) HangUp("the server does not answer");
  if (Due(report_at_)) SendReport();
  if (Due(check_in_at_)) SendCheckIn();
}

// --- The session

void AgentCore::ScheduleDial() {
  if (options_.alone || AwaitsNewHost()) return;
  const bool parked = parked_ != absl::ZeroDuration();
  dial_at_ = clock_.Monotonic() + (parked ? reconnect_.About(parked_) : reconnect_.NextDelay());
}

// From now on nothing of the session counts; OnDisconnected follows.
void AgentCore::HangUp(const std::string& why) {
  if (session_ == Session::kNone) return;
  session_ = Session::kLeaving;
  report_at_ = check_in_at_ = answer_by_ = absl::InfiniteDuration();
  if (farewell_.empty()) farewell_ = why;
  link_.Disconnect();
}

void AgentCore::OnConnected() {
  if (session_ != Session::kDialling) return;
  session_ = Session::kGreeting;
  answer_by_ = clock_.Monotonic() + kWelcomeLimit;
  SendHello();
}

void AgentCore::OnDisconnected(const absl::Status& why) {
  if (session_ == Session::kNone) return;
  if (clock_.Monotonic() - live_since_ >= kGoodSession) reconnect_.Succeeded();
  session_ = Session::kNone;
  noticed_ = false;
  live_since_ = absl::InfiniteDuration();
  report_at_ = check_in_at_ = answer_by_ = absl::InfiniteDuration();
  reporter_.OnDisconnected();
  policies_.OnDisconnected();
  if (std::exchange(redial_, false)) return Redial();
  const std::string reason =
      farewell_.empty() ? Printable(why.message()) : std::exchange(farewell_, "");
  ScheduleDial();
  const absl::Duration next =
      absl::Trunc(std::min(dial_at_, new_host_.at()) - clock_.Monotonic(), absl::Milliseconds(1));
  log_.Warning("not connected", {{"why", reason}, {"next", absl::FormatDuration(next)}});
  Complain(state_.SetDisconnected(reason, clock_.Now()));
}

// For no reason that is worth telling.
void AgentCore::Redial() {
  farewell_.clear();
  if (!AwaitsNewHost()) dial_at_ = clock_.Monotonic();
  log_.Info("connects anew, with the new certificate");
  Complain(state_.SetNotConnected(clock_.Now()));
}

void AgentCore::SendHello() {
  v1::AgentMessage message;
  v1::Hello& hello = *message.mutable_hello();
  hello.set_protocol_min(kAgentProtocol);
  hello.set_protocol_max(kAgentProtocol);
  hello.set_agent_version(options_.version);
  hello.set_catalog_digest(CatalogDigest());
  hello.set_host_name(Printable(options_.host_name));
  hello.set_instance(instance_);
  *hello.mutable_boot() = facts_.boot();
  hello.set_facts_digest(FactsDigest(facts_));
  hello.set_policy_digest(found_policies_);
  told_policies_ = found_policies_;
  hello.set_epoch(state_.epoch());
  hello.set_acknowledged(state_.acknowledged());
  hello.set_state_digest(state_.acknowledged_digest());
  link_.Send(message);
}

void AgentCore::SendFacts() {
  v1::AgentMessage message;
  *message.mutable_facts() = FactsToSend(facts_);
  link_.Send(message);
}

void AgentCore::ReportSoon(absl::Duration delay) {
  if (session_ != Session::kLive || reporter_.in_flight()) return;
  report_at_ = std::min(report_at_, clock_.Monotonic() + delay);
}

void AgentCore::SendReport() {
  if (session_ != Session::kLive) return;
  absl::StatusOr<std::optional<v1::Report>> report =
      reporter_.Next(reconciler_.current(), found_policies_, reconciler_.Open());
  if (!report.ok()) {
    report_.Failed(clock_.Monotonic());
    report_at_ = report_.at();
    return Complain(report.status());
  }
  report_.Succeeded();
  if (!report->has_value()) {
    // The server is to know that what it holds speaks of these policies.
    if (told_policies_ != found_policies_) SendCheckIn();
    return;
  }
  v1::AgentMessage message;
  *message.mutable_report() = **std::move(report);
  told_policies_ = found_policies_;
  answer_by_ = clock_.Monotonic() + kAckLimit;
  FAILPOINT("agent.report-numbered");
  link_.Send(message);
}

void AgentCore::ScheduleCheckIn() {
  check_in_at_ = clock_.Monotonic() + check_in_every_ * (0.8 + 0.4 * random_.Fraction());
}

void AgentCore::SendCheckIn() {
  if (session_ != Session::kLive) return;
  ScheduleCheckIn();
  if (reporter_.in_flight()) return;  // the digests would speak of the report before it
  v1::AgentMessage message;
  v1::CheckIn& check_in = *message.mutable_check_in();
  check_in.set_sequence(state_.acknowledged());
  check_in.set_policy_digest(found_policies_);
  told_policies_ = found_policies_;
  check_in.set_state_digest(state_.acknowledged_digest());
  answer_by_ = std::min(answer_by_, clock_.Monotonic() + kAckLimit);
  link_.Send(message);
}

// --- Messages: everything in them may be hostile

void AgentCore::OnMessage(const v1::ServerMessage& message) {
  if (session_ != Session::kGreeting && session_ != Session::kLive) return;
  switch (message.message_case()) {
    case v1::ServerMessage::kWelcome:
      return OnWelcome(message.welcome());
    case v1::ServerMessage::kAck:
      return OnAck(message.ack());
    case v1::ServerMessage::kPolicySet:
      return OnPolicies(policies_.OnSet(message.policy_set()));
    case v1::ServerMessage::kPolicyDocument:
      return OnPolicies(policies_.OnDocument(message.policy_document()));
    case v1::ServerMessage::kProbe:
      return OnProbe(message.probe());
    case v1::ServerMessage::kGoodbye:
      return OnGoodbye(message.goodbye());
    case v1::ServerMessage::kNotice:
      return OnNotice(message.notice());
    case v1::ServerMessage::kChallengeRequest:
    case v1::ServerMessage::kOrder:
    case v1::ServerMessage::kCancel:
    case v1::ServerMessage::kHalt:
    case v1::ServerMessage::kRoot:
    case v1::ServerMessage::kCheckpoint:
    case v1::ServerMessage::kTimestamp:
    case v1::ServerMessage::MESSAGE_NOT_SET:
      return;  // of a newer server: this agent cannot do it, and does nothing
  }
}

void AgentCore::OnWelcome(const v1::Welcome& welcome) {
  if (session_ != Session::kGreeting) return;
  if (welcome.protocol() != kAgentProtocol) {
    return HangUp(absl::StrCat("the server speaks protocol ", welcome.protocol(),
                               ", this agent only ", kAgentProtocol, "; update the older of both"));
  }
  session_ = Session::kLive;
  live_since_ = clock_.Monotonic();
  answer_by_ = absl::InfiniteDuration();
  parked_ = absl::ZeroDuration();
  KeepWindow(welcome.reconnect_window_ms());
  if (welcome.check_in_seconds() != 0) {
    check_in_every_ = std::min(absl::Seconds(int64_t{welcome.check_in_seconds()}),
                               absl::Duration(absl::Hours(1)));
  }
  log_.Info("connected");
  Complain(state_.SetConnected(clock_.Now()));
  if (welcome.want_facts()) SendFacts();
  if (welcome.want_full()) reporter_.WantFull();
  ScheduleCheckIn();
  if (reporter_.IsAhead(welcome)) return BeginEpoch();
  SendReport();
}

void AgentCore::BeginEpoch() {
  const absl::Status begun = reconciler_.BeginEpoch(random_);
  if (!begun.ok()) {
    Complain(begun);
    return HangUp("the server holds reports that this state does not know");
  }
  reporter_.OnEpochBegun();
  log_.Warning(
      "the server and this host's state know of different reports, so one of the two was "
      "restored from a copy; everything is reported anew");
  answer_by_ = absl::InfiniteDuration();
  ReportSoon(kFullReportDelay);
}

void AgentCore::OnAck(const v1::Ack& ack) {
  FAILPOINT("agent.ack-received");
  if (reporter_.IsAhead(ack)) return BeginEpoch();
  const absl::StatusOr<bool> acknowledged = reporter_.OnAck(ack);
  if (!acknowledged.ok()) {  // it is told again
    Complain(acknowledged.status());
    return HangUp("an acknowledgement could not be kept");
  }
  FAILPOINT("agent.ack-recorded");
  if (!reporter_.in_flight() && session_ == Session::kLive) answer_by_ = absl::InfiniteDuration();
  if (ack.want_full()) {
    ReportSoon(kFullReportDelay);
  } else if (*acknowledged) {
    ReportSoon(absl::ZeroDuration());  // what changed meanwhile, or did not fit
  }
}

void AgentCore::OnPolicies(absl::StatusOr<PolicyIntake::Outcome> outcome) {
  if (!outcome.ok()) return Complain(outcome.status());
  if (outcome->request.has_value()) {
    v1::AgentMessage message;
    *message.mutable_policy_request() = *std::move(outcome->request);
    link_.Send(message);
  }
  if (outcome->hang_up) HangUp("the server sends invalid policy sets");
  if (outcome->in_force) Reconcile(Cause::kPolicies);
}

void AgentCore::OnProbe(const v1::Probe& probe) {
  if (probe.nonce().size() > kMaxNonce) return;
  v1::AgentMessage message;
  message.mutable_probe_reply()->set_nonce(probe.nonce());
  message.mutable_probe_reply()->set_instance(instance_);
  link_.Send(message);
}

void AgentCore::OnNotice(const v1::Notice& notice) {
  if (std::exchange(noticed_, true)) return;  // one a session: the server does not fill the log
  const absl::string_view text = notice.message();
  log_.Warning("the server says", {{"what", Printable(text.substr(0, kMaxNotice))}});
}

void AgentCore::OnGoodbye(const v1::Goodbye& goodbye) {
  // Restarted, one that is held asks soon: it may have been let in.
  if (goodbye.reason() != v1::Goodbye::REASON_HOLD) KeepWindow(goodbye.reconnect_window_ms());
  parked_ = ParkedFor(goodbye.reason());
  HangUp(absl::StrCat("the server said goodbye: ", Printable(goodbye.message())));
}

void AgentCore::KeepWindow(std::uint32_t milliseconds) {
  if (milliseconds == 0) return;
  const absl::Duration before = reconnect_.window();
  reconnect_.SetWindow(absl::Milliseconds(int64_t{milliseconds}));
  if (reconnect_.window() != before) Complain(state_.SetReconnectWindow(reconnect_.window()));
}

}  // namespace dumpwarden
