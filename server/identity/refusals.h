// SPDX-License-Identifier: Apache-2.0
// Counts who was turned away and says so, at a bounded rate: each reason at
// once the first time, then at most one line a minute with the count.
// Strangers decide how often, not how much is written.  Thread-safe.
#ifndef DUMPWARDEN_SERVER_IDENTITY_REFUSALS_H_
#define DUMPWARDEN_SERVER_IDENTITY_REFUSALS_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "core/base/clock.h"

namespace dumpwarden {

struct Refusal {
  std::string action;       // handshake.refused, call.refused
  std::string reason;       // a word of a fixed set: it is a key
  std::string source;       // peer address of the last one; empty when it is not known
  std::string detail;       // of the last one
  std::uint64_t count = 0;  // since the last line
};

class Refusals {
 public:
  using Say = std::function<void(const Refusal&)>;
  // `say` may be called from any thread, never under a lock.
  Refusals(const Clock& clock, Say say) : clock_(clock), say_(std::move(say)) {}

  // `count` is not looked at.
  void Count(const Refusal& refusal);
  // Every second or so: says what was held back for a minute.
  void Tick();
  // At the end: says all that is held back.
  void Flush();
  // Since the start.
  std::uint64_t Total(const std::string& action, const std::string& reason) const;

 private:
  struct Entry {
    Refusal held;
    std::uint64_t total = 0;
    absl::Duration said;
  };
  void SayHeld(absl::Duration at_least);  // since the last line of its reason
  using Key = std::pair<std::string, std::string>;

  const Clock& clock_;
  const Say say_;
  mutable std::mutex mutex_;
  std::map<Key, Entry> entries_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_REFUSALS_H_
