// SPDX-License-Identifier: Apache-2.0
// What people do, by chance: policies, facts, registry values.
#ifndef DUMPWARDEN_TESTS_SIMULATION_DRAFTS_H_
#define DUMPWARDEN_TESTS_SIMULATION_DRAFTS_H_

#include <optional>
#include <string>

#include "core/catalog/catalog.h"
#include "dumpwarden/v1/report.pb.h"
#include "tests/simulation/machine.h"

namespace dumpwarden::sim {

std::string DraftPolicy(Chance& chance);  // YAML, of one of a few names
void DraftHost(Machine& machine);         // facts, drives, what stands in the registry
void DraftFactsChange(Chance& chance, v1::Facts& facts);

struct CellChange {
  CellName cell;
  std::optional<RegistryValue> value;
};
CellChange DraftCellChange(Chance& chance);

}  // namespace dumpwarden::sim

#endif  // DUMPWARDEN_TESTS_SIMULATION_DRAFTS_H_
