// SPDX-License-Identifier: Apache-2.0
// Every command in README.md and docs/ runs.  The blocks of a document that
// are tagged `sh test` are one script, run in a folder of its own with
// policies/ and deploy/ beside it, the programs on the PATH, a server that
// dumpctl knows, and the host web-01 connected to it.  Ports 7443 and 7444
// stand for free ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

// Untagged shell lines may only be these: something else runs them.
const char* const kRunElsewhere[] = {
    "deploy/quickstart.sh",         // .ci/run
    "deploy/quickstart.sh --once",  // .ci/run
    "deploy/quickstart.sh --stop",  // by hand
    "tests/run.sh",                 // .ci/run
    "tests/run.sh -R Plan",         // the same with an argument of ctest
    ".ci/run",
    "bench/startup.sh",  // bench/README.md: by hand, on a quiet machine
    "bench/reconcile.sh",
    "bench/agent_memory.sh",
    "bench/push.sh",
    "bench/build.sh",
};

struct Block {
  std::string tag;   // what follows the fence
  std::string text;  // with line ends
};

std::vector<Block> BlocksOf(const std::string& markdown) {
  std::vector<Block> blocks;
  bool inside = false;
  for (absl::string_view line : absl::StrSplit(markdown, '\n')) {
    if (absl::StartsWith(line, "```")) {
      inside = !inside;
      if (inside) blocks.push_back({std::string(line.substr(3)), ""});
    } else if (inside) {
      absl::StrAppend(&blocks.back().text, line, "\n");
    }
  }
  EXPECT_FALSE(inside) << "a block is not closed";
  return blocks;
}

std::string ScriptOf(const std::vector<Block>& blocks) {
  std::string script;
  for (const Block& block : blocks) {
    if (block.tag == "sh test") absl::StrAppend(&script, block.text);
  }
  return script;
}

std::vector<std::string> Documents() {
  std::vector<std::string> documents = {"README.md", "CONTRIBUTING.md", "bench/README.md"};
  const std::string root = absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(root + "docs")) {
    if (entry.path().extension() != ".md") continue;
    documents.push_back(std::filesystem::relative(entry.path(), root).string());
  }
  return documents;
}

class Documented : public testing::TestWithParam<std::string> {
 protected:
  std::vector<Block> blocks_ =
      BlocksOf(ReadAll(absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/", GetParam())));
};

// A shell block that nobody runs goes stale.
TEST_P(Documented, EveryShellLineIsRunSomewhere) {
  for (const Block& block : blocks_) {
    if (!absl::StartsWith(block.tag, "sh") || block.tag == "sh test") continue;
    for (absl::string_view line : absl::StrSplit(block.text, '\n', absl::SkipWhitespace())) {
      const std::string command(
          absl::StripAsciiWhitespace(std::vector<std::string>(absl::StrSplit(line, " #"))[0]));
      EXPECT_THAT(kRunElsewhere, testing::Contains(command));
    }
  }
}

TEST_P(Documented, CommandsWork) {
  std::string script = ScriptOf(blocks_);
  if (script.empty()) return;
  TempFolder folder;
  for (const char* name : {"policies", "deploy"}) {
    std::filesystem::create_directory_symlink(absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/", name),
                                              folder.File(name));
  }
  Server server;
  ASSERT_NO_FATAL_FAILURE(server.Start());
  Host host("web-01");
  ASSERT_NO_FATAL_FAILURE(host.Join(server, "role=web"));
  absl::StrReplaceAll({{"7443", std::to_string(FreePort())}, {"7444", std::to_string(FreePort())}},
                      &script);
  WriteAll(folder.File("script.sh"),
           absl::StrCat("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\ncd ",
                        folder.path(), "\nset -x\n", script));
  const Finished done =
      RunProgram({"bash", folder.File("script.sh")}, "",
                 {{"PATH", absl::StrCat(DUMPWARDEN_BIN_DIR, ":", getenv("PATH"))},
                  {"HOME", folder.path()},
                  {"DUMPCTL_CONFIG", server.folder() + "/operators/admin/dumpctl.yaml"}});
  EXPECT_EQ(done.exit_code, 0) << done.out << done.err;
}

// Suite.Name of every test in the sources.
std::set<std::string> AllTests() {
  std::set<std::string> tests;
  const std::regex start(R"(\bTEST(?:_F|_P)?\(\s*(\w+)\s*,\s*(\w+)\s*\))");
  for (const auto& entry : std::filesystem::recursive_directory_iterator(
           absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/tests"))) {
    const auto extension = entry.path().extension();
    if (extension != ".cc" && extension != ".h") continue;
    const std::string text = ReadAll(entry.path());
    for (std::sregex_iterator at(text.begin(), text.end(), start), end; at != end; ++at) {
      tests.insert(absl::StrCat((*at)[1].str(), ".", (*at)[2].str()));
    }
  }
  return tests;
}

// An assurance case whose tests are gone assures nothing.
TEST(AssuranceCase, NamesOnlyTestsThatThereAre) {
  const std::string text = ReadAll(absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/docs/security.md"));
  const std::set<std::string> tests = AllTests();
  const std::regex name(R"(`([A-Z]\w*\.[A-Z]\w*)`)");
  int named = 0;
  for (std::sregex_iterator at(text.begin(), text.end(), name), end; at != end; ++at, ++named) {
    EXPECT_THAT(tests, testing::Contains((*at)[1].str()));
  }
  EXPECT_GT(named, 40);
}

INSTANTIATE_TEST_SUITE_P(Docs, Documented, testing::ValuesIn(Documents()), [](const auto& info) {
  std::string name = info.param;
  for (char& c : name) {
    if (!isalnum(static_cast<unsigned char>(c))) c = '_';
  }
  return name;
});

}  // namespace
}  // namespace dumpwarden
