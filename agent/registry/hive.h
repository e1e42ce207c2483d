// SPDX-License-Identifier: Apache-2.0
// One offline hive (regf) through libhivex, with what libhivex leaves to its
// caller: dirty hives, big values, rewriting one value of a node.  The hive is
// held in memory, so a file that is cut or replaced underneath does no harm.
#ifndef DUMPWARDEN_AGENT_REGISTRY_HIVE_H_
#define DUMPWARDEN_AGENT_REGISTRY_HIVE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/catalog/registry_value.h"

struct hive_h;

namespace dumpwarden {

inline constexpr std::size_t kMaxHiveBytes = 512 * 1024 * 1024;
// Larger data is kept in pieces ("db" cells), which libhivex cannot write.
inline constexpr std::size_t kMaxHiveValueBytes = 16344;

// A change of a hive, in the order of being asked for.
struct HiveEdit {
  enum class Kind { kSet, kDelete, kDeleteKey };
  Kind kind = Kind::kSet;
  std::string key;  // below the root of the hive
  std::string name;
  RegistryValue value;
};

// Hive is an unchanging view of a hive's bytes.  Keys are paths below its root
// and compare without case, as names do.
class Hive {
 public:
  struct Value {
    std::string name;
    RegistryValue value;
  };

  // kInvalidArgument when `bytes` are no hive, kDataLoss when they are a broken one.  `file` is for
  // messages.
  static absl::StatusOr<std::unique_ptr<Hive>> Open(absl::string_view bytes, std::string file);
  ~Hive();
  Hive(const Hive&) = delete;
  Hive& operator=(const Hive&) = delete;

  // What Windows had not finished writing; empty for a clean hive.
  const std::string& dirt() const { return dirt_; }

  absl::StatusOr<bool> HasKey(absl::string_view key);
  absl::StatusOr<std::optional<RegistryValue>> Read(absl::string_view key, absl::string_view name);
  // Of an existing key.
  absl::StatusOr<std::vector<Value>> Values(absl::string_view key);
  absl::StatusOr<std::vector<std::string>> SubKeys(absl::string_view key);
  // kDataLoss when values of the key share cells of the file: libhivex aborts the process when it
  // frees one twice.
  absl::Status CheckCells(absl::string_view key);

  // The bytes of this hive with the edits, and with nothing else changed; checked by reading them
  // again.  Clean, whatever this hive is.
  absl::StatusOr<std::string> Edited(const std::vector<HiveEdit>& edits);

 private:
  friend class HiveWriter;
  Hive(std::string file, int memory, hive_h* hive);

  absl::Status Broken(absl::string_view key) const;
  absl::StatusOr<std::size_t> Find(absl::string_view key);  // 0 = absent
  absl::StatusOr<RegistryValue> ValueAt(std::size_t value, absl::string_view key);
  absl::StatusOr<std::string> NameOf(std::size_t value, absl::string_view key);

  std::string file_;
  int memory_;  // descriptor of the bytes
  hive_h* hive_;
  std::string dirt_;
  std::map<std::string, std::size_t> found_;  // by lower-case key
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_HIVE_H_
