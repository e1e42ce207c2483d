// SPDX-License-Identifier: Apache-2.0
// kill -9 of the real agent between the exchange of the registry's file and the
// look at what came out, and that was another program's file: it is put back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kPolicy[] =
    "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: base }\nspec:\n"
    "  settings: { dump.type: complete, dump.overwrite: off }\n";

std::string Temp(const Host& host) { return host.File("host.reg.dumpwarden-tmp"); }
std::string Note(const Host& host) { return host.File("host.reg.dumpwarden/replacing"); }

// The other program's file had come just before the exchange: that is what lies there now.
void LetOtherFileComeOut(const Host& host) {
  const std::string found = ReadAll(Temp(host));
  const std::string theirs = absl::StrReplaceAll(
      found, {{"\"AutoReboot\"=dword:00000001", "\"AutoReboot\"=dword:00000000"},
              {"\"CrashDumpEnabled\"=dword:00000007", "\"CrashDumpEnabled\"=dword:00000009"},
              {"\"CrashDumpEnabled\"=dword:00000001", "\"CrashDumpEnabled\"=dword:00000009"}});
  ASSERT_NE(found, theirs);
  WriteAll(Temp(host), theirs);
}

TEST(CutOff, TheFileOfAnotherProgramIsPutBackAndItsDriftToldOnce) {
  Server server;
  server.Start();
  server.Apply(kPolicy);
  Host host("web-01");
  host.Join(server);
  ASSERT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000001"; }));
  host.Kill(SIGTERM);
  host.Set("Overwrite", "dword:00000001");
  host.Start({{"DUMPWARDEN_FAILPOINT", "replace.exchanged"}});
  ASSERT_EQ(host.process().Wait(), 128 + SIGKILL) << "was not reached";
  ASSERT_EQ(host.Value("Overwrite"), "dword:00000000");
  LetOtherFileComeOut(host);
  host.Start();
  const auto told = [&] {
    int times = 0;
    for (const Json& drift : server.CtlJson({"drift", "list"})) {
      times += drift["setting"] == "dump.type" && drift["new"] == "custom (0x9)" &&
               drift["state"] == "corrected";
    }
    return times;
  };
  EXPECT_TRUE(Eventually([&] { return told() > 0; })) << server.CtlJson({"drift", "list"}).dump(1);
  EXPECT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000001"; }));
  EXPECT_EQ(told(), 1);
  EXPECT_EQ(host.Value("AutoReboot"), "dword:00000000") << "theirs, and of no policy";
  EXPECT_FALSE(std::filesystem::exists(Note(host)));
  EXPECT_THAT(host.process().Err(), HasSubstr("was put back"));
}

TEST(CutOff, TheCommandLineSaysSoAndOnlyApplyPutsItBack) {
  const Host host("web-01");
  WriteAll(host.File("policy.yaml"), kPolicy);
  const std::vector<std::string> apply = {
      "apply",         "-f",      host.File("policy.yaml"), "--registry",
      host.registry(), "--facts", host.File("facts.yaml")};
  std::vector<std::string> killed = apply;
  killed.insert(killed.begin(), Program("dumpwarden-agent"));
  ASSERT_EQ(RunProgram(killed, "", {{"DUMPWARDEN_FAILPOINT", "replace.exchanged"}}).exit_code,
            128 + SIGKILL);
  LetOtherFileComeOut(host);
  const std::string left =
      ReadAll(host.File("host.reg")) + ReadAll(Temp(host)) + ReadAll(Note(host));
  std::vector<std::string> plan = apply;
  plan[0] = "plan";
  for (const std::vector<std::string>& command :
       {plan, {"observe", "--registry", host.registry(), "--facts", host.File("facts.yaml")}}) {
    const Finished said = host.Agent(command);
    EXPECT_EQ(said.exit_code, 0) << said.err;
    EXPECT_THAT(said.err, HasSubstr("warning: a write to"));
    EXPECT_EQ(ReadAll(host.File("host.reg")) + ReadAll(Temp(host)) + ReadAll(Note(host)), left);
  }
  const Finished applied = host.Agent(apply);
  EXPECT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_THAT(applied.err, HasSubstr("was put back"));
  EXPECT_THAT(applied.out, HasSubstr("9 -> 1"));
  EXPECT_EQ(host.Value("CrashDumpEnabled"), "dword:00000001");
  EXPECT_EQ(host.Value("AutoReboot"), "dword:00000000");
  EXPECT_THAT(host.Agent(plan).err, Not(HasSubstr("warning: a write to")));
}

}  // namespace
}  // namespace dumpwarden
