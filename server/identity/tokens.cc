// SPDX-License-Identifier: Apache-2.0
#include "server/identity/tokens.h"

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/timestamp.h"

namespace dumpwarden {
namespace {

constexpr std::uint32_t kUsualTokens = 1000;
constexpr std::uint32_t kMostTokens = 100'000;
constexpr const char* kStates[] = {"open", "used", "expired", "revoked"};

const char* StateOf(const TokenRecord& record, absl::Time now) {
  if (record.used.has_value()) return "used";
  if (record.revoked.has_value()) return "revoked";
  return record.token.expires <= now ? "expired" : "open";
}

v1::TokenSummary SummaryOf(const TokenRecord& record, absl::Time now) {
  v1::TokenSummary summary;
  summary.set_id(record.token.id);
  summary.set_state(StateOf(record, now));
  summary.mutable_labels()->insert(record.token.labels.begin(), record.token.labels.end());
  summary.set_expected_name(record.token.expected_name);
  summary.set_hold(record.token.hold);
  *summary.mutable_expires() = ToTimestamp(record.token.expires);
  const std::optional<absl::Time> ended = record.used.has_value() ? record.used : record.revoked;
  if (ended.has_value()) *summary.mutable_ended() = ToTimestamp(*ended);
  summary.set_host_id(record.used_by);
  return summary;
}

absl::Status CheckState(const std::string& state) {
  const bool known = std::find(std::begin(kStates), std::end(kStates), state) != std::end(kStates);
  if (state.empty() || known) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "state ", Quote(state), " is none; accepted are open, used, expired and revoked"));
}

}  // namespace

absl::StatusOr<v1::ListTokensResponse> ListTokens(Store& store,
                                                  const v1::ListTokensRequest& request,
                                                  absl::Time now) {
  RETURN_IF_ERROR(CheckState(request.state()));
  const std::uint32_t limit =
      request.limit() == 0 ? kUsualTokens : std::min(request.limit(), kMostTokens);
  ASSIGN_OR_RETURN(const std::vector<TokenRecord> records, store.ListTokens());
  v1::ListTokensResponse response;
  for (const TokenRecord& record : records) {
    if (static_cast<std::uint32_t>(response.tokens_size()) == limit) break;
    if (!request.state().empty() && request.state() != StateOf(record, now)) continue;
    *response.add_tokens() = SummaryOf(record, now);
  }
  return response;
}

absl::StatusOr<v1::RevokeTokenResponse> RevokeToken(Store& store,
                                                    const v1::RevokeTokenRequest& request,
                                                    const std::string& actor,
                                                    const std::string& source, absl::Time now) {
  v1::RevokeTokenResponse response;
  if (request.dry_run()) {
    ASSIGN_OR_RETURN(const std::vector<TokenRecord> records, store.ListTokens());
    const auto at = std::find_if(records.begin(), records.end(), [&](const TokenRecord& record) {
      return record.token.id == request.id();
    });
    if (at == records.end()) {
      return absl::NotFoundError(absl::StrCat("there is no token ", Quote(request.id())));
    }
    const std::string state = StateOf(*at, now);
    if (state == "used" || state == "expired") {
      return absl::FailedPreconditionError(
          absl::StrCat("the token is ", state, ", so there is nothing to take back"));
    }
    response.set_changed(state == "open");
    return response;
  }
  ASSIGN_OR_RETURN(const bool changed, store.RevokeToken(request.id(), now,
                                                         {.actor = actor,
                                                          .source = source,
                                                          .action = "token.revoke",
                                                          .object = request.id(),
                                                          .detail = "",
                                                          .before = "",
                                                          .after = ""}));
  response.set_changed(changed);
  return response;
}

}  // namespace dumpwarden
