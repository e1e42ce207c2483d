// SPDX-License-Identifier: Apache-2.0
// SQLite's own method, over an operation of ours: let its first call fail, its
// second, ... until it gets through without a fault.  After each, what the file
// holds is what was answered: whole, or not at all.
#ifndef DUMPWARDEN_TESTS_FAULTS_SQLITE_LOOP_H_
#define DUMPWARDEN_TESTS_FAULTS_SQLITE_LOOP_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tests/support/sqlite_faults.h"

namespace dumpwarden {

using Path = std::string;
using Answer = absl::StatusOr<std::string>;  // what was read, or "" of what only writes

// An operation of one or more parts, each of which stands or falls alone.
struct FaultCase {
  std::function<void(const Path&)> seed;  // makes the file as it is before
  std::function<absl::Status(const Path&)> open;
  std::function<void()> close;
  // Runs the parts whose bits are set; an answer for each of them.
  std::function<std::vector<Answer>(const Path&, unsigned parts)> run;
  unsigned parts = 1;
  // What else there is when it was answered with OK, of its kind always the same.
  std::function<std::string(const Path&)> outcome{};
  // It takes several transactions: what is done of it stays, and the next try does the rest.
  bool has_steps = false;
  // Whether to loop again over an object that has done it before, and lost it: its statements are
  // prepared, and what is open of them is what a failure leaves.
  bool warm = false;
  // Not 0: it makes too many calls to let each of them fail, so that after the nth comes the one
  // that is 1 + n / skip further on.
  int skip = 0;
  // How many calls must have been made to fail, at least.
  int least_memory = 0;
  int least_disk = 0;
  int least_full = 0;
};

// One part, as a function.
std::function<std::vector<Answer>(const Path&, unsigned)> OnePart(
    std::function<Answer(const Path&)> part);

// All that the database says: whether it is sound, schema, version and rows.
std::string DumpOf(const Path& path);

void LoopOver(const FaultCase& operation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_FAULTS_SQLITE_LOOP_H_
