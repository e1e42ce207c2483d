// SPDX-License-Identifier: Apache-2.0
// Who sends too much is read later.  What was spent belongs to the identity:
// a new stream does not begin anew, and who has not sent for a while is
// forgotten, so that it takes no memory.  Who is turned away is told here too.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/fleet/session_fleet.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kProbeTime = absl::Seconds(10);
// Of one that is not read all the while: by then it was read what it may have sent before it was
// asked, the largest of everything, at five messages a second.
constexpr absl::Duration kLongestProbe = absl::Minutes(1);
// Each with its own entry, from one Tick to the next; beyond, one a word.
constexpr std::size_t kMaxTurnedAway = 48;

}  // namespace

void SessionFleet::SpendOpening(HostId host, int cost) {
  spending_[host].openings.Add(cost, options_.messages_per_second, clock_.Monotonic());
}

void SessionFleet::SpendMessage(const FleetSession& session, int cost) {
  if (session.phase != SessionPhase::kLive) return SpendOpening(session.host, cost);
  spending_[session.host].messages.Add(cost, options_.messages_per_second, clock_.Monotonic());
}

bool SessionFleet::MayOpen(HostId host) const {
  const auto at = spending_.find(host);
  return at == spending_.end() || at->second.openings.MayGoOn(clock_.Monotonic());
}

bool SessionFleet::MayGoOn(HostId host) const {
  const auto at = spending_.find(host);
  return at == spending_.end() || at->second.messages.MayGoOn(clock_.Monotonic());
}

void SessionFleet::ReadNext(FleetSession& session) {
  if (MayGoOn(session.host)) return session.out->ReadNext();
  session.paced = true;
  Refuse("rate", slots_.at(session.host).uuid,
         absl::StrCat("it sends more than limits.messages-per-second, ",
                      options_.messages_per_second, ": it is read more slowly, nothing is lost"));
}

// Whoever is not read cannot answer: its time stands still meanwhile, but not for ever.
bool SessionFleet::IsOverdue(const HostSlot& slot) const {
  if (slot.probe_nonce.empty()) return false;
  const absl::Duration now = clock_.Monotonic();
  const auto live = sessions_.find(slot.live);
  if (live == sessions_.end() || now - slot.probed >= kLongestProbe) return true;
  const FleetSession& session = *live->second;
  return !session.paced && now - std::max(slot.probed, session.read_since) >= kProbeTime;
}

void SessionFleet::TickPacing() {
  const absl::Duration now = clock_.Monotonic();
  for (auto& [id, session] : sessions_) {
    if (!session->paced || !MayGoOn(session->host)) continue;
    session->paced = false;
    session->read_since = now;
    session->out->ReadNext();
  }
  std::erase_if(spending_, [now](const auto& entry) {
    return entry.second.messages.IsForgotten(now) && entry.second.openings.IsForgotten(now);
  });
}

// Under mutex_; said by Tick, because whoever hears of it may call the store.
void SessionFleet::Refuse(absl::string_view word, const std::string& host,
                          absl::string_view detail) {
  if (!options_.on_refused) return;
  // A flood takes no more room than its first, of however many hosts it is.
  const bool full = refused_.size() >= kMaxTurnedAway;
  const auto same = std::find_if(refused_.rbegin(), refused_.rend(), [&](const TurnedAway& one) {
    return one.word == word && (full || one.host == host);
  });
  if (same == refused_.rend()) {
    refused_.push_back({std::string(word), host, std::string(detail)});
    return;
  }
  same->host = host;
  same->detail = std::string(detail);
  ++same->times;
}

void SessionFleet::SayRefused() {
  std::vector<TurnedAway> refused;
  {
    std::lock_guard lock(mutex_);
    refused.swap(refused_);
  }
  for (const TurnedAway& one : refused) {
    for (std::uint64_t i = 0; i < one.times; ++i) {
      options_.on_refused(one.word, one.host, one.detail);
    }
  }
}

}  // namespace dumpwarden
