// SPDX-License-Identifier: Apache-2.0
// A policy of anybody's: read as an author's and as an agent with an older table reads it, then
// merged and planned against a host.  What reading accepts must be planned without a fault.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/policy/merge.h"
#include "core/reconcile/plan.h"
#include "tests/fuzz/check.h"

namespace dumpwarden {
namespace {

v1::Facts Host() {
  v1::Facts facts;
  facts.mutable_os()->set_build(20348);
  facts.mutable_os()->set_product("server");
  facts.mutable_memory()->set_bytes(std::uint64_t{16} << 30);
  (*facts.mutable_labels())["role"] = "sql";
  return facts;
}

v1::Observation Nothing() {
  v1::Observation observation;
  for (const Setting& setting : AllSettings()) {
    for (std::size_t i = 0; i < CellCount(setting); ++i) {
      v1::Cell& cell = *observation.add_cells();
      cell.set_key(std::string(setting.cells[i].key));
      cell.set_name(std::string(setting.cells[i].name));
    }
  }
  return observation;
}

// A value that was accepted has cells, and they mean that value.
void CheckValue(const DesiredValue& value) {
  const Setting* setting = FindSetting(value.setting);
  if (setting == nullptr || !value.known) return;
  const auto resolved = Resolve(*setting, value.value, std::uint64_t{16} << 30);
  if (!resolved.ok()) return;
  const auto cells = Encode(*setting, *resolved);
  Check(cells.ok(), "an accepted value cannot be encoded");
  Check(Means(*setting, *cells, *resolved, 20348), "what is written does not mean what was asked");
}

void ReadAndPlan(absl::string_view yaml, UnknownSettings unknown) {
  const absl::StatusOr<Policy> policy = ReadPolicy(yaml, "fuzz.yaml", unknown);
  if (!policy.ok()) {
    Check(Utf8ToUtf16Le(policy.status().message()).ok(), "a message is not UTF-8");
    return;
  }
  for (const DesiredValue& value : policy->settings) CheckValue(value);
  const std::vector<PolicyInForce> in_force = {{*policy, 1}};
  MakePlan(Merge(in_force, Host()), Nothing(), Host());
}

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const absl::string_view yaml(reinterpret_cast<const char*>(data), size);
  dumpwarden::ReadAndPlan(yaml, dumpwarden::UnknownSettings::kRefuse);
  dumpwarden::ReadAndPlan(yaml, dumpwarden::UnknownSettings::kKeep);
  return 0;
}
