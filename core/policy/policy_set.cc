// SPDX-License-Identifier: Apache-2.0
// The digest is SHA-256 over "dumpwarden/policy-set/v1", then for each entry in
// order of name: length and bytes of the name, the version, length and bytes of
// its digest.  Numbers are 8 bytes, big-endian, so that no two sets read alike.
#include "core/policy/policy_set.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/string_view.h"
#include "core/base/digest.h"

namespace dumpwarden {
namespace {

void AppendNumber(std::uint64_t number, std::string& out) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>((number >> shift) & 0xFF));
  }
}

void AppendText(absl::string_view text, std::string& out) {
  AppendNumber(text.size(), out);
  out.append(text.data(), text.size());
}

}  // namespace

v1::PolicySet MakePolicySet(std::vector<v1::PolicyEntry> entries) {
  std::sort(entries.begin(), entries.end(),
            [](const v1::PolicyEntry& a, const v1::PolicyEntry& b) { return a.name() < b.name(); });
  v1::PolicySet set;
  std::string encoding = "dumpwarden/policy-set/v1";
  for (v1::PolicyEntry& entry : entries) {
    AppendText(entry.name(), encoding);
    AppendNumber(entry.version(), encoding);
    AppendText(entry.digest(), encoding);
    *set.add_entries() = std::move(entry);
  }
  set.set_digest(Sha256(encoding));
  return set;
}

}  // namespace dumpwarden
