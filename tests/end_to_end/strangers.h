// SPDX-License-Identifier: Apache-2.0
// Clients that are no programs of ours, with certificates of the server's own
// authority.
#ifndef DUMPWARDEN_TESTS_END_TO_END_STRANGERS_H_
#define DUMPWARDEN_TESTS_END_TO_END_STRANGERS_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "dumpwarden/v1/session.grpc.pb.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {

// A client that says nothing of itself before it dials, as an attacker's would.
inline std::shared_ptr<grpc::Channel> Dial(const Server& server, const std::string& chain,
                                           const std::string& key) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadAll(server.folder() + "/operators/admin/ca.crt");
  options.pem_cert_chain = chain;
  options.pem_private_key = key;
  return grpc::CreateChannel(server.address(), grpc::SslCredentials(options));
}

inline grpc::StatusCode SessionVerdict(const std::shared_ptr<grpc::Channel>& channel) {
  auto stub = v1::AgentSession::NewStub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
  auto stream = stub->Session(&context);
  v1::AgentMessage hello;
  hello.mutable_hello()->set_protocol_min(1);
  hello.mutable_hello()->set_protocol_max(1);
  hello.mutable_hello()->set_instance("a test");
  stream->Write(hello);
  v1::ServerMessage answer;
  if (stream->Read(&answer)) {
    context.TryCancel();
    stream->Finish();
    return grpc::StatusCode::OK;
  }
  return stream->Finish().error_code();
}

struct Leaf {
  std::string chain;
  std::string key;
};

// A leaf of the server's own CA, for whatever time and identity.
inline Leaf Issue(const Server& server, const std::string& uuid, absl::Time now) {
  const auto vfs = MakeSystemVfs();
  const auto random = MakeSystemRandom();
  auto authority = Authority::Open(*vfs, *random, server.folder() + "/ca");
  EXPECT_THAT(authority, IsOk());
  auto key = MakeKey();
  auto issued = (*authority)->IssueHost(**key, uuid, now);
  EXPECT_THAT(issued, IsOk());
  return {issued->chain_pem, *PrivateKeyPem(**key)};
}

// The host's own, as if it had been issued that long ago.
inline Leaf Age(const Server& server, const Host& host, absl::Duration age) {
  const Leaf old = Issue(server, host.Id(), absl::Now() - age);
  WriteAll(host.File("data/identity/tls.crt"), old.chain);
  WriteAll(host.File("data/identity/tls.key"), old.key);
  return old;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_END_TO_END_STRANGERS_H_
