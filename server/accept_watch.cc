// SPDX-License-Identifier: Apache-2.0
#include "server/accept_watch.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/descriptors.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kDeafTime = absl::Seconds(10);
constexpr int kDeafChecks = 10;

bool ListensOn(int socket, int port) {
  int listens = 0;
  socklen_t size = sizeof listens;
  if (getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) != 0 || listens == 0) {
    return false;
  }
  sockaddr_storage address{};
  size = sizeof address;
  if (getsockname(socket, reinterpret_cast<sockaddr*>(&address), &size) != 0) return false;
  if (address.ss_family == AF_INET) {
    return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port) == port;
  }
  return address.ss_family == AF_INET6 &&
         ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port) == port;
}

}  // namespace

void AcceptWatch::Watch(int port) {
  for (const int descriptor : OpenDescriptors()) {
    if (ListensOn(descriptor, port)) sockets_.push_back(descriptor);
  }
  since_ = clock_.Monotonic();
}

// Of a listening socket Linux tells the connections that wait for accept() as tcpi_unacked.
std::uint64_t AcceptWatch::Queued() const {
  std::uint64_t queued = 0;
  for (const int socket : sockets_) {
    tcp_info info{};
    socklen_t size = sizeof info;
    if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) == 0) queued += info.tcpi_unacked;
  }
  return queued;
}

absl::Status AcceptWatch::Check() {
  const std::uint64_t queued = Queued();
  const std::uint64_t handshakes = handshakes_.load();
  const bool goes_on = queued == 0 || queued < last_queued_ || handshakes != last_handshakes_;
  last_queued_ = queued;
  last_handshakes_ = handshakes;
  if (goes_on) {
    checks_ = 0;
    since_ = clock_.Monotonic();
    return absl::OkStatus();
  }
  if (++checks_ < kDeafChecks || clock_.Monotonic() - since_ < kDeafTime) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      queued, " connections wait and none was accepted for ", absl::FormatDuration(kDeafTime),
      ": no file descriptor was left, and the listener does not recover from that; the service "
      "manager must start the server anew, with a higher limit of open files (LimitNOFILE=)"));
}

}  // namespace dumpwarden
