// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/compliance.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/reconcile/status.h"
#include "server/fleet/answers.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kDefaultDrifts = 1000;
constexpr std::uint32_t kMaxDrifts = 10'000;
constexpr std::uint32_t kDriftsAtOnce = 500;  // read of the store, so that memory is bounded too
constexpr std::size_t kFieldBytes = 8;        // around each in the answer

constexpr absl::string_view kUnknown = "unknown";

struct ChosenHost {
  HostRow row;
  std::string doubt;
};

absl::StatusOr<std::map<HostId, ChosenHost>> Chosen(Store& store, const Hosts& hosts,
                                                    const std::string& selector) {
  ASSIGN_OR_RETURN(const auto wanted, ParseLabelSelector(selector));
  ASSIGN_OR_RETURN(std::vector<HostRow> rows, HostsInFleet(store));
  std::map<HostId, ChosenHost> chosen;
  for (HostRow& row : rows) {
    if (!wanted.empty()) {
      ASSIGN_OR_RETURN(const v1::Facts facts, FactsOf(store, row));
      if (!HasLabels(facts, wanted)) continue;
    }
    const HostId id = row.id;
    std::string doubt = hosts.DoubtOf(row);
    chosen.emplace(id, ChosenHost{std::move(row), std::move(doubt)});
  }
  return chosen;
}

absl::StatusOr<v1::Status> ParseStatus(const std::string& word) {
  const v1::Status status = StatusFromWord(word);
  if (word.empty() || word == kUnknown || status != v1::STATUS_UNSPECIFIED) return status;
  return absl::InvalidArgumentError(
      absl::StrCat("status ", Quote(word), " is none; compliant, drifted, ..., unknown"));
}

bool Before(const v1::HostFinding& a, const v1::HostFinding& b) {
  const auto key = [](const v1::HostFinding& row) {
    return std::tuple(absl::string_view(row.host()), absl::string_view(row.host_id()),
                      absl::string_view(row.finding().setting()),
                      static_cast<int>(row.finding().mode()));
  };
  return key(a) < key(b);
}

}  // namespace

absl::StatusOr<v1::SummarizeComplianceResponse> SummarizeCompliance(
    Store& store, const Hosts& hosts, const v1::SummarizeComplianceRequest& request) {
  ASSIGN_OR_RETURN(const auto chosen, Chosen(store, hosts, request.label_selector()));
  ASSIGN_OR_RETURN(const auto findings, store.ListFindings());
  v1::SummarizeComplianceResponse response;
  response.set_hosts(static_cast<std::uint32_t>(chosen.size()));
  for (const auto& [id, host] : chosen) {
    ++(*response.mutable_states())[StateWord(host.row, host.doubt)];
  }
  for (const auto& [id, finding] : findings) {
    const auto host = chosen.find(id);
    if (host == chosen.end()) continue;
    const bool known = host->second.doubt.empty();
    ++(*response.mutable_findings())[std::string(known ? StatusWord(finding.status()) : kUnknown)];
  }
  return response;
}

absl::StatusOr<std::vector<v1::HostFinding>> ReportCompliance(
    Store& store, const Hosts& hosts, const v1::ReportComplianceRequest& request) {
  ASSIGN_OR_RETURN(const v1::Status wanted, ParseStatus(request.status()));
  ASSIGN_OR_RETURN(const auto chosen, Chosen(store, hosts, request.label_selector()));
  ASSIGN_OR_RETURN(auto findings, store.ListFindings());
  std::vector<v1::HostFinding> rows;
  for (auto& [id, finding] : findings) {
    const auto host = chosen.find(id);
    if (host == chosen.end()) continue;
    Doubt(host->second.doubt, finding);
    if (!request.status().empty() && finding.status() != wanted) continue;
    v1::HostFinding& row = rows.emplace_back();
    row.set_host_id(host->second.row.uuid);
    row.set_host(host->second.row.name);
    row.set_host_state(StateWord(host->second.row, host->second.doubt));
    *row.mutable_finding() = std::move(finding);
  }
  std::sort(rows.begin(), rows.end(), Before);
  return rows;
}

absl::StatusOr<v1::ListDriftResponse> ListDrift(Store& store, const v1::ListDriftRequest& request) {
  DriftQuery query;
  query.limit = request.limit() == 0 ? kDefaultDrifts : std::min(request.limit(), kMaxDrifts);
  query.before_cursor = request.before_cursor();
  if (!request.host().empty()) {
    ASSIGN_OR_RETURN(const HostRow host, FindHostByText(store, request.host()));
    query.host = host.id;
  }
  const std::uint32_t wanted = query.limit;
  v1::ListDriftResponse response;
  std::size_t bytes = 0;
  while (static_cast<std::uint32_t>(response.drifts_size()) < wanted) {
    query.limit =
        std::min(kDriftsAtOnce, wanted - static_cast<std::uint32_t>(response.drifts_size()));
    ASSIGN_OR_RETURN(std::vector<v1::Drift> drifts, store.ListDrift(query));
    for (v1::Drift& drift : drifts) {
      bytes += drift.ByteSizeLong() + kFieldBytes;
      if (bytes > kMaxAnswerBytes) return response;
      query.before_cursor = drift.cursor();
      *response.add_drifts() = std::move(drift);
    }
    if (drifts.size() < query.limit) break;
  }
  return response;
}

}  // namespace dumpwarden
