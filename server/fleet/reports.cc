// SPDX-License-Identifier: Apache-2.0
// What hosts tell: check-ins, facts and reports.  A message is answered, and
// the next one read, when it is committed; one that cannot be committed as a
// whole is not committed at all, so that its events come again.
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/failpoint.h"
#include "server/fleet/checks.h"
#include "server/fleet/session_fleet.h"

namespace dumpwarden {
namespace {

SharedMessage AckOf(const StoredDigests& stored, bool want_full) {
  v1::ServerMessage message;
  message.mutable_ack()->set_epoch(stored.epoch);
  message.mutable_ack()->set_sequence(stored.sequence);
  message.mutable_ack()->set_want_full(want_full);
  return std::make_shared<const std::string>(message.SerializeAsString());
}

// The next of its epoch, the beginning of another, or the last one again, because its Ack was lost:
// whether that brings the same events, the store finds out.
bool Follows(const v1::Report& report, const StoredDigests& stored) {
  if (report.epoch() != stored.epoch) return report.full();
  return report.sequence() > stored.sequence ||
         (report.sequence() == stored.sequence && report.state_digest() == stored.state_digest);
}

// The host knows of more of its reports than are kept: this server was restored from a backup, and
// drifts may be over that are open here.  The epoch that such a host begins ends them.
bool WentBack(const Greeting& hello, const v1::Report& report, const StoredDigests& stored) {
  return report.epoch() == stored.epoch && hello.epoch == stored.epoch &&
         hello.acknowledged > stored.sequence;
}

}  // namespace

// The findings that are stored are what these policies find, too.
void SessionFleet::Confirm(HostSlot& slot, const std::string& policy_digest) {
  if (policy_digest.empty() || slot.stored.policy_digest == policy_digest) return;
  slot.stored.policy_digest = policy_digest;
  slot.policies_due = true;
}

// The host refuses what this server has, and rightly so: once is enough to say it.
void SessionFleet::NoteNewerPolicy(HostSlot& slot, const v1::Report& report) {
  for (const v1::Finding& finding : report.findings()) {
    const auto at = policies_->versions.find(finding.policy());
    if (at == policies_->versions.end() || finding.policy_version() <= at->second) continue;
    if (std::exchange(slot.newer_policy_told, true)) return;
    return Refuse("newer-policy", slot.uuid,
                  absl::StrCat("it has policy ", finding.policy(), " version ",
                               finding.policy_version(), ", this server version ", at->second,
                               ": was an older database restored? apply the policy with a version "
                               "above ",
                               finding.policy_version()));
  }
}

void SessionFleet::OnCheckIn(FleetSession& session, const v1::CheckIn& check_in) {
  const absl::Status fits = CheckCheckIn(check_in);
  std::lock_guard lock(mutex_);
  if (session.phase != SessionPhase::kLive) return;
  if (!fits.ok()) return Close(session, v1::Goodbye::REASON_PROTOCOL, fits.message());
  HostSlot& slot = slots_.at(session.host);
  const StoredDigests& stored = slot.stored;
  const bool same = check_in.sequence() == stored.sequence &&
                    check_in.state_digest() == stored.state_digest && !stored.epoch.empty();
  if (same) Confirm(slot, check_in.policy_digest());
  session.out->Send(AckOf(stored, !same));
  if (check_in.policy_digest() != policies_->digest) session.out->SendLatest(policies_->set);
  ReadNext(session);
}

// The host can do nothing about them, and still has reports to give: the session goes on.
void SessionFleet::RefuseFacts(FleetSession& session, const absl::Status& why) {
  const std::string what = absl::StrCat("facts are not kept: ", why.message());
  Refuse("facts", slots_.at(session.host).uuid, what);
  v1::ServerMessage message;
  message.mutable_notice()->set_message(what);
  session.out->Send(std::make_shared<const std::string>(message.SerializeAsString()));
  ReadNext(session);
}

void SessionFleet::OnFacts(FleetSession& session, v1::Facts facts) {
  const absl::Status fits = CheckFacts(facts);
  for (v1::Facts::Volume& volume : *facts.mutable_volumes()) volume.clear_mount();
  const std::string digest = FactsDigest(facts);
  {
    std::lock_guard lock(mutex_);
    if (session.phase != SessionPhase::kLive) return;
    if (!fits.ok()) return RefuseFacts(session, fits);
    if (slots_.at(session.host).stored.facts_digest == digest) return ReadNext(session);
    ++commits_;
  }
  store_.CommitFacts(session.host, std::move(facts), digest,
                     [this, id = session.id, host = session.host, digest](absl::Status status) {
                       OnFactsCommitted(id, host, digest, status);
                     });
}

void SessionFleet::OnFactsCommitted(SessionId id, HostId host, const std::string& digest,
                                    const absl::Status& status) {
  Trouble("keep a host's facts", status);
  std::lock_guard lock(mutex_);
  if (const auto slot = slots_.find(host); slot != slots_.end() && status.ok()) {
    slot->second.stored.facts_digest = digest;
  }
  if (FleetSession* session = FindIn(SessionPhase::kLive, id)) {
    if (status.ok()) {
      ReadNext(*session);
    } else {
      Close(*session, v1::Goodbye::REASON_DRAIN, "the server cannot write its store");
    }
  }
  if (--commits_ == 0) idle_.notify_all();
}

void SessionFleet::OnReport(FleetSession& session, v1::Report report) {
  const absl::Status fits = CheckReport(report);
  StoredDigests stored;
  bool went_back = false;
  {
    std::lock_guard lock(mutex_);
    if (session.phase != SessionPhase::kLive) return;
    if (!fits.ok()) return Close(session, v1::Goodbye::REASON_PROTOCOL, fits.message());
    stored = StoredOf(session);
    went_back = WentBack(session.hello, report, stored);
    NoteNewerPolicy(slots_.at(session.host), report);
  }
  if (went_back) stored.sequence = report.sequence();  // "taken", to the host
  if (went_back || !Follows(report, stored)) return AnswerOutOfTurn(session, stored);
  absl::StatusOr<HostState> state = StateAfter(session, report);
  if (state.ok() && StateDigest(*state) == report.state_digest()) {
    return Commit(session, std::move(report), *std::move(state), stored);
  }
  std::lock_guard lock(mutex_);
  if (session.phase != SessionPhase::kLive) return;
  if (absl::IsInvalidArgument(state.status())) {
    return Close(session, v1::Goodbye::REASON_PROTOCOL, state.status().message());
  }
  if (!state.ok()) {
    return Close(session, v1::Goodbye::REASON_DRAIN, "the server cannot read its store");
  }
  if (report.full()) {  // asking again would go round for ever
    return Close(session, v1::Goodbye::REASON_PROTOCOL,
                 "the digest of a full report is not that of its content; agent and server count "
                 "differently: upgrade the older of the two");
  }
  session.out->Send(AckOf(stored, true));
  ReadNext(session);
}

// Of a host whose state or server was restored: from the number it learns that it must begin an
// epoch.
void SessionFleet::AnswerOutOfTurn(FleetSession& session, const StoredDigests& stored) {
  std::lock_guard lock(mutex_);
  if (session.phase != SessionPhase::kLive) return;
  session.out->Send(AckOf(stored, true));
  ReadNext(session);
}

absl::StatusOr<HostState> SessionFleet::StateAfter(const FleetSession& session,
                                                   const v1::Report& report) {
  HostState state;
  if (!report.full()) {
    absl::StatusOr<HostState> kept = store_.ReadState(session.host);
    Trouble("read what a host reported", kept.status());
    if (!kept.ok()) return absl::UnavailableError(kept.status().message());
    state = *std::move(kept);
  }
  ApplyReport(report, state);
  if (absl::Status fits = CheckState(state); !fits.ok()) return fits;
  return state;
}

void SessionFleet::Commit(FleetSession& session, v1::Report report, HostState state,
                          const StoredDigests& base) {
  StoredDigests now;
  {
    std::lock_guard lock(mutex_);
    if (session.phase != SessionPhase::kLive) return;
    now = StoredOf(session);
    ++commits_;
  }
  now.epoch = report.epoch();
  now.sequence = report.sequence();
  now.state_digest = report.state_digest();
  now.policy_digest = report.policy_digest();
  // A new epoch may end drifts of earlier ones.
  const bool events = report.events_size() > 0 || (!base.epoch.empty() && base.epoch != now.epoch);
  ReportCommit commit;
  commit.host = session.host;
  commit.base_epoch = base.epoch;
  commit.base_sequence = base.sequence;
  commit.epoch = now.epoch;
  commit.sequence = now.sequence;
  commit.state_digest = now.state_digest;
  commit.policy_digest = report.policy_digest();
  commit.report = std::move(report);
  commit.state = std::move(state);
  commit.received = clock_.Now();
  store_.CommitReport(std::move(commit), [this, id = session.id, host = session.host, now,
                                          events](absl::Status status) {
    OnReportCommitted(id, host, now, events, status);
  });
}

void SessionFleet::OnReportCommitted(SessionId id, HostId host, const StoredDigests& now,
                                     bool events, const absl::Status& status) {
  if (absl::IsAborted(status)) return OnReportRefused(id, host, now);
  Trouble("keep a report", status);
  FAILPOINT("server.report-committed");
  if (status.ok() && events && options_.on_drift) options_.on_drift();
  std::lock_guard lock(mutex_);
  if (const auto slot = slots_.find(host); slot != slots_.end() && status.ok()) {
    StoredDigests& stored = slot->second.stored;
    stored = {now.epoch, now.sequence, now.state_digest, stored.facts_digest, now.policy_digest};
  }
  if (FleetSession* session = FindIn(SessionPhase::kLive, id)) {
    if (status.ok()) {
      session->out->Send(AckOf(now, false));
      ReadNext(*session);
    } else {
      Close(*session, v1::Goodbye::REASON_DRAIN, "the server cannot write its store");
    }
  }
  if (--commits_ == 0) idle_.notify_all();
}

// The report does not fit what is kept.  When its number would fit, its events do not: the host is
// told that this number is taken, and begins an epoch.
void SessionFleet::OnReportRefused(SessionId id, HostId host, const StoredDigests& now) {
  std::string uuid;
  {
    std::lock_guard lock(mutex_);
    if (const auto slot = slots_.find(host); slot != slots_.end()) uuid = slot->second.uuid;
  }
  const absl::StatusOr<HostRow> row = store_.FindHost(uuid);
  std::lock_guard lock(mutex_);
  const auto slot = slots_.find(host);
  if (slot != slots_.end() && row.ok()) {
    StoredDigests& stored = slot->second.stored;
    stored = {row->epoch, row->sequence, row->state_digest, stored.facts_digest,
              row->policy_digest};
    if (FleetSession* session = FindIn(SessionPhase::kLive, id)) {
      const bool events_differ = stored.epoch != now.epoch || stored.sequence < now.sequence;
      session->out->Send(AckOf(events_differ ? now : stored, true));
      ReadNext(*session);
    }
  } else if (FleetSession* session = FindIn(SessionPhase::kLive, id)) {
    Close(*session, v1::Goodbye::REASON_DRAIN, "the server cannot read its store");
  }
  if (--commits_ == 0) idle_.notify_all();
}

}  // namespace dumpwarden
