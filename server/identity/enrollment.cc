// SPDX-License-Identifier: Apache-2.0
#include "server/identity/enrollment.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/policy/facts.h"
#include "platform/keys.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kFailuresAMinute = 5;
constexpr std::size_t kMaxAddresses = 10'000;
constexpr std::size_t kMaxHostName = 253;
constexpr absl::string_view kProofPrefix("dumpwarden-enroll-v1\0", 21);
constexpr absl::string_view kRefusal =
    "the token is not valid here: unknown, used, expired or for another host name";

absl::Status CheckHostName(const std::string& name) {
  if (!name.empty() && name.size() <= kMaxHostName && Printable(name) == name) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("host_name: 1 to ", kMaxHostName, " printable characters are accepted"));
}

absl::StatusOr<absl::Duration> LifeOf(const v1::CreateTokenRequest& request) {
  if (request.ttl_seconds() == 0) return kUsualTokenLife;
  const absl::Duration life = absl::Seconds(request.ttl_seconds());
  if (life <= kLongestTokenLife) return life;
  return absl::InvalidArgumentError(
      absl::StrCat("a token may live at most 7 days (604800 s), not ", request.ttl_seconds(),
                   " s; make it when the host is about to be enrolled"));
}

// What makes one token worth more to a thief than another.
std::string DescribeToken(const TokenRow& token, absl::Duration life) {
  const auto& labels = token.labels;
  const std::string& name = token.expected_name;
  return absl::StrCat(
      "labels ", labels.empty() ? "none" : absl::StrJoin(labels, ",", absl::PairFormatter("=")),
      "; for ", name.empty() ? "any host" : absl::StrCat("the host ", Quote(name)), "; good for ",
      absl::FormatDuration(life), "; expires ",
      absl::FormatTime(token.expires, absl::UTCTimeZone()),
      token.hold ? "; the host is held until it is approved" : "");
}

// "[fe80::1%eth0]", as a library writes it or percent-encoded as in a URI.
std::optional<in6_addr> ParseIpv6(absl::string_view text) {
  const std::string decoded = absl::StrReplaceAll(text, {{"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  absl::string_view rest = decoded;
  absl::ConsumePrefix(&rest, "[");
  absl::ConsumeSuffix(&rest, "]");
  const std::string address(rest.substr(0, rest.find('%')));
  in6_addr parsed;
  if (inet_pton(AF_INET6, address.c_str(), &parsed) != 1) return std::nullopt;
  return parsed;
}

std::string FormatNetwork(in6_addr address) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (IN6_IS_ADDR_V4MAPPED(&address)) {
    inet_ntop(AF_INET, address.s6_addr + 12, text.data(), text.size());
    return absl::StrCat("ipv4:", text.data());
  }
  std::fill(address.s6_addr + 8, address.s6_addr + 16, std::uint8_t{0});
  inet_ntop(AF_INET6, &address, text.data(), text.size());
  return absl::StrCat("ipv6:", text.data(), "/64");
}

}  // namespace

std::string AddressOfPeer(absl::string_view peer) {
  const auto colon = peer.rfind(':');
  const absl::string_view address = peer.substr(0, colon);
  absl::string_view v6 = address;
  if (absl::ConsumePrefix(&v6, "ipv6:")) {
    if (const auto parsed = ParseIpv6(v6)) return FormatNetwork(*parsed);
  }
  return std::string(address);
}

bool FailureLimit::IsOver(const std::string& address) {
  std::lock_guard lock(mutex_);
  Forget();
  const auto at = failures_.find(address);
  // A full table refuses strangers rather than forgetting whom it counts.
  if (at == failures_.end()) return failures_.size() >= kMaxAddresses;
  return at->second.size() >= kFailuresAMinute;
}

void FailureLimit::Count(const std::string& address) {
  std::lock_guard lock(mutex_);
  failures_[address].push_back(clock_.Monotonic());
}

void FailureLimit::Forget() {
  const absl::Duration now = clock_.Monotonic();
  if (now - forgot_ < absl::Seconds(1)) return;  // a full table is long
  forgot_ = now;
  const absl::Duration oldest = now - absl::Minutes(1);
  for (auto at = failures_.begin(); at != failures_.end();) {
    while (!at->second.empty() && at->second.front() <= oldest) at->second.pop_front();
    at = at->second.empty() ? failures_.erase(at) : std::next(at);
  }
}

absl::StatusOr<HostEnrollment::NewToken> HostEnrollment::MakeToken(
    const v1::CreateTokenRequest& request, const std::string& actor, const std::string& source) {
  NewToken made;
  TokenRow& row = made.row;
  row.labels = {request.labels().begin(), request.labels().end()};
  RETURN_IF_ERROR(CheckLabels(row.labels));
  if (!request.expected_name().empty()) RETURN_IF_ERROR(CheckHostName(request.expected_name()));
  ASSIGN_OR_RETURN(const absl::Duration life, LifeOf(request));
  EnrollmentToken token;
  token.id = row.id = absl::BytesToHexString(random_.Bytes(16));
  token.secret = absl::BytesToHexString(random_.Bytes(32));
  token.root_pin = authority_.root_pin();
  // Whole seconds: that is what the token's text can say.
  token.expires = row.expires = absl::FromUnixSeconds(absl::ToUnixSeconds(clock_.Now() + life));
  row.secret_digest = Sha256(token.secret);
  row.expected_name = request.expected_name();
  row.hold = request.hold();
  made.audit = {.actor = actor,
                .source = source,
                .action = "token.create",
                .object = row.id,
                .detail = DescribeToken(row, life),
                .before = "",
                .after = ""};
  made.response.mutable_expires()->set_seconds(absl::ToUnixSeconds(token.expires));
  made.text = FormatToken(token);
  return made;
}

absl::StatusOr<v1::CreateTokenResponse> HostEnrollment::CreateToken(
    const v1::CreateTokenRequest& request, const std::string& actor, const std::string& source) {
  v1::CreateTokensRequest one;
  *one.add_tokens() = request;
  one.set_dry_run(request.dry_run());
  ASSIGN_OR_RETURN(const v1::CreateTokensResponse made, CreateTokens(one, actor, source));
  return made.tokens(0);
}

absl::StatusOr<v1::CreateTokensResponse> HostEnrollment::CreateTokens(
    const v1::CreateTokensRequest& request, const std::string& actor, const std::string& source) {
  if (request.tokens().empty() || request.tokens_size() > kMaxTokensAtOnce) {
    return absl::InvalidArgumentError(absl::StrCat(
        "1 to ", kMaxTokensAtOnce, " tokens are made at a time, not ", request.tokens_size()));
  }
  v1::CreateTokensResponse response;
  std::vector<std::pair<TokenRow, Audit>> rows;
  for (const v1::CreateTokenRequest& wish : request.tokens()) {
    ASSIGN_OR_RETURN(NewToken made, MakeToken(wish, actor, source));
    if (!request.dry_run()) {
      made.response.set_token(made.text);
      made.response.set_id(made.row.id);
    }
    *response.add_tokens() = std::move(made.response);
    rows.emplace_back(std::move(made.row), std::move(made.audit));
  }
  if (request.dry_run()) return response;
  RETURN_IF_ERROR(store_.CreateTokens(rows));
  FAILPOINT("server.token-made");
  return response;
}

absl::StatusOr<HostEnrollment::Keys> HostEnrollment::CheckKeys(
    const v1::EnrollRequest& request) const {
  Keys keys;
  ASSIGN_OR_RETURN(keys.tls, ReadCsrDer(request.csr()));
  ASSIGN_OR_RETURN(const KeyPtr host_key, ReadPublicKeyDer(request.host_key()));
  ASSIGN_OR_RETURN(keys.host_der, PublicKeyDer(*host_key));
  ASSIGN_OR_RETURN(const std::string tls_der, PublicKeyDer(*keys.tls));
  if (tls_der == keys.host_der) {
    return absl::InvalidArgumentError("host_key: the TLS key; the host key is another one");
  }
  const std::string proven =
      absl::StrCat(kProofPrefix, Sha256(request.csr()), Sha256(request.token()));
  if (!VerifySignature(*host_key, proven, request.host_key_proof()).ok()) {
    return absl::InvalidArgumentError("host_key_proof: not a signature by host_key over this call");
  }
  return keys;
}

std::string HostEnrollment::NewUuid() {
  std::string bytes = random_.Bytes(16);
  bytes[6] = static_cast<char>((bytes[6] & 0x0f) | 0x40);  // RFC 4122, version 4
  bytes[8] = static_cast<char>((bytes[8] & 0x3f) | 0x80);
  const std::string hex = absl::BytesToHexString(bytes);
  return absl::StrCat(hex.substr(0, 8), "-", hex.substr(8, 4), "-", hex.substr(12, 4), "-",
                      hex.substr(16, 4), "-", hex.substr(20));
}

absl::Status HostEnrollment::RefuseToken(const absl::Status& why, const std::string& token_id,
                                         const std::string& peer) {
  failures_.Count(AddressOfPeer(peer));
  log_.Warning("enrolment refused",
               {{"why", std::string(why.message())}, {"token", token_id}, {"peer", peer}});
  const bool holder = why.GetPayload(kHolderMayKnow).has_value();
  return absl::PermissionDeniedError(holder ? why.message() : kRefusal);
}

absl::Status HostEnrollment::Refuse(const char* reason, const std::string& peer,
                                    const absl::Status& why) {
  if (on_refused_ != nullptr) on_refused_(reason, peer, why);
  return why;
}

absl::StatusOr<HostRow> HostEnrollment::UseToken(const v1::EnrollRequest& request,
                                                 const EnrollmentToken& token,
                                                 const std::string& host_key,
                                                 const std::string& peer) {
  HostRow host;
  host.uuid = NewUuid();
  host.name = request.host_name();
  host.host_key = host_key;
  host.enrolled = clock_.Now();
  host.last_seen = absl::InfinitePast();
  return store_.EnrollHost(
      token.id, Sha256(token.secret), host, clock_.Now(),
      {.actor = absl::StrCat("spiffe://", authority_.trust_domain(), "/host/", host.uuid),
       .source = peer,
       .action = "host.enroll",
       .object = host.uuid,
       .detail = absl::StrCat("token ", token.id, ", name ", host.name,
                              ", host key sha256:", Sha256Hex(host_key)),
       .before = "",
       .after = ""});
}

absl::StatusOr<v1::EnrollResponse> HostEnrollment::Enroll(const v1::EnrollRequest& request,
                                                          const std::string& peer,
                                                          const std::string& server) {
  if (failures_.IsOver(AddressOfPeer(peer))) {
    return Refuse(
        "too-many", peer,
        absl::ResourceExhaustedError("too many failures from this address; wait a minute"));
  }
  const absl::Status named = CheckHostName(request.host_name());
  if (!named.ok()) return Refuse("host-name", peer, named);
  const absl::StatusOr<EnrollmentToken> token = ParseToken(request.token());
  if (!token.ok()) return RefuseToken(Refuse("token", peer, token.status()), "", peer);
  absl::StatusOr<Keys> keys = CheckKeys(request);
  if (!keys.ok()) {
    failures_.Count(AddressOfPeer(peer));
    return Refuse("keys", peer, keys.status());
  }
  absl::StatusOr<HostRow> host = UseToken(request, *token, keys->host_der, peer);
  if (absl::IsPermissionDenied(host.status())) {
    return RefuseToken(host.status(), token->id, peer);
  }
  RETURN_IF_ERROR(host.status());
  FAILPOINT("server.token-used");
  ASSIGN_OR_RETURN(const Issued issued, authority_.IssueHost(*keys->tls, host->uuid, clock_.Now()));
  log_.Info(host->hold ? "host enrolled, and held until it is approved" : "host enrolled",
            {{"host", host->uuid}, {"name", host->name}, {"peer", peer}});
  v1::EnrollResponse response;
  response.set_host_id(host->uuid);
  for (const std::string& der : issued.chain) response.add_chain(der);
  response.set_root(authority_.root_der());
  response.set_trust_domain(authority_.trust_domain());
  response.set_server(server);
  response.set_hold(host->hold);
  for (const auto& [key, value] : host->labels) (*response.mutable_labels())[key] = value;
  return response;
}

}  // namespace dumpwarden
