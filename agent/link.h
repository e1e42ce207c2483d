// SPDX-License-Identifier: Apache-2.0
// The boundary between core and link.  On Windows they are two processes, so
// only these messages cross it, each at most kMaxLinkMessage bytes; core treats
// what comes from link as hostile.
#ifndef DUMPWARDEN_AGENT_LINK_H_
#define DUMPWARDEN_AGENT_LINK_H_

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "dumpwarden/v1/session.pb.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxLinkMessage = 1024 * 1024;

// Link is the way to the server: one session at a time.  Calls do not block;
// what happens comes back as LinkEvents.
class Link {
 public:
  virtual ~Link() = default;
  // Starts an attempt.  Ends in exactly one OnConnected or OnDisconnected.
  virtual void Connect() = 0;
  // Queues a message on the session; dropped when there is none.
  virtual void Send(const v1::AgentMessage& message) = 0;
  virtual void Disconnect() = 0;
};

// Called on the link's thread; an implementation hands them to the core's.
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  virtual void OnConnected() = 0;
  virtual void OnMessage(v1::ServerMessage message) = 0;
  // Why, in words an admin can act on ("this host's certificate expired on ...").
  virtual void OnDisconnected(absl::Status why) = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_LINK_H_
