// SPDX-License-Identifier: Apache-2.0
// The least that an agent could be: a gRPC client that holds one mTLS session
// by the completion-queue API, says hello, reads, and does nothing else.
// bench_bare_client SERVER ROOT.pem CHAIN.pem KEY.pem; "ready" on stdout when
// the server has answered.
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "dumpwarden/v1/session.grpc.pb.h"

namespace dumpwarden {
namespace {

std::string ReadFile(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

std::shared_ptr<grpc::ChannelCredentials> Credentials(char** files) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadFile(files[0]);
  options.pem_cert_chain = ReadFile(files[1]);
  options.pem_private_key = ReadFile(files[2]);
  return grpc::SslCredentials(options);
}

// Waits for one operation; false when it failed.
bool Next(grpc::CompletionQueue& queue) {
  void* tag = nullptr;
  bool ok = false;
  return queue.Next(&tag, &ok) && ok;
}

int Run(char** arguments) {
  auto stub =
      v1::AgentSession::NewStub(grpc::CreateChannel(arguments[1], Credentials(arguments + 2)));
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  auto stream = stub->PrepareAsyncSession(&context, &queue);
  stream->StartCall(nullptr);
  if (!Next(queue)) return 1;
  v1::AgentMessage message;
  message.mutable_hello()->set_protocol_min(1);
  message.mutable_hello()->set_protocol_max(1);
  message.mutable_hello()->set_instance(std::string(16, 'b'));
  message.mutable_hello()->set_agent_version("bare");
  stream->Write(message, nullptr);
  if (!Next(queue)) return 1;
  for (bool first = true;; first = false) {
    v1::ServerMessage answer;
    stream->Read(&answer, nullptr);
    if (!Next(queue)) return 1;
    if (first) std::cout << "ready" << std::endl;
  }
}

}  // namespace
}  // namespace dumpwarden

int main(int argc, char** argv) {
  if (argc != 5) {
    std::cerr << "usage: bench_bare_client SERVER ROOT.pem CHAIN.pem KEY.pem\n";
    return 64;
  }
  return dumpwarden::Run(argv);
}
