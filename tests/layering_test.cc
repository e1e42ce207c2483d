// SPDX-License-Identifier: Apache-2.0
// Who may include whom, and which library may be seen where.  The two tables
// below are the list; every source of ours is held against them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using Names = std::vector<absl::string_view>;
using testing::ElementsAre;
using testing::IsEmpty;

// A folder of ours, and the folders whose headers its files may include beside its own.  The
// longest folder that holds a file is the one that counts.  "messages" and "services" are the
// generated headers.
struct Folder {
  absl::string_view folder;
  Names may_include;
};
const std::vector<Folder> kFolders = {
    {"proto/", {"messages", "services"}},
    {"core/base/", {"messages"}},
    {"core/catalog/", {"core/base/", "messages"}},
    {"core/policy/", {"core/catalog/", "core/base/", "messages"}},
    {"core/reconcile/", {"core/policy/", "core/catalog/", "core/base/", "messages"}},
    {"core/report/",
     {"core/reconcile/", "core/policy/", "core/catalog/", "core/base/", "messages"}},
    {"platform/", {"core/", "messages"}},
    {"agent/", {"core/", "platform/", "proto/", "messages", "services"}},
    {"agent/registry/", {"core/", "platform/", "messages"}},
    {"server/", {"core/", "platform/", "proto/", "messages", "services"}},
    {"server/store/", {"core/", "platform/", "messages"}},
    {"server/identity/", {"core/", "platform/", "server/store/", "messages"}},
    {"cli/", {"core/", "platform/", "proto/", "messages", "services"}},
    {"bench/",
     {"core/", "platform/", "proto/", "agent/", "server/", "tests/support/", "messages",
      "services"}},
    {"tests/",
     {"core/", "platform/", "proto/", "agent/", "server/", "cli/", "messages", "services"}},
};

// A library by the beginning of its headers' names, and the files (or folders, with a trailing
// slash) that may include it.  An empty entry is every file of ours.
struct Library {
  absl::string_view headers;
  Names may_see;
};
const std::vector<Library> kLibraries = {
    {"absl/", {""}},
    {"google/protobuf/", {""}},
    {"grpc/", {"server/authorize.cc", "server/library_log.cc", "tests/"}},
    {"grpcpp/",
     {"proto/grpc_status.h", "agent/calls.cc", "agent/channel.cc", "agent/channel.h",
      "agent/link.cc", "server/listener.cc", "server/authorize.cc", "server/admin_service.cc",
      "server/enrollment_service.cc", "server/fleet/session.cc", "server/identity/credentials.cc",
      "cli/client.cc", "bench/", "tests/"}},
    {"yaml-cpp/", {"core/base/yaml.cc"}},
    {"openssl/", {"core/base/digest.cc", "platform/", "server/identity/", "tests/"}},
    {"sqlite3.h", {"platform/", "tests/"}},
    {"spdlog/", {"platform/"}},
    {"nlohmann/", {"core/report/", "server/serve.cc", "tests/"}},
    {"CLI/", {"agent/", "server/main.cc", "cli/"}},
    {"hivex.h", {"agent/registry/", "tests/"}},
    {"windows.h", {}},
    {"gtest/", {"tests/"}},
    {"gmock/", {"tests/"}},
    {"benchmark/", {"bench/"}},
};

// core has no threads, files, sockets or clock of its own: these make it take them.
const Names kNotInCore = {"thread",
                          "mutex",
                          "condition_variable",
                          "future",
                          "atomic",
                          "fstream",
                          "filesystem",
                          "chrono",
                          "absl/time/clock.h",
                          "absl/synchronization/"};
// A failpoint ends the process: that is its whole purpose.
constexpr absl::string_view kMayEndTheProcess = "core/base/failpoint.cc";
// yaml-cpp throws, and CLI11 when it parses a program's command line: there they stop.
const Names kMayCatch = {"core/base/yaml.cc", "agent/commands.cc", "server/main.cc",
                         "cli/commands.cc"};

// Identity is the certificate and nothing else: nobody reads or sends metadata but the tests that
// prove that they change nothing and have a limit, and a call without a connection has no
// certificate.
const Names kNotForIdentity = {"client_metadata(", "AddMetadata(", "InProcessChannel(",
                               "AuthMetadataProcessor"};
const Names kMayTryIt = {"tests/end_to_end/identity_test.cc", "tests/end_to_end/limits_test.cc",
                         "tests/layering_test.cc"};

const Folder* FolderOfFile(absl::string_view path) {
  const Folder* longest = nullptr;
  for (const Folder& folder : kFolders) {
    const bool longer = longest == nullptr || folder.folder.size() > longest->folder.size();
    if (absl::StartsWith(path, folder.folder) && longer) longest = &folder;
  }
  return longest;
}

bool BeginsWithAny(absl::string_view text, const Names& beginnings) {
  for (absl::string_view beginning : beginnings) {
    if (absl::StartsWith(text, beginning)) return true;
  }
  return false;
}

// "core/base/", "services", ... or "" when the header is none of ours.
std::string OursOf(absl::string_view header) {
  if (absl::EndsWith(header, ".grpc.pb.h")) return "services";
  if (absl::StartsWith(header, "dumpwarden/v1/")) return "messages";
  return FolderOfFile(header) == nullptr ? "" : std::string(header);
}

bool IsStandard(absl::string_view header) {
  const Names system = {"sys/", "arpa/", "net/", "netinet/", "linux/"};
  return !absl::StrContains(header, "/") || BeginsWithAny(header, system);
}

// What is wrong with one include of one file; "" when nothing is.
std::string WrongWith(absl::string_view path, absl::string_view header) {
  const Folder* from = FolderOfFile(path);
  if (from == nullptr) return absl::StrCat(path, ": in no folder of the table");
  if (const std::string ours = OursOf(header); !ours.empty()) {
    if (absl::StartsWith(ours, from->folder) || BeginsWithAny(ours, from->may_include)) return "";
    return absl::StrCat(path, ": ", from->folder, " may not include ", header);
  }
  const bool system = absl::StrContains(header, ".h") && IsStandard(header);
  if (absl::StartsWith(path, "core/") && path != kMayEndTheProcess &&
      (BeginsWithAny(header, kNotInCore) ||
       BeginsWithAny(header, {"sys/", "unistd.h", "fcntl.h", "pthread.h", "time.h", "signal.h"}))) {
    return absl::StrCat(path, ": core has no threads, files, sockets or clock: ", header);
  }
  for (const Library& library : kLibraries) {
    if (!absl::StartsWith(header, library.headers)) continue;
    if (BeginsWithAny(path, library.may_see)) return "";
    return absl::StrCat(path, ": ", header, " is not for this file");
  }
  if (system || IsStandard(header)) return "";
  return absl::StrCat(path, ": ", header, " is of a library that the table lacks");
}

// The header that a line includes, or "".
std::string Included(absl::string_view line) {
  absl::string_view rest = absl::StripLeadingAsciiWhitespace(line);
  if (!absl::ConsumePrefix(&rest, "#")) return "";
  rest = absl::StripLeadingAsciiWhitespace(rest);
  if (!absl::ConsumePrefix(&rest, "include")) return "";
  rest = absl::StripLeadingAsciiWhitespace(rest);
  if (rest.empty() || (rest[0] != '<' && rest[0] != '"')) return "";
  const char end = rest[0] == '<' ? '>' : '"';
  rest.remove_prefix(1);
  return std::string(rest.substr(0, rest.find(end)));
}

// Words that only one file, or none, may hold.
std::string WrongWord(absl::string_view path, absl::string_view line) {
  absl::string_view code = absl::StripAsciiWhitespace(line.substr(0, line.find("//")));
  for (absl::string_view word : kNotForIdentity) {
    if (!absl::StrContains(code, word) || BeginsWithAny(path, kMayTryIt)) continue;
    return absl::StrCat(path, ": identity comes from a certificate over a connection, never from ",
                        word);
  }
  if (absl::StartsWith(path, "tests/")) return "";
  if (absl::StrContains(code, "catch (") && !BeginsWithAny(path, kMayCatch)) {
    return absl::StrCat(path, ": errors are values, this catches: ", code);
  }
  if (absl::StartsWith(code, "using namespace ")) return absl::StrCat(path, ": ", code);
  if (absl::StartsWith(code, "#if") && absl::StrContains(code, "_WIN32")) {
    return absl::StrCat(path, ": the platform is chosen in CMake: ", code);
  }
  return "";
}

std::vector<std::string> WrongIn(absl::string_view path, absl::string_view text) {
  std::vector<std::string> wrong;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    const std::string header = Included(line);
    std::string found = header.empty() ? WrongWord(path, line) : WrongWith(path, header);
    if (!found.empty()) wrong.push_back(std::move(found));
  }
  return wrong;
}

struct Walk {
  int files = 0;
  std::vector<std::string> wrong;
};

// Every .h and .cc below the folders of the table.
Walk WalkTree(const std::string& root) {
  Walk walk;
  for (const Folder& folder : kFolders) {
    const std::filesystem::path start = root + "/" + std::string(folder.folder);
    if (!std::filesystem::exists(start)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(start)) {
      const std::string path = std::filesystem::relative(entry.path(), root).string();
      const bool source = absl::EndsWith(path, ".cc") || absl::EndsWith(path, ".h");
      if (!source || FolderOfFile(path) != &folder) continue;
      std::ifstream in(entry.path());
      const std::string text((std::istreambuf_iterator<char>(in)), {});
      ++walk.files;
      for (std::string& wrong : WrongIn(path, text)) walk.wrong.push_back(std::move(wrong));
    }
  }
  return walk;
}

TEST(Layering, HoldsForEverySource) {
  const Walk walk = WalkTree(DUMPWARDEN_SOURCE_DIR);
  EXPECT_THAT(walk.wrong, IsEmpty()) << "the tables of this test, and style.md section 1, say "
                                        "who may include whom";
  EXPECT_GT(walk.files, 100) << "the walk has not found the sources";
}

TEST(Layering, SeesAnIncludePlantedInATree) {
  TempFolder tree;
  std::filesystem::create_directories(tree.File("core/policy"));
  std::ofstream(tree.File("core/policy/merge.cc")) << "#include \"core/policy/merge.h\"\n"
                                                      "#include \"agent/link.h\"\n"
                                                      "#include <grpcpp/grpcpp.h>\n";
  const Walk walk = WalkTree(tree.path());
  EXPECT_EQ(walk.files, 1);
  EXPECT_THAT(walk.wrong,
              ElementsAre("core/policy/merge.cc: core/policy/ may not include agent/link.h",
                          "core/policy/merge.cc: grpcpp/grpcpp.h is not for this file"));
}

struct Case {
  const char* path;
  const char* line;
  bool good;
  const char* why;
};
const Case kCases[] = {
    {"core/base/text.cc", "#include \"core/base/text.h\"", true, "a folder may include itself"},
    {"core/base/text.cc", "#include \"core/catalog/catalog.h\"", false, "base is below catalog"},
    {"core/report/table.cc", "#include \"core/reconcile/plan.h\"", true, "report is above"},
    {"core/policy/merge.cc", "#include \"core/reconcile/plan.h\"", false, "policy is below"},
    {"core/base/text.cc", "#include \"dumpwarden/v1/report.pb.h\"", true, "messages"},
    {"core/base/text.cc", "#include \"dumpwarden/v1/admin.grpc.pb.h\"", false, "services"},
    {"core/base/text.cc", "#include <thread>", false, "core has no threads"},
    {"core/base/text.cc", "#include <unistd.h>", false, "core has no files"},
    {"core/base/text.cc", "  #  include <grpcpp/grpcpp.h>", false, "blanks hide nothing"},
    {"core/base/failpoint.cc", "#include <signal.h>", true, "its purpose"},
    {"core/policy/merge.cc", "#include <yaml-cpp/yaml.h>", false, "one file sees yaml-cpp"},
    {"core/base/yaml.cc", "#include <yaml-cpp/yaml.h>", true, "this one"},
    {"platform/sqlite.cc", "#include <sqlite3.h>", true, "the owner of SQLite"},
    {"server/store/sqlite_store.cc", "#include <sqlite3.h>", false, "goes through platform"},
    {"platform/system.cc", "#include \"agent/link.h\"", false, "platform is below agent"},
    {"agent/agent.cc", "#include \"server/store/store.h\"", false, "programs stay apart"},
    {"cli/client.cc", "#include \"agent/link.h\"", false, "programs stay apart"},
    {"agent/agent.cc", "#include <grpcpp/grpcpp.h>", false, "gRPC ends at the link"},
    {"agent/link.cc", "#include <grpcpp/grpcpp.h>", true, "the link"},
    {"agent/registry/open.cc", "#include \"agent/link.h\"", false, "registries are below"},
    {"agent/agent.cc", "#include <hivex.h>", false, "registries only"},
    {"server/fleet/fleet.cc", "#include <grpcpp/grpcpp.h>", false, "the fleet knows no gRPC"},
    {"server/store/store.h", "#include \"server/fleet/fleet.h\"", false, "the store is below"},
    {"agent/main.cc", "#include <windows.h>", false, "agent/win only, and there is none yet"},
    {"cli/main.cc", "#include \"tests/support/process.h\"", false, "nobody includes tests"},
    {"cli/main.cc", "#include <boost/beast.hpp>", false, "not in the table"},
    {"agent/agent.cc", "} catch (const std::exception& e) {", false, "errors are values"},
    {"agent/agent.cc", "// catch (this) is a comment", true, "comments are free"},
    {"agent/agent.cc", "using namespace std;", false, "never"},
    {"agent/agent.cc", "#ifdef _WIN32", false, "CMake chooses the platform"},
    {"server/authorize.cc", "  auto m = context.client_metadata();", false,
     "metadata is no identity"},
    {"tests/server/authorize_test.cc", "context.AddMetadata(\"x-host\", id);", false,
     "nor in tests"},
    {"tests/end_to_end/identity_test.cc", "context.AddMetadata(\"x-host\", id);", true,
     "the test that it is ignored"},
    {"tests/server/authorize_test.cc", "server->InProcessChannel({});", false, "no certificate"},
    {"agent/link.cc", "context.AddMetadata(\"host\", id);", false, "nobody sends any"},
    {"web/main.cc", "#include <string>", false, "a folder that the table lacks"},
};

TEST(Layering, TellsGoodIncludesFromBadOnes) {
  for (const Case& c : kCases) {
    EXPECT_EQ(WrongIn(c.path, c.line).empty(), c.good) << c.path << ": " << c.line << ": " << c.why;
  }
}

}  // namespace
}  // namespace dumpwarden
