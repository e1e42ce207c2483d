// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/network.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace dumpwarden::sim {
namespace {

constexpr absl::Duration kPingTimeout = absl::Seconds(140);  // 120 s between pings, 20 s for one
constexpr absl::Duration kDialTimeout = absl::Seconds(20);

std::shared_ptr<const std::string> BytesOf(const v1::ServerMessage& message) {
  return std::make_shared<const std::string>(message.SerializeAsString());
}

bool IsAck(const std::string& bytes) {
  v1::ServerMessage message;
  return message.ParseFromString(bytes) && message.has_ack();
}

}  // namespace

Stream::Stream(Network& network, StreamId id, std::string uuid, int place, LinkEvents& agent)
    : network_(network),
      id_(id),
      uuid_(std::move(uuid)),
      place_(place),
      agent_(&agent),
      latency_(absl::Milliseconds(network.world_.chance.Between(1, 60))) {}

// --- What the fleet does

void Stream::Send(std::shared_ptr<const std::string> bytes) {
  if (!network_.server_faults_.Check("Fleet::Send").ok()) {
    if (IsAck(*bytes)) network_.world_.counts.Add(Fault::kUnsentAck);
    return;
  }
  if (closing_) return;
  network_.Push(*this, false, {{}, bytes});
  v1::ServerMessage message;
  if (!network_.on_ack_ || !IsAck(*bytes) || !message.ParseFromString(*bytes)) return;
  network_.on_ack_(place_, message.ack(), false);
}

void Stream::SendLatest(std::shared_ptr<const std::string> bytes) {
  if (!network_.server_faults_.Check("Fleet::Send").ok() || closing_) return;
  for (std::size_t i = 1; i < down_.items.size(); ++i) {  // the first is on its way
    if (!down_.items[i].latest) continue;
    down_.items[i].bytes = std::move(bytes);
    return;
  }
  network_.Push(*this, false, {{}, std::move(bytes), true});
}

void Stream::Close(const v1::Goodbye& goodbye) {
  if (!network_.server_faults_.Check("Fleet::Send").ok() || closing_) return;
  v1::ServerMessage message;
  *message.mutable_goodbye() = goodbye;
  network_.Push(*this, false, {{}, BytesOf(message)});
  network_.Push(*this, false, {{}, nullptr, false, true});
  closing_ = true;
  // Now and then the other end does not read, and the fleet has to abort.
  if (!network_.world_.chance.Happens(0.1)) {
    network_.CloseServerEndSoon(id_, absl::Milliseconds(2));
  }
}

void Stream::Abort() {
  if (network_.server_faults_.dead()) return;
  closing_ = true;
  network_.Truncate(down_);
  network_.Push(*this, false, {{}, nullptr, false, true});
  network_.CloseServerEndSoon(id_, absl::Milliseconds(1));
}

void Stream::ReadNext() {
  read_wanted_ = true;
  network_.Schedule(*this, true);
}

// --- What agents do

Stream* Network::Find(StreamId id) {
  const auto found = streams_.find(id);
  return found == streams_.end() ? nullptr : found->second.get();
}

StreamId Network::Dial(const std::string& uuid, int place, LinkEvents& agent) {
  const StreamId id = ++last_;
  streams_.emplace(id, std::make_unique<Stream>(*this, id, uuid, place, agent));
  world_.After(absl::Milliseconds(world_.chance.Between(1, 80)), [this, id] { Open(id); });
  return id;
}

void Network::Open(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->agent_ == nullptr) return;
  if (listener_ == nullptr || IsCut(stream->place_)) {
    const bool refused = !IsCut(stream->place_) && world_.chance.Happens(0.5);
    world_.After(refused ? absl::Milliseconds(1) : kDialTimeout,
                 [this, id] { Refuse(id, absl::UnavailableError("no connection to the server")); });
    return;
  }
  stream->read_wanted_ = true;
  const absl::StatusOr<SessionId> session = listener_->Accept(stream->uuid_, *stream);
  if (!session.ok()) {
    world_.After(absl::Milliseconds(5), [this, id, why = session.status()] { Refuse(id, why); });
    return;
  }
  stream->served_ = true;
  stream->session_ = *session;
  world_.After(stream->latency_, [this, id] {
    Stream* opened = Find(id);
    if (opened != nullptr && opened->agent_ != nullptr) opened->agent_->OnConnected();
  });
}

void Network::Refuse(StreamId id, const absl::Status& why) {
  Stream* stream = Find(id);
  if (stream == nullptr) return;
  LinkEvents* agent = std::exchange(stream->agent_, nullptr);
  Forget(*stream);
  if (agent != nullptr) agent->OnDisconnected(why);
}

void Network::SendUp(StreamId id, const v1::AgentMessage& message) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->agent_ == nullptr) return;
  Push(*stream, true, {{}, std::make_shared<const std::string>(message.SerializeAsString())});
}

void Network::HangUp(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || stream->agent_ == nullptr) return;
  LinkEvents* agent = stream->agent_;
  Truncate(stream->up_);
  Push(*stream, true, {{}, nullptr, false, true});
  // Still the agent's until it has been told, as the end of its process must cancel this.
  world_.After(absl::Milliseconds(1), [this, id, agent] {
    Stream* hung_up = Find(id);
    if (hung_up == nullptr || hung_up->agent_ != agent) return;
    hung_up->agent_ = nullptr;
    Forget(*hung_up);
    agent->OnDisconnected(absl::CancelledError("hung up"));
  });
}

void Network::AgentDied(StreamId id, Death death) {
  Stream* stream = Find(id);
  if (stream == nullptr) return;
  stream->agent_ = nullptr;
  if (stream->served_ && death == Death::kPower) {
    world_.counts.Add(Fault::kHalfOpen);
    CloseServerEndSoon(id, kPingTimeout);
  } else {
    Truncate(stream->up_);
    Push(*stream, true, {{}, nullptr, false, true});
  }
  Forget(*stream);
}

// --- The server

void Network::ServerStarted(Listener& listener) {
  listener_ = &listener;
  WakeAll();
}

void Network::ServerDied(Death death) {
  listener_ = nullptr;
  for (auto at = streams_.begin(); at != streams_.end();) {
    Stream& stream = *(at++)->second;
    if (!stream.served_) continue;
    stream.served_ = false;
    if (stream.agent_ == nullptr) {
      Forget(stream);
      continue;
    }
    if (death == Death::kPower) {
      world_.counts.Add(Fault::kHalfOpen);
      continue;  // its next message will tell
    }
    Truncate(stream.down_);
    Push(stream, false, {{}, nullptr, false, true});
  }
}

// --- Trouble

void Network::Cut(int place, bool cut) {
  if (!cut) {
    cut_.erase(place);
    return WakeAll();
  }
  const absl::Duration since = world_.now();
  cut_[place] = since;
  world_.After(kPingTimeout, [this, place, since] {
    const auto at = cut_.find(place);
    if (at == cut_.end() || at->second != since) return;
    for (const auto& [id, stream] : streams_) {
      if (stream->place_ == place) CloseServerEndSoon(id, absl::ZeroDuration());
    }
  });
}

bool Network::Break(int place) {
  for (auto& [id, stream] : streams_) {
    if (stream->place_ != place || stream->agent_ == nullptr || !stream->served_) continue;
    Truncate(stream->up_);
    Push(*stream, true, {{}, nullptr, false, true});
    Truncate(stream->down_);
    Push(*stream, false, {{}, nullptr, false, true});
    return true;
  }
  return false;
}

void Network::Heal() {
  cut_.clear();
  slow_.clear();
  WakeAll();
}

bool Network::Inject(int place, const v1::ServerMessage& message) {
  for (auto& [id, stream] : streams_) {
    if (stream->place_ != place || stream->agent_ == nullptr || !stream->served_) continue;
    if (stream->closing_) continue;
    Push(*stream, false, {{}, BytesOf(message)});
    return true;
  }
  return false;
}

// --- Pipes

void Network::Truncate(Stream::Pipe& pipe) {
  if (pipe.items.empty()) return;
  const auto kept =
      static_cast<std::size_t>(world_.chance.Below(static_cast<int>(pipe.items.size()) + 1));
  world_.counts.Add(Fault::kLostMessage, pipe.items.size() - kept);
  pipe.items.resize(kept);
}

void Network::Push(Stream& stream, bool up, Stream::Item item) {
  Stream::Pipe& pipe = up ? stream.up_ : stream.down_;
  if (!pipe.items.empty() && pipe.items.back().end) return;
  absl::Duration takes = stream.latency_;
  if (const auto slow = slow_.find(stream.place_); slow != slow_.end()) {
    takes += slow->second * world_.chance.Fraction();
    world_.counts.Add(Fault::kDelay);
  }
  item.at = pipe.last = std::max(pipe.last, world_.now() + takes);
  pipe.items.push_back(std::move(item));
  Schedule(stream, up);
}

void Network::Schedule(Stream& stream, bool up) {
  Stream::Pipe& pipe = up ? stream.up_ : stream.down_;
  if (pipe.scheduled || pipe.items.empty()) return;
  pipe.scheduled = true;
  world_.At(pipe.items.front().at, [this, id = stream.id_, up] { Deliver(id, up); });
}

void Network::Deliver(StreamId id, bool up) {
  Stream* stream = Find(id);
  if (stream == nullptr) return;
  (up ? stream->up_ : stream->down_).scheduled = false;
  if (IsCut(stream->place_)) return;
  const bool taken = up ? DeliverUp(*stream) : DeliverDown(*stream);
  stream = Find(id);
  if (taken && stream != nullptr) Schedule(*stream, up);
}

bool Network::DeliverUp(Stream& stream) {
  if (!stream.served_) {
    if (listener_ != nullptr) Reset(stream);
    return false;  // sent again until somebody answers
  }
  if (stream.up_.items.front().end) {
    CloseServerEnd(stream.id_);
    return false;
  }
  if (stream.closing_) {  // the server reads no more
    stream.up_.items.pop_front();
    return true;
  }
  if (!stream.read_wanted_) return false;
  stream.read_wanted_ = false;
  if (stream.agent_ == nullptr) world_.counts.Add(Fault::kLateMessage);
  v1::AgentMessage message;
  if (!message.ParseFromString(*stream.up_.items.front().bytes)) world_.Fail("no AgentMessage");
  stream.up_.items.pop_front();
  listener_->Receive(stream.session_, std::move(message));
  return true;
}

bool Network::DeliverDown(Stream& stream) {
  const Stream::Item item = std::move(stream.down_.items.front());
  stream.down_.items.pop_front();
  if (stream.agent_ == nullptr) return true;  // nobody is there
  if (!item.end) {
    v1::ServerMessage message;
    if (!message.ParseFromString(*item.bytes)) world_.Fail("no ServerMessage");
    const int place = stream.place_;
    stream.agent_->OnMessage(message);
    if (on_ack_ && message.has_ack()) on_ack_(place, message.ack(), true);
    return true;
  }
  LinkEvents* agent = std::exchange(stream.agent_, nullptr);
  Forget(stream);
  agent->OnDisconnected(absl::UnavailableError("the connection ended"));
  return false;
}

void Network::Reset(Stream& stream) {
  stream.up_.items.clear();
  stream.down_.items.clear();
  if (stream.agent_ == nullptr) return Forget(stream);
  Push(stream, false, {{}, nullptr, false, true});
}

void Network::CloseServerEnd(StreamId id) {
  Stream* stream = Find(id);
  if (stream == nullptr || !stream->served_) return;
  stream->served_ = false;
  const SessionId session = stream->session_;
  // An agent that is still there finds out when it sends, or reads to the end.
  Forget(*stream);
  listener_->Closed(session);
}

void Network::CloseServerEndSoon(StreamId id, absl::Duration delay) {
  world_.After(delay, [this, id] { CloseServerEnd(id); });
}

void Network::WakeAll() {
  for (auto& [id, stream] : streams_) {
    Schedule(*stream, true);
    Schedule(*stream, false);
  }
}

void Network::Forget(Stream& stream) {
  if (stream.agent_ == nullptr && !stream.served_) streams_.erase(stream.id_);
}

}  // namespace dumpwarden::sim
