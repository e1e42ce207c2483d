// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/hosts.h"

#include <algorithm>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"
#include "core/reconcile/status.h"
#include "server/fleet/answers.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kUnknown = "unknown";
constexpr absl::string_view kQuarantined = "quarantined";
constexpr absl::string_view kRevoked = "revoked";
constexpr absl::string_view kHold = "hold";

absl::Status CheckStateWord(const std::string& word) {
  if (word.empty() || word == kUnknown || word == kQuarantined || word == kRevoked ||
      word == kHold || StatusFromWord(word) != v1::STATUS_UNSPECIFIED) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("state ", Quote(word),
                   " is none; accepted are a status (compliant, drifted, ...), unknown, hold, "
                   "quarantined and revoked"));
}

const char* StandingWord(PolicyStanding standing) {
  switch (standing) {
    case PolicyStanding::kCurrent:
      return "current";
    case PolicyStanding::kPending:
      return "pending";
    case PolicyStanding::kOutdated:
      return "outdated";
  }
  return "";
}

}  // namespace

std::string StateWord(const HostRow& host, const std::string& doubt) {
  if (host.revoked) return std::string(kRevoked);
  if (host.quarantined) return std::string(kQuarantined);
  if (host.hold) return std::string(kHold);
  const bool known = host.state != v1::STATUS_UNSPECIFIED && doubt.empty();
  return std::string(known ? StatusWord(host.state) : kUnknown);
}

void Doubt(const std::string& doubt, v1::Finding& finding) {
  if (doubt.empty()) return;
  const std::string reason = finding.reason();
  finding.set_reason(absl::StrCat("was ", StatusWord(finding.status()), "; ", doubt,
                                  reason.empty() ? "" : "; ", reason));
  finding.set_status(v1::STATUS_UNSPECIFIED);
}

absl::StatusOr<v1::Facts> FactsOf(Store& store, const HostRow& host) {
  v1::Facts facts;
  if (absl::StatusOr<v1::Facts> kept = store.ReadFacts(host.id); kept.ok()) {
    facts = *std::move(kept);
  } else if (!absl::IsNotFound(kept.status())) {
    return kept.status();
  }
  AddLabels(host, facts);
  return facts;
}

void AddLabels(const HostRow& host, v1::Facts& facts) {
  for (const auto& [key, value] : host.labels) (*facts.mutable_labels())[key] = value;
}

absl::StatusOr<std::map<std::string, std::string>> ParseLabelSelector(absl::string_view text) {
  std::map<std::string, std::string> wanted;
  for (absl::string_view part : absl::StrSplit(text, ',', absl::SkipWhitespace())) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(part, absl::MaxSplits('=', 1));
    if (pair.first.empty() || part.find('=') == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("label selector: ", Quote(part),
                                                     " is not KEY=VALUE, as in role=sql,site=b"));
    }
    wanted[pair.first] = pair.second;
  }
  return wanted;
}

bool HasLabels(const v1::Facts& facts, const std::map<std::string, std::string>& wanted) {
  return std::all_of(wanted.begin(), wanted.end(), [&](const auto& want) {
    const auto at = facts.labels().find(want.first);
    return at != facts.labels().end() && at->second == want.second;
  });
}

absl::StatusOr<std::vector<HostRow>> HostsInFleet(Store& store) {
  ASSIGN_OR_RETURN(std::vector<HostRow> hosts, store.ListHosts());
  std::erase_if(hosts, [](const HostRow& host) { return host.revoked; });
  return hosts;
}

absl::StatusOr<HostRow> FindHostByText(Store& store, const std::string& text) {
  absl::StatusOr<HostRow> by_id = store.FindHost(text);
  if (by_id.ok() || !absl::IsNotFound(by_id.status())) return by_id;
  ASSIGN_OR_RETURN(const std::vector<HostRow> hosts, store.ListHosts());
  std::vector<const HostRow*> named;
  for (const bool revoked : {false, true}) {
    for (const HostRow& host : hosts) {
      if (host.revoked == revoked && EqualsIgnoreCase(host.name, text)) named.push_back(&host);
    }
    if (!named.empty()) break;
  }
  if (named.empty()) {
    return absl::NotFoundError(absl::StrCat("no host has the id or name ", Quote(text),
                                            "; `dumpctl host list` shows all"));
  }
  if (named.size() == 1) return *named.front();
  return absl::AbortedError(absl::StrCat(
      named.size(), " hosts have the name ", Quote(text), "; give one's id: ",
      absl::StrJoin(named.begin(), named.begin() + std::min<std::ptrdiff_t>(10, std::ssize(named)),
                    ", ", [](std::string* out, const HostRow* host) { *out += host->uuid; })));
}

absl::Time Hosts::LastHeard(const HostRow& host) const {
  return std::max(host.last_seen, fleet_.LastHeard(host.id).value_or(absl::InfinitePast()));
}

bool Hosts::IsSilent(const HostRow& host) const {
  const absl::Time heard = LastHeard(host);
  // What a server that was killed heard last, it may not have told the store.
  const absl::Duration untold = heard < started_ ? kTouchEvery : absl::ZeroDuration();
  return clock_.Now() - heard > stale_after_ + untold;
}

std::string Hosts::DoubtOf(const HostRow& host) const {
  if (host.revoked) return "the host was revoked";
  if (host.quarantined) return "two live hosts use this identity";
  if (host.hold) return "the host is held until an operator approves it";
  if (IsSilent(host)) {
    return absl::StrCat("not heard since ", absl::FormatTime(LastHeard(host), absl::UTCTimeZone()));
  }
  if (fleet_.StandingOf(host) != PolicyStanding::kOutdated) return "";
  return "the host has other policies than those in force";
}

v1::HostSummary Hosts::Summarize(const HostRow& host, const v1::Facts& facts) const {
  v1::HostSummary summary;
  summary.set_id(host.uuid);
  summary.set_name(host.name);
  summary.set_state(StateOf(host));
  summary.set_connected(fleet_.IsConnected(host.id));
  const absl::Time seen = LastHeard(host);
  if (seen != absl::InfinitePast()) *summary.mutable_last_seen() = ToTimestamp(seen);
  *summary.mutable_enrolled() = ToTimestamp(host.enrolled);
  *summary.mutable_labels() = facts.labels();
  summary.set_agent_version(host.agent_version);
  summary.set_os_build(facts.os().build());
  if (!host.epoch.empty()) summary.set_policies(StandingWord(fleet_.StandingOf(host)));
  return summary;
}

absl::StatusOr<v1::ListHostsResponse> Hosts::List(const v1::ListHostsRequest& request) const {
  ASSIGN_OR_RETURN(const auto wanted, ParseLabelSelector(request.label_selector()));
  RETURN_IF_ERROR(CheckStateWord(request.state()));
  ASSIGN_OR_RETURN(std::vector<HostRow> rows, store_.ListHosts());
  std::sort(rows.begin(), rows.end(), [](const HostRow& a, const HostRow& b) {
    return std::tie(a.name, a.uuid) < std::tie(b.name, b.uuid);
  });
  v1::ListHostsResponse response;
  for (const HostRow& row : rows) {
    if (!request.state().empty() && StateOf(row) != request.state()) continue;
    ASSIGN_OR_RETURN(const v1::Facts facts, FactsOf(store_, row));
    if (HasLabels(facts, wanted)) *response.add_hosts() = Summarize(row, facts);
  }
  RETURN_IF_ERROR(CheckAnswer(response, "choose fewer hosts by label or state"));
  return response;
}

absl::StatusOr<v1::GetHostResponse> Hosts::Get(const v1::GetHostRequest& request) const {
  ASSIGN_OR_RETURN(const HostRow row, FindHostByText(store_, request.host()));
  ASSIGN_OR_RETURN(v1::Facts facts, FactsOf(store_, row));
  v1::GetHostResponse response;
  *response.mutable_host() = Summarize(row, facts);
  *response.mutable_facts() = std::move(facts);
  response.set_host_key(absl::StrCat("sha256:", Sha256Hex(row.host_key)));
  if (!row.epoch.empty()) {
    ASSIGN_OR_RETURN(HostState state, store_.ReadState(row.id));
    const std::string doubt = DoubtOf(row);
    for (v1::Finding& finding : state.findings) {
      Doubt(doubt, finding);
      *response.add_findings() = std::move(finding);
    }
    *response.mutable_observation() = std::move(state.observation);
  }
  RETURN_IF_ERROR(CheckAnswer(response, "this host reported too much to be shown"));
  return response;
}

}  // namespace dumpwarden
