// SPDX-License-Identifier: Apache-2.0
// Hosts as operators see them: found by id or name, chosen by labels and
// state, summed up.  Read-only.
#ifndef DUMPWARDEN_SERVER_FLEET_HOSTS_H_
#define DUMPWARDEN_SERVER_FLEET_HOSTS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "dumpwarden/v1/admin.pb.h"
#include "server/fleet/fleet.h"
#include "server/store/store.h"

namespace dumpwarden {

// What policies select by: the reported facts, and the labels of the host's token over them.  A
// host that never reported has no facts.
absl::StatusOr<v1::Facts> FactsOf(Store& store, const HostRow& host);
void AddLabels(const HostRow& host, v1::Facts& facts);

// "role=sql,site=b": all must hold.  Empty is every host.
absl::StatusOr<std::map<std::string, std::string>> ParseLabelSelector(absl::string_view text);
bool HasLabels(const v1::Facts& facts, const std::map<std::string, std::string>& wanted);

// All but those that were revoked, which are out of the fleet: nothing is planned, checked or
// counted for them.
absl::StatusOr<std::vector<HostRow>> HostsInFleet(Store& store);

// By uuid, or by a name that only one host has (one in the fleet before those that were revoked):
// kNotFound, or kAborted naming the ids.
absl::StatusOr<HostRow> FindHostByText(Store& store, const std::string& text);

// A status word, "unknown", "hold", "quarantined" or "revoked"; `doubt` as Hosts::DoubtOf.
std::string StateWord(const HostRow& host, const std::string& doubt);
// With a doubt, the status is unspecified ("unknown"), and the reason says what it was.
void Doubt(const std::string& doubt, v1::Finding& finding);

class Hosts {
 public:
  // All must outlive this.  A host that was not heard for `stale_after` is "unknown", connected or
  // not: a host whose agent hangs holds its connection.
  Hosts(Store& store, Fleet& fleet, const Clock& clock, absl::Duration stale_after)
      : store_(store),
        fleet_(fleet),
        clock_(clock),
        stale_after_(stale_after),
        started_(clock.Now()) {}

  std::string StateOf(const HostRow& host) const { return StateWord(host, DoubtOf(host)); }
  // Why what the host found says nothing of today; empty when it does.
  std::string DoubtOf(const HostRow& host) const;
  v1::HostSummary Summarize(const HostRow& host, const v1::Facts& facts) const;

  absl::StatusOr<v1::ListHostsResponse> List(const v1::ListHostsRequest& request) const;
  absl::StatusOr<v1::GetHostResponse> Get(const v1::GetHostRequest& request) const;

 private:
  absl::Time LastHeard(const HostRow& host) const;
  bool IsSilent(const HostRow& host) const;

  Store& store_;
  Fleet& fleet_;
  const Clock& clock_;
  const absl::Duration stale_after_;
  const absl::Time started_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_HOSTS_H_
