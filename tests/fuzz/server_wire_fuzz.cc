// SPDX-License-Identifier: Apache-2.0
// A host that a thief owns, against the real fleet and store: messages in any
// order.  Another host's state stays what it was, and its session is served.
#include <stdlib.h>

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "core/base/digest.h"
#include "platform/keys.h"
#include "platform/system.h"
#include "server/fleet/fleet.h"
#include "server/store/sqlite_store.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/frames.h"
#include "tests/support/fake_clock.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

// Answers come on the store's thread.
class Stream final : public SessionOut {
 public:
  void Send(std::shared_ptr<const std::string>) override {}
  void SendLatest(std::shared_ptr<const std::string>) override {}
  void Close(const v1::Goodbye&) override { Wake(true); }
  void Abort() override { Wake(true); }
  void ReadNext() override { Wake(false); }
  // False when the stream is over.
  bool AwaitTurn() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return next_ || over_; });
    next_ = false;
    return !over_;
  }

 private:
  void Wake(bool over) {
    const std::lock_guard lock(mutex_);
    next_ = true;
    over_ = over_ || over;
    changed_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  bool next_ = false;
  bool over_ = false;
};

// One server for all inputs: what a host did before must not matter to another.
class Server {
 public:
  Server() {
    auto store = MakeSqliteStore(folder_.File("store.db"), clock_);
    Check(store.ok(), "no store");
    store_ = *std::move(store);
    fleet_ = MakeFleet(*store_, clock_, *random_);
    victim_ = Enroll("victim");
  }

  HostRow Enroll(const std::string& name) {
    const std::string id = Sha256Hex(name).substr(0, 32);
    const Audit audit{"fuzz", "", "fuzz", name, "", "", ""};
    store_->CreateToken({id, "digest", {}, "", clock_.Now() + absl::Hours(1)}, audit).IgnoreError();
    HostRow host;
    host.uuid = name;
    host.name = name;
    host.host_key = name;
    host.enrolled = clock_.Now();
    const auto row = store_->EnrollHost(id, "digest", host, clock_.Now(), audit);
    Check(row.ok(), "a host cannot be enrolled");
    return *row;
  }

  void Converse(absl::string_view bytes) {
    const HostRow host = Enroll(std::to_string(++hosts_));
    Stream stream;
    const SessionId session = fleet_->OnOpened(host, absl::InfiniteFuture(), stream);
    bool open = true;
    for (auto frame = TakeFrame(bytes); open && frame; frame = TakeFrame(bytes)) {
      v1::AgentMessage message;
      if (message.ParseFromArray(frame->data(), static_cast<int>(frame->size()))) {
        fleet_->OnMessage(session, std::move(message));
      } else {
        fleet_->OnGarbage(session, "no message");
      }
      open = stream.AwaitTurn();
      clock_.Advance(absl::Seconds(1));
      fleet_->Tick();
    }
    fleet_->OnClosed(session);
    const auto row = store_->FindHost("victim");
    Check(row.ok() && row->epoch == victim_.epoch && row->state == victim_.state &&
              row->facts_digest == victim_.facts_digest && !row->quarantined,
          "another host was changed");
  }

 private:
  TempFolder folder_;
  FakeClock clock_;
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  HostRow victim_;
  int hosts_ = 0;
};

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& server = *new dumpwarden::Server;
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  server.Converse(bytes);
  dumpwarden::ReadCsrDer(bytes).IgnoreError();
  dumpwarden::ReadPublicKeyDer(bytes).IgnoreError();
  return 0;
}
