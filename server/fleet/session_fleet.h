// SPDX-License-Identifier: Apache-2.0
// The one Fleet.  A mutex guards all; the store is never called under it,
// because the store's writer thread waits for it in the callbacks.  Private to
// this folder: others see fleet.h.
#ifndef DUMPWARDEN_SERVER_FLEET_SESSION_FLEET_H_
#define DUMPWARDEN_SERVER_FLEET_SESSION_FLEET_H_

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/reconcile/state_digest.h"
#include "server/fleet/fleet.h"
#include "server/fleet/policy_push.h"
#include "server/fleet/rate.h"

namespace dumpwarden {

// What the store is known to hold of a host.
struct StoredDigests {
  std::string epoch;
  std::uint64_t sequence = 0;
  std::string state_digest;
  std::string facts_digest;
  std::string policy_digest;  // of the set that the findings speak of
};

// What is needed of a Hello later on.
struct Greeting {
  std::string agent_version;
  std::string epoch;
  std::uint64_t acknowledged = 0;
  std::string state_digest;
  std::string facts_digest;
  std::string policy_digest;
};

enum class SessionPhase { kAwaitsHello, kAwaitsProbe, kLive, kClosing };

struct FleetSession {
  SessionId id = 0;
  HostId host = 0;
  SessionOut* out = nullptr;
  absl::Time expires;  // the certificate
  SessionPhase phase = SessionPhase::kAwaitsHello;
  absl::Duration since;  // monotonic: when the phase began
  bool paced = false;    // its next read waits until the host sends less
  absl::Duration read_since = -absl::InfiniteDuration();  // monotonic: when it last was no more
  Greeting hello;
};

// A host that has open streams.
struct HostSlot {
  std::string uuid;
  std::string agent_version;
  StoredDigests stored;
  int streams = 0;
  SessionId live = 0;
  SessionId waiting = 0;     // the newer one, while the live one is probed
  std::string probe_nonce;   // empty = none is out
  absl::Duration probed;     // monotonic
  bool quarantined = false;  // by this run; the row that a stream brings may be older
  absl::Time heard = absl::InfinitePast();
  bool touch_due = false;     // heard since the store was last told
  bool policies_due = false;  // so is stored.policy_digest
  absl::Duration touched = -absl::InfiniteDuration();
  bool newer_policy_told = false;
};

// Apart, so that whoever opens sessions with a stolen key does not silence the one that is live.
struct HostSpending {
  Spending messages;  // of the live session
  Spending openings;  // of new ones, with what they say before they are live
};

// For the log.
struct TurnedAway {
  std::string word;
  std::string host;  // the last one
  std::string detail;
  std::uint64_t times = 1;
};

class SessionFleet final : public Fleet {
 public:
  SessionFleet(Store& store, const Clock& clock, Random& random, FleetOptions options)
      : store_(store), clock_(clock), random_(random), options_(std::move(options)) {}

  // Callbacks of the store may still be on their way.
  ~SessionFleet() override {
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return commits_ == 0; });
  }

  absl::Status CheckRoom(const HostRow& host) override;
  SessionId OnOpened(const HostRow& host, absl::Time expires, SessionOut& out) override;
  void OnMessage(SessionId id, v1::AgentMessage message) override;
  void OnGarbage(SessionId id, absl::string_view why) override;
  void OnClosed(SessionId id) override;
  std::uint32_t PoliciesChanged() override;
  std::uint32_t Revoke(HostId host) override;
  std::uint32_t Hold(HostId host) override;
  void Approve(HostId host) override;
  void Tick() override;
  bool IsConnected(HostId host) const override { return LastHeard(host).has_value(); }
  std::optional<absl::Time> LastHeard(HostId host) const override;
  PolicyStanding StandingOf(const HostRow& host) override;
  void Drain() override;
  std::size_t OpenStreams() const override;

 private:
  using Touches = std::vector<HostTouch>;

  void OnHello(FleetSession& session, v1::Hello hello);
  void OnFacts(FleetSession& session, v1::Facts facts);
  void OnReport(FleetSession& session, v1::Report report);
  void OnCheckIn(FleetSession& session, const v1::CheckIn& check_in);
  void OnPolicyRequest(FleetSession& session, const v1::PolicyRequest& request);
  void OnProbeReply(FleetSession& session, const v1::ProbeReply& reply);

  // `base` is what `state` was computed from.
  void Commit(FleetSession& session, v1::Report report, HostState state, const StoredDigests& base);
  void OnReportCommitted(SessionId id, HostId host, const StoredDigests& now, bool events,
                         const absl::Status& status);
  void OnReportRefused(SessionId id, HostId host, const StoredDigests& now);
  void OnFactsCommitted(SessionId id, HostId host, const std::string& digest,
                        const absl::Status& status);
  void AnswerOutOfTurn(FleetSession& session, const StoredDigests& stored);
  absl::StatusOr<HostState> StateAfter(const FleetSession& session, const v1::Report& report);
  bool LoadPolicies();
  void NoteVersion(FleetSession& session);
  void Trouble(absl::string_view what, const absl::Status& status);
  void SayRefused();

  // All below: mutex_ is held.
  FleetSession* Find(SessionId id);
  FleetSession* FindIn(SessionPhase phase, SessionId id);  // null when it is in another phase
  StoredDigests StoredOf(const FleetSession& session) { return slots_.at(session.host).stored; }
  // "" = it is not.
  std::string WhyRefused(const HostRow& host, const HostSlot& slot,
                         v1::Goodbye::Reason& reason) const;
  std::uint32_t CloseAll(HostId host, v1::Goodbye::Reason reason, absl::string_view message);
  void Close(FleetSession& session, v1::Goodbye::Reason reason, absl::string_view message);
  void Refuse(absl::string_view word, const std::string& host, absl::string_view detail);
  void Confirm(HostSlot& slot, const std::string& policy_digest);
  void RefuseFacts(FleetSession& session, const absl::Status& why);
  void NoteNewerPolicy(HostSlot& slot, const v1::Report& report);
  void Admit(FleetSession& session, HostSlot& slot);
  void Welcome(FleetSession& session, HostSlot& slot);
  void Probe(FleetSession& live, HostSlot& slot);
  void Replace(HostSlot& slot);
  void SpendOpening(HostId host, int cost);
  void SpendMessage(const FleetSession& session, int cost);
  bool MayOpen(HostId host) const;
  bool MayGoOn(HostId host) const;
  bool IsOverdue(const HostSlot& slot) const;
  void ReadNext(FleetSession& session);
  void TickPacing();
  void TickSession(FleetSession& session);
  void TickSlot(HostId host, HostSlot& slot, Touches& touches);
  void KeepForLater(const HostTouch& touch);
  absl::Duration Window() const;

  Store& store_;
  const Clock& clock_;
  Random& random_;
  const FleetOptions options_;

  std::mutex load_mutex_;  // taken before mutex_: an older set never replaces a newer one
  mutable std::mutex mutex_;
  std::condition_variable idle_;
  int commits_ = 0;  // callbacks under way
  SessionId last_id_ = 0;
  bool draining_ = false;
  bool policies_stale_ = false;
  std::shared_ptr<const PolicyPush> policies_;
  absl::Duration policies_changed_ = -absl::InfiniteDuration();  // monotonic; in this run
  std::unordered_map<SessionId, std::unique_ptr<FleetSession>> sessions_;
  std::unordered_map<HostId, HostSlot> slots_;
  // Heard, gone (or the store failed), and not yet told to the store: one a host.
  std::map<HostId, HostTouch> departed_;
  // By this run; the row that a stream brings may be older.
  std::unordered_set<HostId> revoked_;
  std::unordered_set<HostId> held_;
  std::unordered_map<HostId, HostSpending> spending_;  // of the last seconds
  std::vector<TurnedAway> refused_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_SESSION_FLEET_H_
