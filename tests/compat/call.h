// SPDX-License-Identifier: Apache-2.0
// One call of any method, by hand: bytes out, bytes in, blocking.
#ifndef DUMPWARDEN_TESTS_COMPAT_CALL_H_
#define DUMPWARDEN_TESTS_COMPAT_CALL_H_

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "tests/compat/tap.h"

namespace dumpwarden {

class Call {
 public:
  Call(grpc::GenericStub& stub, const std::string& method) {
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    stream_ = stub.PrepareCall(&context_, method, &queue_);
    stream_->StartCall(this);
    Done();
  }
  bool Write(const std::string& bytes) {
    stream_->Write(BufferOf(bytes), this);
    return Done();
  }
  bool WritesDone() {
    stream_->WritesDone(this);
    return Done();
  }
  // nullopt when nothing more comes.
  std::optional<std::string> Read() {
    grpc::ByteBuffer buffer;
    stream_->Read(&buffer, this);
    if (!Done()) return std::nullopt;
    return BytesOf(buffer);
  }
  void Cancel() { context_.TryCancel(); }
  grpc::Status Finish() {
    while (Read().has_value()) {
    }
    grpc::Status status;
    stream_->Finish(&status, this);
    Done();
    return status;
  }

 private:
  bool Done() {
    void* tag = nullptr;
    bool ok = false;
    return queue_.Next(&tag, &ok) && ok;
  }
  grpc::CompletionQueue queue_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_COMPAT_CALL_H_
