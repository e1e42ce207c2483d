// SPDX-License-Identifier: Apache-2.0
// The server's side of every session: who is connected, who lacks which
// policies, what was reported.  Knows nothing of gRPC, threads or files; a
// simulation drives it with the same objects.  Thread-safe; replies may come
// on the store's writer thread.
#ifndef DUMPWARDEN_SERVER_FLEET_FLEET_H_
#define DUMPWARDEN_SERVER_FLEET_FLEET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"
#include "core/base/random.h"
#include "dumpwarden/v1/session.pb.h"
#include "server/store/store.h"

namespace dumpwarden {

// SessionOut is one live stream, as the fleet sees it.  Calls do not block, do not call the fleet
// back, and may come from any thread; after Close nothing more is sent.
class SessionOut {
 public:
  virtual ~SessionOut() = default;
  // Serialised once by the caller and shared by all streams.
  virtual void Send(std::shared_ptr<const std::string> serialized_server_message) = 0;
  // Takes the place of an earlier one that still waits: a slow reader gets the newest only.
  virtual void SendLatest(std::shared_ptr<const std::string> serialized_server_message) = 0;
  // Sent after everything queued; then the stream ends.
  virtual void Close(const v1::Goodbye& goodbye) = 0;
  // The stream ends now: the other end does not read its Goodbye.
  virtual void Abort() = 0;
  // The next message may be read: what came before is queued or committed.
  virtual void ReadNext() = 0;
};

using SessionId = std::uint64_t;

// The store hears of a host at most this often; one that goes is told at once.
inline constexpr absl::Duration kTouchEvery = absl::Minutes(5);

// Do a host's findings speak of the policies in force?
enum class PolicyStanding {
  kCurrent,
  kPending,   // not yet: they changed just now, and the host is there to say so
  kOutdated,  // no: nobody knows what they would find
};

class Fleet {
 public:
  virtual ~Fleet() = default;
  // kResourceExhausted when the host has as many streams as it may, or opens or sends too fast:
  // such a one is not even opened.
  virtual absl::Status CheckRoom(const HostRow& host) = 0;
  // A stream of an authenticated host begins; it ends when its certificate expires.  `out` outlives
  // OnClosed.  The caller starts the first read, unless it was closed at once; every later one
  // follows a ReadNext.
  virtual SessionId OnOpened(const HostRow& host, absl::Time expires, SessionOut& out) = 0;
  // OnMessage and OnClosed of one session never overlap.
  virtual void OnMessage(SessionId session, v1::AgentMessage message) = 0;
  // Bytes came that are no message; `why` is told to the host.
  virtual void OnGarbage(SessionId session, absl::string_view why) = 0;
  virtual void OnClosed(SessionId session) = 0;
  // Policies in the store changed: push them to everybody.  The number of live sessions.
  virtual std::uint32_t PoliciesChanged() = 0;
  // The store says that the host is revoked: its streams end, and one that was let in just before
  // does not last either.  How many streams.
  virtual std::uint32_t Revoke(HostId host) = 0;
  // The same of a host that is held, until Approve.
  virtual std::uint32_t Hold(HostId host) = 0;
  virtual void Approve(HostId host) = 0;
  // Every second or so: probe deadlines, batched liveness, reads that were put off.
  virtual void Tick() = 0;
  virtual bool IsConnected(HostId host) const = 0;
  // When a connected host was last heard; nullopt when it is not connected.
  virtual std::optional<absl::Time> LastHeard(HostId host) const = 0;
  virtual PolicyStanding StandingOf(const HostRow& host) = 0;
  // Goodbye to all, for a clean stop; who comes later is sent away too.
  virtual void Drain() = 0;
  virtual std::size_t OpenStreams() const = 0;
};

struct FleetOptions {
  std::size_t max_sessions = 100'000;
  std::uint32_t check_in_seconds = 60;
  int messages_per_second = 20;  // of one host, see rate.h
  absl::Duration reconnect_window_max = absl::Minutes(15);
  std::function<void()> on_drift;  // drift events were committed
  // For the log: "keep a report" and why not.  `what` is of a fixed set.  As often as it happens.
  std::function<void(const std::string& what, const std::string& why)> on_trouble;
  // For the log: a host was turned away, or what it says is not taken; `word` is of a fixed set:
  // protocol, quarantined, revoked, hold, streams, full, facts, newer-policy, rate.  As often as it
  // happens, from Tick.
  std::function<void(const std::string& word, const std::string& host, const std::string& detail)>
      on_refused;
};

// All must outlive the fleet.
std::unique_ptr<Fleet> MakeFleet(Store& store, const Clock& clock, Random& random,
                                 FleetOptions options = {});

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_FLEET_FLEET_H_
