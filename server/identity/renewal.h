// SPDX-License-Identifier: Apache-2.0
// Another certificate for a host that has one.  The host is who the certificate
// shown says, whatever the request says; the host key, which is never renewed,
// must agree, so that a stolen TLS key does not live on.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_IDENTITY_RENEWAL_H_
#define DUMPWARDEN_SERVER_IDENTITY_RENEWAL_H_

#include <functional>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/keys.h"
#include "server/identity/authority.h"
#include "server/identity/refusals.h"
#include "server/store/store.h"

namespace dumpwarden {

// A host asks once in three and a half days; one that cannot keep what it gets asks again.
inline constexpr int kRenewalsAnHour = 6;

// So many calls an hour of one host, and no more at once.
class RenewalRate {
 public:
  explicit RenewalRate(const Clock& clock) : clock_(clock) {}
  bool Take(HostId host);  // false: none is left

 private:
  const Clock& clock_;
  std::mutex mutex_;
  std::unordered_map<HostId, absl::Duration> full_at_;  // monotonic: when all is there again
  absl::Duration forgot_ = -absl::InfiniteDuration();
};

// Who asks: out of the verified certificate.
struct RenewingHost {
  HostRow row;
  std::string leaf_pem;
  absl::Time expires;
  std::string id;      // spiffe id
  std::string source;  // peer address
};

class HostRenewal {
 public:
  struct Fleet {
    std::function<bool(HostId)> is_connected;
    std::function<void(HostId)> hold;  // its sessions end
    std::function<void(HostId)> let_in;
  };
  // All must outlive this.
  HostRenewal(Store& store, Authority& authority, const Clock& clock, Refusals& refusals,
              Fleet fleet)
      : store_(store),
        authority_(authority),
        clock_(clock),
        refusals_(refusals),
        fleet_(std::move(fleet)),
        rate_(clock),
        late_rate_(clock) {}

  // One whose certificate has expired is held from now on; while it is connected with another
  // one it gets none (kFailedPrecondition).  kPermissionDenied: revoked or quarantined.
  absl::StatusOr<v1::RenewResponse> Renew(const v1::RenewRequest& request,
                                          const RenewingHost& host);

 private:
  absl::StatusOr<v1::RenewResponse> Decide(const v1::RenewRequest& request,
                                           const RenewingHost& host, std::string& word);
  void Hold(const HostRow& host);
  absl::Status CheckProof(const v1::RenewRequest& request, const RenewingHost& host) const;
  absl::StatusOr<KeyPtr> NewKey(const v1::RenewRequest& request, const RenewingHost& host) const;

  Store& store_;
  Authority& authority_;
  const Clock& clock_;
  Refusals& refusals_;
  const Fleet fleet_;
  RenewalRate rate_;
  // Apart: an old copy of a host does not use up what the host may ask.
  RenewalRate late_rate_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_RENEWAL_H_
