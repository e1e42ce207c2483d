// SPDX-License-Identifier: Apache-2.0
// Configurations of the programs: at the size that is accepted, one byte above
// it, and a hundred times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/config.h"
#include "cli/contexts.h"
#include "platform/system.h"
#include "server/config.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

std::string Commented(std::string yaml, std::size_t bytes) {
  while (yaml.size() < bytes) {
    yaml.append("#").append(std::min<std::size_t>(bytes - yaml.size(), 79) - 1, 'x');
    if (yaml.size() < bytes) yaml.append("\n");
  }
  return yaml.substr(0, bytes);
}

constexpr char kServer[] =
    "trust-domain: corp.example\n"
    "listeners: { agents: '0.0.0.0:7443', enrollment: '0.0.0.0:7444' }\n"
    "names: [dumpwarden.corp.example]\n"
    "store: store.db\nca: ca\ntls: { chain: server.crt, key: server.key }\n";
constexpr char kDumpctl[] =
    "current: a\ncontexts:\n"
    "  - { name: a, server: 'h:1', ca: ca.crt, certificate: tls.crt, key: tls.key }\n";

TEST(FileCaps, HoldForEveryConfiguration) {
  TempFolder folder;
  const auto vfs = MakeSystemVfs();
  const std::string file = folder.File("file.yaml");
  const struct {
    const char* what;
    const char* yaml;
    std::size_t limit;
    std::function<absl::Status()> read;
  } cases[] = {
      {"server.yaml", kServer, 256 * 1024, [&] { return ReadServerConfig(*vfs, file).status(); }},
      {"agent.yaml", "check-seconds: 5\n", 64 * 1024,
       [&] { return LoadConfig(*vfs, file).status(); }},
      {"dumpctl.yaml", kDumpctl, 64 * 1024,
       [&] {
         ServerOptions options;
         options.config = file;
         return LoadContext(*vfs, options, [](auto) { return std::nullopt; }).status();
       }},
  };
  for (const auto& test : cases) {
    for (const std::size_t bytes : {test.limit, test.limit + 1, 100 * test.limit}) {
      SCOPED_TRACE(absl::StrCat(test.what, ": ", bytes));
      ASSERT_THAT(vfs->Write(file, Commented(test.yaml, bytes)), IsOk());
      const absl::Status read = test.read();
      EXPECT_EQ(read.ok(), bytes == test.limit) << read;
      if (bytes == test.limit) continue;
      EXPECT_THAT(std::string(read.message()), HasSubstr(absl::StrCat(test.limit)));
      EXPECT_THAT(std::string(read.message()), HasSubstr(file));
    }
  }
}

}  // namespace
}  // namespace dumpwarden
