// SPDX-License-Identifier: Apache-2.0
// A channel to the server, as sessions and single calls have it: the server's
// certificate is checked here, because gRPC could only say "socket closed".
#ifndef DUMPWARDEN_AGENT_CHANNEL_H_
#define DUMPWARDEN_AGENT_CHANNEL_H_

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/identity.h"

namespace dumpwarden {

using CheckChain = std::function<absl::Status(absl::string_view chain_pem)>;

// What the verifier found, for the thread that reports it.
class Verdict {
 public:
  void Set(absl::Status status) {
    const std::lock_guard lock(mutex_);
    status_ = std::move(status);
  }
  absl::Status Get() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

 private:
  mutable std::mutex mutex_;
  absl::Status status_;
};

// `identity` null: this host shows no certificate.
std::shared_ptr<grpc::ChannelCredentials> MakeCredentials(const Identity* identity,
                                                          CheckChain check,
                                                          std::shared_ptr<Verdict> verdict);
// `proxy` empty: directly.
std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& server, const std::string& proxy,
    const std::shared_ptr<grpc::ChannelCredentials>& credentials);

// Does nobody who speaks TLS listen there?
bool NobodyThere(absl::string_view message);
// Then our certificate was not even shown.
bool NotHeard(absl::string_view message);
// What gRPC says of a failed connection, with the one who failed named.
std::string Blame(absl::string_view server, absl::string_view proxy, absl::string_view message);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_CHANNEL_H_
