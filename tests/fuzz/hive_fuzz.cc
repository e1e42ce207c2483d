// SPDX-License-Identifier: Apache-2.0
// A SYSTEM hive of anybody's, with the checksum of its base block put right,
// so that what lies behind it is reached too.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "agent/registry/hive.h"
#include "tests/fuzz/check.h"

namespace dumpwarden {
namespace {

constexpr char kKey[] = "ControlSet001\\Control\\CrashControl";
constexpr std::size_t kChecksumAt = 508;

void PutChecksum(std::string& bytes) {
  if (bytes.size() < kChecksumAt + 4) return;
  std::uint32_t sum = 0;
  for (std::size_t at = 0; at < kChecksumAt; at += 4) {
    std::uint32_t number = 0;
    std::memcpy(&number, bytes.data() + at, sizeof(number));
    sum ^= number;
  }
  if (sum == 0) sum = 1;
  if (sum == 0xffffffff) sum = 0xfffffffe;
  std::memcpy(bytes.data() + kChecksumAt, &sum, sizeof(sum));
}

void Edit(Hive& hive) {
  const std::vector<HiveEdit> edits = {
      {HiveEdit::Kind::kSet, kKey, "CrashDumpEnabled", DwordValue(7)},
      {HiveEdit::Kind::kDelete, kKey, "FilterPages", {}}};
  const absl::StatusOr<std::string> edited = hive.Edited(edits);
  if (!edited.ok()) return;
  const auto again = Hive::Open(*edited, "edited");
  Check(again.ok(), "an edited hive cannot be read");
  const auto value = (*again)->Read(kKey, "CrashDumpEnabled");
  Check(value.ok() && *value == DwordValue(7), "an edit is not there");
}

void Read(std::string bytes) {
  PutChecksum(bytes);
  const auto hive = Hive::Open(bytes, "fuzz");
  if (!hive.ok()) return;
  (*hive)->Read("Select", "Current").IgnoreError();
  (*hive)->SubKeys("").IgnoreError();
  (*hive)->Values(kKey).IgnoreError();
  if ((*hive)->CheckCells(kKey).ok()) Edit(**hive);
}

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dumpwarden::Read(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
