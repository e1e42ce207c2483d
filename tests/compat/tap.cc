// SPDX-License-Identifier: Apache-2.0
#include "tests/compat/tap.h"

#include "absl/strings/str_cat.h"
#include "tests/support/process.h"

namespace dumpwarden {

std::int64_t Tape::BeginCall() {
  const std::lock_guard lock(mutex_);
  return ++calls_;
}

void Tape::Add(char sign, std::int64_t call, const std::string& what, const std::string& bytes) {
  const std::lock_guard lock(mutex_);
  entries_.push_back({sign, call, absl::ToInt64Milliseconds(absl::Now() - began_), what, bytes});
}

std::vector<RecordedEntry> Tape::Entries() const {
  const std::lock_guard lock(mutex_);
  return entries_;
}

std::string BytesOf(const grpc::ByteBuffer& buffer) {
  std::vector<grpc::Slice> slices;
  if (!buffer.Dump(&slices).ok()) return "";
  std::string bytes;
  for (const grpc::Slice& slice : slices) {
    bytes.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
  return bytes;
}

grpc::ByteBuffer BufferOf(const std::string& bytes) {
  const grpc::Slice slice(bytes);
  return {&slice, 1};
}

namespace {

// One call: two reactors that each start what the other has finished, and go together.  A message
// is passed on before the next one is read, in each direction.
class Passage {
 public:
  Passage(grpc::GenericStub& stub, Tape& tape, const std::string& method)
      : tape_(tape), method_(method), call_(tape.BeginCall()) {
    stub.PrepareBidiStreamingCall(&context_, method, {}, &up_);
    up_.AddHold();  // operations begin outside of its reactions
    up_.StartCall();
    up_.StartRead(&answer_);
    down_.StartRead(&request_);
  }
  grpc::ServerGenericBidiReactor* down() { return &down_; }

 private:
  struct Down final : grpc::ServerGenericBidiReactor {
    explicit Down(Passage& passage) : p(passage) {}
    void OnReadDone(bool ok) override { p.OnRequest(ok); }
    void OnWriteDone(bool ok) override { p.OnAnswered(ok); }
    void OnCancel() override { p.context_.TryCancel(); }
    void OnDone() override { p.Leave(); }
    Passage& p;
  };
  struct Up final : grpc::ClientBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
    explicit Up(Passage& passage) : p(passage) {}
    void OnReadDone(bool ok) override { p.OnAnswer(ok); }
    void OnWriteDone(bool ok) override { p.OnRequested(ok); }
    void OnDone(const grpc::Status& status) override { p.OnEnd(status); }
    Passage& p;
  };

  void OnRequest(bool ok) {
    const std::lock_guard lock(mutex_);
    if (up_over_) return;
    if (!ok) return up_.StartWritesDone();
    tape_.Add('>', call_, method_, BytesOf(request_));
    up_.StartWrite(&request_);
  }
  void OnRequested(bool ok) {
    if (ok) down_.StartRead(&request_);
  }
  void OnAnswer(bool ok) {
    if (ok) {
      tape_.Add('<', call_, method_, BytesOf(answer_));
      return down_.StartWrite(&answer_);
    }
    const std::lock_guard lock(mutex_);
    up_over_ = true;
    up_.RemoveHold();
  }
  void OnAnswered(bool ok) {
    if (!ok) context_.TryCancel();
    up_.StartRead(&answer_);
  }
  void OnEnd(const grpc::Status& status) {
    tape_.Add('=', call_, method_, absl::StrCat(status.error_code(), " ", status.error_message()));
    down_.Finish(status);
    Leave();
  }
  void Leave() {
    if (--users_ == 0) delete this;
  }

  Tape& tape_;
  const std::string method_;
  const std::int64_t call_;
  grpc::ClientContext context_;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer answer_;
  std::mutex mutex_;
  bool up_over_ = false;
  std::atomic<int> users_ = 2;
  Down down_{*this};
  Up up_{*this};
};

std::shared_ptr<grpc::Channel> Dial(const TapFiles& files, const std::string& upstream) {
  grpc::SslCredentialsOptions options;
  options.pem_root_certs = ReadAll(files.root);
  if (!files.client_chain.empty()) {
    options.pem_cert_chain = ReadAll(files.client_chain);
    options.pem_private_key = ReadAll(files.client_key);
  }
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(upstream, grpc::SslCredentials(options), arguments);
}

}  // namespace

Tap::Tap(const TapFiles& files, const std::string& upstream, Tape& tape)
    : tape_(tape), stub_(Dial(files, upstream)) {
  grpc::SslServerCredentialsOptions options(
      files.client_chain.empty() ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                 : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_BUT_DONT_VERIFY);
  options.pem_root_certs = ReadAll(files.root);
  options.pem_key_cert_pairs.push_back({ReadAll(files.server_key), ReadAll(files.server_chain)});
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(options), &port_);
  builder.RegisterCallbackGenericService(this);
  server_ = builder.BuildAndStart();
}

Tap::~Tap() { server_->Shutdown(absl::ToChronoTime(absl::Now())); }

std::string Tap::address() const { return absl::StrCat("127.0.0.1:", port_); }

grpc::ServerGenericBidiReactor* Tap::CreateReactor(grpc::GenericCallbackServerContext* context) {
  return (new Passage(stub_, tape_, context->method()))->down();
}

}  // namespace dumpwarden
