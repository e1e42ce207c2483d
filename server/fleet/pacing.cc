// SPDX-License-Identifier: Apache-2.0
// Who sends too much is read later.  What was spent belongs to the identity:
// a new stream does not begin anew, and who has not sent for a while is
// forgotten, so that it takes no memory.
#include "absl/strings/str_cat.h"
#include "server/fleet/session_fleet.h"

namespace dumpwarden {

void SessionFleet::Spend(HostId host, int cost) {
  spending_[host].Add(cost, options_.messages_per_second, clock_.Monotonic());
}

bool SessionFleet::MayGoOn(HostId host) const {
  const auto at = spending_.find(host);
  return at == spending_.end() || at->second.MayGoOn(clock_.Monotonic());
}

void SessionFleet::ReadNext(FleetSession& session) {
  if (MayGoOn(session.host)) return session.out->ReadNext();
  session.paced = true;
  Refuse("rate", slots_.at(session.host).uuid,
         absl::StrCat("it sends more than limits.messages-per-second, ",
                      options_.messages_per_second, ": it is read more slowly, nothing is lost"));
}

void SessionFleet::TickPacing() {
  for (auto& [id, session] : sessions_) {
    if (!session->paced || !MayGoOn(session->host)) continue;
    session->paced = false;
    session->out->ReadNext();
  }
  std::erase_if(spending_, [now = clock_.Monotonic()](const auto& entry) {
    return entry.second.IsForgotten(now);
  });
}

}  // namespace dumpwarden
