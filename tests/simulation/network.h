// SPDX-License-Identifier: Apache-2.0
// Streams between agents and server as TCP gives them: in order and whole, or
// broken at any message.  Doubles and reordering exist only across two streams
// of one host.
#ifndef DUMPWARDEN_TESTS_SIMULATION_NETWORK_H_
#define DUMPWARDEN_TESTS_SIMULATION_NETWORK_H_

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "agent/link.h"
#include "server/fleet/fleet.h"
#include "tests/simulation/world.h"

namespace dumpwarden::sim {

// A running server, as the network sees it.
class Listener {
 public:
  virtual ~Listener() = default;
  virtual absl::StatusOr<SessionId> Accept(const std::string& uuid, SessionOut& out) = 0;
  virtual void Receive(SessionId session, v1::AgentMessage message) = 0;
  virtual void Closed(SessionId session) = 0;
};

using StreamId = std::uint64_t;
class Network;

// Stream is one attempt to connect and what follows.  The fleet sees it as SessionOut.
class Stream final : public SessionOut {
 public:
  Stream(Network& network, StreamId id, std::string uuid, int place, LinkEvents& agent);

  void Send(std::shared_ptr<const std::string> bytes) override;
  void SendLatest(std::shared_ptr<const std::string> bytes) override;
  void Close(const v1::Goodbye& goodbye) override;
  void Abort() override;
  void ReadNext() override;

 private:
  friend class Network;
  struct Item {
    absl::Duration at;
    std::shared_ptr<const std::string> bytes;
    bool latest = false;
    bool end = false;
  };
  struct Pipe {
    std::deque<Item> items;
    absl::Duration last;  // when the newest arrives
    bool scheduled = false;
  };

  Network& network_;
  const StreamId id_;
  const std::string uuid_;
  const int place_;
  LinkEvents* agent_;  // null: it is not there any more, or has hung up
  bool served_ = false;
  bool closing_ = false;  // by the server
  bool read_wanted_ = false;
  SessionId session_ = 0;
  absl::Duration latency_;
  Pipe up_;
  Pipe down_;
};

class Network {
 public:
  Network(World& world, MachineFaults& server_faults)
      : world_(world), server_faults_(server_faults) {}

  // --- Agents.  `place` is where in the network the machine stands.
  StreamId Dial(const std::string& uuid, int place, LinkEvents& agent);
  void SendUp(StreamId id, const v1::AgentMessage& message);
  void HangUp(StreamId id);
  enum class Death { kProcess, kPower };
  void AgentDied(StreamId id, Death death);

  // --- The server.
  void ServerStarted(Listener& listener);
  void ServerDied(Death death);

  // --- What goes wrong between them.
  void Cut(int place, bool cut);  // a partition
  bool IsCut(int place) const { return cut_.contains(place); }
  bool Break(int place);  // a stream of this place breaks; false when there is none
  void Slow(int place, absl::Duration by) { slow_[place] = by; }
  void Heal();
  // As a server would that went back in time: this message comes on a live stream of `place`.
  bool Inject(int place, const v1::ServerMessage& message);

  // An Ack has been sent (`taken`: the agent has done what follows from it).
  using AckSeen = std::function<void(int place, const v1::Ack& ack, bool taken)>;
  void OnAck(AckSeen then) { on_ack_ = std::move(then); }

 private:
  friend class Stream;
  Stream* Find(StreamId id);
  void Open(StreamId id);
  void Refuse(StreamId id, const absl::Status& why);
  void Push(Stream& stream, bool up, Stream::Item item);
  void Schedule(Stream& stream, bool up);
  void Deliver(StreamId id, bool up);
  // Each: true when it took the first item.
  bool DeliverUp(Stream& stream);
  bool DeliverDown(Stream& stream);
  void Reset(Stream& stream);  // the agent's end learns that the stream is broken
  void CloseServerEnd(StreamId id);
  void CloseServerEndSoon(StreamId id, absl::Duration delay);
  void Truncate(Stream::Pipe& pipe);
  void WakeAll();
  void Forget(Stream& stream);

  World& world_;
  MachineFaults& server_faults_;
  Listener* listener_ = nullptr;
  StreamId last_ = 0;
  std::map<StreamId, std::unique_ptr<Stream>> streams_;
  std::map<int, absl::Duration> cut_;  // since when
  std::map<int, absl::Duration> slow_;
  AckSeen on_ack_;
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_NETWORK_H_
