// SPDX-License-Identifier: Apache-2.0
// A host of the chaos test: another program changes its registry file, and what
// it wrote is kept in a ledger.  Each value is written once in the whole run, so
// that its drift can be told from every other.
#ifndef DUMPWARDEN_TESTS_END_TO_END_CHAOS_MACHINE_H_
#define DUMPWARDEN_TESTS_END_TO_END_CHAOS_MACHINE_H_

#include <cstdint>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/end_to_end/fleet.h"

namespace dumpwarden {

// A setting whose values the test invents.
struct ChaosSetting {
  std::string id;
  std::string value;                 // name in the registry
  bool audit = false;                // not corrected
  std::string (*data)(int number);   // as a .reg file has it
  std::string (*shown)(int number);  // as drift has it, or the part that tells it
};
const std::vector<ChaosSetting>& ChaosSettings();

inline constexpr int kMaxChaosSteps = 1000;

// The policy `base` of step k, and what it wants of each chaos setting.
std::string BasePolicy(int step);
std::string BaseValue(const std::string& setting, int step);

struct Written {
  const ChaosSetting* setting;
  int number;
  bool stood = false;    // was in the file while nobody else was writing it
  bool certain = false;  // so the agent has seen it, or must yet
  bool muddled = false;  // a lost race of ours put it back: it may be told twice
  bool aside = false;    // a further file came before the agent had put back the one with it
};

class Machine {
 public:
  Machine(int number, int check_seconds);

  Host host;
  bool up = false;
  bool stopped = false;
  int incarnation = 0;  // of the agent's process

  // Renames over the file one with another value; call Look before.
  void Drift(const ChaosSetting& setting, int number);
  // Sets an audited value back to what its policy wants.
  void PutBack();
  // What happened to what was written; "" or what must not be.
  std::string Look();
  // The agent's own word for it: `status` shows the value that stands.
  void TrustStatus();
  void WriteFacts(std::mt19937& random);

  const std::deque<Written>& written() const { return written_; }
  bool Stands(const Written& written) const;
  bool muddled() const { return muddled_; }
  std::string Registry() const;  // each value on one line

 private:
  void Replace(const std::string& found, const std::string& text);
  bool BeingWritten() const;
  void NoteAside();
  bool IsOfOneStep(const std::string& text) const;

  std::deque<Written> written_;
  std::map<std::string, Written*> current_;  // by setting: what we wrote last
  bool muddled_ = false;
};

std::string RegistryData(const std::string& text, const std::string& value);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_END_TO_END_CHAOS_MACHINE_H_
