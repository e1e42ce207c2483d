// SPDX-License-Identifier: Apache-2.0
// A host of fakes for the tests of Applier, before and after its apply.
#ifndef DUMPWARDEN_TESTS_SUPPORT_APPLY_HOST_H_
#define DUMPWARDEN_TESTS_SUPPORT_APPLY_HOST_H_

#include <gtest/gtest.h>

#include <string>

#include "core/base/text.h"
#include "core/reconcile/apply.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"
#include "tests/support/memory_vfs.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {

inline constexpr char kCrash[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
inline constexpr char kPlace[] = "/host/SYSTEM.dumpwarden";
inline constexpr char kBackup[] = "/host/SYSTEM.dumpwarden/backup-20261122T170000Z-1.reg";
inline constexpr char kUndo[] = "/host/SYSTEM.dumpwarden/undo";

// A host in an active dump whose policy wants a complete one in D:\Dumps: one
// deletion, one folder, and values that were there and that were not.
struct Host {
  Host() {
    registry.Set(kCrash, "CrashDumpEnabled", DwordValue(1));
    registry.Set(kCrash, "FilterPages", DwordValue(1));
    registry.Set(kCrash, "AutoReboot", DwordValue(1));
    folders.AddDrive("D:\\");
    vfs.AddFolder("/host");
    facts.mutable_os()->set_build(20348);
    facts.set_volumes_known(true);
    v1::Facts::Volume& volume = *facts.add_volumes();
    volume.set_path("D:\\");
    volume.set_kind("fixed");
    volume.set_total(std::uint64_t{1} << 40);
    volume.set_free(std::uint64_t{1} << 40);
    volume.set_mount("/d");
    Want("dump.auto-reboot", "off");
    Want("dump.type", "complete");
    Want("dump.file", "D:\\Dumps\\MEMORY.DMP");
  }
  void Want(const std::string& setting, const std::string& value) {
    Decision decision;
    decision.setting = setting;
    decision.value = value;
    decision.policy = "test";
    desired.decisions.push_back(decision);
  }
  Applier MakeApplier() { return Applier(registry, folders, vfs, clock, {kPlace, "SYSTEM"}); }
  absl::StatusOr<Applied> Apply() { return MakeApplier().Apply(desired, facts); }
  absl::StatusOr<bool> Recover() { return MakeApplier().Recover(); }
  absl::StatusOr<Applied> Restore(const std::string& path) { return MakeApplier().Restore(path); }
  void UseFaults() {
    registry.UseFaults(faults);
    folders.UseFaults(faults);
    vfs.UseFaults(faults);
  }
  std::string BackupText(const std::string& path) {
    return Utf16LeToUtf8(vfs.Get(path).value().substr(2)).value();
  }

  Faults faults;
  FakeRegistry registry;
  FakeFolders folders;
  MemoryVfs vfs;
  FakeClock clock;
  v1::Facts facts;
  Desired desired;
};

inline FakeRegistry::Keys OldState() { return Host().registry.flushed(); }
inline FakeRegistry::Keys NewState() {
  Host host;
  EXPECT_THAT(host.Apply(), IsOk());
  return host.registry.flushed();
}

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_SUPPORT_APPLY_HOST_H_
