// SPDX-License-Identifier: Apache-2.0
// Renewer has a thread of its own that asks for another certificate when it is
// time, and puts key and certificate on disk as one.  The session goes on with
// the old ones meanwhile, which stay good until they expire.
#ifndef DUMPWARDEN_AGENT_RENEWER_H_
#define DUMPWARDEN_AGENT_RENEWER_H_

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/identity.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "core/base/vfs.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/log.h"

namespace dumpwarden {

// After a failure it waits so long, then twice as long, up to the longest; less up to a half.
inline constexpr absl::Duration kFirstRenewalRetry = absl::Minutes(1);
inline constexpr absl::Duration kLongestRenewalRetry = absl::Hours(1);
// So long after a renewal it does not ask for another.
inline constexpr absl::Duration kRenewalRest = absl::Hours(1);

class Renewer {
 public:
  struct Parts {
    Vfs& vfs;
    const Clock& clock;
    Random& random;
    Log& log;
    std::string data;
    // The clock may be set, and a machine that slept wakes up late.
    absl::Duration look_again = absl::Minutes(1);
  };
  // Shows the certificate of `identity`; ends soon once `stopped`.
  using Call = std::function<absl::StatusOr<v1::RenewResponse>(
      const Identity& identity, const v1::RenewRequest& request,
      const std::function<bool()>& stopped)>;
  // All of `parts` must outlive this.  `on_renewed` comes on this thread, after the new identity
  // is on disk, and not after the destructor.
  Renewer(Parts parts, Call call, std::function<void()> on_renewed);
  ~Renewer();

  // The identity of this host, now and each time that it changes.
  void Use(Identity identity);

 private:
  void Run();
  absl::Duration Wait() const;  // mutex_ is held
  void TryOnce(const Identity& identity);
  absl::StatusOr<bool> Renew(const Identity& identity);  // is the host held now?
  void Failed(const absl::Status& why);
  bool stopping();

  const Parts parts_;
  const Call call_;
  const std::function<void()> on_renewed_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  Identity identity_;
  double fraction_ = 0;        // of the jitter: when this one is due
  bool nothing_to_do_ = true;  // until Use: there is no identity, or its successor is on disk
  absl::Duration retry_ = absl::ZeroDuration();       // the last pause; zero: nothing failed
  absl::Duration not_before_ = absl::ZeroDuration();  // monotonic: end of that pause
  // The same, after a renewal: with clocks that differ the new certificate may be due at once.
  absl::Duration rests_until_ = absl::ZeroDuration();
  std::thread thread_;  // last: it uses all of the above
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_RENEWER_H_
