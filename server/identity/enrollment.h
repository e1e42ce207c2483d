// SPDX-License-Identifier: Apache-2.0
// Tokens are made here, and used up here: a token and two proven keys go in, a
// host with a certificate comes out.  Only who has the right secret is told why
// a token was refused; strangers all hear the same.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_IDENTITY_ENROLLMENT_H_
#define DUMPWARDEN_SERVER_IDENTITY_ENROLLMENT_H_

#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/token.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "platform/log.h"
#include "server/identity/authority.h"
#include "server/store/store.h"

namespace dumpwarden {

inline constexpr absl::Duration kLongestTokenLife = absl::Hours(7 * 24);
inline constexpr absl::Duration kUsualTokenLife = absl::Hours(1);
inline constexpr int kMaxTokensAtOnce = 1000;

// Five failures a minute from one address (IPv6: one /64); then it waits.
class FailureLimit {
 public:
  explicit FailureLimit(const Clock& clock) : clock_(clock) {}
  bool IsOver(const std::string& address);
  void Count(const std::string& address);

 private:
  void Forget();  // failures older than a minute
  const Clock& clock_;
  std::mutex mutex_;
  std::map<std::string, std::deque<absl::Duration>> failures_;
  absl::Duration forgot_ = -absl::InfiniteDuration();
};

// Whom failures are counted of: "ipv4:192.0.2.7:41234" -> "ipv4:192.0.2.7", and
// "ipv6:[2001:db8:1:2:3::4]:41234" -> "ipv6:2001:db8:1:2::/64", because one customer has them all.
std::string AddressOfPeer(absl::string_view peer);

class HostEnrollment {
 public:
  // Of each enrolment that is refused before the store is asked, which records what it refuses.
  using OnRefused =
      std::function<void(const char* reason, const std::string& peer, const absl::Status& why)>;
  // All must outlive this.
  HostEnrollment(Store& store, Authority& authority, const Clock& clock, Random& random, Log& log,
                 OnRefused on_refused = nullptr)
      : store_(store),
        authority_(authority),
        clock_(clock),
        random_(random),
        log_(log),
        on_refused_(std::move(on_refused)),
        failures_(clock) {}

  // `actor`, `source`: for the audit.  Without `address`.
  absl::StatusOr<v1::CreateTokenResponse> CreateToken(const v1::CreateTokenRequest& request,
                                                      const std::string& actor,
                                                      const std::string& source);
  // All or none, in one transaction.
  absl::StatusOr<v1::CreateTokensResponse> CreateTokens(const v1::CreateTokensRequest& request,
                                                        const std::string& actor,
                                                        const std::string& source);
  // `server`: host:port of the session listener, told to the host.
  absl::StatusOr<v1::EnrollResponse> Enroll(const v1::EnrollRequest& request,
                                            const std::string& peer, const std::string& server);

 private:
  struct Keys {
    KeyPtr tls;
    std::string host_der;
  };
  struct NewToken {
    TokenRow row;
    Audit audit;
    std::string text;  // what the host shows
    v1::CreateTokenResponse response;
  };
  absl::StatusOr<NewToken> MakeToken(const v1::CreateTokenRequest& request,
                                     const std::string& actor, const std::string& source);
  absl::StatusOr<Keys> CheckKeys(const v1::EnrollRequest& request) const;
  absl::StatusOr<HostRow> UseToken(const v1::EnrollRequest& request, const EnrollmentToken& token,
                                   const std::string& host_key, const std::string& peer);
  absl::Status RefuseToken(const absl::Status& why, const std::string& token_id,
                           const std::string& peer);
  absl::Status Refuse(const char* reason, const std::string& peer, const absl::Status& why);
  std::string NewUuid();

  Store& store_;
  Authority& authority_;
  const Clock& clock_;
  Random& random_;
  Log& log_;
  const OnRefused on_refused_;
  FailureLimit failures_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_ENROLLMENT_H_
