// SPDX-License-Identifier: Apache-2.0
#include "agent/renewer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/renew.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
Renewer::Renewer(Parts parts, Call call, std::function<void()> on_renewed)
    : parts_(std::move(parts)),
      call_(std::move(call)),
      on_renewed_(std::move(on_renewed)),
      thread_([this] { Run(); }) {}

Renewer::~Renewer() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  thread_.join();
}

bool Renewer::stopping() {
  const std::lock_guard lock(mutex_);
  return stopping_;
}

void Renewer::Use(Identity identity) {
  const double fraction = parts_.random.Fraction();
  const std::lock_guard lock(mutex_);
  fraction_ = fraction;
  nothing_to_do_ = false;
  identity_ = std::move(identity);
  retry_ = not_before_ = absl::ZeroDuration();
  changed_.notify_all();
}

// By the clock of each time: one that is far ahead may be set right.
absl::Duration Renewer::Wait() const {
  if (nothing_to_do_) return parts_.look_again;
  const absl::Time now = parts_.clock.Now();
  const absl::Duration wait =
      std::max(WhenToRenew(identity_, fraction_, now) - now,
               std::max(not_before_, rests_until_) - parts_.clock.Monotonic());
  return std::clamp(wait, absl::ZeroDuration(), parts_.look_again);
}

void Renewer::Run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    const absl::Duration wait = Wait();
    if (wait > absl::ZeroDuration()) {
      changed_.wait_for(lock, absl::ToChronoNanoseconds(wait));
      continue;
    }
    const Identity identity = identity_;
    lock.unlock();
    TryOnce(identity);
    lock.lock();
  }
}

void Renewer::TryOnce(const Identity& identity) {
  const absl::StatusOr<bool> held = Renew(identity);
  if (!held.ok()) return Failed(held.status());
  {
    // Until the new one is taken up (Use), there is nothing to do.
    const std::lock_guard lock(mutex_);
    if (identity_.chain_pem == identity.chain_pem) nothing_to_do_ = true;
    rests_until_ = parts_.clock.Monotonic() + kRenewalRest;
  }
  if (*held) {
    parts_.log.Warning(
        "this host has a new certificate, and is held until an operator lets it in; it goes on "
        "enforcing its policies",
        {{"do", absl::StrCat("dumpctl host approve ", identity.host_id)}});
  } else {
    parts_.log.Info("this host has a new certificate");
  }
  on_renewed_();
}

absl::StatusOr<bool> Renewer::Renew(const Identity& identity) {
  ASSIGN_OR_RETURN(const std::string host_key_pem, LoadHostKey(parts_.vfs, parts_.data));
  ASSIGN_OR_RETURN(const KeyPtr host_key, ReadPrivateKeyPem(host_key_pem));
  ASSIGN_OR_RETURN(const Renewal renewal, MakeRenewal(identity, *host_key));
  ASSIGN_OR_RETURN(const v1::RenewResponse response,
                   call_(identity, renewal.request, [this] { return stopping(); }));
  FAILPOINT("renew.answered");
  ASSIGN_OR_RETURN(const Identity renewed,
                   CheckRenewResponse(response, identity, *renewal.key, parts_.clock.Now()));
  RETURN_IF_ERROR(SaveRenewed(parts_.vfs, parts_.data, identity, renewed));
  return response.hold();
}

void Renewer::Failed(const absl::Status& why) {
  const double fraction = parts_.random.Fraction();
  absl::Duration pause;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_) return;
    retry_ = retry_ == absl::ZeroDuration() ? kFirstRenewalRetry
                                            : std::min(2 * retry_, kLongestRenewalRetry);
    pause = retry_ * (0.5 + 0.5 * fraction);
    not_before_ = parts_.clock.Monotonic() + pause;
  }
  parts_.log.Warning("this host's certificate could not be renewed",
                     {{"why", std::string(why.message())},
                      {"next", absl::FormatDuration(absl::Trunc(pause, absl::Seconds(1)))}});
}

}  // namespace dumpwarden
