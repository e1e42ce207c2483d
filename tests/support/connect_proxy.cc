// SPDX-License-Identifier: Apache-2.0
#include "tests/support/connect_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace dumpwarden {
namespace {

sockaddr_in Local(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// HOST:PORT of the request, "" when it ended before it was one.
std::string ReadRequest(int client) {
  std::string request;
  char c = 0;
  while (!absl::EndsWith(request, "\r\n\r\n") && recv(client, &c, 1, 0) == 1) request += c;
  absl::string_view rest = request;
  if (!absl::ConsumePrefix(&rest, "CONNECT ")) return "";
  return std::string(rest.substr(0, rest.find(' ')));
}

void Answer(int client, absl::string_view status) {
  const std::string answer = absl::StrCat("HTTP/1.1 ", status, "\r\n\r\n");
  (void)send(client, answer.data(), answer.size(), MSG_NOSIGNAL);
}

bool PassOn(int from, int to) {
  char bytes[16384];
  const ssize_t count = recv(from, bytes, sizeof bytes, 0);
  return count > 0 && send(to, bytes, static_cast<std::size_t>(count), MSG_NOSIGNAL) == count;
}

// Both ways until one ends.
void Join(int a, int b) {
  pollfd ends[] = {{a, POLLIN, 0}, {b, POLLIN, 0}};
  while (poll(ends, 2, -1) > 0) {
    if (ends[0].revents != 0 && !PassOn(a, b)) return;
    if (ends[1].revents != 0 && !PassOn(b, a)) return;
  }
}

}  // namespace

ConnectProxy::ConnectProxy(bool refuses)
    : refuses_(refuses), listener_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  sockaddr_in address = Local(0);
  socklen_t size = sizeof address;
  (void)bind(listener_, reinterpret_cast<sockaddr*>(&address), size);
  listen(listener_, 16);
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  port_ = ntohs(address.sin_port);
  accepting_ = std::thread([this] { Accept(); });
}

ConnectProxy::~ConnectProxy() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const int socket : sockets_) shutdown(socket, SHUT_RDWR);
  }
  shutdown(listener_, SHUT_RDWR);
  accepting_.join();
  for (std::thread& thread : serving_) thread.join();
  for (const int socket : sockets_) close(socket);
  close(listener_);
}

std::string ConnectProxy::address() const { return absl::StrCat("127.0.0.1:", port_); }

std::vector<std::string> ConnectProxy::Asked() const {
  const std::lock_guard lock(mutex_);
  return asked_;
}

void ConnectProxy::Accept() {
  while (true) {
    const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (client < 0) return;
    const std::lock_guard lock(mutex_);
    sockets_.push_back(client);
    if (stopping_) return;
    serving_.emplace_back([this, client] { Serve(client); });
  }
}

void ConnectProxy::Serve(int client) {
  const std::string target = ReadRequest(client);
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  {
    const std::lock_guard lock(mutex_);
    asked_.push_back(target);
    sockets_.push_back(server);
    if (stopping_) return;
  }
  const sockaddr_in address = Local(std::atoi(target.substr(target.rfind(':') + 1).c_str()));
  if (refuses_) {
    Answer(client, "403 Forbidden");
  } else if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    Answer(client, "502 Bad Gateway");
  } else {
    Answer(client, "200 OK");
    Join(client, server);
  }
  shutdown(client, SHUT_RDWR);
  shutdown(server, SHUT_RDWR);
}

}  // namespace dumpwarden
