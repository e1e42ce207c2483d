// SPDX-License-Identifier: Apache-2.0
// Bad policies: file:line:column on stderr, exit 1, and nothing changed on
// server or host, whichever program reads them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>

#include "absl/strings/str_cat.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

std::string With(const std::string& settings) {
  return absl::StrCat(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: bad }\nspec:\n  settings:\n",
      settings);
}

struct BadPolicy {
  const char* why;
  std::string yaml;
  const char* says;
};

std::vector<BadPolicy> BadPolicies() {
  return {
      {"unknown setting", With("    dump.typ: kernel\n"), "dump.type"},
      {"unknown kind", "apiVersion: dumpwarden/v1\nkind: DumpPolicies\nmetadata: { name: bad }\n",
       "DumpPolicy"},
      {"duplicate key", With("    dump.type: kernel\n    dump.type: small\n"), "dump.type"},
      {"anchor", With("    dump.type: &a kernel\n"), "anchor"},
      {"alias", "a: &a 1\nb: *a\n", "anchor"},
      {"bare alias", "a: *b\n", ""},
      {"tag", With("    dump.type: !!str kernel\n"), "tag"},
      {"100,000 brackets", std::string(100000, '['), ""},
      {"2 MiB file", With("    dump.type: kernel\n") + "# " + std::string(2 << 20, 'x') + "\n", ""},
      {"maximum below initial",
       With("    pagefile.files: [ { path: 'C:\\pagefile.sys', initial: 8GiB, maximum: 4GiB } ]\n"),
       "maximum"},
      {"no unit", With("    dump.dedicated-file-size: 4096\n"), "MiB"},
      {"hexadecimal", With("    dump.auto-reboot: 0x2\n"), "on"},
      {"yes for a word", With("    dump.auto-reboot: yes\n"), "on"},
      {"UNC dump path", With("    dump.file: '\\\\server\\share\\MEMORY.DMP'\n"), "local"},
  };
}

TEST(BadPolicy, IsRefusedWithItsPlaceAndChangesNothing) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  const std::string registry = ReadAll(host.File("host.reg"));
  const std::size_t audit = server.CtlJson({"audit", "list"}).size();
  for (const BadPolicy& bad : BadPolicies()) {
    SCOPED_TRACE(bad.why);
    const std::string file = host.File("bad.yaml");
    WriteAll(file, bad.yaml);
    const std::vector<Finished> tries = {
        server.Ctl({"policy", "check", "-f", file}),
        server.Ctl({"policy", "apply", "-f", file}),
        server.Ctl({"policy", "plan", "-f", file}),
        host.Agent({"plan", "-f", file, "--registry", host.registry(), "--facts",
                    host.File("facts.yaml")}),
        host.Agent({"apply", "-f", file, "--registry", host.registry(), "--facts",
                    host.File("facts.yaml")}),
    };
    for (const Finished& tried : tries) {
      EXPECT_EQ(tried.exit_code, 1) << tried.err;
      EXPECT_TRUE(std::regex_search(tried.err, std::regex("bad\\.yaml:[0-9]+:[0-9]+: ")))
          << tried.err;
      EXPECT_THAT(tried.err, HasSubstr(bad.says));
      EXPECT_EQ(tried.out, "");
      EXPECT_LT(tried.err.size(), 4000u);
    }
  }
  EXPECT_TRUE(server.CtlJson({"policy", "list"}).empty());
  EXPECT_EQ(server.CtlJson({"audit", "list"}).size(), audit);
  EXPECT_EQ(ReadAll(host.File("host.reg")), registry);
}

TEST(BadPolicy, ConflictAtApplyNamesBothPoliciesAndAHost) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  const std::string head = "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ";
  server.Apply(head + "first }\nspec: { settings: { dump.type: kernel } }\n");
  const Finished refused =
      server.Ctl({"policy", "apply", "-f", "-"},
                 head + "second }\nspec: { settings: { dump.type: small } }\n");
  EXPECT_EQ(refused.exit_code, 7) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("first"));
  EXPECT_THAT(refused.err, HasSubstr("second"));
  EXPECT_THAT(refused.err, HasSubstr(host.Id()));
  EXPECT_EQ(server.CtlJson({"policy", "list"}).size(), 1u);
}

TEST(BadPolicy, UsageErrorsExit64) {
  EXPECT_EQ(RunProgram({Program("dumpctl"), "policy", "frobnicate"}).exit_code, 64);
  EXPECT_EQ(RunProgram({Program("dumpctl")}).exit_code, 64);
  EXPECT_EQ(RunProgram({Program("dumpwarden-agent"), "plan"}).exit_code, 64);
  EXPECT_EQ(RunProgram({Program("dumpwarden-server"), "--nonsense"}).exit_code, 64);
  for (const char* program : {"dumpctl", "dumpwarden-agent", "dumpwarden-server"}) {
    EXPECT_EQ(RunProgram({Program(program), "--help"}).exit_code, 0) << program;
  }
}

}  // namespace
}  // namespace dumpwarden
