// SPDX-License-Identifier: Apache-2.0
#include "cli/contexts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "platform/system.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kTwo[] =
    "current: lab\n"
    "contexts:\n"
    "  - { name: lab, server: '127.0.0.1:9443', ca: ca.crt, certificate: /etc/me.crt, key: me.key "
    "}\n"
    "  - { name: prod, server: 'dw.example:9443', ca: p.crt, certificate: p2.crt, key: p.key }\n";

Environment Variables(std::map<std::string, std::string> values) {
  return [values = std::move(values)](const std::string& name) -> std::optional<std::string> {
    const auto found = values.find(name);
    if (found == values.end()) return std::nullopt;
    return found->second;
  };
}

void Write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST(Contexts, TakesPathsRelativeToTheFile) {
  ASSERT_OK_AND_ASSIGN(const Configuration read, ReadConfiguration(kTwo, "/home/a/dumpctl.yaml"));
  ASSERT_EQ(read.contexts.size(), 2U);
  EXPECT_EQ(read.current, "lab");
  EXPECT_EQ(read.contexts[0].ca, "/home/a/ca.crt");
  EXPECT_EQ(read.contexts[0].certificate, "/etc/me.crt");
}

TEST(Contexts, IsStrict) {
  const struct {
    const char* yaml;
    const char* says;
    const char* why;
  } cases[] = {
      {"contexts: []\ncurent: x\n", "current", "a key misspelt"},
      {"current: x\n", "contexts", "no contexts"},
      {"contexts: 5\n", "accepted is a list", "not a list"},
      {"contexts: [ { name: a } ]\n", "server", "what a context needs"},
      {"contexts: [ { name: a, server: h, ca: c, certificate: d, key: e } ]\n", "HOST:PORT",
       "no port"},
      {"contexts: [ { name: a, server: 'h:1', ca: c, certificate: d, key: e },\n"
       "  { name: a, server: 'h:2', ca: c, certificate: d, key: e } ]\n",
       "second context", "a name twice"},
  };
  for (const auto& c : cases) {
    EXPECT_THAT(ReadConfiguration(c.yaml, "dumpctl.yaml"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.says)))
        << c.why;
  }
}

TEST(Contexts, IsLookedForWhereThePeopleOfXdgLook) {
  const auto all =
      Variables({{"DUMPCTL_CONFIG", "/c.yaml"}, {"XDG_CONFIG_HOME", "/xdg"}, {"HOME", "/home/a"}});
  EXPECT_EQ(ConfigurationPath("/o.yaml", all), "/o.yaml");
  EXPECT_EQ(ConfigurationPath("", all), "/c.yaml");
  EXPECT_EQ(ConfigurationPath("", Variables({{"XDG_CONFIG_HOME", "/xdg"}})),
            "/xdg/dumpwarden/dumpctl.yaml");
  EXPECT_EQ(ConfigurationPath("", Variables({{"HOME", "/home/a"}})),
            "/home/a/.config/dumpwarden/dumpctl.yaml");
}

TEST(Contexts, GivesTheCurrentContextOrTheOneNamed) {
  const TempFolder temp;
  const auto vfs = MakeSystemVfs();
  Write(temp.File("dumpctl.yaml"), kTwo);
  ServerOptions options;
  options.config = temp.File("dumpctl.yaml");
  ASSERT_OK_AND_ASSIGN(const Context current, LoadContext(*vfs, options, Variables({})));
  EXPECT_EQ(current.name, "lab");
  options.context = "prod";
  ASSERT_OK_AND_ASSIGN(const Context named, LoadContext(*vfs, options, Variables({})));
  EXPECT_EQ(named.server, "dw.example:9443");
  options.context = "none";
  EXPECT_THAT(LoadContext(*vfs, options, Variables({})),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("lab, prod")));
}

TEST(Contexts, SaysWhereItLookedWhenThereIsNone) {
  const auto vfs = MakeSystemVfs();
  EXPECT_THAT(LoadContext(*vfs, ServerOptions(), Variables({{"HOME", "/nowhere"}})),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("/nowhere/.config/dumpwarden/dumpctl.yaml")));
}

// dumpctl login reads and writes it.
TEST(Contexts, ReadsWhatItWritesWherever) {
  for (const char* file : {"/home/a/dumpctl.yaml", "dumpctl.yaml", "conf/dumpctl.yaml"}) {
    SCOPED_TRACE(file);
    ASSERT_OK_AND_ASSIGN(Configuration read, ReadConfiguration(kTwo, file));
    read.contexts[1].name = "it's: #odd";
    read.current = read.contexts[1].name;
    const std::string written = FormatConfiguration(read, file);
    ASSERT_OK_AND_ASSIGN(const Configuration again, ReadConfiguration(written, file));
    EXPECT_EQ(again.current, "it's: #odd");
    ASSERT_EQ(again.contexts.size(), 2U);
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(again.contexts[i].name, read.contexts[i].name);
      EXPECT_EQ(again.contexts[i].server, read.contexts[i].server);
      EXPECT_EQ(again.contexts[i].ca, read.contexts[i].ca);
      EXPECT_EQ(again.contexts[i].certificate, read.contexts[i].certificate);
      EXPECT_EQ(again.contexts[i].key, read.contexts[i].key);
    }
    EXPECT_THAT(written, HasSubstr("ca: 'ca.crt'")) << "beside the file stays beside it";
  }
}

}  // namespace
}  // namespace dumpwarden
