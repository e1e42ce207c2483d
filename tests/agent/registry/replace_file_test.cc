// SPDX-License-Identifier: Apache-2.0
// A kill, or a power cut, at each call of a replacement, while another program
// puts its own whole file in place: what it wrote is not lost.
#include "agent/registry/replace_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/registry/open.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_folders.h"
#include "tests/support/memory_vfs.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kCrash[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
constexpr char kPath[] = "/host/FILE";
constexpr char kTemp[] = "/host/FILE.dumpwarden-tmp";
constexpr char kNote[] = "/host/FILE.dumpwarden/replacing";
const ReplacedFile kFile = {kPath, kNote, 1000};

enum class Then { kKilled, kPowerCut, kPowerCutAsWritten };
constexpr Then kThen[] = {Then::kKilled, Then::kPowerCut, Then::kPowerCutAsWritten};

void End(MemoryVfs& vfs, Then then) {
  if (then == Then::kPowerCut) vfs.Crash();
  if (then == Then::kPowerCutAsWritten) vfs.Crash(MemoryVfs::Entries::kAsWritten);
}

std::unique_ptr<MemoryVfs> HostWith(const std::string& bytes) {
  auto vfs = std::make_unique<MemoryVfs>();
  vfs->Put(kPath, bytes);
  vfs->AddFolder("/host/FILE.dumpwarden");
  return vfs;
}

// The other file comes just before the exchange; whichever call fails from there on, it stands in
// the end.
TEST(ReplaceFile, KilledAnywhereAfterTheExchangeLosesNoFileOfAnotherProgram) {
  for (const Then then : kThen) {
    for (int nth = 2;; ++nth) {  // the first is the exchange
      SCOPED_TRACE(absl::StrCat(static_cast<int>(then), ", call ", nth));
      const auto vfs = HostWith("old");
      Faults faults;
      vfs->UseFaults(faults);
      bool came = false;
      vfs->Interfere([&](MemoryVfs& disk) {
        if (std::exchange(came, true)) return;
        disk.Put(kPath, "theirs");
        faults.FailFrom(nth);
      });
      const absl::Status status = ReplaceFile(*vfs, kFile, "old", "ours");
      EXPECT_FALSE(status.ok());
      const bool fired = faults.fired();
      faults.Clear();
      End(*vfs, then);
      std::vector<std::string> said;
      ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
      EXPECT_EQ(vfs->Get(kPath), "theirs");
      EXPECT_FALSE(vfs->Get(kNote).has_value());
      vfs->Crash();
      EXPECT_EQ(vfs->Get(kPath), "theirs");
      if (!fired) break;
    }
  }
}

TEST(ReplaceFile, KilledAnywhereWithNobodyElseThereIsOldOrNewAndNothingIsSaid) {
  for (const Then then : kThen) {
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(then), ", call ", nth));
      const auto vfs = HostWith("old");
      Faults faults;
      vfs->UseFaults(faults);
      faults.FailFrom(nth);
      ReplaceFile(*vfs, kFile, "old", "ours").IgnoreError();
      const bool fired = faults.fired();
      faults.Clear();
      End(*vfs, then);
      std::vector<std::string> said;
      ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
      EXPECT_THAT(said, IsEmpty());
      EXPECT_THAT(vfs->Get(kPath).value_or(""), AnyOf("old", "ours"));
      EXPECT_FALSE(vfs->Get(kNote).has_value());
      if (!fired) break;
    }
  }
}

// A disk on which a program is killed when it has written half of a file.
class TornVfs : public MemoryVfs {
 public:
  explicit TornVfs(Faults& faults) : faults_(faults) { UseFaults(faults); }
  void KillIn(const std::string& path) { torn_ = path; }
  absl::Status Write(const std::string& path, absl::string_view bytes) override {
    if (path != torn_) return MemoryVfs::Write(path, bytes);
    RETURN_IF_ERROR(MemoryVfs::Write(path, bytes.substr(0, bytes.size() / 2)));
    faults_.FailFrom(1);
    return absl::InternalError("killed");
  }

 private:
  Faults& faults_;
  std::string torn_;
};

// The half of a temp file was taken for what another program had written, and put in place.
TEST(ReplaceFile, ANoteThatCouldNotBeRemovedSaysNothingOfTheNextTempFile) {
  for (const Then then : kThen) {
    int stayed = 0;
    for (int nth = 1;; ++nth) {
      SCOPED_TRACE(absl::StrCat(static_cast<int>(then), ", call ", nth));
      Faults faults;
      TornVfs vfs(faults);
      vfs.Put(kPath, "old");
      vfs.AddFolder("/host/FILE.dumpwarden");
      faults.FailOnce(nth);
      const absl::Status first = ReplaceFile(vfs, kFile, "old", "ours");
      const bool fired = faults.fired();
      faults.Clear();
      if (first.ok()) {
        stayed += vfs.Get(kNote).has_value() ? 1 : 0;
        vfs.KillIn(kTemp);
        EXPECT_FALSE(ReplaceFile(vfs, kFile, "ours", "newest").ok());
        faults.Clear();
        End(vfs, then);
        std::vector<std::string> said;
        ASSERT_THAT(MendFile(vfs, kFile, said), IsOk());
        EXPECT_EQ(vfs.Get(kPath), "ours");
        EXPECT_THAT(said, IsEmpty());
      }
      if (!fired) break;
    }
    EXPECT_EQ(stayed, 1);
  }
}

// It would be written over what the note speaks of.
TEST(ReplaceFile, NothingIsWrittenWhileAnEarlierNoteStays) {
  const auto vfs = HostWith("old");
  vfs->Put(kNote, "of an earlier write");
  vfs->Put(kTemp, "of an earlier write");
  vfs->MakeUnwritable("/host/FILE.dumpwarden");
  EXPECT_FALSE(ReplaceFile(*vfs, kFile, "old", "ours").ok());
  EXPECT_EQ(vfs->Get(kPath), "old");
  EXPECT_EQ(vfs->Get(kTemp), "of an earlier write");
}

// What a kill between exchange and comparison leaves.
std::unique_ptr<MemoryVfs> Cut(const std::string& now, const std::string& out) {
  auto vfs = HostWith("old");
  Faults faults;
  vfs->UseFaults(faults);
  vfs->Interfere([&](MemoryVfs&) { faults.FailFrom(2); });
  EXPECT_FALSE(ReplaceFile(*vfs, kFile, "old", "ours").ok());
  faults.Clear();
  vfs->Interfere(nullptr);
  vfs->UseFaults(faults);
  vfs->Put(kPath, now);
  vfs->Put(kTemp, out);
  return vfs;
}

TEST(MendFile, PutsBackWhatWasTakenOutAndSaysSo) {
  Faults none;
  const auto vfs = Cut("ours", std::string(2000, 'x'));  // too large to be ours
  vfs->UseFaults(none);
  std::vector<std::string> said;
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  EXPECT_EQ(vfs->Get(kPath), std::string(2000, 'x'));
  EXPECT_THAT(vfs->Paths(), ElementsAre(kPath));
  EXPECT_THAT(said, ElementsAre(HasSubstr("was put back")));
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  EXPECT_THAT(said, testing::SizeIs(1)) << "once";
}

TEST(MendFile, KeepsBesideItWhatWasTakenOutOfAFileThatWasReplacedSince) {
  Faults none;
  const auto vfs = Cut("newer", "theirs");
  vfs->UseFaults(none);
  vfs->Put("/host/FILE.replaced-1", "of another time");
  std::vector<std::string> said;
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  EXPECT_EQ(vfs->Get(kPath), "newer");
  EXPECT_EQ(vfs->Get("/host/FILE.replaced-1"), "of another time");
  EXPECT_EQ(vfs->Get("/host/FILE.replaced-2"), "theirs");
  EXPECT_FALSE(vfs->Get(kTemp).has_value());
  EXPECT_THAT(said, ElementsAre(HasSubstr("/host/FILE.replaced-2")));
}

TEST(MendFile, PutsNothingInThePlaceOfAFileThatComesWhileItWorks) {
  Faults none;
  const auto vfs = Cut("ours", "theirs");
  vfs->UseFaults(none);
  bool came = false;
  vfs->Interfere([&](MemoryVfs& disk) {
    if (!std::exchange(came, true)) disk.Put(kPath, "newer");
  });
  std::vector<std::string> said;
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  EXPECT_EQ(vfs->Get(kPath), "newer");
  EXPECT_EQ(vfs->Get("/host/FILE.replaced-1"), "theirs");
}

// Killed right after it had put the other's file back, which no sync had made durable yet: the note
// went for good, and a power cut took the putting back away.
TEST(MendFile, KeepsTheNoteUntilWhatTheKilledOneDidLastIsDurable) {
  const auto vfs = HostWith("old");
  Faults faults;
  vfs->UseFaults(faults);
  int exchanges = 0;
  vfs->Interfere([&](MemoryVfs& disk) {
    if (++exchanges == 1) return disk.Put(kPath, "theirs");
    EXPECT_THAT(disk.SyncFolder("/host"), IsOk());
    faults.FailFrom(2);
  });
  EXPECT_FALSE(ReplaceFile(*vfs, kFile, "old", "ours").ok());
  ASSERT_EQ(exchanges, 2);
  ASSERT_EQ(vfs->Get(kPath), "theirs");
  faults.Clear();
  vfs->Interfere(nullptr);
  std::vector<std::string> said;
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  vfs->Crash();
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  EXPECT_EQ(vfs->Get(kPath), "theirs");
}

TEST(MendFile, WithoutANoteATempFileIsNobodys) {
  const auto vfs = HostWith("ours");
  vfs->Put(kTemp, "planted");
  const int changes = vfs->changes();
  std::vector<std::string> said;
  ASSERT_THAT(MendFile(*vfs, kFile, said), IsOk());
  EXPECT_EQ(vfs->changes(), changes);
}

TEST(MendFile, ADamagedNoteIsAnErrorThatSaysWhatToDo) {
  Faults none;
  const auto vfs = Cut("ours", "theirs");
  vfs->UseFaults(none);
  const std::string note = *vfs->Get(kNote);
  for (const std::string& damaged : {std::string(), note.substr(1), note.substr(0, note.size() - 1),
                                     note + "\n", std::string(5000, 'x')}) {
    vfs->Put(kNote, damaged);
    std::vector<std::string> said;
    const absl::Status status = MendFile(*vfs, kFile, said);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(kNote));
    EXPECT_EQ(vfs->Get(kTemp), "theirs");
    EXPECT_EQ(vfs->Get(kPath), "ours");
  }
}

// --- The whole way, over the registries in files

std::string RegWith(std::uint32_t reboot) {
  RegFile file = RegFile::New();
  file.Write(kCrash, "CrashDumpEnabled", DwordValue(1));
  file.Write(kCrash, "AutoReboot", DwordValue(reboot));
  return file.Serialize();
}
std::string HiveWith(std::uint32_t reboot) {
  std::ifstream in(DUMPWARDEN_SOURCE_DIR "/tests/golden/hives/minimal.hive", std::ios::binary);
  MemoryVfs vfs;
  vfs.Put(kPath, std::string(std::istreambuf_iterator<char>(in), {}));
  const auto opened = OpenRegistry(absl::StrCat("hive:", kPath), vfs, false);
  EXPECT_THAT(opened->registry->Write(kCrash, "AutoReboot", DwordValue(reboot)), IsOk());
  EXPECT_THAT(opened->registry->Flush(), IsOk());
  return *vfs.Get(kPath);
}

class CutOffApply : public testing::TestWithParam<const char*> {
 protected:
  CutOffApply() {
    facts_.mutable_os()->set_build(20348);
    Decision decision;
    decision.setting = "dump.auto-reboot";
    decision.value = "on";
    decision.policy = "test";
    desired_.decisions.push_back(decision);
  }
  std::string With(std::uint32_t reboot) {
    return std::string(GetParam()) == "reg:" ? RegWith(reboot) : HiveWith(reboot);
  }
  OpenedRegistry Open() {
    return OpenRegistry(absl::StrCat(GetParam(), kPath), vfs_, false).value();
  }
  Applier ApplierOn(OpenedRegistry& opened) {
    return Applier(*opened.registry, folders_, vfs_, clock_, opened.place);
  }

  MemoryVfs vfs_;
  FakeClock clock_;
  FakeFolders folders_;
  v1::Facts facts_;
  Desired desired_;
};

TEST_P(CutOffApply, TheOtherProgramsFileIsBackBeforeAnythingIsReadAndTheApplyIsNone) {
  for (const Then then : kThen) {
    SCOPED_TRACE(static_cast<int>(then));
    const std::string theirs = With(7);
    vfs_.Put(kPath, With(0));
    Faults faults;
    vfs_.UseFaults(faults);
    bool came = false;
    vfs_.Interfere([&](MemoryVfs& disk) {
      if (std::exchange(came, true)) return;
      disk.Put(kPath, theirs);
      faults.FailFrom(2);
    });
    {
      OpenedRegistry opened = Open();
      EXPECT_FALSE(ApplierOn(opened).Apply(desired_, facts_).ok());
    }
    vfs_.Interfere(nullptr);
    faults.Clear();
    End(vfs_, then);
    OpenedRegistry opened = Open();
    Applier applier = ApplierOn(opened);
    ASSERT_THAT(applier.Recover(), IsOk());
    EXPECT_EQ(vfs_.Get(kPath), theirs);
    EXPECT_EQ(*opened.registry->Read(kCrash, "AutoReboot"), DwordValue(7));
    EXPECT_THAT(vfs_.Paths(), Not(Contains(HasSubstr("undo"))));
    EXPECT_THAT(vfs_.Paths(), Not(Contains(HasSubstr("replac"))));
    EXPECT_LE(applier.TakeMended().size(), 1u);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, CutOffApply, testing::Values("reg:", "hive:"),
                         [](const auto& info) {
                           return std::string(info.param) == "reg:" ? "Reg" : "Hive";
                         });

}  // namespace
}  // namespace dumpwarden
