// SPDX-License-Identifier: Apache-2.0
// Hosts that differ, each made from its number: registry, folders, facts and
// labels.  What they add up to is what agents of such hosts would report.
#ifndef DUMPWARDEN_TESTS_SUPPORT_SEEDED_FLEET_H_
#define DUMPWARDEN_TESTS_SUPPORT_SEEDED_FLEET_H_

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/catalog/catalog.h"
#include "core/policy/merge.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/state_digest.h"
#include "server/store/store.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"

namespace dumpwarden {

struct SeededHost {
  std::string name;
  std::map<std::string, std::string> labels;  // of its token
  v1::Facts facts;
  HostState state;
};

class SeededHostMaker {
 public:
  explicit SeededHostMaker(std::uint32_t number) : number_(number), dice_(number) {}

  SeededHost Make() {
    SeededHost host;
    // Not in the order of the numbers.
    host.name = absl::StrFormat("host-%05u", number_ * 7'919 % 99'991);
    host.labels["role"] = Pick<std::string>({"sql", "web", "hyper-v", "dc"});
    host.facts = Facts();
    Desired desired;
    Decision& decision = desired.decisions.emplace_back();
    decision.setting = "dump.file";
    decision.value = "D:\\Dumps\\MEMORY.DMP";
    decision.policy = "sql-servers";
    host.state.observation = Observation(desired, host.facts);
    host.state.findings = MakePlan(desired, host.state.observation, host.facts).findings;
    return host;
  }

 private:
  // 0 to sides - 1.
  std::uint32_t Roll(std::uint32_t sides) { return static_cast<std::uint32_t>(dice_()) % sides; }

  template <typename T>
  T Pick(const std::vector<T>& choices) {
    return choices[Roll(static_cast<std::uint32_t>(choices.size()))];
  }

  v1::Facts Facts() {
    v1::Facts facts;
    facts.mutable_os()->set_build(
        Pick<std::uint32_t>({7601, 9600, 14393, 17763, 19045, 20348, 26100}));
    facts.mutable_os()->set_product(
        Pick<std::string>({"workstation", "server", "server", "domain-controller"}));
    facts.mutable_memory()->set_bytes(std::uint64_t{1 + Roll(512)} << 30);
    facts.set_volumes_known(true);
    for (const char* path : {"C:\\", "D:\\"}) {
      v1::Facts::Volume& volume = *facts.add_volumes();
      volume.set_path(path);
      volume.set_kind("fixed");
      volume.set_total(std::uint64_t{1} << 40);
      volume.set_free(std::uint64_t{Roll(1'000)} << 30);
      volume.set_boot(*path == 'C');
      if (Roll(3) == 0) break;
    }
    (*facts.mutable_labels())["site"] = Pick<std::string>({"north", "south"});
    return facts;
  }

  // A third absent, a half what the row accepts, the rest whatever.
  void Fill(const Setting& setting, FakeRegistry& registry) {
    const std::uint32_t fate = Roll(6);
    if (fate < 2) return;
    const auto cells = Encode(
        setting, Pick<std::string>({"on", "off", "kernel", "complete", "automatic", "small", "none",
                                    "D:\\Dumps\\MEMORY.DMP", "%SystemRoot%\\MEMORY.DMP", "50"}));
    for (std::size_t i = 0; i < CellCount(setting); ++i) {
      CellValue value = DwordValue(Roll(9));
      if (fate < 5 && cells.ok()) value = (*cells)[i];
      if (value) registry.Set(setting.cells[i].key, setting.cells[i].name, *value);
    }
  }

  v1::Observation Observation(const Desired& desired, const v1::Facts& facts) {
    FakeRegistry registry;
    for (const Setting& setting : AllSettings()) Fill(setting, registry);
    const Setting& minidumps = *FindSetting("dump.minidump-dir");
    registry.Set(minidumps.cells[0].key, minidumps.cells[0].name,
                 ExpandSzValue(absl::StrCat("C:\\Minidumps of ", number_)));
    FakeFolders folders;
    folders.AddDrive("C:\\");
    if (Roll(4) != 0) folders.AddDrive("D:\\");
    if (Roll(2) == 0) folders.AddFolder("D:\\Dumps");
    return Observe(registry, folders, desired, facts);
  }

  const std::uint32_t number_;
  std::mt19937 dice_;
};

inline SeededHost MakeSeededHost(std::uint32_t number) { return SeededHostMaker(number).Make(); }

// Enrols it and reports for it; what the store says of the report goes to `done`.
inline absl::Status AddSeededHost(Store& store, const SeededHost& host, absl::Time now,
                                  const std::function<void(absl::Status)>& done) {
  const std::string hex = Sha256Hex(host.name);
  const Audit audit{"seed", "", "seed", host.name, "", "", ""};
  RETURN_IF_ERROR(store.CreateToken({hex, "secret", host.labels, "", now + absl::Hours(1)}, audit));
  HostRow row;
  row.uuid = absl::StrCat(hex.substr(0, 8), "-0000-4000-8000-", hex.substr(8, 12));
  row.name = host.name;
  row.host_key = hex;
  row.enrolled = now;
  ASSIGN_OR_RETURN(row, store.EnrollHost(hex, "secret", row, now, audit));
  ReportCommit commit;
  commit.host = row.id;
  commit.epoch = std::string(16, 'e');
  commit.sequence = 1;
  commit.state = host.state;
  commit.state_digest = StateDigest(host.state);
  commit.report = MakeReport(nullptr, host.state);
  commit.received = now;
  store.CommitFacts(row.id, host.facts, FactsDigest(host.facts), done);
  store.CommitReport(std::move(commit), done);
  return absl::OkStatus();
}

// Many at a time, so that they share commits.  The first error of all.
inline absl::Status AddSeededFleet(Store& store, const std::vector<SeededHost>& fleet,
                                   absl::Time now) {
  constexpr std::size_t kThreads = 32;
  std::mutex mutex;
  absl::Status first;
  const auto note = [&](const absl::Status& status) {
    const std::lock_guard<std::mutex> lock(mutex);
    first.Update(status);
  };
  std::vector<std::thread> threads;
  for (std::size_t from = 0; from < kThreads; ++from) {
    threads.emplace_back([&, from] {
      for (std::size_t i = from; i < fleet.size(); i += kThreads) {
        note(AddSeededHost(store, fleet[i], now, note));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // Commits behind what was queued before it.
  note(store.RecordAudit({"seed", "", "seeded", "", "", "", ""}).status());
  return first;
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_SEEDED_FLEET_H_
