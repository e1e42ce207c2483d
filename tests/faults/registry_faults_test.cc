// SPDX-License-Identifier: Apache-2.0
// Apply, restore and undo over the real registries in files, on a disk whose
// first call fails, whose second, ...: the values are all old or all new, and
// the next start heals.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/registry/open.h"
#include "core/reconcile/reg_file.h"
#include "core/reconcile/status.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_folders.h"
#include "tests/support/memory_vfs.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

constexpr char kCrash[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
constexpr char kPlace[] = "/host/FILE.dumpwarden";
constexpr int kMostCalls = 1000;

std::string RegBytes() {
  RegFile file = RegFile::New();
  file.Write(kCrash, "CrashDumpEnabled", DwordValue(1));
  file.Write(kCrash, "FilterPages", DwordValue(1));
  file.Write(kCrash, "AutoReboot", DwordValue(1));
  return file.Serialize();
}
std::string HiveBytes() {
  std::ifstream in(DUMPWARDEN_SOURCE_DIR "/tests/golden/hives/minimal.hive", std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(in), {});
}

// One process: it opens the registry, heals, and does what it was asked to.  Only disk and folders
// outlive it.
class Machine {
 public:
  explicit Machine(const std::string& word) : word_(word) {
    vfs.Put("/host/FILE", word == "reg:" ? RegBytes() : HiveBytes());
    folders.AddDrive("D:\\");
    facts_.mutable_os()->set_build(20348);
    facts_.set_volumes_known(true);
    v1::Facts::Volume& volume = *facts_.add_volumes();
    volume.set_path("D:\\");
    volume.set_kind("fixed");
    volume.set_total(std::uint64_t{1} << 40);
    volume.set_free(std::uint64_t{1} << 40);
    volume.set_mount("/d");
    Want("dump.auto-reboot", "off");
    Want("dump.type", "complete");
    Want("dump.file", "D:\\Dumps\\MEMORY.DMP");
  }

  absl::StatusOr<Applied> Apply() {
    return Run([this](Applier& applier) { return applier.Apply(desired_, facts_); });
  }
  absl::StatusOr<Applied> Restore() {
    return Run([this](Applier& applier) { return applier.Restore(FirstBackup()); });
  }
  absl::Status Recover() {
    return Run([](Applier& applier) -> absl::StatusOr<Applied> {
             RETURN_IF_ERROR(applier.Recover().status());
             return Applied{};
           })
        .status();
  }
  // As if the last apply had been killed before it filed its record.
  void Unfile() {
    EXPECT_THAT(vfs.Rename(FirstBackup() + ".undo", absl::StrCat(kPlace, "/undo")), IsOk());
  }

  // What the file holds, for whoever opens it now.
  std::string Cells() {
    auto opened = OpenRegistry(word_ + "/host/FILE", vfs, false);
    if (!opened.ok()) return std::string(opened.status().message());
    std::string cells;
    for (const char* name : {"CrashDumpEnabled", "FilterPages", "AutoReboot", "DumpFile"}) {
      const auto value = opened->registry->Read(kCrash, name);
      absl::StrAppend(&cells, name, "=", value.ok() && *value ? ToText(**value) : "none", " ");
    }
    return cells;
  }
  // Each backup has its record, each record its backup; what else lies about is overwritten by the
  // next write of its kind.
  void CheckRecords() {
    EXPECT_FALSE(vfs.Get(absl::StrCat(kPlace, "/undo")).has_value());
    for (const std::string& path : vfs.Paths()) {
      absl::string_view stem = path;
      if (absl::ConsumeSuffix(&stem, ".reg.undo")) {
        EXPECT_TRUE(vfs.Get(absl::StrCat(stem, ".reg")).has_value()) << path;
      } else if (absl::ConsumeSuffix(&stem, ".reg")) {
        EXPECT_TRUE(vfs.Get(path + ".undo").has_value()) << path;
      } else {
        EXPECT_TRUE(path == "/host/FILE" || absl::EndsWith(path, "/lock") ||
                    absl::EndsWith(path, "tmp"))
            << path;
      }
    }
  }

  MemoryVfs vfs;
  FakeFolders folders;

 private:
  void Want(const std::string& setting, const std::string& value) {
    Decision decision;
    decision.setting = setting;
    decision.value = value;
    decision.policy = "test";
    desired_.decisions.push_back(decision);
  }
  std::string FirstBackup() {
    for (const std::string& path : vfs.Paths()) {
      if (absl::EndsWith(path, "-1.reg")) return path;
    }
    return "";
  }
  absl::StatusOr<Applied> Run(const std::function<absl::StatusOr<Applied>(Applier&)>& work) {
    ASSIGN_OR_RETURN(OpenedRegistry opened, OpenRegistry(word_ + "/host/FILE", vfs, false));
    Applier applier(*opened.registry, folders, vfs, clock_, {kPlace, "FILE"});
    return work(applier);
  }

  const std::string word_;
  FakeClock clock_;
  v1::Facts facts_;
  Desired desired_;
};

struct Scenario {
  const char* name;
  std::function<void(Machine&)> prepare;
  std::function<absl::StatusOr<Applied>(Machine&)> run;
  int least_calls;
};

const std::vector<Scenario> kScenarios = {
    {"apply", [](Machine&) {}, [](Machine& machine) { return machine.Apply(); }, 25},
    {"restore", [](Machine& machine) { EXPECT_THAT(machine.Apply(), IsOk()); },
     [](Machine& machine) { return machine.Restore(); }, 25},
    {"undo at the next start",
     [](Machine& machine) {
       EXPECT_THAT(machine.Apply(), IsOk());
       machine.Unfile();
     },
     [](Machine& machine) -> absl::StatusOr<Applied> {
       RETURN_IF_ERROR(machine.Recover());
       return Applied{};
     },
     10},
};

// What comes after the fault.
enum class Then { kGoOn, kKilled, kPowerCut, kPowerCutAsWritten };

class RegistryFaults : public testing::TestWithParam<const char*> {
 protected:
  // How many calls could be made to fail.
  int Loop(const Scenario& scenario, Then then) {
    Machine sound(GetParam());
    scenario.prepare(sound);
    const std::string before = sound.Cells();
    EXPECT_THAT(scenario.run(sound), IsOk());
    const std::string after = sound.Cells();
    EXPECT_NE(before, after);
    for (int nth = 1; nth < kMostCalls; ++nth) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      Machine machine(GetParam());
      scenario.prepare(machine);
      Faults faults;
      machine.vfs.UseFaults(faults);
      machine.folders.UseFaults(faults);
      (then == Then::kGoOn) ? faults.FailOnce(nth) : faults.FailFrom(nth);
      const absl::StatusOr<Applied> done = scenario.run(machine);
      if (!faults.fired()) return nth - 1;
      faults.Clear();
      Check(machine, scenario, then, done, before, after);
      if (HasFailure()) return nth;
    }
    ADD_FAILURE() << "never got through";
    return 0;
  }

  void Check(Machine& machine, const Scenario& scenario, Then then,
             const absl::StatusOr<Applied>& done, const std::string& before,
             const std::string& after) {
    if (then == Then::kPowerCut) machine.vfs.Crash();
    if (then == Then::kPowerCutAsWritten) machine.vfs.Crash(MemoryVfs::Entries::kAsWritten);
    // A cell or folder that could not be looked at is left alone, by itself.
    const v1::Status worst = done.ok() ? WorstOf(done->plan.findings) : v1::STATUS_UNSPECIFIED;
    const bool partly = worst == v1::STATUS_ERROR || worst == v1::STATUS_BLOCKED;
    if (done.ok() && !partly && then == Then::kGoOn) {
      EXPECT_EQ(machine.Cells(), after);
    }
    if (!done.ok()) {
      EXPECT_THAT(std::string(done.status().message()), testing::HasSubstr("fault"));
    }
    ASSERT_THAT(machine.Recover(), IsOk()) << "the next start";
    if (!partly) {
      EXPECT_THAT(machine.Cells(), testing::AnyOf(before, after));
    }
    EXPECT_FALSE(machine.vfs.Get(absl::StrCat(kPlace, "/undo")).has_value());
    EXPECT_THAT(machine.Apply(), IsOk());
    machine.CheckRecords();
    if (absl::string_view(scenario.name) == "apply") {
      EXPECT_EQ(machine.Cells(), after);
    }
  }
};

TEST_P(RegistryFaults, LeaveAllOldOrAllNewAndTheNextStartHeals) {
  for (const Scenario& scenario : kScenarios) {
    for (const Then then :
         {Then::kGoOn, Then::kKilled, Then::kPowerCut, Then::kPowerCutAsWritten}) {
      SCOPED_TRACE(absl::StrCat(scenario.name, ", then ", static_cast<int>(then)));
      const int calls = Loop(scenario, then);
      if (HasFailure()) return;
      EXPECT_GE(calls, scenario.least_calls);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Files, RegistryFaults, testing::Values("reg:", "hive:"),
                         [](const auto& info) {
                           return std::string(info.param) == "reg:" ? "Reg" : "Hive";
                         });

}  // namespace
}  // namespace dumpwarden
