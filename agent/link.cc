// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/alarm.h>
#include <grpcpp/grpcpp.h>

#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/channel.h"
#include "agent/config.h"
#include "agent/grpc_link.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "dumpwarden/v1/session.grpc.pb.h"
#include "proto/grpc_status.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxQueuedMessages = 64;

enum Tag : std::intptr_t { kWake = 1, kTimeout, kStarted, kRead, kWritten, kFinished };
void* AsPointer(Tag tag) { return reinterpret_cast<void*>(static_cast<std::intptr_t>(tag)); }

// One attempt and the session that it becomes.  Lives on the link's thread.
struct Attempt {
  std::shared_ptr<Verdict> verdict = std::make_shared<Verdict>();
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::AgentSession::Stub> stub;
  grpc::ClientContext context;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<v1::AgentMessage, v1::ServerMessage>> stream;
  std::deque<v1::AgentMessage> queue;
  v1::ServerMessage incoming;
  grpc::Status status;
  bool started = false;
  bool reading = false;
  bool writing = false;
  bool finishing = false;
  bool broken = false;  // a read or a write failed: finish when nothing is under way
  bool timed_out = false;
  bool welcomed = false;  // such a server is dialled again; after any other the next is
};

class GrpcLink : public Link {
 public:
  GrpcLink(Way way, IdentitySource load, const Clock& clock, LinkEvents& events)
      : fixed_servers_(std::move(way.servers)),
        proxy_(std::move(way.proxy)),
        load_(std::move(load)),
        clock_(clock),
        events_(events),
        thread_([this] { Run(); }) {}

  ~GrpcLink() override {
    Do([this] { stopping_ = true; });
    thread_.join();
  }

  void Connect() override {
    Do([this] { Dial(); });
  }
  void Send(const v1::AgentMessage& message) override {
    Do([this, message] { Queue(message); });
  }
  void Disconnect() override {
    Do([this] { Cancel(); });
  }

 private:
  // Runs on the link's thread, in order.
  void Do(std::function<void()> command) {
    const std::lock_guard lock(mutex_);
    commands_.push_back(std::move(command));
    if (woken_) return;
    woken_ = true;
    wake_.Set(&queue_, gpr_now(GPR_CLOCK_MONOTONIC), AsPointer(kWake));
  }

  void Run();
  void RunCommands();
  void Handle(Tag tag, bool ok);
  void TakeNextServer();
  void Dial();
  absl::Status Open();
  void OnStarted(bool ok);
  void OnRead(bool ok);
  void OnWritten(bool ok);
  void Queue(const v1::AgentMessage& message);
  void WriteNext();
  void ReadNext();
  void Cancel();
  void FinishWhenIdle();
  absl::Status Why() const;

  const std::vector<std::string> fixed_servers_;
  const std::string proxy_;
  const IdentitySource load_;
  const Clock& clock_;
  LinkEvents& events_;

  grpc::CompletionQueue queue_;
  grpc::Alarm wake_;
  grpc::Alarm timeout_;
  bool timeout_set_ = false;
  bool stopping_ = false;
  bool done_ = false;
  std::unique_ptr<Attempt> attempt_;
  Identity identity_;     // of the attempt
  std::string server_;    // of the attempt
  std::size_t next_ = 0;  // of fixed_servers_

  std::mutex mutex_;
  std::deque<std::function<void()>> commands_;
  bool woken_ = false;
  std::thread thread_;  // last: it uses all of the above
};

void GrpcLink::Run() {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    Handle(static_cast<Tag>(reinterpret_cast<std::intptr_t>(tag)), ok);
    if (!stopping_ || done_) continue;
    if (attempt_ != nullptr) {
      Cancel();
    } else if (timeout_set_) {
      timeout_.Cancel();
    } else {
      done_ = true;
      queue_.Shutdown();
    }
  }
}

void GrpcLink::RunCommands() {
  std::deque<std::function<void()>> commands;
  {
    const std::lock_guard lock(mutex_);
    commands.swap(commands_);
    woken_ = false;
  }
  for (const std::function<void()>& command : commands) command();
}

void GrpcLink::Handle(Tag tag, bool ok) {
  switch (tag) {
    case kWake:
      return RunCommands();
    case kTimeout:
      timeout_set_ = false;
      if (!ok || attempt_ == nullptr || attempt_->started) return;
      attempt_->timed_out = true;
      return Cancel();
    case kStarted:
      return OnStarted(ok);
    case kRead:
      return OnRead(ok);
    case kWritten:
      return OnWritten(ok);
    case kFinished: {
      const absl::Status why = Why();
      if (!attempt_->welcomed) TakeNextServer();
      attempt_.reset();
      if (!stopping_) events_.OnDisconnected(why);
      return;
    }
  }
}

void GrpcLink::TakeNextServer() {
  if (!fixed_servers_.empty()) next_ = (next_ + 1) % fixed_servers_.size();
}

void GrpcLink::Dial() {
  if (attempt_ != nullptr || stopping_) return;
  const absl::Status opened = Open();
  if (opened.ok()) return;
  attempt_.reset();
  events_.OnDisconnected(opened);
}

absl::Status GrpcLink::Open() {
  ASSIGN_OR_RETURN(identity_, load_());
  server_ = fixed_servers_.empty() ? identity_.server : fixed_servers_[next_];
  RETURN_IF_ERROR(CheckIdentity(identity_, clock_.Now()));
  ASSIGN_OR_RETURN(const HostPort address, ParseServerAddress(server_));
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> certificates, ReadCertificatesPem(identity_.ca_pem));
  auto roots = std::make_shared<const std::vector<CertificatePtr>>(std::move(certificates));
  attempt_ = std::make_unique<Attempt>();
  const Clock& clock = clock_;
  const CheckChain check = [roots, host = address.host, &clock](absl::string_view chain) {
    return CheckServerChain(chain, *roots, host, clock.Now());
  };
  attempt_->channel =
      MakeChannel(server_, proxy_, MakeCredentials(&identity_, check, attempt_->verdict));
  attempt_->stub = v1::AgentSession::NewStub(attempt_->channel);
  attempt_->stream = attempt_->stub->PrepareAsyncSession(&attempt_->context, &queue_);
  attempt_->stream->StartCall(AsPointer(kStarted));
  if (!timeout_set_) {
    timeout_set_ = true;
    timeout_.Set(&queue_, std::chrono::system_clock::now() + absl::ToChronoSeconds(kConnectLimit),
                 AsPointer(kTimeout));
  }
  return absl::OkStatus();
}

void GrpcLink::OnStarted(bool ok) {
  attempt_->started = true;
  if (timeout_set_) timeout_.Cancel();
  if (!ok) {
    attempt_->broken = true;
    return FinishWhenIdle();
  }
  events_.OnConnected();
  ReadNext();
  WriteNext();
}

void GrpcLink::ReadNext() {
  attempt_->reading = true;
  attempt_->stream->Read(&attempt_->incoming, AsPointer(kRead));
}

void GrpcLink::OnRead(bool ok) {
  attempt_->reading = false;
  if (!ok) {
    attempt_->broken = true;
    return FinishWhenIdle();
  }
  attempt_->welcomed |= attempt_->incoming.has_welcome();
  // May block while the core is behind; then nothing more is read either.
  events_.OnMessage(std::exchange(attempt_->incoming, v1::ServerMessage()));
  ReadNext();
}

void GrpcLink::Queue(const v1::AgentMessage& message) {
  if (attempt_ == nullptr || attempt_->broken) return;
  if (attempt_->queue.size() >= kMaxQueuedMessages) return Cancel();  // the server does not read
  attempt_->queue.push_back(message);
  WriteNext();
}

void GrpcLink::WriteNext() {
  if (!attempt_->started || attempt_->writing || attempt_->broken || attempt_->queue.empty()) {
    return;
  }
  attempt_->writing = true;
  attempt_->stream->Write(attempt_->queue.front(), AsPointer(kWritten));
}

void GrpcLink::OnWritten(bool ok) {
  attempt_->writing = false;
  if (!ok) {
    attempt_->broken = true;
    return FinishWhenIdle();
  }
  attempt_->queue.pop_front();
  WriteNext();
}

void GrpcLink::Cancel() {
  if (attempt_ == nullptr) return;
  attempt_->context.TryCancel();
}

void GrpcLink::FinishWhenIdle() {
  Attempt& attempt = *attempt_;
  if (attempt.finishing || attempt.reading || attempt.writing) return;
  attempt.finishing = true;
  attempt.stream->Finish(&attempt.status, AsPointer(kFinished));
}

absl::Status GrpcLink::Why() const {
  RETURN_IF_ERROR(attempt_->verdict->Get());
  if (attempt_->timed_out) {
    return absl::DeadlineExceededError(absl::StrCat("no connection to ", server_, " within ",
                                                    absl::FormatDuration(kConnectLimit)));
  }
  if (attempt_->status.ok()) return absl::UnavailableError("the server ended the session");
  const absl::Status status = FromGrpc(attempt_->status);
  const std::string message = Blame(server_, proxy_, status.message());
  if (NotHeard(status.message())) return absl::Status(status.code(), message);
  return absl::Status(status.code(),
                      absl::StrCat(message,
                                   "; if the server refused this host, its log says why. "
                                   "This host shows the certificate of ",
                                   DescribeCertificate(identity_)));
}

}  // namespace

std::unique_ptr<Link> MakeGrpcLink(Way way, IdentitySource load, const Clock& clock,
                                   LinkEvents& events) {
  return std::make_unique<GrpcLink>(std::move(way), std::move(load), clock, events);
}

}  // namespace dumpwarden
