// SPDX-License-Identifier: Apache-2.0
// Edits of a hive made with libhivex, which can only replace all values of a
// key at once, and then read again and compared before anybody gets the bytes.
#ifndef DUMPWARDEN_AGENT_REGISTRY_HIVE_WRITER_H_
#define DUMPWARDEN_AGENT_REGISTRY_HIVE_WRITER_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/registry/hive.h"

namespace dumpwarden {

// A descriptor of a file in memory with these bytes; the caller closes it.
absl::StatusOr<int> MemoryFile(absl::string_view bytes);
std::string PathOfDescriptor(int descriptor);

class HiveWriter {
 public:
  explicit HiveWriter(Hive& hive) : hive_(hive) {}
  absl::StatusOr<std::string> Write(const std::vector<HiveEdit>& edits);

 private:
  // What a key is to be.
  struct Target {
    std::string key;
    std::vector<Hive::Value> values;
    bool existed = false;
    bool deleted = false;
    bool changed = false;
  };

  absl::Status Collect(const std::vector<HiveEdit>& edits);
  absl::StatusOr<Target*> TargetOf(const std::string& key);
  absl::Status DeleteIfEmpty(Target& target);
  absl::StatusOr<std::string> Commit(hive_h* hive);
  absl::Status WriteTarget(hive_h* hive, const Target& target);
  absl::Status DeleteTarget(hive_h* hive, const Target& target);
  absl::StatusOr<std::size_t> MakeKey(hive_h* hive, absl::string_view key);
  absl::Status Check(absl::string_view bytes);
  absl::Status Failed(absl::string_view what, absl::string_view key) const;

  Hive& hive_;
  std::map<std::string, Target> targets_;  // by lower-case key: parents before children
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_HIVE_WRITER_H_
