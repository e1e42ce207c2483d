// SPDX-License-Identifier: Apache-2.0
// Streams come and go, policies go out, time passes.  What hosts report is in
// reports.cc, who is let in at all in admission.cc.
#include "server/fleet/fleet.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/fleet/checks.h"
#include "server/fleet/session_fleet.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kHelloTime = absl::Seconds(10);
constexpr absl::Duration kCloseTime = absl::Seconds(10);
constexpr absl::Duration kShortestWindow = absl::Seconds(1);
// To take new policies, plan, write and tell: an agent says so even when all stays as it was.
constexpr absl::Duration kPolicyGrace = absl::Seconds(30);

SharedMessage Serialize(const v1::ServerMessage& message) {
  return std::make_shared<const std::string>(message.SerializeAsString());
}

Greeting GreetingOf(v1::Hello& hello) {
  return {std::move(*hello.mutable_agent_version()),
          std::move(*hello.mutable_epoch()),
          hello.acknowledged(),
          std::move(*hello.mutable_state_digest()),
          std::move(*hello.mutable_facts_digest()),
          std::move(*hello.mutable_policy_digest())};
}

HostTouch TouchOf(HostId host, const HostSlot& slot) {
  const StoredDigests& stored = slot.stored;
  return {host, slot.heard, slot.policies_due ? stored.policy_digest : "", stored.epoch,
          stored.sequence};
}

// Null for what is no fault of the host's.
const char* RefusalOf(v1::Goodbye::Reason reason) {
  switch (reason) {
    case v1::Goodbye::REASON_QUARANTINED:
      return "quarantined";
    case v1::Goodbye::REASON_REVOKED:
      return "revoked";
    case v1::Goodbye::REASON_HOLD:
      return "hold";
    case v1::Goodbye::REASON_PROTOCOL:
      return "protocol";
    default:
      return nullptr;
  }
}

}  // namespace

// --- Streams

SessionId SessionFleet::OnOpened(const HostRow& host, absl::Time expires, SessionOut& out) {
  std::lock_guard lock(mutex_);
  auto [at, is_new] = slots_.try_emplace(host.id);
  HostSlot& slot = at->second;
  if (is_new) {
    slot.uuid = host.uuid;
    slot.agent_version = host.agent_version;
    slot.stored = {host.epoch, host.sequence, host.state_digest, host.facts_digest,
                   host.policy_digest};
  }
  ++slot.streams;
  SpendOpening(host.id, kOpeningCost);
  auto session = std::make_unique<FleetSession>();
  session->id = ++last_id_;
  session->host = host.id;
  session->out = &out;
  session->expires = expires;
  session->since = clock_.Monotonic();
  v1::Goodbye::Reason reason = v1::Goodbye::REASON_UNSPECIFIED;
  if (const std::string why = WhyRefused(host, slot, reason); !why.empty()) {
    if (reason == v1::Goodbye::REASON_DRAIN && !draining_) Refuse("full", slot.uuid, why);
    Close(*session, reason, why);
  }
  return sessions_.emplace(last_id_, std::move(session)).first->first;
}

void SessionFleet::OnClosed(SessionId id) {
  std::lock_guard lock(mutex_);
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return;
  const HostId host = at->second->host;
  sessions_.erase(at);
  HostSlot& slot = slots_.at(host);
  if (slot.waiting == id) slot.waiting = 0;
  if (slot.live == id) {
    slot.live = 0;
    if (FleetSession* next = FindIn(SessionPhase::kAwaitsProbe, slot.waiting)) Welcome(*next, slot);
  }
  if (--slot.streams > 0) return;
  if (slot.touch_due || slot.policies_due) KeepForLater(TouchOf(host, slot));
  slots_.erase(host);
}

std::size_t SessionFleet::OpenStreams() const {
  std::lock_guard lock(mutex_);
  return sessions_.size();
}

std::optional<absl::Time> SessionFleet::LastHeard(HostId host) const {
  std::lock_guard lock(mutex_);
  const auto at = slots_.find(host);
  if (at == slots_.end() || at->second.live == 0) return std::nullopt;
  return at->second.heard;
}

FleetSession* SessionFleet::Find(SessionId id) {
  const auto at = sessions_.find(id);
  return at == sessions_.end() ? nullptr : at->second.get();
}

FleetSession* SessionFleet::FindIn(SessionPhase phase, SessionId id) {
  FleetSession* session = Find(id);
  return session != nullptr && session->phase == phase ? session : nullptr;
}

absl::Duration SessionFleet::Window() const {
  const auto wish = absl::Milliseconds(2 * static_cast<std::int64_t>(sessions_.size()));
  return std::min(std::max(wish, kShortestWindow), options_.reconnect_window_max);
}

void SessionFleet::Close(FleetSession& session, v1::Goodbye::Reason reason,
                         absl::string_view message) {
  if (session.phase == SessionPhase::kClosing) return;
  session.phase = SessionPhase::kClosing;
  session.since = clock_.Monotonic();
  if (const char* word = RefusalOf(reason)) Refuse(word, slots_.at(session.host).uuid, message);
  // Such a host needs a person: it asks as rarely as may be.
  const bool hopeless = reason == v1::Goodbye::REASON_QUARANTINED ||
                        reason == v1::Goodbye::REASON_REVOKED || reason == v1::Goodbye::REASON_HOLD;
  const absl::Duration window = hopeless ? options_.reconnect_window_max : Window();
  v1::Goodbye goodbye;
  goodbye.set_reason(reason);
  goodbye.set_message(std::string(message));
  goodbye.set_reconnect_window_ms(static_cast<std::uint32_t>(absl::ToInt64Milliseconds(window)));
  session.out->Close(goodbye);
}

// --- Messages

void SessionFleet::OnGarbage(SessionId id, absl::string_view why) {
  std::lock_guard lock(mutex_);
  if (FleetSession* session = Find(id)) {
    Close(*session, v1::Goodbye::REASON_PROTOCOL, why);
  }
}

void SessionFleet::OnMessage(SessionId id, v1::AgentMessage message) {
  FleetSession* session = nullptr;
  {
    std::lock_guard lock(mutex_);
    session = Find(id);
    if (session == nullptr || session->phase == SessionPhase::kClosing) return;
    if ((session->phase == SessionPhase::kAwaitsHello) != message.has_hello()) {
      return Close(*session, v1::Goodbye::REASON_PROTOCOL,
                   "the first message is Hello, and only the first");
    }
    HostSlot& slot = slots_.at(session->host);
    slot.heard = clock_.Now();
    slot.touch_due = true;
    SpendMessage(*session, CostOf(message.ByteSizeLong()));
  }
  switch (message.message_case()) {
    case v1::AgentMessage::kHello:
      return OnHello(*session, std::move(*message.mutable_hello()));
    case v1::AgentMessage::kFacts:
      return OnFacts(*session, std::move(*message.mutable_facts()));
    case v1::AgentMessage::kReport:
      return OnReport(*session, std::move(*message.mutable_report()));
    case v1::AgentMessage::kCheckIn:
      return OnCheckIn(*session, message.check_in());
    case v1::AgentMessage::kPolicyRequest:
      return OnPolicyRequest(*session, message.policy_request());
    case v1::AgentMessage::kProbeReply:
      return OnProbeReply(*session, message.probe_reply());
    case v1::AgentMessage::kBootReport:
    case v1::AgentMessage::kOrderEvent:
    case v1::AgentMessage::kChallenge:
    case v1::AgentMessage::MESSAGE_NOT_SET:
      std::lock_guard lock(mutex_);  // of a newer agent: not asked for, not harmful
      return ReadNext(*session);
  }
}

void SessionFleet::OnHello(FleetSession& session, v1::Hello hello) {
  const absl::Status fits = CheckHello(hello);
  const bool loaded = fits.ok() && LoadPolicies();
  if (loaded) {
    session.hello = GreetingOf(hello);
    NoteVersion(session);
  }
  std::lock_guard lock(mutex_);
  if (session.phase != SessionPhase::kAwaitsHello) return;
  if (!fits.ok()) return Close(session, v1::Goodbye::REASON_PROTOCOL, fits.message());
  if (!loaded) {
    return Close(session, v1::Goodbye::REASON_DRAIN, "the server cannot read its policies");
  }
  Admit(session, slots_.at(session.host));
}

void SessionFleet::NoteVersion(FleetSession& session) {
  const std::string& version = session.hello.agent_version;
  {
    std::lock_guard lock(mutex_);
    HostSlot& slot = slots_.at(session.host);
    if (slot.agent_version == version) return;
    slot.agent_version = version;
  }
  Trouble("note an agent's version", store_.SetHostVersion(session.host, version));
}

void SessionFleet::Admit(FleetSession& session, HostSlot& slot) {
  FleetSession* live = FindIn(SessionPhase::kLive, slot.live);
  if (live == nullptr) return Welcome(session, slot);
  if (FleetSession* earlier = FindIn(SessionPhase::kAwaitsProbe, slot.waiting)) {
    Close(*earlier, v1::Goodbye::REASON_REPLACED, "a newer session of this host waits");
  }
  slot.waiting = session.id;
  session.phase = SessionPhase::kAwaitsProbe;
  // Whatever `instance` says: a machine that was copied while it ran has two of one.
  Probe(*live, slot);
}

void SessionFleet::Probe(FleetSession& live, HostSlot& slot) {
  // An earlier probe still counts: newcomers that keep coming do not put off its end.
  if (!slot.probe_nonce.empty()) return;
  slot.probe_nonce = random_.Bytes(16);
  slot.probed = clock_.Monotonic();
  v1::ServerMessage message;
  message.mutable_probe()->set_nonce(slot.probe_nonce);
  live.out->Send(Serialize(message));
}

void SessionFleet::Replace(HostSlot& slot) {
  if (FleetSession* old = Find(slot.live)) {
    Close(*old, v1::Goodbye::REASON_REPLACED, "a newer session of this host took over");
  }
  slot.live = 0;
  slot.probe_nonce.clear();
  if (FleetSession* next = FindIn(SessionPhase::kAwaitsProbe, slot.waiting)) Welcome(*next, slot);
}

void SessionFleet::Welcome(FleetSession& session, HostSlot& slot) {
  slot.live = session.id;
  slot.waiting = 0;
  slot.probe_nonce.clear();
  session.phase = SessionPhase::kLive;
  session.since = clock_.Monotonic();
  const StoredDigests& stored = slot.stored;
  const Greeting& hello = session.hello;
  v1::ServerMessage message;
  v1::Welcome& welcome = *message.mutable_welcome();
  welcome.set_protocol(kProtocol);
  welcome.set_check_in_seconds(options_.check_in_seconds);
  welcome.set_reconnect_window_ms(static_cast<std::uint32_t>(absl::ToInt64Milliseconds(Window())));
  welcome.set_want_full(stored.epoch.empty() || hello.epoch != stored.epoch ||
                        hello.acknowledged != stored.sequence ||
                        hello.state_digest != stored.state_digest);
  welcome.set_want_facts(stored.facts_digest.empty() || hello.facts_digest != stored.facts_digest);
  welcome.set_epoch(stored.epoch);
  welcome.set_sequence(stored.sequence);
  if (!welcome.want_full()) Confirm(slot, hello.policy_digest);
  session.out->Send(Serialize(message));
  session.out->SendLatest(policies_->set);
  ReadNext(session);
}

void SessionFleet::OnProbeReply(FleetSession& session, const v1::ProbeReply& reply) {
  std::string uuid;
  {
    std::lock_guard lock(mutex_);
    if (session.phase != SessionPhase::kLive) return;
    HostSlot& slot = slots_.at(session.host);
    FleetSession* newer = FindIn(SessionPhase::kAwaitsProbe, slot.waiting);
    const bool asked = !slot.probe_nonce.empty() && reply.nonce() == slot.probe_nonce;
    if (!asked || newer == nullptr) {
      if (asked) slot.probe_nonce.clear();
      return ReadNext(session);
    }
    // A process closes its stream before it dials: who answers here is not who came there.
    constexpr absl::string_view kWhy = "two live hosts use this identity; enrol each anew";
    uuid = slot.uuid;
    slot.quarantined = true;
    Close(session, v1::Goodbye::REASON_QUARANTINED, kWhy);
    Close(*newer, v1::Goodbye::REASON_QUARANTINED, kWhy);
  }
  Trouble("quarantine a host",
          store_.QuarantineHost(session.host, {.actor = "server",
                                               .source = "",
                                               .action = "host.quarantine",
                                               .object = uuid,
                                               .detail = "two live instances of one identity",
                                               .before = "",
                                               .after = ""}));
}

void SessionFleet::OnPolicyRequest(FleetSession& session, const v1::PolicyRequest& request) {
  const absl::Status fits = CheckPolicyRequest(request);
  std::lock_guard lock(mutex_);
  if (session.phase != SessionPhase::kLive) return;
  if (!fits.ok()) return Close(session, v1::Goodbye::REASON_PROTOCOL, fits.message());
  const std::set<std::string> digests(request.digests().begin(), request.digests().end());
  for (const std::string& digest : digests) {
    // One that is not there was replaced just now: the newer set is on its way.
    const auto at = policies_->documents.find(digest);
    if (at != policies_->documents.end()) session.out->Send(at->second);
  }
  ReadNext(session);
}

// --- Policies and time

void SessionFleet::Trouble(absl::string_view what, const absl::Status& status) {
  if (status.ok() || !options_.on_trouble) return;
  options_.on_trouble(std::string(what), std::string(status.message()));
}

PolicyStanding SessionFleet::StandingOf(const HostRow& host) {
  if (!LoadPolicies()) return PolicyStanding::kOutdated;
  std::lock_guard lock(mutex_);
  const auto slot = slots_.find(host.id);
  const bool known = slot != slots_.end();
  const std::string& told = known ? slot->second.stored.policy_digest : host.policy_digest;
  if (told == policies_->digest) return PolicyStanding::kCurrent;
  const FleetSession* live = known ? FindIn(SessionPhase::kLive, slot->second.live) : nullptr;
  const bool pending = live != nullptr && live->since <= policies_changed_ &&
                       clock_.Monotonic() - policies_changed_ < kPolicyGrace;
  return pending ? PolicyStanding::kPending : PolicyStanding::kOutdated;
}

bool SessionFleet::LoadPolicies() {
  std::lock_guard load(load_mutex_);
  {
    std::lock_guard lock(mutex_);
    if (policies_ != nullptr) return true;
  }
  auto loaded = LoadPolicyPush(store_);
  Trouble("read the policies in force", loaded.status());
  if (!loaded.ok()) return false;
  std::lock_guard lock(mutex_);
  policies_ = *std::move(loaded);
  return true;
}

std::uint32_t SessionFleet::PoliciesChanged() {
  std::lock_guard load(load_mutex_);
  auto loaded = LoadPolicyPush(store_);
  Trouble("read the policies in force", loaded.status());
  std::lock_guard lock(mutex_);
  policies_stale_ = !loaded.ok();  // the next Tick tries again
  if (loaded.ok()) {
    const bool same = policies_ != nullptr && policies_->digest == (*loaded)->digest;
    if (!same) policies_changed_ = clock_.Monotonic();
    policies_ = *std::move(loaded);
  }
  std::uint32_t live = 0;
  for (auto& [id, session] : sessions_) {
    if (session->phase != SessionPhase::kLive) continue;
    ++live;
    if (!policies_stale_) session->out->SendLatest(policies_->set);
  }
  return live;
}

void SessionFleet::Tick() {
  Touches touches;
  bool stale = false;
  {
    std::lock_guard lock(mutex_);
    for (auto& [id, session] : sessions_) TickSession(*session);
    TickPacing();
    // What waited is older.
    for (const auto& [host, touch] : departed_) touches.push_back(touch);
    departed_.clear();
    for (auto& [host, slot] : slots_) TickSlot(host, slot, touches);
    stale = policies_stale_;
  }
  SayRefused();
  if (stale) PoliciesChanged();
  if (touches.empty()) return;
  const absl::Status kept = store_.TouchHosts(touches);
  Trouble("keep who was heard", kept);
  if (kept.ok()) return;
  std::lock_guard lock(mutex_);
  for (const HostTouch& touch : touches) KeepForLater(touch);
}

void SessionFleet::KeepForLater(const HostTouch& touch) {
  HostTouch& kept = departed_[touch.host];
  const HostTouch before = std::exchange(kept, touch);
  if (!touch.policy_digest.empty() || before.policy_digest.empty()) return;
  kept.policy_digest = before.policy_digest;
  kept.epoch = before.epoch;
  kept.sequence = before.sequence;
}

void SessionFleet::TickSession(FleetSession& session) {
  const absl::Duration lasted = clock_.Monotonic() - session.since;
  if (session.phase == SessionPhase::kAwaitsHello && lasted >= kHelloTime) {
    Close(session, v1::Goodbye::REASON_PROTOCOL, "no Hello within ten seconds");
  } else if (session.phase == SessionPhase::kClosing && lasted >= kCloseTime) {
    session.out->Abort();
  } else if (session.expires <= clock_.Now()) {
    Close(session, v1::Goodbye::REASON_PROTOCOL,
          absl::StrCat("the host's certificate expired at ",
                       absl::FormatTime(session.expires, absl::UTCTimeZone()),
                       "; it is let in with a new one"));
  }
}

void SessionFleet::TickSlot(HostId host, HostSlot& slot, Touches& touches) {
  const absl::Duration now = clock_.Monotonic();
  if (IsOverdue(slot)) Replace(slot);
  const bool heard_due = slot.touch_due && now - slot.touched >= kTouchEvery;
  if (!heard_due && !slot.policies_due) return;
  touches.push_back(TouchOf(host, slot));
  slot.touch_due = slot.policies_due = false;
  slot.touched = now;
}

void SessionFleet::Drain() {
  std::lock_guard lock(mutex_);
  draining_ = true;
  for (auto& [id, session] : sessions_) {
    Close(*session, v1::Goodbye::REASON_DRAIN, "the server is going down");
  }
}

std::unique_ptr<Fleet> MakeFleet(Store& store, const Clock& clock, Random& random,
                                 FleetOptions options) {
  return std::make_unique<SessionFleet>(store, clock, random, std::move(options));
}

}  // namespace dumpwarden
