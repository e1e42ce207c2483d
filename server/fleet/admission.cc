// SPDX-License-Identifier: Apache-2.0
// Who is let in: not a host that was revoked, quarantined or is held, nor one
// with too many streams.  What an operator decides ends its streams at once.
#include "absl/strings/str_cat.h"
#include "server/fleet/session_fleet.h"

namespace dumpwarden {
namespace {

constexpr int kMaxStreamsOfAHost = 4;
constexpr char kTooManyStreams[] = "too many open sessions of this host";
constexpr char kRevoked[] = "this host was revoked; enrol it anew";
constexpr char kTooManyOpenings[] = "this host opens sessions faster than it may";

std::string WhyHeld(const std::string& uuid) {
  return absl::StrCat("this host is held until an operator lets it in: dumpctl host approve ",
                      uuid);
}

}  // namespace

absl::Status SessionFleet::CheckRoom(const HostRow& host) {
  std::lock_guard lock(mutex_);
  if (!MayOpen(host.id)) {
    Refuse("rate", host.uuid, kTooManyOpenings);
    return absl::ResourceExhaustedError(kTooManyOpenings);
  }
  const auto at = slots_.find(host.id);
  if (at == slots_.end() || at->second.streams < kMaxStreamsOfAHost) return absl::OkStatus();
  Refuse("streams", host.uuid, kTooManyStreams);
  return absl::ResourceExhaustedError(kTooManyStreams);
}

std::string SessionFleet::WhyRefused(const HostRow& host, const HostSlot& slot,
                                     v1::Goodbye::Reason& reason) const {
  reason = v1::Goodbye::REASON_REVOKED;
  if (host.revoked || revoked_.contains(host.id)) return kRevoked;
  reason = v1::Goodbye::REASON_QUARANTINED;
  if (host.quarantined || slot.quarantined)
    return "two live hosts use this identity; enrol each of them anew";
  reason = v1::Goodbye::REASON_HOLD;
  if (host.hold || held_.contains(host.id)) return WhyHeld(host.uuid);
  reason = v1::Goodbye::REASON_PROTOCOL;
  if (slot.streams > kMaxStreamsOfAHost) return kTooManyStreams;
  reason = v1::Goodbye::REASON_DRAIN;
  if (draining_) return "the server is going down";
  if (sessions_.size() >= options_.max_sessions) return "the server is full; limits.sessions";
  return "";
}

std::uint32_t SessionFleet::Revoke(HostId host) {
  std::lock_guard lock(mutex_);
  revoked_.insert(host);
  return CloseAll(host, v1::Goodbye::REASON_REVOKED, kRevoked);
}

std::uint32_t SessionFleet::Hold(HostId host) {
  std::lock_guard lock(mutex_);
  held_.insert(host);
  const auto slot = slots_.find(host);
  if (slot == slots_.end()) return 0;
  return CloseAll(host, v1::Goodbye::REASON_HOLD, WhyHeld(slot->second.uuid));
}

void SessionFleet::Approve(HostId host) {
  std::lock_guard lock(mutex_);
  held_.erase(host);
}

std::uint32_t SessionFleet::CloseAll(HostId host, v1::Goodbye::Reason reason,
                                     absl::string_view message) {
  std::uint32_t ended = 0;
  for (auto& [id, session] : sessions_) {
    if (session->host != host || session->phase == SessionPhase::kClosing) continue;
    Close(*session, reason, message);
    ++ended;
  }
  return ended;
}

}  // namespace dumpwarden
