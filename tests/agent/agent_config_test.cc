// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/config.h"
#include "tests/support/memory_vfs.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Config, ReadsEveryKeyAndResolvesPathsBesideTheFile) {
  ASSERT_OK_AND_ASSIGN(const AgentConfig config, ReadConfig(R"(server: dump.corp.example:7443
proxy: proxy.corp.example:3128
registry: hive:SYSTEM,/mnt/SOFTWARE
facts: facts.yaml
data: state
check-seconds: 60
force-dirty: true
)",
                                                            "/etc/dumpwarden/agent.yaml"));
  EXPECT_THAT(config.servers, ElementsAre("dump.corp.example:7443"));
  EXPECT_EQ(config.proxy, "proxy.corp.example:3128");
  EXPECT_EQ(config.registry, "hive:/etc/dumpwarden/SYSTEM,/mnt/SOFTWARE");
  EXPECT_EQ(config.facts, "/etc/dumpwarden/facts.yaml");
  EXPECT_EQ(config.data, "/etc/dumpwarden/state");
  EXPECT_EQ(config.check, absl::Minutes(1));
  EXPECT_TRUE(config.force_dirty);
}

TEST(Config, HasDefaults) {
  ASSERT_OK_AND_ASSIGN(const AgentConfig config, ReadConfig("data: /d\n", "agent.yaml"));
  EXPECT_EQ(config.check, absl::Minutes(5));
  EXPECT_FALSE(config.force_dirty);
  EXPECT_THAT(config.servers, IsEmpty());
}

TEST(Config, SeveralServersKeepTheirOrder) {
  ASSERT_OK_AND_ASSIGN(const AgentConfig config,
                       ReadConfig("server: [b:7443, '[::1]:7443', a:1]\n", "agent.yaml"));
  EXPECT_THAT(config.servers, ElementsAre("b:7443", "[::1]:7443", "a:1"));
}

TEST(Config, SaysWhereEachMistakeIs) {
  const struct {
    const char* yaml;
    const char* message;
    const char* why;
  } kCases[] = {
      {"serve: a:1\n", "did you mean `server`", "unknown key"},
      {"server: nowhere\n", "HOST:PORT", "no port"},
      {"server: [a:1, nowhere]\n", "agent.yaml:1:15: server", "the second of a list"},
      {"proxy: http://a:1\n", "HOST:PORT", "a proxy is no URL"},
      {"server: []\n", "1 to 16", "none"},
      {"server: [a:1, {b: 2}]\n", "HOST:PORT", "a map"},
      {"server: {a: 1}\n", "server", "a map for a list"},
      {"registry: C:\\Windows\n", "reg:FILE", "no kind"},
      {"check-seconds: 0\n", "agent.yaml:1:", "a hot loop"},
      {"check-seconds: 1e3\n", "agent.yaml:1:", "decimal digits only"},
      {"force-dirty: yes\n", "true", "true or false"},
      {"data: /a\ndata: /b\n", "data", "twice"},
      {"data: &a /x\n", "anchor", "an anchor"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.why);
    EXPECT_THAT(ReadConfig(c.yaml, "agent.yaml"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr("agent.yaml:"), HasSubstr(c.message))));
  }
}

TEST(Config, SaysHowToNameAFileThatIsNotThere) {
  MemoryVfs vfs;
  EXPECT_THAT(LoadConfig(vfs, "/none.yaml"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("--config")));
}

}  // namespace
}  // namespace dumpwarden
