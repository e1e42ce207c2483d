// SPDX-License-Identifier: Apache-2.0
// A no-op reconcile (observe, and plan nothing) beside bare reads of the same
// cells, in turns: on a registry in memory, and on a hive given as argument,
// open and opened anew each time.  Exit 1 when a median is over its aim.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "agent/registry/open.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/plan.h"
#include "platform/system.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"

namespace dumpwarden {
namespace {

constexpr int kRounds = 201;

double Milliseconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  return took.count();
}

double Median(std::vector<double> times) {
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  return times[kRounds / 2];
}

v1::Facts Windows7() {
  v1::Facts facts;
  facts.mutable_os()->set_build(7601);
  facts.mutable_os()->set_product("workstation");
  facts.mutable_memory()->set_bytes(std::uint64_t{8} << 30);
  return facts;
}

// Policies that ask for exactly what is there: every row is managed, and nothing is to be done.
Desired AsItIs(Registry& registry, Folders& folders, const v1::Facts& facts) {
  const v1::Observation observed = Observe(registry, folders, {}, facts);
  Desired desired;
  for (const Setting& setting : AllSettings()) {
    Decision decision;
    decision.setting = std::string(setting.id);
    decision.value = Describe(setting, CellsOf(setting, observed).values, facts.os().build());
    decision.policy = "bench";
    desired.decisions.push_back(std::move(decision));
  }
  return desired;
}

std::size_t ReadBare(Registry& registry) {
  std::size_t present = 0;
  for (const Setting& setting : AllSettings()) {
    for (std::size_t i = 0; i < CellCount(setting); ++i) {
      const auto value = registry.Read(setting.cells[i].key, setting.cells[i].name);
      if (value.ok() && value->has_value()) ++present;
    }
  }
  return present;
}

// Prints a line; false when the aim is missed or the reconcile was no no-op.
bool Measure(const char* what, Registry& registry, bool reload, double aim_ms) {
  FakeFolders folders;
  const v1::Facts facts = Windows7();
  const Desired desired = AsItIs(registry, folders, facts);
  std::vector<double> product;
  std::vector<double> bare;
  std::size_t edits = 0;
  for (int round = 0; round < kRounds; ++round) {
    product.push_back(Milliseconds([&] {
      if (reload) registry.Reload().IgnoreError();
      edits += MakePlan(desired, Observe(registry, folders, desired, facts), facts).edits.size();
    }));
    bare.push_back(Milliseconds([&] { ReadBare(registry); }));
  }
  const double median = Median(product);
  std::cout << absl::StreamFormat("%-26s %9.3f ms %9.3f ms %8.1f   < %g ms\n", what, median,
                                  Median(bare), median / Median(bare), aim_ms);
  if (edits != 0) std::cout << what << ": not a no-op: " << edits << " edits\n";
  return edits == 0 && median < aim_ms;
}

int Run(int argc, char** argv) {
  std::cout << absl::StreamFormat("%-26s %12s %12s %8s   aim\n", "no-op reconcile", "median",
                                  "bare reads", "ratio");
  FakeRegistry fake;
  bool good = Measure("in memory", fake, false, 2);
  if (argc < 2) return good ? 0 : 1;
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const absl::StatusOr<OpenedRegistry> hive = OpenRegistry(argv[1], *vfs, /*force_dirty=*/false);
  if (!hive.ok()) {
    std::cerr << hive.status() << "\n";
    return 1;
  }
  good &= Measure("hive, open", *hive->registry, false, 10);
  good &= Measure("hive, looked at anew", *hive->registry, true, 100);
  return good ? 0 : 1;
}

}  // namespace
}  // namespace dumpwarden

int main(int argc, char** argv) { return dumpwarden::Run(argc, argv); }
