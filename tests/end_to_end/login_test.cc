// SPDX-License-Identifier: Apache-2.0
// People with real programs: from an admin's code to a call, what each role may
// do, and a leaver who is cut off at once.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "dumpwarden/v1/admin.grpc.pb.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/bare_session.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::Not;

// One second is what is promised; the machine of the test may be busy.
constexpr absl::Duration kSoon = absl::Seconds(5);

std::vector<std::string> FilesBelow(const std::string& folder) {
  std::vector<std::string> files;
  if (!std::filesystem::exists(folder)) return files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) files.push_back(entry.path().string());
  }
  return files;
}

class LoginTest : public testing::Test {
 protected:
  void SetUp() override { server_.Start(); }
  Json Add(const std::string& name, const std::string& roles) const {
    return server_.CtlJson({"person", "add", name, "--role", roles});
  }
  Json RowOf(const std::string& name) const {
    for (Json& row : server_.CtlJson({"person", "list"})) {
      if (row["name"] == name) return row;
    }
    return {};
  }
  Server server_;
};

TEST_F(LoginTest, FromACodeToACallAndWhatTheRoleLacksIsNamed) {
  const Person alice(server_, "alice@corp.example", "author");
  EXPECT_EQ(alice.Ctl({"policy", "list"}).exit_code, 0);
  WriteAll(alice.File("base.yaml"), kThreeSettings);
  const Finished applied = alice.Ctl({"policy", "apply", "-f", alice.File("base.yaml")});
  EXPECT_EQ(applied.exit_code, 0) << applied.err;
  const Finished refused = alice.Ctl({"token", "create"});
  EXPECT_EQ(refused.exit_code, 5) << refused.err;
  EXPECT_THAT(refused.err, HasSubstr("CreateToken needs one of the roles operator, admin; "
                                     "alice@corp.example has author"));
  EXPECT_EQ(alice.Ctl({"person", "add", "eve", "--role", "admin"}).exit_code, 5);
  EXPECT_EQ(alice.Ctl({"audit", "list"}).exit_code, 5);
  EXPECT_EQ(server_.CtlJson({"person", "roles", "alice@corp.example", "--role", "author,operator"})
                .at(0)
                .at("changed"),
            true);
  EXPECT_EQ(alice.Ctl({"token", "create", "--dry-run"}).exit_code, 0) << "at the next call";
  bool recorded = false;
  for (const Json& row : server_.CtlJson({"audit", "list", "--action", "policy.apply"})) {
    recorded |= absl::EndsWith(row["actor"].get<std::string>(), "/operator/alice@corp.example");
  }
  EXPECT_TRUE(recorded);
  EXPECT_EQ(RowOf("alice@corp.example")["certificates"], 1);
}

TEST_F(LoginTest, T38TheKeyStaysOnTheMachineAndIsItsOwnersAlone) {
  const Person alice(server_, "alice", "viewer");
  const std::vector<std::string> files = FilesBelow(alice.File("config"));
  EXPECT_EQ(files.size(), 4u);
  for (const std::string& file : files) {
    struct stat info {};
    ASSERT_EQ(stat(file.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777, 0600u) << file;
  }
  EXPECT_THAT(ReadAll(alice.Files() + "/tls.key"), HasSubstr("PRIVATE KEY"));
  const std::string key = ReadAll(alice.Files() + "/tls.key");
  for (const std::string& file : FilesBelow(server_.folder())) {
    EXPECT_FALSE(absl::StrContains(ReadAll(file), key.substr(30, 100))) << file;
  }
}

TEST_F(LoginTest, T33ACodeIsGoodOnceAndThePortIsOpenOnlyWhileOneWaits) {
  const Json code = Add("alice", "viewer");
  const Person alice("alice");
  const Person thief("alice");
  ASSERT_EQ(alice.LogIn(code).exit_code, 0);
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(server_.Err(), "enrolment closed"); }));
  EXPECT_THAT(thief.LogIn(code).err, HasSubstr("open only while the code waits"));
  server_.CreateToken();  // opens it again
  const Finished again = thief.LogIn(code);
  EXPECT_EQ(again.exit_code, 5);
  EXPECT_THAT(again.err, HasSubstr("the code was used at 20"));
  EXPECT_THAT(FilesBelow(thief.File("config")), testing::IsEmpty()) << "nothing is left of it";
  EXPECT_NE(alice.LogIn(code).exit_code, 0);
  EXPECT_EQ(alice.Ctl({"host", "list"}).exit_code, 0) << "once more by mistake: her key stays";
  EXPECT_EQ(RowOf("alice")["certificates"], 1);
}

TEST_F(LoginTest, SaysWhatIsWrongWithACodeBeforeAnythingIsSent) {
  Server other;
  other.Start();
  const Json code = Add("alice", "viewer");
  const Person alice("alice");
  Json elsewhere = code;
  elsewhere["address"] = other.CtlJson({"token", "create"})["address"];
  const Finished stranger = alice.LogIn(elsewhere);
  EXPECT_EQ(stranger.exit_code, 1);
  EXPECT_THAT(stranger.err,
              HasSubstr("it is not the server that made this code; nothing was sent"));
  Json token = server_.CreateToken();
  token["code"] = token["token"];
  EXPECT_THAT(alice.LogIn(token).err, HasSubstr("login code: this format is not known"));
  Json old = code;
  std::string text = code["code"];
  text.replace(text.rfind('.') + 1, std::string::npos, "1700000000");
  old["code"] = text;
  const Finished expired = alice.LogIn(old);
  EXPECT_EQ(expired.exit_code, 4);
  EXPECT_THAT(expired.err, HasSubstr("it expired on 2023"));
  EXPECT_EQ(alice.LogIn(code, {"--context", "../x"}).exit_code, 64);
  EXPECT_EQ(alice.LogIn(code).exit_code, 0) << "it is still good";
}

TEST_F(LoginTest, AnotherLoginTakesThePlaceOfTheFirstAndOtherContextsStay) {
  const Person alice(server_, "alice", "viewer");
  const std::string before = ReadAll(alice.Files() + "/tls.key");
  const Json code = server_.CtlJson({"person", "code", "alice"});
  ASSERT_EQ(alice.LogIn(code).exit_code, 0);
  EXPECT_EQ(FilesBelow(alice.File("config")).size(), 4u) << "the old key is gone";
  EXPECT_NE(ReadAll(alice.Files() + "/tls.key"), before);
  EXPECT_EQ(RowOf("alice")["certificates"], 2);
  // Another server of the same name keeps its place; the new one needs another.
  Server other;
  other.Start();
  const Json there = other.CtlJson({"person", "add", "alice", "--role", "viewer"});
  const Finished taken = alice.LogIn(there);
  EXPECT_EQ(taken.exit_code, 7);
  EXPECT_THAT(taken.err, HasSubstr("is another server's"));
  ASSERT_EQ(alice.LogIn(there, {"--context", "other"}).exit_code, 0);
  EXPECT_EQ(alice.Ctl({"host", "list"}).exit_code, 0) << "the newest is the current one";
  EXPECT_EQ(alice.Ctl({"host", "list", "--context", "localhost"}).exit_code, 0);
  // From standard input, too.
  const Json last = server_.CtlJson({"person", "code", "alice"});
  const Finished piped = RunProgram(
      alice.CtlLine({"login", "--server", last["address"].get<std::string>(), "--code-file", "-"}),
      last["code"].get<std::string>() + "\n");
  EXPECT_EQ(piped.exit_code, 0) << piped.err;
}

// An admin tried a new person's code on her own machine, and her own key was deleted.
TEST_F(LoginTest, ALoginAsSomebodyElseLeavesTheKeyThatWasThere) {
  const Person alice(server_, "alice", "admin");
  const std::vector<std::string> before = FilesBelow(alice.File("config"));
  const Finished done = alice.LogIn(Add("bot", "viewer"));
  ASSERT_EQ(done.exit_code, 0) << done.err;
  for (const std::string& file : before) EXPECT_TRUE(std::filesystem::exists(file)) << file;
  EXPECT_THAT(done.err, HasSubstr("it was somebody else's before"));
  EXPECT_EQ(alice.Ctl({"person", "list"}).exit_code, 5) << "she is the bot now";
}

TEST_F(LoginTest, ALeaverIsCutOffAtOnceWithAllThatRuns) {
  Host host("web-01");
  host.Join(server_);
  const Person alice(server_, "alice", "viewer");
  const Person bob(server_, "bob", "viewer");
  const Json open = server_.CtlJson({"person", "code", "alice"});
  Process alices(alice.CtlLine({"drift", "follow"}), alice.File("follow"));
  Process bobs(bob.CtlLine({"drift", "follow"}), bob.File("follow"));
  auto stub = v1::Admin::NewStub(DialWith(server_.address(), alice.Files()));
  grpc::ClientContext call;
  const auto stream = stub->FollowDrift(&call, {});
  stream->WaitForInitialMetadata();
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(alices.Out(), "CURSOR"); }));

  const Finished dry =
      server_.Ctl({"person", "revoke", "alice", "--reason", "has left", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_EQ(alice.Ctl({"host", "list"}).exit_code, 0) << "only tried";
  const Json done = server_.CtlJson({"person", "revoke", "alice", "--reason", "has left"});
  EXPECT_EQ(done.at(0).at("changed"), true);
  EXPECT_GE(done.at(0).at("calls"), 1);
  absl::Duration took;
  EXPECT_TRUE(Eventually([&] { return !alices.Running(); }, kSoon, &took)) << alices.Err();
  std::printf("a leaver's dumpctl ends after %s\n", absl::FormatDuration(took).c_str());
  EXPECT_EQ(alices.Wait(), 5);
  EXPECT_THAT(alices.Err(), HasSubstr("alice was revoked"));
  v1::Drift drift;
  EXPECT_FALSE(stream->Read(&drift));
  EXPECT_FALSE(stream->Finish().ok());
  EXPECT_TRUE(bobs.Running()) << "nobody else goes";

  // Neither the connection that is open, nor the certificate, nor a code lets her in again.
  grpc::ClientContext next;
  v1::ListHostsResponse hosts;
  EXPECT_EQ(stub->ListHosts(&next, {}, &hosts).error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(alice.Ctl({"host", "list"}).exit_code, 5);
  server_.CreateToken();  // so that the port is open
  const Person anew("alice");
  EXPECT_EQ(anew.LogIn(open).exit_code, 5);
  server_.Kill(SIGTERM);
  server_.Start();
  EXPECT_EQ(alice.Ctl({"host", "list"}).exit_code, 5) << "after a restart, too";
  EXPECT_EQ(RowOf("alice")["state"], "revoked");
  bool recorded = false;
  for (const Json& row : server_.CtlJson({"audit", "list", "--action", "person.revoke"})) {
    recorded |= row["object"] == "alice" && row["detail"] == "has left";
  }
  EXPECT_TRUE(recorded);

  // She comes back with a new certificate only.
  ASSERT_EQ(anew.LogIn(Add("alice", "viewer")).exit_code, 0);
  EXPECT_EQ(anew.Ctl({"host", "list"}).exit_code, 0);
  EXPECT_EQ(alice.Ctl({"host", "list"}).exit_code, 4) << "the old one stays out";
}

TEST_F(LoginTest, TheLastAdminStaysAndMayHandOver) {
  const Finished last = server_.Ctl({"person", "revoke", "admin", "--reason", "has left"});
  EXPECT_EQ(last.exit_code, 1);
  EXPECT_THAT(last.err, HasSubstr("admin is the last admin who can log in"));
  EXPECT_EQ(server_.Ctl({"person", "roles", "admin", "--role", "viewer"}).exit_code, 1);
  const Person bob(server_, "bob", "admin");
  const Finished self = server_.Ctl({"person", "revoke", "admin", "--reason", "has left"});
  EXPECT_EQ(self.exit_code, 0) << self.err << "an answer comes, also to who revokes herself";
  EXPECT_EQ(server_.Ctl({"host", "list"}).exit_code, 5);
  EXPECT_EQ(bob.Ctl({"person", "list"}).exit_code, 0);
}

// Everybody is out: who owns the server's machine lets an admin in again.
TEST_F(LoginTest, TheServersOwnMachineAdmitsAnAdmin) {
  const Person bob(server_, "bob", "admin");
  ASSERT_EQ(bob.Ctl({"person", "revoke", "admin", "--reason", "by mistake"}).exit_code, 0);
  const auto admit = [&](const std::string& name) {
    return RunProgram({Program("dumpwarden-server"), "admit", "--config",
                       server_.folder() + "/server.yaml", "--operator", name});
  };
  const Finished code = admit("admin");
  ASSERT_EQ(code.exit_code, 0) << code.err;
  const std::string told = code.err.substr(code.err.find("--server ") + 9);
  const Person admin("admin");
  const Json shown = {{"code", std::string(absl::StripAsciiWhitespace(code.out))},
                      {"address", told.substr(0, told.find(' '))}};
  EXPECT_TRUE(Eventually([&] { return admin.LogIn(shown).exit_code == 0; }))
      << admin.LogIn(shown).err;
  EXPECT_EQ(admin.Ctl({"person", "list"}).exit_code, 0);
  EXPECT_EQ(server_.Ctl({"host", "list"}).exit_code, 4) << "the revoked certificate stays out";
  EXPECT_EQ(admit("No Name").exit_code, 1);
  // One who is there gets the role, and keeps the others.
  ASSERT_EQ(admin.Ctl({"person", "add", "carol", "--role", "author"}).exit_code, 0);
  ASSERT_EQ(admit("carol").exit_code, 0);
  const Finished listed = admin.Ctl({"person", "list", "-o", "csv"});
  EXPECT_THAT(listed.out, HasSubstr("carol,\"admin, author\""));
}

// With a store of before there were people, and the operator that `init` had made.
TEST_F(LoginTest, TheOperatorOfAnEarlierServerGoesOn) {
  server_.Kill(SIGTERM);
  WriteAll(server_.folder() + "/store.db",
           ReadAll(absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/tests/compat/0.1.0/store.db")));
  server_.Start();
  EXPECT_EQ(RowOf("admin")["certificates"], "any");
  const Person bob(server_, "bob", "admin");
  EXPECT_EQ(bob.Ctl({"person", "revoke", "admin", "--reason", "bob does it now"}).exit_code, 0);
  EXPECT_EQ(server_.Ctl({"host", "list"}).exit_code, 5);
}

TEST_F(LoginTest, ARestoredServerLetsInWhoLoggedInBeforeTheBackup) {
  const Person bob(server_, "bob", "viewer");
  const Json open = server_.CtlJson({"person", "code", "bob", "--ttl", "24h"});
  TempFolder temp;
  const Finished saved =
      RunProgram({Program("dumpwarden-server"), "backup", "--config",
                  server_.folder() + "/server.yaml", "--to", temp.File("saved")});
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const Person carol(server_, "carol", "admin");
  const Person again("bob");
  ASSERT_EQ(again.LogIn(open).exit_code, 0);
  server_.Kill(SIGTERM);
  const Finished restored = RunProgram({Program("dumpwarden-server"), "restore", "--from",
                                        temp.File("saved"), "--dir", temp.File("new")});
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  server_.MoveTo(temp.File("new"));
  server_.Start();
  EXPECT_EQ(bob.Ctl({"host", "list"}).exit_code, 0);
  EXPECT_EQ(again.Ctl({"host", "list"}).exit_code, 4) << "his certificate is on no list";
  EXPECT_EQ(carol.Ctl({"host", "list"}).exit_code, 5) << "nobody knows her";
  server_.CreateToken();  // so that the port is open
  EXPECT_EQ(Person("bob").LogIn(open).exit_code, 5) << "it was used in the lost server";
  server_.Kill(SIGTERM);
}

TEST_F(LoginTest, ContextsSayWhoOneIsWhereAndOneIsChosen) {
  Server other;
  other.Start();
  const Person alice(server_, "alice", "viewer");
  ASSERT_EQ(
      alice
          .LogIn(other.CtlJson({"person", "add", "ann", "--role", "admin"}), {"--context", "other"})
          .exit_code,
      0);
  const auto contexts = [&] {
    return Json::parse(alice.Ctl({"context", "list", "-o", "json"}).out);
  };
  const Json two = contexts();
  ASSERT_EQ(two.size(), 2u) << two;
  EXPECT_EQ(two[0]["name"], "localhost");
  EXPECT_EQ(two[0]["operator"], "alice");
  EXPECT_EQ(two[0]["current"], false);
  EXPECT_EQ(two[1]["operator"], "ann");
  EXPECT_EQ(two[1]["current"], true);
  EXPECT_EQ(alice.Ctl({"context", "use", "localhost", "--dry-run"}).exit_code, 0);
  EXPECT_EQ(contexts(), two);
  EXPECT_EQ(alice.Ctl({"context", "use", "nowhere"}).exit_code, 6);
  ASSERT_EQ(alice.Ctl({"context", "use", "localhost"}).exit_code, 0);
  EXPECT_EQ(contexts()[0]["current"], true);
  EXPECT_EQ(alice.Ctl({"audit", "list"}).exit_code, 5) << "she is the viewer now";
}

// The canaries are codes, used and not.
TEST_F(LoginTest, T36NoSecretOfACodeIsInWhatIsWritten) {
  std::vector<std::string> secrets;
  const auto remember = [&](const Json& code) {
    const std::vector<std::string> parts = absl::StrSplit(code["code"].get<std::string>(), '.');
    secrets.push_back(parts.at(2));
    return code;
  };
  const Person alice("alice");
  const Json code = remember(Add("alice", "viewer"));
  ASSERT_EQ(alice.LogIn(code).exit_code, 0);
  remember(Add("bob", "admin"));
  alice.LogIn(code);
  const std::string audit = server_.Ctl({"audit", "list", "-o", "json"}).out;
  server_.Kill(SIGTERM);
  for (const std::string& secret : secrets) {
    ASSERT_EQ(secret.size(), 64u);
    EXPECT_THAT(audit, Not(HasSubstr(secret)));
    EXPECT_THAT(server_.Err(), Not(HasSubstr(secret)));
    for (const std::string& file : FilesBelow(server_.folder())) {
      EXPECT_FALSE(absl::StrContains(ReadAll(file), secret)) << file;
    }
    for (const std::string& file : FilesBelow(alice.File("config"))) {
      EXPECT_FALSE(absl::StrContains(ReadAll(file), secret)) << file;
    }
  }
}

}  // namespace
}  // namespace dumpwarden
