// SPDX-License-Identifier: Apache-2.0
// dumpwarden-agent on one host without a server: observe, plan, apply, restore
// on .reg files and on real hives, held against hivexget and reged, which are
// not ours.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

constexpr char kComplete[] =
    "apiVersion: dumpwarden/v1\n"
    "kind: DumpPolicy\n"
    "metadata: { name: complete }\n"
    "spec:\n"
    "  settings:\n"
    "    dump.type: complete\n"
    "    pagefile.files: [ { path: 'C:\\pagefile.sys', initial: ram + 257MiB, maximum: ram + "
    "257MiB } ]\n";

constexpr char kWindows7[] =
    "os: { build: 7601, product: workstation }\n"
    "memory: { bytes: 8589934592 }\n"
    "volumes:\n"
    "  - { path: 'C:\\', kind: fixed, total: 107374182400, free: 53687091200, boot: true }\n";

constexpr char kWindows10[] =
    "os: { build: 16299, product: workstation }\n"
    "memory: { bytes: 8589934592 }\n"
    "volumes:\n"
    "  - { path: 'C:\\', kind: fixed, total: 107374182400, free: 53687091200, boot: true }\n";

// OneHost is a folder with a policy, facts and a registry.
class OneHost {
 public:
  OneHost(const std::string& policy, const std::string& facts) {
    WriteAll(File("policy.yaml"), policy);
    WriteAll(File("facts.yaml"), facts);
    WriteAll(File("host.reg"), FreshRegistry());
    registry_ = "reg:" + File("host.reg");
  }
  void UseHive(const std::string& path) { registry_ = "hive:" + path; }
  std::string File(const std::string& name) const { return temp_.File(name); }
  Finished Do(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), Program("dumpwarden-agent"));
    arguments.insert(arguments.end(), {"--registry", registry_});
    return RunProgram(arguments);
  }
  Finished With(const std::string& verb, std::vector<std::string> more = {}) const {
    std::vector<std::string> arguments = {
        verb, "-f", File("policy.yaml"), "--facts", File("facts.yaml"), "-o", "json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return Do(arguments);
  }
  void Policy(const std::string& settings) const {
    WriteAll(
        File("policy.yaml"),
        "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: p }\nspec:\n  settings:\n" +
            settings);
  }

 private:
  TempFolder temp_;
  std::string registry_;
};

Json Parsed(const Finished& done) {
  Json json = Json::parse(done.out, nullptr, false);
  EXPECT_FALSE(json.is_discarded()) << done.out << done.err;
  return json;
}

const Json* Change(const Json& plan, const std::string& name) {
  for (const Json& change : plan["changes"]) {
    if (change["name"] == name) return &change;
  }
  return nullptr;
}

std::string StatusIn(const Json& plan, const std::string& setting) {
  for (const Json& finding : plan["findings"]) {
    if (finding["setting"] == setting) return finding["status"];
  }
  return "";
}

std::string ConfiguredIn(const Json& observed, const std::string& setting) {
  for (const Json& row : observed["settings"]) {
    if (row["setting"] == setting) return row["configured"];
  }
  return "";
}

// Bytes and times of everything in a folder.
std::set<std::string> Snapshot(const std::string& folder) {
  std::set<std::string> seen;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    seen.insert(absl::StrCat(
        entry.path().string(), " ", entry.last_write_time().time_since_epoch().count(), " ",
        entry.is_regular_file() ? std::hash<std::string>()(ReadAll(entry.path())) : 0));
  }
  return seen;
}

TEST(OneHostJob, PlanListsEveryChangeAndWritesNothing) {
  OneHost host(kComplete, kServer2022);
  const auto before = Snapshot(fs::path(host.File("x")).parent_path());
  const Finished plan = host.With("plan", {"--detailed-exitcode"});
  EXPECT_EQ(plan.exit_code, 2) << plan.err;
  EXPECT_EQ(Snapshot(fs::path(host.File("x")).parent_path()), before);
  const Json json = Parsed(plan);
  ASSERT_EQ(json["changes"].size(), 2u) << json.dump(1);
  const Json* type = Change(json, "CrashDumpEnabled");
  ASSERT_NE(type, nullptr);
  EXPECT_EQ(*type, Json::parse(R"({"setting":"dump.type",
      "key":"HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl","name":"CrashDumpEnabled",
      "action":"set","type":"REG_DWORD","from":7,"to":1})"));
  const Json* files = Change(json, "PagingFiles");
  ASSERT_NE(files, nullptr);
  EXPECT_EQ((*files)["to"], Json::parse(R"(["C:\\pagefile.sys 16641 16641"])"));
  EXPECT_EQ((*files)["type"], "REG_MULTI_SZ");
  EXPECT_EQ(host.With("plan").exit_code, 0);
}

TEST(OneHostJob, ApplyConvergesOnceAndRestoreBringsAllBack) {
  OneHost host(kComplete, kServer2022);
  const std::string original = ReadAll(host.File("host.reg"));
  const Finished applied = host.With("apply");
  ASSERT_EQ(applied.exit_code, 0) << applied.err;
  const Json json = Parsed(applied);
  EXPECT_EQ(json["changes"].size(), 2u);
  const std::string backup = json["backup"];
  EXPECT_TRUE(fs::exists(backup));
  EXPECT_EQ(ReadAll(backup).substr(0, 2), "\xFF\xFE") << "regedit imports UTF-16LE with a BOM";

  const auto settled = Snapshot(fs::path(host.File("x")).parent_path());
  const Finished again = host.With("apply");
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_TRUE(Parsed(again)["changes"].empty());
  EXPECT_TRUE(Parsed(again)["backup"].is_null());
  EXPECT_EQ(Snapshot(fs::path(host.File("x")).parent_path()), settled);

  const Finished restored = host.Do({"restore", backup});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_EQ(ReadAll(host.File("host.reg")), original);
}

TEST(OneHostJob, RestoreTakesAwayWhatItsApplyCreated) {
  OneHost host("", kServer2022);
  host.Policy("    dump.type: active\n    dump.dedicated-file: 'C:\\dedicated.sys'\n");
  const std::string original = ReadAll(host.File("host.reg"));
  const Json applied = Parsed(host.With("apply"));
  EXPECT_THAT(ReadAll(host.File("host.reg")), HasSubstr("DedicatedDumpFile"));
  EXPECT_THAT(ReadAll(host.File("host.reg")), HasSubstr("\"FilterPages\"=dword:00000001"));
  ASSERT_EQ(host.Do({"restore", applied["backup"]}).exit_code, 0);
  EXPECT_EQ(ReadAll(host.File("host.reg")), original);
}

TEST(OneHostJob, FromActiveToCompleteDeletesFilterPages) {
  OneHost host("", kServer2022);
  host.Policy("    dump.type: active\n");
  ASSERT_EQ(host.With("apply").exit_code, 0);
  host.Policy("    dump.type: complete\n");
  const Json plan = Parsed(host.With("plan"));
  ASSERT_EQ(plan["changes"].size(), 1u) << plan.dump(1);
  EXPECT_EQ(plan["changes"][0]["action"], "delete");
  EXPECT_EQ(plan["changes"][0]["name"], "FilterPages");
  EXPECT_EQ(plan["changes"][0]["to"], nullptr);
}

TEST(OneHostJob, FilterPagesZeroIsComplete) {
  OneHost host("", kServer2022);
  std::string registry = FreshRegistry();
  registry.replace(registry.find("\"CrashDumpEnabled\"=dword:00000007"), 33,
                   "\"CrashDumpEnabled\"=dword:00000001\r\n\"FilterPages\"=dword:00000000");
  WriteAll(host.File("host.reg"), registry);
  host.Policy("    dump.type: complete\n");
  const Json plan = Parsed(host.With("plan", {"--detailed-exitcode"}));
  EXPECT_TRUE(plan["changes"].empty()) << plan.dump(1);
  EXPECT_EQ(StatusIn(plan, "dump.type"), "compliant");
}

TEST(OneHostJob, NmiIsNotApplicableFromWindows8On) {
  OneHost host("", kServer2022);
  host.Policy("    nmi.crash: on\n");
  const Json server = Parsed(host.With("apply"));
  EXPECT_EQ(StatusIn(server, "nmi.crash"), "not-applicable");
  EXPECT_TRUE(server["changes"].empty());
  WriteAll(host.File("facts.yaml"), "os: { build: 9200, product: server }\n");
  EXPECT_EQ(StatusIn(Parsed(host.With("plan")), "nmi.crash"), "not-applicable");
  WriteAll(host.File("facts.yaml"), kWindows7);
  const Json old = Parsed(host.With("plan"));
  ASSERT_EQ(old["changes"].size(), 1u);
  EXPECT_EQ(old["changes"][0]["name"], "NMICrashDump");
  EXPECT_EQ(old["changes"][0]["from"], nullptr);
  EXPECT_EQ(old["changes"][0]["to"], 1);
}

TEST(OneHostJob, PageFileOnAMissingVolumeIsBlocked) {
  OneHost host("", kServer2022);
  host.Policy(
      "    pagefile.files: [ { path: 'E:\\pagefile.sys', initial: 4GiB, maximum: 4GiB } ]\n");
  const Finished plan = host.With("plan", {"--detailed-exitcode"});
  EXPECT_EQ(plan.exit_code, 2);
  EXPECT_EQ(StatusIn(Parsed(plan), "pagefile.files"), "blocked");
  EXPECT_TRUE(Parsed(plan)["changes"].empty());
}

TEST(OneHostJob, ObservedPolicyOfAHostPlansNothingOnIt) {
  OneHost host(kComplete, kServer2022);
  const Finished policy = host.Do({"observe", "-o", "policy", "--facts", host.File("facts.yaml")});
  ASSERT_EQ(policy.exit_code, 0) << policy.err;
  WriteAll(host.File("policy.yaml"), policy.out);
  const Finished plan = host.With("plan", {"--detailed-exitcode"});
  EXPECT_EQ(plan.exit_code, 0) << plan.out << plan.err;
  EXPECT_TRUE(Parsed(plan)["changes"].empty());
}

TEST(OneHostJob, MissingDumpFolderIsPartOfThePlan) {
  OneHost host("", absl::StrCat(kServer2022));
  fs::create_directory(host.File("d"));
  std::string facts = kServer2022;
  facts.insert(facts.find("boot: {"),
               absl::StrCat("  - { path: 'D:\\', kind: fixed, total: 107374182400, free: "
                            "53687091200, mount: '",
                            host.File("d"), "' }\n"));
  WriteAll(host.File("facts.yaml"), facts);
  host.Policy("    dump.file: 'D:\\Dumps\\MEMORY.DMP'\n");
  const Json plan = Parsed(host.With("plan"));
  ASSERT_EQ(plan["changes"].size(), 2u) << plan.dump(1);
  EXPECT_EQ(plan["changes"][0]["action"], "mkdir");
  EXPECT_FALSE(fs::exists(host.File("d/Dumps")));
  const Json applied = Parsed(host.With("apply"));
  EXPECT_TRUE(fs::is_directory(host.File("d/Dumps")));
  const Finished restored =
      host.Do({"restore", applied["backup"], "--facts", host.File("facts.yaml")});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_FALSE(fs::exists(host.File("d/Dumps")));
}

TEST(OneHostJob, EveryFolderThatIsMadeIsInThePlan) {
  OneHost host("", kServer2022);
  fs::create_directory(host.File("d"));
  std::string facts = kServer2022;
  facts.insert(facts.find("boot: {"),
               absl::StrCat("  - { path: 'D:\\', kind: fixed, total: 107374182400, free: "
                            "53687091200, mount: '",
                            host.File("d"), "' }\n"));
  WriteAll(host.File("facts.yaml"), facts);
  host.Policy("    dump.file: 'D:\\A\\B\\C\\MEMORY.DMP'\n");
  const Json plan = Parsed(host.With("plan"));
  ASSERT_EQ(plan["changes"].size(), 4u) << plan.dump(1);
  const char* folders[] = {"D:\\A", "D:\\A\\B", "D:\\A\\B\\C"};
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(plan["changes"][i]["action"], "mkdir");
    EXPECT_EQ(plan["changes"][i]["key"], folders[i]);
  }
  const Json applied = Parsed(host.With("apply"));
  EXPECT_EQ(applied["changes"], plan["changes"]);
  EXPECT_TRUE(fs::is_directory(host.File("d/A/B/C")));
  ASSERT_EQ(host.Do({"restore", applied["backup"], "--facts", host.File("facts.yaml")}).exit_code,
            0);
  EXPECT_TRUE(fs::is_empty(host.File("d")));
}

TEST(OneHostJob, DumpFolderThatIsAFileOrALinkIsBlocked) {
  OneHost host("", kServer2022);
  fs::create_directories(host.File("d/real"));
  WriteAll(host.File("d/File"), "not a folder");
  fs::create_directory_symlink(host.File("d/real"), host.File("d/Link"));
  std::string facts = kServer2022;
  facts.insert(facts.find("boot: {"),
               absl::StrCat("  - { path: 'D:\\', kind: fixed, total: 107374182400, free: "
                            "53687091200, mount: '",
                            host.File("d"), "' }\n"));
  WriteAll(host.File("facts.yaml"), facts);
  for (const char* folder : {"File", "Link", "File\\Sub", "Link\\Sub"}) {
    host.Policy(absl::StrCat("    dump.file: 'D:\\", folder, "\\MEMORY.DMP'\n"));
    const Json applied = Parsed(host.With("apply"));
    EXPECT_EQ(StatusIn(applied, "dump.file"), "blocked") << folder;
    EXPECT_TRUE(applied["changes"].empty()) << folder;
  }
}

TEST(OneHostJob, OutputThatCannotBeWrittenIsAFailure) {
  OneHost host(kComplete, kServer2022);
  const Finished done =
      RunProgram({"sh", "-c", "exec \"$0\" settings >/dev/full", Program("dumpwarden-agent")});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("output"));
}

// --- Real hives, where they are at hand.

std::string SharedData() {
  const char* set = getenv("DUMPWARDEN_SHARED_DATA");
  return set != nullptr ? set : std::string(DUMPWARDEN_SOURCE_DIR) + "/../shared/data";
}

class RealHive : public testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(SharedData())) GTEST_SKIP() << "no real hives at " << SharedData();
  }
  static std::string Unpack(const OneHost& host, const std::string& name) {
    const std::string path = host.File(name);
    WriteAll(path, RunProgram({"xz", "-dc", SharedData() + "/" + name + ".xz"}).out);
    EXPECT_GT(fs::file_size(path), 10u << 20);
    return path;
  }
  static std::string Get(const std::string& hive, const std::string& key,
                         const std::string& value) {
    return RunProgram({"hivexget", hive, key, value}).out;
  }
  // Lines of reged's export, to be compared.
  static std::string Export(const std::string& hive) {
    const std::string out = hive + ".export";
    RunProgram({"reged", "-x", hive, "HKEY_LOCAL_MACHINE\\SYSTEM", "\\", out});
    EXPECT_GT(fs::file_size(out), 1000000u);
    return out;
  }
  // Every line that differs, with < or > before it.
  static std::vector<std::string> Differences(const std::string& before, const std::string& after) {
    std::vector<std::string> lines;
    for (absl::string_view line :
         absl::StrSplit(RunProgram({"diff", Export(before), Export(after)}).out, '\n')) {
      if (!line.empty() && (line[0] == '<' || line[0] == '>')) lines.emplace_back(line);
    }
    return lines;
  }
};

// Every changed line is a line of these two values, or the hex data of one that folds over lines.
void ExpectTypeAndPageFileOnly(const std::vector<std::string>& lines) {
  EXPECT_THAT(lines, testing::Contains(HasSubstr("\"CrashDumpEnabled\"=dword:00000001")));
  for (const std::string& line : lines) {
    const bool ours = line.find("CrashDumpEnabled") != std::string::npos ||
                      line.find("PagingFiles") != std::string::npos ||
                      line.find_first_not_of("0123456789abcdef,\\\r ", 2) == std::string::npos;
    EXPECT_TRUE(ours) << line;
  }
}

TEST_F(RealHive, Windows7IsObservedPlannedAndWrittenAsOthersReadIt) {
  OneHost host(kComplete, kWindows7);
  const std::string hive = Unpack(host, "SYSTEM.win7sp1");
  host.UseHive(hive);
  const Finished observed = host.Do({"observe", "-o", "json", "--facts", host.File("facts.yaml")});
  EXPECT_EQ(observed.exit_code, 0) << observed.err;
  EXPECT_THAT(observed.out, HasSubstr("\"kernel\""));
  EXPECT_THAT(observed.out, HasSubstr("\"automatic\""));

  const Json plan = Parsed(host.With("plan"));
  ASSERT_EQ(plan["changes"].size(), 2u) << plan.dump(1);
  const std::string pristine = host.File("pristine");
  fs::copy_file(hive, pristine);
  ASSERT_EQ(host.With("apply").exit_code, 0);
  const std::string crash = "\\ControlSet001\\Control\\CrashControl";
  const std::string memory = "\\ControlSet001\\Control\\Session Manager\\Memory Management";
  EXPECT_THAT(Get(hive, crash, "CrashDumpEnabled"), HasSubstr("1"));
  EXPECT_THAT(Get(hive, memory, "PagingFiles"), HasSubstr("C:\\pagefile.sys 8449 8449"));
  ExpectTypeAndPageFileOnly(Differences(pristine, hive));
  const Finished again = host.With("apply");
  EXPECT_TRUE(Parsed(again)["changes"].empty());
}

TEST_F(RealHive, DirtyWindows10IsReadSaidToBeDirtyAndWrittenOnlyByForce) {
  OneHost host(kComplete, kServer2022);
  const std::string hive = Unpack(host, "SYSTEM.win10-1709-dirty");
  host.UseHive(hive);
  const Finished observed = host.Do({"observe", "-o", "json", "--facts", host.File("facts.yaml")});
  EXPECT_EQ(observed.exit_code, 0) << observed.err;
  EXPECT_THAT(observed.out + observed.err, HasSubstr("dirty"));
  const std::string before = ReadAll(hive);
  const Finished refused = host.With("apply");
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.err, HasSubstr("--force-dirty"));
  EXPECT_EQ(ReadAll(hive), before);
  const Finished forced = host.With("apply", {"--force-dirty"});
  EXPECT_EQ(forced.exit_code, 0) << forced.err;
  EXPECT_THAT(Get(hive, "\\ControlSet001\\Control\\CrashControl", "CrashDumpEnabled"),
              HasSubstr("1"));
}

TEST_F(RealHive, Windows10IsObservedPlannedAndWrittenAsOthersReadIt) {
  OneHost host(kComplete, kWindows10);
  const std::string hive = Unpack(host, "SYSTEM.win10-1709-dirty");
  host.UseHive(hive);
  const Json observed =
      Parsed(host.Do({"observe", "-o", "json", "--facts", host.File("facts.yaml")}));
  EXPECT_EQ(ConfiguredIn(observed, "dump.type"), "automatic");
  EXPECT_EQ(ConfiguredIn(observed, "pagefile.files"), "automatic");

  const Json plan = Parsed(host.With("plan"));
  ASSERT_EQ(plan["changes"].size(), 2u) << plan.dump(1);
  const Json* type = Change(plan, "CrashDumpEnabled");
  const Json* files = Change(plan, "PagingFiles");
  ASSERT_TRUE(type != nullptr && files != nullptr) << plan.dump(1);
  EXPECT_EQ((*type)["from"], 7);
  EXPECT_EQ((*type)["to"], 1);
  EXPECT_EQ((*files)["from"], Json::parse(R"(["?:\\pagefile.sys"])"));
  EXPECT_EQ((*files)["to"], Json::parse(R"(["C:\\pagefile.sys 8449 8449"])"));

  const std::string pristine = host.File("pristine");
  fs::copy_file(hive, pristine);
  const Json applied = Parsed(host.With("apply", {"--force-dirty"}));
  EXPECT_EQ(applied["changes"], plan["changes"]);
  ExpectTypeAndPageFileOnly(Differences(pristine, hive));
}

TEST_F(RealHive, RestoreBringsBackTheExportOfBefore) {
  const std::pair<const char*, const char*> hives[] = {{"SYSTEM.win7sp1", kWindows7},
                                                       {"SYSTEM.win10-1709-dirty", kWindows10}};
  for (const auto& [name, facts] : hives) {
    OneHost host("", facts);
    host.Policy(
        "    dump.type: complete\n    dump.dedicated-file: 'C:\\dedicated.sys'\n"
        "    pagefile.files: none\n");
    const std::string hive = Unpack(host, name);
    host.UseHive(hive);
    const std::string pristine = host.File("pristine");
    fs::copy_file(hive, pristine);
    const Json applied = Parsed(host.With("apply", {"--force-dirty"}));
    ASSERT_EQ(applied["changes"].size(), 3u) << name << applied.dump(1);
    EXPECT_THAT(Differences(pristine, hive), testing::Not(testing::IsEmpty())) << name;
    const Finished restored = host.Do({"restore", applied["backup"]});
    ASSERT_EQ(restored.exit_code, 0) << name << restored.err;
    EXPECT_THAT(Differences(pristine, hive), testing::IsEmpty()) << name;
  }
}

}  // namespace
}  // namespace dumpwarden
