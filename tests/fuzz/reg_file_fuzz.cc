// SPDX-License-Identifier: Apache-2.0
// A .reg file of anybody's.  What is accepted keeps its bytes, takes an edit,
// and reads back as edited with all else as it was.
#include <cstddef>
#include <cstdint>

#include "core/reconcile/reg_file.h"
#include "tests/fuzz/check.h"

namespace dumpwarden {
namespace {

constexpr char kKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

std::size_t Count(const RegFile& file) {
  std::size_t values = 0;
  for (const RegLine& line : file.Lines()) values += line.value.has_value() ? 1 : 0;
  return values;
}

void Edit(RegFile file, const std::string& bytes) {
  const auto before = file.Read(kKey, "CrashDumpEnabled");
  file.Write(kKey, "CrashDumpEnabled", DwordValue(7));
  const absl::StatusOr<RegFile> edited = RegFile::Parse(file.Serialize(), "edited.reg");
  Check(edited.ok(), "an edited file cannot be read");
  Check(edited->Read(kKey, "CrashDumpEnabled") == DwordValue(7), "an edit is not there");
  Check(Count(*edited) >= Count(*RegFile::Parse(bytes, "f.reg")), "an edit lost a value");
  file.Delete(kKey, "CrashDumpEnabled");
  const absl::StatusOr<RegFile> deleted = RegFile::Parse(file.Serialize(), "deleted.reg");
  Check(deleted.ok(), "a file after a deletion cannot be read");
  Check(!deleted->Read(kKey, "CrashDumpEnabled"), "a deletion is not there");
}

void Read(const std::string& bytes) {
  const absl::StatusOr<RegFile> file = RegFile::Parse(bytes, "f.reg");
  if (!file.ok()) return;
  Check(file->Serialize() == bytes, "a file that was not edited has other bytes");
  for (const RegLine& line : file->Lines()) file->Read(line.key, line.name);
  file->Keys();
  file->DeletedKeys();
  Edit(*file, bytes);
}

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dumpwarden::Read(std::string(reinterpret_cast<const char*>(data), size));
  return 0;
}
