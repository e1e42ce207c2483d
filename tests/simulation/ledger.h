// SPDX-License-Identifier: Apache-2.0
// Every drift event that any agent made durable, held against what the server
// keeps: P6, P7.  None is lost, none is there twice, none is invented.
#ifndef DUMPWARDEN_TESTS_SIMULATION_LEDGER_H_
#define DUMPWARDEN_TESTS_SIMULATION_LEDGER_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "dumpwarden/v1/report.pb.h"
#include "tests/simulation/world.h"

namespace dumpwarden::sim {

// Of one identity.
struct HostLedger {
  struct Entry {
    v1::DriftEvent event;
    bool kept_once = true;  // false: a restored image may have taken it away
  };
  std::map<std::string, Entry> entries;  // by content
  bool cloned = false;                   // two machines number their events apart
  bool restored = false;
  // Were at a server that was lost, and not in the backup that took its place.
  std::map<std::string, v1::DriftEvent> gone;
};

// The events that one end holds.
using EventList = std::vector<v1::DriftEvent>;

class Ledger {
 public:
  explicit Ledger(World& world) : world_(world) {}

  HostLedger& Of(const std::string& uuid) { return hosts_[uuid]; }
  // The agent's queue as it is on its disk now.
  void Record(const std::string& uuid, const EventList& queue);
  // The machine goes back to when it had recorded `known`; later events may be gone.
  std::set<std::string> Known(const std::string& uuid);
  void Restored(const std::string& uuid, const std::set<std::string>& known);

  // The server is a backup again: it had `lost` and has it no more.
  void ServerRestored(const std::string& uuid, const EventList& lost);
  // No number of a policy is ever given to another text.
  void SeePolicy(const std::string& name, std::uint64_t version, const std::string& digest);

  // All events at the server of a host, and its queue (of a cloned one: both queues).
  void Check(const std::string& uuid, const EventList& server, const EventList& queue);
  // Nothing is under way: the server counts all the events that the host has numbered, and what was
  // compacted has a first one before it and a last one after it.
  void CheckCount(const std::string& uuid, const EventList& server, std::uint64_t numbered);

  // The server shows as open what is open at the host ("enforce dump.type").
  void CheckOpen(const std::string& uuid, const std::vector<std::string>& server,
                 const std::set<std::string>& host);
  // Each drift at the server has ended once, or is one of `open` at its host; of a host that was
  // set back, each end that it told is that of a drift of its own.
  void CheckEnds(const std::string& uuid, const EventList& server,
                 const std::set<std::uint64_t>& open);

  static std::string Content(const v1::DriftEvent& event);

 private:
  World& world_;
  void CheckLives(const std::string& uuid, const EventList& server);
  void CheckCompacted(const std::string& uuid, const EventList& server);

  std::map<std::string, HostLedger> hosts_;
  std::map<std::pair<std::string, std::uint64_t>, std::string> policies_;  // digests
};

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_LEDGER_H_
