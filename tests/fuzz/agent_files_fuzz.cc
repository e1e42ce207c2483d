// SPDX-License-Identifier: Apache-2.0
// The files of an agent that somebody else may have written: agent.yaml, facts,
// the undo record, a token.  The first byte chooses which.
#include <cstddef>
#include <cstdint>
#include <string>

#include "agent/config.h"
#include "core/base/token.h"
#include "core/policy/facts.h"
#include "core/reconcile/state_digest.h"
#include "core/reconcile/undo.h"
#include "tests/fuzz/check.h"

namespace dumpwarden {
namespace {

void ReadUndo(absl::string_view bytes) {
  ParseUndo(bytes).IgnoreError();  // a wrong digest stops all but a few
  v1::UndoRecord record;
  if (!record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const absl::StatusOr<v1::UndoRecord> again = ParseUndo(FormatUndo(record));
  Check(again.ok(), "an undo record does not survive being written");
  CheckUndo(*again).IgnoreError();
}

void ReadToken(absl::string_view text) {
  const absl::StatusOr<EnrollmentToken> token = ParseToken(text);
  Check(!token.ok() || FormatToken(*token) == text, "a token has two spellings");
}

void Read(absl::string_view bytes) {
  if (bytes.empty()) return;
  const absl::string_view rest = bytes.substr(1);
  switch (static_cast<unsigned char>(bytes[0]) % 4) {
    case 0:
      return ReadConfig(rest, "agent.yaml").IgnoreError();
    case 1: {
      const absl::StatusOr<v1::Facts> facts = ReadFacts(rest, "facts.yaml");
      if (facts.ok()) FactsDigest(*facts);
      return;
    }
    case 2:
      return ReadUndo(rest);
    case 3:
      return ReadToken(rest);
  }
}

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  dumpwarden::Read({reinterpret_cast<const char*>(data), size});
  return 0;
}
