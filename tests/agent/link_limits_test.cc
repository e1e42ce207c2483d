// SPDX-License-Identifier: Apache-2.0
// The link against servers that keep no limit, and a core that says too much
// while nobody reads.  At each limit, one above it, and a hundred times.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/grpc_link.h"
#include "dumpwarden/v1/session.grpc.pb.h"
#include "platform/system.h"
#include "server/identity/authority.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kHost[] = "d783c539-78c6-4f38-8e10-ecc8db8e5bbc";
constexpr std::chrono::seconds kPatience(30);

using Stream = grpc::ServerReaderWriter<v1::ServerMessage, v1::AgentMessage>;

// Does in each session whatever the test says.
class WildServer final : public v1::AgentSession::Service {
 public:
  explicit WildServer(std::function<void(grpc::ServerContext&, Stream&)> act)
      : act_(std::move(act)) {}
  grpc::Status Session(grpc::ServerContext* context, Stream* stream) override {
    act_(*context, *stream);
    return grpc::Status::OK;
  }

 private:
  const std::function<void(grpc::ServerContext&, Stream&)> act_;
};

// What the core hears.
class Heard final : public LinkEvents {
 public:
  void OnConnected() override {}
  void OnMessage(v1::ServerMessage message) override {
    Note([&] { sizes_.push_back(message.ByteSizeLong()); });
  }
  void OnDisconnected(absl::Status why) override {
    Note([&] { ended_ = std::move(why); });
  }
  std::vector<std::size_t> AwaitSizes(std::size_t count) {
    Await([&] { return sizes_.size() >= count || ended_.has_value(); });
    const std::lock_guard lock(mutex_);
    return sizes_;
  }
  std::optional<absl::Status> AwaitEnd() {
    Await([this] { return ended_.has_value(); });
    const std::lock_guard lock(mutex_);
    return ended_;
  }
  bool ended() {
    const std::lock_guard lock(mutex_);
    return ended_.has_value();
  }

 private:
  void Note(const std::function<void()>& note) {
    const std::lock_guard lock(mutex_);
    note();
    changed_.notify_all();
  }
  bool Await(const std::function<bool()>& holds) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, kPatience, holds);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::size_t> sizes_;
  std::optional<absl::Status> ended_;
};

class LinkLimits : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_THAT(Authority::Create(*vfs_, *random_, folder_.File("ca"), "q.example", now_), IsOk());
    ca_ = *Authority::Open(*vfs_, *random_, folder_.File("ca"));
    auto key = MakeKey();
    const Issued host = *ca_->IssueHost(**key, kHost, now_);
    identity_.host_id = kHost;
    identity_.trust_domain = "q.example";
    identity_.ca_pem = ca_->root_pem();
    identity_.chain_pem = host.chain_pem;
    identity_.key_pem = *PrivateKeyPem(**key);
  }

  void Serve(std::function<void(grpc::ServerContext&, Stream&)> act) {
    auto key = MakeKey();
    const Issued issued = *ca_->IssueServer(**key, {"127.0.0.1"}, now_, absl::Hours(1));
    grpc::SslServerCredentialsOptions options;
    options.pem_key_cert_pairs.push_back({*PrivateKeyPem(**key), issued.chain_pem});
    service_ = std::make_unique<WildServer>(std::move(act));
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port);
    builder.RegisterService(service_.get());
    server_ = builder.BuildAndStart();
    identity_.server = absl::StrCat("127.0.0.1:", port);
    const IdentitySource load = [this] {
      may_dial_.get_future().wait();
      return absl::StatusOr<Identity>(identity_);
    };
    link_ = MakeGrpcLink({}, load, *clock_, heard_);
    link_->Connect();
  }
  void TearDown() override {
    link_.reset();
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
  }

  TempFolder folder_;
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Clock> clock_ = MakeSystemClock();
  absl::Time now_ = absl::Now();
  std::unique_ptr<Authority> ca_;
  Identity identity_;
  Heard heard_;
  std::promise<void> may_dial_;
  std::unique_ptr<WildServer> service_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<Link> link_;
};

v1::ServerMessage NoticeOf(std::size_t bytes) {
  v1::ServerMessage message;
  message.mutable_notice()->set_message(std::string(bytes - 16, 'x'));
  while (message.ByteSizeLong() < bytes)
    message.mutable_notice()->mutable_message()->push_back('x');
  EXPECT_EQ(message.ByteSizeLong(), bytes);
  return message;
}

class MessageOfAServer : public LinkLimits, public testing::WithParamInterface<std::size_t> {};

TEST_P(MessageOfAServer, HasAtMostOneMebibyte) {
  const std::size_t bytes = GetParam();
  Serve([bytes](grpc::ServerContext& context, Stream& stream) {
    stream.Write(NoticeOf(100));
    stream.Write(NoticeOf(bytes));
    v1::AgentMessage message;
    while (!context.IsCancelled() && stream.Read(&message)) {
    }
  });
  may_dial_.set_value();
  if (bytes == kMaxLinkMessage) {
    EXPECT_THAT(heard_.AwaitSizes(2), testing::ElementsAre(100, bytes));
    EXPECT_FALSE(heard_.ended());
    return;
  }
  const std::optional<absl::Status> end = heard_.AwaitEnd();
  ASSERT_TRUE(end.has_value());
  EXPECT_THAT(*end, StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("larger than max")));
  EXPECT_THAT(heard_.AwaitSizes(1), testing::ElementsAre(100));
}

INSTANTIATE_TEST_SUITE_P(Sizes, MessageOfAServer,
                         testing::Values(kMaxLinkMessage, kMaxLinkMessage + 1,
                                         100 * kMaxLinkMessage));

// While the link connects, or the server does not read.
class MessagesThatWait : public LinkLimits, public testing::WithParamInterface<int> {
 protected:
  static constexpr int kLimit = 64;
};

TEST_P(MessagesThatWait, AreSixtyFourAtMost) {
  Serve([](grpc::ServerContext&, Stream& stream) {
    v1::AgentMessage message;
    int read = 0;
    while (stream.Read(&message)) {
      if (++read == kLimit) stream.Write(NoticeOf(100));
    }
  });
  for (int i = 0; i < GetParam(); ++i) link_->Send(v1::AgentMessage());
  may_dial_.set_value();
  if (GetParam() == kLimit) {
    EXPECT_THAT(heard_.AwaitSizes(1), testing::ElementsAre(100)) << "each has arrived";
    EXPECT_FALSE(heard_.ended());
  } else {
    EXPECT_TRUE(heard_.AwaitEnd().has_value()) << "it hangs up, and the core makes them anew";
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, MessagesThatWait, testing::Values(64, 65, 6400));

}  // namespace
}  // namespace dumpwarden
