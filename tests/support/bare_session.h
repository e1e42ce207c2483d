// SPDX-License-Identifier: Apache-2.0
// A host's session without an agent, by a client that keeps no limit: it says
// whatever it is told to, with an identity that was enrolled.
#ifndef DUMPWARDEN_TESTS_SUPPORT_BARE_SESSION_H_
#define DUMPWARDEN_TESTS_SUPPORT_BARE_SESSION_H_

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "core/reconcile/state_digest.h"
#include "dumpwarden/v1/session.grpc.pb.h"

namespace dumpwarden {

inline std::string FileText(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// `folder`: ca.crt, tls.crt, tls.key, as an enrolled agent keeps them.  A connection of its own.
inline std::shared_ptr<grpc::Channel> DialWith(const std::string& server, const std::string& folder,
                                               grpc::ChannelArguments arguments = {}) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = FileText(folder + "/ca.crt");
  options.pem_cert_chain = FileText(folder + "/tls.crt");
  options.pem_private_key = FileText(folder + "/tls.key");
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxSendMessageSize(-1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(server, grpc::SslCredentials(options), arguments);
}

// BareSession is one stream.  One thread may write while another reads.
class BareSession {
 public:
  explicit BareSession(const std::shared_ptr<grpc::Channel>& channel)
      : stub_(v1::AgentSession::NewStub(channel)), stream_(stub_->Session(&context_)) {}
  ~BareSession() {
    context_.TryCancel();
    if (!finished_) stream_->Finish();
  }

  // Says hello; false when there is no Welcome.
  bool Join() {
    v1::AgentMessage message;
    message.mutable_hello()->set_protocol_min(1);
    message.mutable_hello()->set_protocol_max(1);
    message.mutable_hello()->set_instance(std::string(16, 'b'));
    message.mutable_hello()->set_agent_version("bare");
    if (!Write(message)) return false;
    v1::ServerMessage answer;
    return Read(answer) && answer.has_welcome();
  }
  bool Write(const v1::AgentMessage& message) { return stream_->Write(message); }
  bool Read(v1::ServerMessage& message) { return stream_->Read(&message); }
  // False when the stream ended first.
  bool AwaitAck(std::uint64_t sequence) {
    v1::ServerMessage answer;
    while (Read(answer)) {
      if (answer.has_ack() && answer.ack().sequence() >= sequence) return true;
    }
    return false;
  }
  void Cancel() { context_.TryCancel(); }
  // Nothing more is read then.
  grpc::Status Finish() {
    finished_ = true;
    return stream_->Finish();
  }

 private:
  std::unique_ptr<v1::AgentSession::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::AgentMessage, v1::ServerMessage>> stream_;
  bool finished_ = false;
};

// The `sequence`-th report of a host of which nothing is known but that one setting drifts anew.
inline v1::AgentMessage BareReport(std::uint64_t sequence) {
  const HostState state;
  v1::AgentMessage message;
  v1::Report& report = *message.mutable_report();
  report = MakeReport(sequence == 1 ? nullptr : &state, state);
  report.set_epoch(std::string(16, 'e'));
  report.set_sequence(sequence);
  report.set_state_digest(StateDigest(state));
  v1::DriftEvent& event = *report.add_events();
  event.set_sequence(sequence);
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_mode(v1::MODE_ENFORCE);
  event.set_setting("dump.type");
  event.set_new_value("small");
  event.set_desired("kernel");
  return message;
}

// BareFlood writes reports as fast as the server reads them, until it is stopped or all are
// written; the Acks are read too.
class BareFlood {
 public:
  // `session` has joined, and outlives it.
  BareFlood(BareSession& session, std::uint64_t reports) : session_(session) {
    writer_ = std::thread([this, reports] {
      for (std::uint64_t n = 1; n <= reports && session_.Write(BareReport(n)); ++n) written_ = n;
    });
    reader_ = std::thread([this] {
      for (v1::ServerMessage answer; session_.Read(answer);) {
        if (answer.has_ack()) acknowledged_ = answer.ack().sequence();
      }
    });
  }
  ~BareFlood() { Stop(); }
  void Stop() {
    session_.Cancel();
    if (writer_.joinable()) writer_.join();
    if (reader_.joinable()) reader_.join();
  }
  std::uint64_t written() const { return written_; }
  std::uint64_t acknowledged() const { return acknowledged_; }

 private:
  BareSession& session_;
  std::atomic<std::uint64_t> written_ = 0;
  std::atomic<std::uint64_t> acknowledged_ = 0;
  std::thread writer_;
  std::thread reader_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_BARE_SESSION_H_
