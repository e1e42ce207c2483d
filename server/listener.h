// SPDX-License-Identifier: Apache-2.0
// Listener is one gRPC server on one address, with the limits that every one
// of ours has.
#ifndef DUMPWARDEN_SERVER_LISTENER_H_
#define DUMPWARDEN_SERVER_LISTENER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace grpc {
class Server;
class ServerCredentials;
class Service;
}  // namespace grpc

namespace dumpwarden {

struct ListenerOptions {
  std::string address;  // host:port; port 0 = any free one
  std::shared_ptr<grpc::ServerCredentials> credentials;
  int max_message_bytes = 0;
  int max_threads = 0;  // of handlers that block
  // Nothing stays connected for longer; zero = for ever.
  absl::Duration max_age = absl::ZeroDuration();
  // Nothing without a call stays connected for longer; zero = for ever.
  absl::Duration max_idle = absl::ZeroDuration();
};

class Listener {
 public:
  // kUnavailable when the address is taken.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(
      const ListenerOptions& options, std::vector<std::shared_ptr<grpc::Service>> services);
  ~Listener();

  const std::string& address() const { return address_; }  // with the bound port
  // Calls that last longer than `grace` are cancelled.  Not from a handler of this listener.
  void Stop(absl::Duration grace);

 private:
  Listener() = default;
  std::vector<std::shared_ptr<grpc::Service>> services_;
  std::shared_ptr<grpc::Server> server_;
  std::string address_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_LISTENER_H_
