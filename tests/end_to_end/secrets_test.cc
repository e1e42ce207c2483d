// SPDX-License-Identifier: Apache-2.0
// Tokens' secrets and private keys are where they must be, and nowhere else:
// after a day's work of the real programs everything that they wrote and said
// is searched for each of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using testing::IsEmpty;

constexpr char kPolicy[] =
    "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: web }\n"
    "spec: { settings: { dump.type: kernel } }\n";

class Secrets : public testing::Test {
 protected:
  // --- What must not be found.

  // A token's or a login code's.
  void HideToken(const std::string& what, const std::string& token) {
    const std::vector<std::string> parts =
        absl::StrSplit(token, '.');  // dwt1.<id>.<secret>.<pin>.<expiry>
    ASSERT_EQ(parts.size(), 5u);
    Hide(what, parts[2]);
  }
  // As it stands in the file, and as it is in memory.
  void HideKey(const std::string& path) {
    std::string body;
    const std::string pem = ReadAll(path);
    for (absl::string_view line : absl::StrSplit(pem, '\n', absl::SkipEmpty())) {
      if (!absl::StartsWith(line, "-----")) absl::StrAppend(&body, line);
    }
    std::string der;
    ASSERT_TRUE(absl::Base64Unescape(body, &der)) << path;
    ASSERT_GT(der.size(), 100u) << path;
    // P-256 in PKCS #8: the number is 32 bytes from the 36th on; the public key is behind it.
    const std::string number = der.substr(36, 32);
    Hide(path, body.substr(64, 64));  // its second line, with the rest of the number
    Hide(path, number);
    Hide(path, absl::BytesToHexString(number));
    Hide(path, absl::Base64Escape(number).substr(0, 40));
    may_hold_.insert(path);
  }
  void Hide(const std::string& what, const std::string& secret) {
    ASSERT_GE(secret.size(), 32u) << what;
    secrets_.emplace(secret, what);
  }

  // --- What is searched.

  void Heard(const std::string& who, const std::string& text) { said_.emplace_back(who, text); }
  Finished Heard(const std::string& who, Finished done) {
    Heard(who, done.out);
    Heard(who, done.err);
    return done;
  }
  Finished Ctl(const std::vector<std::string>& arguments, const std::string& input = "") {
    return Heard("dumpctl " + arguments[0] + " " + arguments[1], server_.Ctl(arguments, input));
  }
  void HeardFiles(const std::string& folder) {
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      const std::string path = entry.path();
      if (entry.is_regular_file() && !may_hold_.contains(path)) Heard(path, ReadAll(path));
    }
  }

  std::vector<std::string> Found() const {
    std::vector<std::string> found;
    for (const auto& [who, text] : said_) {
      for (const auto& [secret, what] : secrets_) {
        if (absl::StrContains(text, secret)) found.push_back(absl::StrCat(what, " in ", who));
      }
    }
    return found;
  }

  void Enroll();
  void LogIn();
  void Work();
  void Fail();
  void SaveAndRestore();

  TempFolder folder_;
  Server server_;
  Host host_{"web-01"};
  Person alice_{"alice"};
  std::multimap<std::string, std::string> secrets_;        // and what it is
  std::set<std::string> may_hold_;                         // files
  std::vector<std::pair<std::string, std::string>> said_;  // who, what
};

void Secrets::Enroll() {
  for (const char* name : {"used token", "waiting token", "token for another host"}) {
    std::vector<std::string> create = {"token", "create"};
    if (absl::StrContains(name, "another")) create.insert(create.end(), {"--name", "db-01"});
    const Json token = server_.CtlJson(create);
    HideToken(name, token["token"]);
    if (absl::StrContains(name, "waiting")) continue;
    Host other("web-02");
    const Host& host = absl::StrContains(name, "used") ? host_ : other;
    Heard(name, host.Enroll(token));
    if (&host == &host_) {
      may_hold_.insert(host_.File("token"));
      Heard("again", other.Enroll(token));
    }
    // Half of it was copied, and it was given where the address belongs.
    const std::string text = token["token"];
    Heard("half", other.Enroll({{"token", text.substr(0, text.size() - 30)},
                                {"address", token["address"]}}));
    Heard("spoilt", other.Enroll({{"token", text + ".more"}, {"address", token["address"]}}));
  }
  Heard("dry run", server_.Ctl({"token", "create", "--dry-run"}));
  for (const char* key : {"tls.key", "host.key"}) {
    HideKey(host_.File(absl::StrCat("data/identity/", key)));
  }
}

void Secrets::LogIn() {
  const Json code = server_.CtlJson({"person", "add", "alice", "--role", "viewer"});
  HideToken("login code", code["code"]);
  may_hold_.insert(alice_.File("code"));
  ASSERT_EQ(Heard("login", alice_.LogIn(code)).exit_code, 0);
  Heard("login again", alice_.LogIn(code));
  const std::string text = code["code"];
  Heard("login with half", Person("mallory").LogIn({{"code", text.substr(0, text.size() - 30)},
                                                    {"address", code["address"]}}));
  for (const auto& entry : fs::recursive_directory_iterator(alice_.File("config"))) {
    if (entry.path().extension() == ".key") HideKey(entry.path());
  }
  Heard("people", server_.Ctl({"person", "list", "-o", "json"}));
}

void Secrets::Work() {
  host_.Start();
  ASSERT_TRUE(Eventually([&] {
    return server_.CtlJson({"host", "show", host_.Id()})["host"]["connected"] == true;
  }));
  ASSERT_EQ(Ctl({"policy", "apply", "-f", "-"}, kPolicy).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return host_.Value("CrashDumpEnabled") == "dword:00000002"; }));
  for (const char* format : {"table", "json", "csv"}) {
    Ctl({"host", "list", "-o", format});
    Ctl({"host", "show", "web-01", "-o", format});
    Ctl({"host", "explain", "web-01", "-o", format});
    Ctl({"compliance", "report", "-o", format});
    Ctl({"drift", "list", "-o", format});
    Ctl({"audit", "list", "-o", format});
  }
  ASSERT_EQ(Ctl({"audit", "export", "--output", folder_.File("audit.jsonl")}).exit_code, 0);
  Heard("status", host_.Agent({"status", "--config", host_.File("agent.yaml")}));
}

// What goes wrong says what, and not with which secret.
void Secrets::Fail() {
  const std::string operators = server_.folder() + "/operators/admin";
  may_hold_.insert(folder_.File("spoilt.key"));
  WriteAll(folder_.File("spoilt.key"),
           absl::StrReplaceAll(ReadAll(operators + "/tls.key"), {{"-----END", "!-----END"}}));
  ASSERT_EQ(chmod(folder_.File("spoilt.key").c_str(), 0600), 0);
  const auto with_key = [&](const std::string& path) {
    WriteAll(
        folder_.File("dumpctl.yaml"),
        absl::StrCat("current: x\ncontexts: [ { name: x, server: '", server_.address(), "', ca: '",
                     operators, "/ca.crt', certificate: '", path, "', key: '", path, "' } ]\n"));
    Heard("dumpctl with " + path, RunProgram({Program("dumpctl"), "--config",
                                              folder_.File("dumpctl.yaml"), "host", "list"}));
  };
  with_key(folder_.File("spoilt.key"));
  with_key(operators + "/tls.key");
  Heard("a key as configuration",
        RunProgram({Program("dumpctl"), "--config", operators + "/tls.key", "host", "list"}));
  Heard("a key as a policy", Ctl({"policy", "check", operators + "/tls.key"}));
  Heard("a key as the server's configuration",
        RunProgram({Program("dumpwarden-server"), "serve", "--config", operators + "/tls.key"}));
  Heard("a key as a token",
        RunProgram({Program("dumpwarden-agent"), "enroll", "--config", host_.File("agent.yaml"),
                    "--server", "127.0.0.1:1", "--token-file", operators + "/tls.key"}));
}

void Secrets::SaveAndRestore() {
  const std::string backup = folder_.File("backup");
  Heard("backup", RunProgram({Program("dumpwarden-server"), "backup", "--config",
                              server_.folder() + "/server.yaml", "--to", backup}));
  host_.Kill(SIGTERM);
  server_.Kill(SIGTERM);
  Heard("restore", RunProgram({Program("dumpwarden-server"), "restore", "--from", backup, "--dir",
                               folder_.File("restored")}));
  for (const char* copy : {"backup", "restored"}) {
    ASSERT_TRUE(fs::exists(folder_.File(copy))) << copy;
    for (const auto& [secret, what] : secrets_) {
      if (!absl::StartsWith(what, server_.folder())) continue;
      may_hold_.insert(absl::StrCat(folder_.File(copy), what.substr(server_.folder().size())));
    }
  }
}

TEST_F(Secrets, T36AreInNothingThatIsWrittenOrSaid) {
  server_.Start();
  for (const auto& entry : fs::recursive_directory_iterator(server_.folder())) {
    const std::string path = entry.path();
    if (absl::EndsWith(path, "key.pem") || absl::EndsWith(path, ".key")) HideKey(path);
  }
  ASSERT_EQ(may_hold_.size(), 5u) << "root, clients, servers, the server, the operator";
  ASSERT_NO_FATAL_FAILURE(Enroll());
  ASSERT_NO_FATAL_FAILURE(LogIn());
  ASSERT_NO_FATAL_FAILURE(Work());
  ASSERT_NO_FATAL_FAILURE(Fail());
  ASSERT_NO_FATAL_FAILURE(SaveAndRestore());
  Heard("the server's log", server_.Err());
  Heard("the server's output", server_.process().Out());
  Heard("the agent's log", host_.process().Err());
  HeardFiles(server_.folder());
  HeardFiles(folder_.path());
  HeardFiles(fs::path(host_.File("x")).parent_path());
  HeardFiles(fs::path(alice_.File("x")).parent_path());
  EXPECT_THAT(Found(), IsEmpty());
  // The search does find what is there.
  Heard("a token's file", ReadAll(host_.File("token")));
  Heard("a key's file", ReadAll(host_.File("data/identity/tls.key")));
  Heard("a code's file", ReadAll(alice_.File("code")));
  EXPECT_EQ(Found().size(), 3u);
}

}  // namespace
}  // namespace dumpwarden
