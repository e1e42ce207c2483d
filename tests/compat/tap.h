// SPDX-License-Identifier: Apache-2.0
// Tap is a gRPC proxy between two real programs: it shows the server's own
// certificate, dials with the client's, passes messages on as they are, and
// writes each down.
#ifndef DUMPWARDEN_TESTS_COMPAT_TAP_H_
#define DUMPWARDEN_TESTS_COMPAT_TAP_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/compat/recording.h"

namespace dumpwarden {

// What all taps of a conversation write into.  Thread-safe.
class Tape {
 public:
  std::int64_t BeginCall();
  void Add(char sign, std::int64_t call, const std::string& what, const std::string& bytes);
  // Something beside the wire.
  void Note(const std::string& what) { Add('!', 0, what, ""); }
  std::vector<RecordedEntry> Entries() const;

 private:
  const absl::Time began_ = absl::Now();
  mutable std::mutex mutex_;
  std::int64_t calls_ = 0;
  std::vector<RecordedEntry> entries_;
};

struct TapFiles {
  std::string server_chain;
  std::string server_key;
  std::string root;
  std::string client_chain;  // empty: dials without
  std::string client_key;
};

class Tap : private grpc::CallbackGenericService {
 public:
  // `tape` outlives the tap.
  Tap(const TapFiles& files, const std::string& upstream, Tape& tape);
  ~Tap() override;
  std::string address() const;

 private:
  grpc::ServerGenericBidiReactor* CreateReactor(
      grpc::GenericCallbackServerContext* context) override;

  Tape& tape_;
  grpc::GenericStub stub_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

// The bytes of a message, and back.
std::string BytesOf(const grpc::ByteBuffer& buffer);
grpc::ByteBuffer BufferOf(const std::string& bytes);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_COMPAT_TAP_H_
