// SPDX-License-Identifier: Apache-2.0
// The limits of connections, over real sockets.
#include "server/listener.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <vector>

#include "dumpwarden/v1/session.grpc.pb.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

std::chrono::system_clock::time_point Soon() {
  return std::chrono::system_clock::now() + std::chrono::seconds(20);
}

// Answers nothing, and stays as long as the client does.
class SilentSessions final : public v1::AgentSession::Service {
  grpc::Status Session(
      grpc::ServerContext* /*context*/,
      grpc::ServerReaderWriter<v1::ServerMessage, v1::AgentMessage>* stream) override {
    stream->SendInitialMetadata();
    for (v1::AgentMessage message; stream->Read(&message);) {
    }
    return grpc::Status::OK;
  }
};

class ListenerTest : public testing::Test {
 protected:
  void Start(absl::Duration max_idle) {
    ListenerOptions options;
    options.address = "127.0.0.1:0";
    options.credentials = grpc::InsecureServerCredentials();
    options.max_message_bytes = 1024;
    options.max_threads = 16;
    options.max_idle = max_idle;
    ASSERT_OK_AND_ASSIGN(listener_, Listener::Start(options, {std::make_shared<SilentSessions>()}));
  }
  std::shared_ptr<grpc::Channel> Dial() {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    return grpc::CreateCustomChannel(listener_->address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }

  std::unique_ptr<Listener> listener_;
};

TEST_F(ListenerTest, ClosesConnectionsWithoutCallsAndNoOthers) {
  Start(absl::Milliseconds(500));
  const auto busy = Dial();
  const auto stub = v1::AgentSession::NewStub(busy);
  grpc::ClientContext context;
  const auto session = stub->Session(&context);
  session->WaitForInitialMetadata();
  std::vector<std::shared_ptr<grpc::Channel>> idle;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(idle.emplace_back(Dial())->WaitForConnected(Soon()));
  }
  for (const auto& channel : idle) {
    ASSERT_TRUE(channel->WaitForStateChange(GRPC_CHANNEL_READY, Soon())) << "it is still connected";
  }
  EXPECT_EQ(busy->GetState(false), GRPC_CHANNEL_READY) << "the older one, with a session";
  EXPECT_TRUE(session->Write({}));
  session->WritesDone();
  EXPECT_TRUE(session->Finish().ok());
  EXPECT_TRUE(busy->WaitForStateChange(GRPC_CHANNEL_READY, Soon())) << "its session is over";
}

}  // namespace
}  // namespace dumpwarden
