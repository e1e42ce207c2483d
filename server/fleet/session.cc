// SPDX-License-Identifier: Apache-2.0
// The callback API with raw bytes: a message that goes to all hosts is
// serialised once and its bytes are shared by all streams.  One write and one
// read are in flight a stream.
#include "server/fleet/session.h"

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <deque>
#include <mutex>
#include <string>
#include <utility>

#include "core/base/status_macros.h"
#include "dumpwarden/v1/session.grpc.pb.h"
#include "dumpwarden/v1/session.pb.h"
#include "proto/grpc_status.h"
#include "server/fleet/checks.h"

namespace dumpwarden {
namespace {

using SharedBytes = std::shared_ptr<const std::string>;
using Reactor = grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>;

constexpr char kMethod[] = "dumpwarden.v1.AgentSession.Session";
constexpr char kRenew[] = "dumpwarden.v1.AgentSession.Renew";
// A host that does not read what it asked for is not read either.
constexpr std::size_t kMaxWaiting = 64;

grpc::ByteBuffer Share(const SharedBytes& bytes) {
  auto owner = std::make_unique<SharedBytes>(bytes);
  // gRPC never writes to a slice; its interface takes no const.
  void* data = const_cast<char*>(bytes->data());
  grpc::Slice slice(
      data, bytes->size(), [](void* p) { delete static_cast<SharedBytes*>(p); }, owner.get());
  static_cast<void>(owner.release());  // the slice deletes it
  return {&slice, 1};
}

class RefusedStream final : public Reactor {
 public:
  explicit RefusedStream(const absl::Status& why) { Finish(ToGrpc(why)); }
  void OnDone() override { delete this; }
};

// HostStream is one stream; it deletes itself when gRPC is done with it.
class HostStream final : public Reactor, public SessionOut {
 public:
  HostStream(Fleet& fleet, const Caller& caller, grpc::CallbackServerContext& context)
      : fleet_(fleet), context_(context), id_(fleet.OnOpened(*caller.host, caller.expires, *this)) {
    ReadNext();
  }

  void Send(SharedBytes bytes) override {
    std::lock_guard lock(mutex_);
    Enqueue(std::move(bytes), false);
  }

  void SendLatest(SharedBytes bytes) override {
    std::lock_guard lock(mutex_);
    for (Waiting& waiting : queue_) {
      if (waiting.latest) {
        waiting.bytes = std::move(bytes);
        return;
      }
    }
    Enqueue(std::move(bytes), true);
  }

  void Close(const v1::Goodbye& goodbye) override {
    v1::ServerMessage message;
    *message.mutable_goodbye() = goodbye;
    std::lock_guard lock(mutex_);
    Enqueue(std::make_shared<const std::string>(message.SerializeAsString()), false);
    closing_ = true;
  }

  void Abort() override { context_.TryCancel(); }

  void ReadNext() override {
    std::lock_guard lock(mutex_);
    read_wanted_ = true;
    ReadWhenShort();
  }

  void OnReadDone(bool ok) override {
    if (!ok) return End();
    if (IsClosing()) return incoming_.Clear();
    if (incoming_.Length() > kMaxAgentMessage) {  // before it takes many times that, parsed
      incoming_.Clear();
      return fleet_.OnGarbage(id_, "a message of more than 1 MiB is not accepted");
    }
    v1::AgentMessage message;
    const bool parsed =
        grpc::SerializationTraits<v1::AgentMessage>::Deserialize(&incoming_, &message).ok();
    incoming_.Clear();
    if (parsed) {
      fleet_.OnMessage(id_, std::move(message));
    } else {
      fleet_.OnGarbage(id_, "these bytes are no AgentMessage");
    }
  }

  void OnWriteDone(bool ok) override {
    std::lock_guard lock(mutex_);
    writing_ = false;
    if (!ok) return FinishOnce();
    WriteNext();
    ReadWhenShort();
  }

  void OnCancel() override { End(); }

  void OnDone() override {
    fleet_.OnClosed(id_);
    delete this;
  }

 private:
  struct Waiting {
    SharedBytes bytes;
    bool latest = false;
  };

  void End() {
    std::lock_guard lock(mutex_);
    FinishOnce();
  }

  bool IsClosing() {
    std::lock_guard lock(mutex_);
    return closing_ || finished_;
  }

  // All below: mutex_ is held.
  void Enqueue(SharedBytes bytes, bool latest) {
    if (closing_ || finished_) return;
    queue_.push_back({std::move(bytes), latest});
    if (!writing_) WriteNext();
  }

  void WriteNext() {
    if (finished_) return;
    if (queue_.empty()) {
      if (closing_) FinishOnce();
      return;
    }
    outgoing_ = Share(queue_.front().bytes);
    queue_.pop_front();
    writing_ = true;
    StartWrite(&outgoing_);
  }

  void ReadWhenShort() {
    if (!read_wanted_ || finished_ || closing_ || queue_.size() > kMaxWaiting) return;
    read_wanted_ = false;
    StartRead(&incoming_);
  }

  void FinishOnce() {
    if (finished_) return;
    finished_ = true;
    queue_.clear();
    Finish(grpc::Status::OK);
  }

  Fleet& fleet_;
  grpc::CallbackServerContext& context_;
  std::mutex mutex_;
  std::deque<Waiting> queue_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  bool writing_ = false;
  bool read_wanted_ = false;
  bool closing_ = false;
  bool finished_ = false;
  const SessionId id_;  // last: the fleet may already send while it opens
};

class SessionService final
    : public v1::AgentSession::WithRawCallbackMethod_Session<v1::AgentSession::Service> {
 public:
  SessionService(Fleet& fleet, Authorizer& authorizer, HostRenewal& renewal)
      : fleet_(fleet), authorizer_(authorizer), renewal_(renewal) {}

  Reactor* Session(grpc::CallbackServerContext* context) override {
    const absl::StatusOr<Caller> caller = authorizer_.Authorize(*context, kMethod);
    // gRPC deletes neither: each does it itself in OnDone.
    if (!caller.ok()) return std::make_unique<RefusedStream>(caller.status()).release();
    const absl::Status room = fleet_.CheckRoom(*caller->host);
    if (!room.ok()) return std::make_unique<RefusedStream>(room).release();
    return std::make_unique<HostStream>(fleet_, *caller, *context).release();
  }

  grpc::Status Renew(grpc::ServerContext* context, const v1::RenewRequest* request,
                     v1::RenewResponse* response) override {
    return ToGrpc(AnswerRenewal(*context, *request, *response));
  }

 private:
  absl::Status AnswerRenewal(const grpc::ServerContext& context, const v1::RenewRequest& request,
                             v1::RenewResponse& response) {
    const absl::StatusOr<Caller> caller = authorizer_.Authorize(context, kRenew);
    if (!caller.ok()) return caller.status();
    if (!caller->host.has_value()) return absl::InternalError("the table lets no host renew");
    ASSIGN_OR_RETURN(response,
                     renewal_.Renew(request, {*caller->host, caller->leaf_pem, caller->expires,
                                              caller->id, caller->source}));
    return absl::OkStatus();
  }

  Fleet& fleet_;
  Authorizer& authorizer_;
  HostRenewal& renewal_;
};

}  // namespace

std::shared_ptr<grpc::Service> MakeSessionService(Fleet& fleet, Authorizer& authorizer,
                                                  HostRenewal& renewal) {
  return std::make_shared<SessionService>(fleet, authorizer, renewal);
}

}  // namespace dumpwarden
