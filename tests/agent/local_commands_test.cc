// SPDX-License-Identifier: Apache-2.0
// settings, observe, plan, apply and restore of the real program.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kRegistry[] =
    "Windows Registry Editor Version 5.00\r\n\r\n"
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\r\n"
    "\"AutoReboot\"=dword:00000005\r\n"
    "\"CrashDumpEnabled\"=dword:00000001\r\n"
    "\"FilterPages\"=dword:00000001\r\n";

std::string Policy(const std::string& name, const std::string& more) {
  return absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ", name,
                      " }\nspec:\n", more);
}

class LocalCommands : public testing::Test {
 protected:
  void SetUp() override {
    WriteAll(File("host.reg"), kRegistry);
    WriteAll(File("facts.yaml"), "os: { build: 20348, product: server }\nlabels: { role: sql }\n");
    WriteAll(File("p.yaml"), Policy("p", "  settings: { dump.type: complete }\n"));
  }
  std::string File(const std::string& name) const { return temp_.File(name); }
  Finished Do(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), Program("dumpwarden-agent"));
    return RunProgram(arguments);
  }
  Finished On(std::vector<std::string> arguments) const {
    arguments.insert(arguments.end(), {"--registry", "reg:" + File("host.reg")});
    return Do(arguments);
  }
  std::vector<std::string> Names() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(temp_.path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }

  TempFolder temp_;
};

TEST_F(LocalCommands, ListsTheCatalogueAndOneRowOfIt) {
  const Json all = Json::parse(Do({"settings", "-o", "json"}).out);
  EXPECT_GE(all.size(), 10U);
  const Json one = Json::parse(Do({"settings", "dump.type", "-o", "json"}).out);
  EXPECT_EQ(one["cells"].size(), 2U);
  const Finished unknown = Do({"settings", "dump.typ"});
  EXPECT_EQ(unknown.exit_code, 1);
  EXPECT_THAT(unknown.err, HasSubstr("did you mean dump.type?"));
}

TEST_F(LocalCommands, ObservesWithoutFacts) {
  const Finished observed = On({"observe", "-o", "json"});
  EXPECT_EQ(observed.exit_code, 0) << observed.err;
  const Json json = Json::parse(observed.out);
  EXPECT_FALSE(json["host"].contains("os"));
  EXPECT_THAT(observed.out, HasSubstr("\"active\""));
  EXPECT_THAT(observed.out, HasSubstr("custom ("));
}

TEST_F(LocalCommands, WritesAPolicyThatPlansNothing) {
  const Finished policy = On({"observe", "-o", "policy", "--facts", File("facts.yaml")});
  EXPECT_THAT(policy.out, HasSubstr("# dump.auto-reboot: custom ("));
  WriteAll(File("p.yaml"), policy.out);
  const Finished plan = On({"plan", "-f", File("p.yaml"), "--facts", File("facts.yaml"), "-o",
                            "json", "--detailed-exitcode"});
  EXPECT_EQ(plan.exit_code, 0) << plan.out << policy.out;
  EXPECT_TRUE(Json::parse(plan.out)["changes"].empty());
}

TEST_F(LocalCommands, PlanMakesNoFile) {
  const auto before = Names();
  const Finished plan = On({"plan", "-f", File("p.yaml"), "--detailed-exitcode"});
  EXPECT_EQ(plan.exit_code, 2) << plan.err;
  EXPECT_EQ(On({"plan", "-f", File("p.yaml")}).exit_code, 0);
  EXPECT_THAT(plan.out, HasSubstr("-  dump.type  1 -> absent"));
  EXPECT_EQ(Names(), before);
  EXPECT_EQ(ReadAll(File("host.reg")), kRegistry);
}

TEST_F(LocalCommands, PlanWarnsOfAnInterruptedApplyAndLeavesIt) {
  fs::create_directory(File("host.reg.dumpwarden"));
  WriteAll(File("host.reg.dumpwarden/undo"), "half");
  const Finished plan = On({"plan", "-f", File("p.yaml"), "-o", "json"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  EXPECT_THAT(plan.err, HasSubstr("interrupted"));
  EXPECT_EQ(ReadAll(File("host.reg.dumpwarden/undo")), "half");
}

TEST_F(LocalCommands, SeveralPoliciesAreMergedByPriority) {
  WriteAll(File("q.yaml"), Policy("q", "  priority: 5\n  settings: { dump.type: kernel }\n"));
  const Finished plan = On({"plan", "-f", File("p.yaml"), "-f", File("q.yaml"), "-o", "json"});
  EXPECT_EQ(plan.exit_code, 0) << plan.err;
  const Json json = Json::parse(plan.out);
  ASSERT_EQ(json["findings"].size(), 1U);
  EXPECT_EQ(json["findings"][0]["policy"], "q");
  EXPECT_EQ(json["findings"][0]["desired"], "kernel");
}

TEST_F(LocalCommands, SaysWhichPolicyIsNotForThisHost) {
  WriteAll(File("p.yaml"), Policy("p",
                                  "  selector: { matchLabels: { role: web } }\n"
                                  "  settings: { dump.type: complete }\n"));
  const Finished plan =
      On({"plan", "-f", File("p.yaml"), "--facts", File("facts.yaml"), "-o", "json"});
  EXPECT_THAT(plan.err, HasSubstr("policy p is not for this host"));
  EXPECT_TRUE(Json::parse(plan.out)["findings"].empty());
}

TEST_F(LocalCommands, ApplyThenRestoreEndsWhereItBegan) {
  const Finished applied = On({"apply", "-f", File("p.yaml"), "-o", "json"});
  ASSERT_EQ(applied.exit_code, 0) << applied.err;
  const Json json = Json::parse(applied.out);
  ASSERT_EQ(json["changes"].size(), 1U);
  EXPECT_THAT(ReadAll(File("host.reg")), testing::Not(HasSubstr("FilterPages")));
  const std::string settled = ReadAll(File("host.reg"));
  const Json again = Json::parse(On({"apply", "-f", File("p.yaml"), "-o", "json"}).out);
  EXPECT_EQ(again["backup"], nullptr);
  EXPECT_EQ(ReadAll(File("host.reg")), settled);
  const Finished restored = On({"restore", json["backup"].get<std::string>()});
  EXPECT_EQ(restored.exit_code, 0) << restored.err;
  EXPECT_THAT(ReadAll(File("host.reg")), HasSubstr("\"FilterPages\"=dword:00000001"));
}

// A hive whose DumpFile points outside the file.
std::string DamagedHive() {
  std::string hive = ReadAll(DUMPWARDEN_SOURCE_DIR "/tests/golden/hives/minimal.hive");
  const std::size_t name = hive.find("DumpFile");
  hive.replace(name - 12, 4, "\xf0\xff\xff\x0f");
  return hive;
}

// Both exited 0, so that a script took a host for good that nobody could look at.
TEST_F(LocalCommands, WhatCannotBeReadExitsOneAndIsPrintedAllTheSame) {
  WriteAll(File("SYSTEM"), DamagedHive());
  WriteAll(File("q.yaml"),
           Policy("q", "  settings: { dump.file: 'C:\\D\\M.DMP', dump.auto-reboot: on }\n"));
  for (const char* verb : {"plan", "apply"}) {
    SCOPED_TRACE(verb);
    const Finished done = Do({verb, "-f", File("q.yaml"), "--registry", "hive:" + File("SYSTEM"),
                              "--facts", File("facts.yaml"), "-o", "json", "--detailed-exitcode"});
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_THAT(done.err, HasSubstr("could not be read or written: dump.file"));
    EXPECT_THAT(done.out, HasSubstr("\"error\""));
    EXPECT_TRUE(Json::accept(done.out));
  }
}

TEST_F(LocalCommands, BadInputExitsOneAndBadUsageSixtyFour) {
  WriteAll(File("bad.yaml"), Policy("bad", "  settings: { dump.typ: kernel }\n"));
  const Finished bad = On({"apply", "-f", File("bad.yaml")});
  EXPECT_EQ(bad.exit_code, 1);
  EXPECT_THAT(bad.err, HasSubstr("bad.yaml:5:"));
  EXPECT_THAT(bad.out, IsEmpty());
  EXPECT_EQ(On({"plan", "-f", File("absent.yaml")}).exit_code, 1);
  EXPECT_EQ(On({"plan", "-f", File("p.yaml"), "-f", File("p.yaml")}).exit_code, 1);
  EXPECT_EQ(On({"restore", File("absent.reg")}).exit_code, 1);
  for (const char* registry : {"nonsense", "reg:", "file:host.reg"}) {
    const Finished usage = Do({"plan", "-f", File("p.yaml"), "--registry", registry});
    EXPECT_EQ(usage.exit_code, 64) << registry;
    EXPECT_THAT(usage.err, HasSubstr("reg:FILE"));
  }
  EXPECT_EQ(On({"plan"}).exit_code, 64);
  EXPECT_EQ(On({"observe", "-o", "xml"}).exit_code, 64);
  EXPECT_EQ(ReadAll(File("host.reg")), kRegistry);
}

}  // namespace
}  // namespace dumpwarden
