// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/ledger.h"

#include <algorithm>
#include <cstdint>
#include <limits>

#include "absl/strings/str_cat.h"
#include "core/base/timestamp.h"

namespace dumpwarden::sim {
namespace {

// A compacted event stands for those of its setting up to its own number.
bool Covers(const v1::DriftEvent& compacted, const v1::DriftEvent& event) {
  return compacted.kind() == v1::DriftEvent::KIND_COMPACTED &&
         compacted.setting() == event.setting() && compacted.mode() == event.mode() &&
         compacted.sequence() >= event.sequence();
}

bool CoveredByOne(const EventList& events, const v1::DriftEvent& event) {
  return std::any_of(events.begin(), events.end(),
                     [&event](const v1::DriftEvent& other) { return Covers(other, event); });
}

// The server ends what a restored host no longer knows; no host gives such numbers.
bool MadeByServer(const v1::DriftEvent& event) {
  return event.sequence() > std::numeric_limits<std::int64_t>::max();
}

bool SameSetting(const v1::DriftEvent& a, const v1::DriftEvent& b) {
  return a.setting() == b.setting() && a.mode() == b.mode();
}

std::uint64_t CountOf(const v1::DriftEvent& event) {
  return event.kind() == v1::DriftEvent::KIND_COMPACTED ? event.count() : 1;
}

}  // namespace

std::string Ledger::Content(const v1::DriftEvent& event) {
  const std::int64_t at = event.at().seconds() * 1'000'000 + event.at().nanos() / 1000;
  return absl::StrCat(event.sequence(), "|", event.kind(), "|", event.setting(), "|", event.mode(),
                      "|", event.old_value(), "|", event.new_value(), "|", event.desired(), "|",
                      event.policy(), "|", at, "|", event.drift_sequence(), "|", event.count());
}

void Ledger::Record(const std::string& uuid, const EventList& queue) {
  HostLedger& host = hosts_[uuid];
  for (const v1::DriftEvent& event : queue) {
    host.entries.try_emplace(Content(event), HostLedger::Entry{event});
  }
}

std::set<std::string> Ledger::Known(const std::string& uuid) {
  std::set<std::string> known;
  for (const auto& [content, entry] : hosts_[uuid].entries) known.insert(content);
  return known;
}

void Ledger::Restored(const std::string& uuid, const std::set<std::string>& known) {
  HostLedger& host = hosts_[uuid];
  host.restored = true;
  for (auto& [content, entry] : host.entries) {
    if (!known.contains(content)) entry.kept_once = false;
  }
}

void Ledger::ServerRestored(const std::string& uuid, const EventList& lost) {
  HostLedger& host = hosts_[uuid];
  for (const v1::DriftEvent& event : lost) {
    host.gone.emplace(Content(event), event);
    const auto same = host.entries.find(Content(event));
    if (same != host.entries.end()) same->second.kept_once = false;
    if (event.kind() != v1::DriftEvent::KIND_COMPACTED) continue;
    for (auto& [content, entry] : host.entries) {
      if (Covers(event, entry.event)) entry.kept_once = false;
    }
  }
}

void Ledger::SeePolicy(const std::string& name, std::uint64_t version, const std::string& digest) {
  const std::string& first = policies_.try_emplace({name, version}, digest).first->second;
  if (first == digest) return;
  world_.Fail(absl::StrCat("policy ", name, " version ", version, " was given out with two texts"));
}

void Ledger::Check(const std::string& uuid, const EventList& server, const EventList& queue) {
  HostLedger& host = hosts_[uuid];
  if (world_.failed()) return;
  const auto fail = [&](const std::string& what, const v1::DriftEvent& event) {
    world_.Fail(absl::StrCat("P6, P7: host ", uuid, ": event ", Content(event), " ", what));
  };
  std::set<std::string> there;
  for (const v1::DriftEvent& event : server) {
    const std::string content = Content(event);
    // Over there, and open again on a machine that was set back: it is kept once more.
    const bool again =
        event.kind() == v1::DriftEvent::KIND_DRIFTED && (host.restored || host.cloned);
    if (!there.insert(content).second && !again) return fail("is at the server twice", event);
    if (MadeByServer(event)) {
      const bool reason = host.restored || host.cloned || !host.gone.empty();
      if (reason && event.kind() == v1::DriftEvent::KIND_RESOLVED) continue;
      return fail("is an end that the server had no reason to make", event);
    }
    if (!host.entries.contains(content))
      return fail("is at the server and no agent made it", event);
  }
  for (const v1::DriftEvent& event : queue) there.insert(Content(event));
  for (const auto& [content, entry] : host.entries) {
    if (!entry.kept_once || there.contains(content)) continue;
    if (CoveredByOne(server, entry.event) || CoveredByOne(queue, entry.event)) continue;
    return fail("is lost: neither with the agent nor at the server", entry.event);
  }
}

void Ledger::CheckCount(const std::string& uuid, const EventList& server, std::uint64_t numbered) {
  const HostLedger& host = hosts_[uuid];
  if (host.cloned || host.restored) return;
  std::uint64_t count = 0;
  std::set<std::string> there;
  for (const v1::DriftEvent& event : server) {
    there.insert(Content(event));
    count += MadeByServer(event) ? 0 : CountOf(event);
  }
  for (const auto& [content, event] : host.gone) {
    if (!there.contains(content) && !MadeByServer(event)) count += CountOf(event);
  }
  if (host.gone.empty()) CheckCompacted(uuid, server);
  if (count == numbered) return;
  world_.Fail(absl::StrCat("P6: host ", uuid, ": the agent numbered ", numbered,
                           " events, the server counts ", count));
}

void Ledger::CheckCompacted(const std::string& uuid, const EventList& server) {
  for (const v1::DriftEvent& event : server) {
    if (event.kind() != v1::DriftEvent::KIND_COMPACTED) continue;
    bool first = false;
    bool last = false;
    for (const v1::DriftEvent& other : server) {
      if (!SameSetting(event, other) || other.kind() == v1::DriftEvent::KIND_COMPACTED) continue;
      first = first || other.sequence() < event.sequence();
      last = last || other.sequence() > event.sequence();
    }
    if (first && last) continue;
    world_.Fail(absl::StrCat("P6: host ", uuid, ": compacted ", Content(event), " has no ",
                             first ? "last" : "first", " beside it"));
  }
}

void Ledger::CheckOpen(const std::string& uuid, const std::vector<std::string>& server,
                       const std::set<std::string>& host) {
  std::set<std::string> there;
  for (const std::string& setting : server) {
    if (!there.insert(setting).second) {
      world_.Fail(absl::StrCat("P6: host ", uuid, ": ", setting, " has two open drifts"));
    }
    if (!host.contains(setting)) {
      world_.Fail(absl::StrCat("P6: host ", uuid, ": the drift of ", setting,
                               " is over and stays open at the server"));
    }
  }
  for (const std::string& setting : host) {
    if (there.contains(setting)) continue;
    world_.Fail(
        absl::StrCat("P6: host ", uuid, ": ", setting, " drifts, at the server it is over"));
  }
}

// A second life whose end were taken for another end of the first would be in no list.
void Ledger::CheckLives(const std::string& uuid, const EventList& server) {
  if (!hosts_[uuid].gone.empty()) return;  // beginnings went with a server
  std::map<std::string, int> lives;
  for (const v1::DriftEvent& event : server) {
    if (MadeByServer(event)) continue;
    const bool begins = event.kind() == v1::DriftEvent::KIND_DRIFTED;
    if (!begins && event.drift_sequence() == 0) continue;
    const std::uint64_t number = begins ? event.sequence() : event.drift_sequence();
    const std::string& value = begins ? event.new_value() : event.old_value();
    lives[absl::StrCat(number, " ", event.mode(), " ", event.setting(), " ", value)] +=
        begins ? 1 : -1;
  }
  for (const auto& [drift, more] : lives) {
    if (more >= 0) continue;
    return world_.Fail(
        absl::StrCat("P6: host ", uuid, ": drift ", drift, " has more ends than beginnings"));
  }
}

void Ledger::CheckEnds(const std::string& uuid, const EventList& server,
                       const std::set<std::uint64_t>& open) {
  const HostLedger& host = hosts_[uuid];
  if (host.cloned || world_.failed()) return;
  if (host.restored) return CheckLives(uuid, server);
  std::map<std::uint64_t, int> ends;
  for (const v1::DriftEvent& event : server) {
    if (event.drift_sequence() != 0) ++ends[event.drift_sequence()];
  }
  for (const v1::DriftEvent& event : server) {
    if (event.kind() != v1::DriftEvent::KIND_DRIFTED) continue;
    const int expected = open.contains(event.sequence()) ? 0 : 1;
    // When its end went with a server and the setting drifts anew, that drift stands for both.
    const bool lost = !host.gone.empty() && ends[event.sequence()] == 0;
    if (lost || ends[event.sequence()] == expected) continue;
    return world_.Fail(absl::StrCat("P6: host ", uuid, ": drift ", Content(event), " has ",
                                    ends[event.sequence()], " ends at the server, expected ",
                                    expected));
  }
}

}  // namespace dumpwarden::sim
