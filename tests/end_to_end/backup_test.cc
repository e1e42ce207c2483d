// SPDX-License-Identifier: Apache-2.0
// The drill: a server is backed up while it works, dies, and comes back from
// the backup in another folder, as on a new machine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

std::string PolicyOf(const std::string& settings) {
  return absl::StrCat(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: base }\n"
      "spec:\n  settings: { ",
      settings, " }\n");
}

Finished BackUp(const Server& server, const std::string& to) {
  return RunProgram({Program("dumpwarden-server"), "backup", "--config",
                     server.folder() + "/server.yaml", "--to", to});
}

Finished Restore(const std::string& from, const std::string& folder) {
  return RunProgram({Program("dumpwarden-server"), "restore", "--from", from, "--dir", folder});
}

// Somebody's hand, and the agent's; until the server knows.
void DriftOnce(const Server& server, const Host& host, const std::string& name) {
  const std::size_t before = server.CtlJson({"drift", "list"}).size();
  host.Set(name, "dword:00000001");
  ASSERT_TRUE(Eventually([&] { return host.Value(name) == "dword:00000000"; }));
  ASSERT_TRUE(Eventually([&] { return server.CtlJson({"drift", "list"}).size() == before + 1; }));
}

// host, setting and the host's time: what makes a drift this one.
std::multiset<std::string> Drifts(const Server& server) {
  std::multiset<std::string> drifts;
  for (const Json& drift : server.CtlJson({"drift", "list"})) {
    drifts.insert(absl::StrCat(drift["host"].get<std::string>(), " ",
                               drift["setting"].get<std::string>(), " ",
                               drift["host_time"].get<std::string>()));
  }
  return drifts;
}

bool AllCurrent(const Server& server, std::size_t hosts) {
  const Json list = server.CtlJson({"host", "list"});
  for (const Json& host : list) {
    if (host["connected"] != true || host["policies"] != "current") return false;
  }
  return list.size() == hosts;
}

std::map<std::string, mode_t> ModesIn(const std::string& folder) {
  std::map<std::string, mode_t> modes;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    struct stat info {};
    lstat(entry.path().c_str(), &info);
    modes[entry.path()] = info.st_mode & 0777;
  }
  return modes;
}

TEST(Backup, ServerRestoredElsewhereHasAllOfBeforeOnceAndReissuesNothing) {
  Server server;
  server.Start();
  server.Apply(PolicyOf("dump.overwrite: off"));
  Host web("web-01");
  Host sql("sql-01");
  web.Join(server, "role=web");
  sql.Join(server, "role=sql");
  ASSERT_TRUE(Eventually([&] { return server.CtlJson({"drift", "list"}).size() == 2; }));
  DriftOnce(server, web, "Overwrite");
  server.CreateToken();
  const std::multiset<std::string> before = Drifts(server);

  TempFolder temp;
  const std::string backup = temp.File("backup");
  const Finished saved = BackUp(server, backup);
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  for (const auto& [path, mode] : ModesIn(backup)) {
    EXPECT_EQ(mode & 077, 0u) << path;
  }

  // What the backup does not have: a version of the policy, a drift.
  server.Apply(PolicyOf("dump.overwrite: off, dump.auto-reboot: off"));
  ASSERT_TRUE(Eventually([&] { return AllCurrent(server, 2); }));
  DriftOnce(server, sql, "Overwrite");
  server.Kill(SIGKILL);
  std::filesystem::remove_all(server.folder());
  // While there is none: told again, once.
  web.Set("Overwrite", "dword:00000001");
  ASSERT_TRUE(Eventually([&] { return web.Value("Overwrite") == "dword:00000000"; }));
  sql.Kill(SIGTERM);

  const std::string restored = temp.File("restored");
  const Finished done = Restore(backup, restored);
  ASSERT_EQ(done.exit_code, 0) << done.err;
  server.MoveTo(restored);
  server.Start();
  // At once, before a host can have said what it has: versions 2 to 1001 may be out there.
  const Finished applied = server.Ctl({"policy", "apply", "-f", "-", "-o", "json"},
                                      PolicyOf("dump.overwrite: off, dump.auto-reboot: on"));
  ASSERT_EQ(applied.exit_code, 0) << applied.err;
  EXPECT_GE(Json::parse(applied.out)[0]["version"], 1002);  // and one a minute since the backup
  sql.Start();
  ASSERT_TRUE(Eventually([&] { return AllCurrent(server, 2); })) << server.Err();
  EXPECT_EQ(sql.Value("AutoReboot"), "dword:00000001");
  // Of before all, of the time without a server one, of the new policy one a host.
  ASSERT_TRUE(Eventually([&] { return Drifts(server).size() == before.size() + 3; }))
      << server.CtlJson({"drift", "list"}).dump(1);
  const std::multiset<std::string> after = Drifts(server);
  EXPECT_TRUE(std::includes(after.begin(), after.end(), before.begin(), before.end()));
  EXPECT_EQ(std::set<std::string>(after.begin(), after.end()).size(), after.size());
  for (const Json& finding : server.CtlJson({"compliance", "report"})) {
    EXPECT_EQ(finding["host_state"], "corrected");
  }
  // Whoever follows from a cursor of the lost server misses nothing new.
  EXPECT_GT(server.CtlJson({"drift", "list"})[0]["cursor"], 1'000'000'000);
  EXPECT_EQ(server.CtlJson({"audit", "list", "--action", "server.restore"})[0]["detail"],
            "open tokens and login codes closed: 1");
}

class Backups : public testing::Test {
 protected:
  Backups() : backup_(temp_.File("backup")), restored_(temp_.File("restored")) {
    const Finished saved = BackUp(server_, backup_);
    EXPECT_EQ(saved.exit_code, 0) << saved.err;
  }

  // Refused with this in the message; nothing is left behind.
  void ExpectNoRestore(const std::string& why) {
    const Finished done = Restore(backup_, restored_);
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_THAT(done.err, HasSubstr(why));
    EXPECT_FALSE(std::filesystem::exists(restored_));
    EXPECT_FALSE(std::filesystem::exists(restored_ + ".partial"));
  }

  // As if the backup had been made of such a file.
  void Replace(const std::string& name, const std::string& bytes) {
    std::string sums = ReadAll(backup_ + "/SHA256SUMS");
    const std::string old = Sha256Hex(ReadAll(backup_ + "/" + name));
    ASSERT_NE(sums.find(old), std::string::npos);
    WriteAll(backup_ + "/SHA256SUMS", sums.replace(sums.find(old), 64, Sha256Hex(bytes)));
    WriteAll(backup_ + "/" + name, bytes);
  }

  Server server_;  // not started
  TempFolder temp_;
  const std::string backup_;
  const std::string restored_;
};

TEST_F(Backups, OneDamagedByteIsFoundAndNothingIsRestored) {
  for (const char* name :
       {"store.db", "server.yaml", "ca/root-key.pem", "operators/admin/tls.key"}) {
    const std::string file = backup_ + "/" + name;
    const std::string good = ReadAll(file);
    std::string bad = good;
    bad[bad.size() / 2] = static_cast<char>(bad[bad.size() / 2] ^ 1);
    WriteAll(file, bad);
    ExpectNoRestore(absl::StrCat(name, " is damaged"));
    WriteAll(file, good);
  }
  const Finished done = Restore(backup_, restored_);
  EXPECT_EQ(done.exit_code, 0) << done.err;
}

TEST_F(Backups, DatabaseDamagedBeforeItsSumWasTakenIsFound) {
  std::string bytes = ReadAll(backup_ + "/store.db");
  bytes.replace(bytes.size() - 4096, 64, 64, 'x');  // the head of the last page
  Replace("store.db", bytes);
  ExpectNoRestore("store.db is damaged: ");
}

TEST_F(Backups, BackupOfANewerProgramIsRefused) {
  std::string bytes = ReadAll(backup_ + "/store.db");
  bytes[60] = 1;  // the first byte of user_version in SQLite's header
  Replace("store.db", bytes);
  ExpectNoRestore("start the newer program that made it");
}

TEST_F(Backups, NamesThatLeadElsewhereAreRefused) {
  WriteAll(temp_.File("outside"), "x");
  const std::string sums = ReadAll(backup_ + "/SHA256SUMS");
  WriteAll(backup_ + "/SHA256SUMS", sums + Sha256Hex("x") + "  ca/../../outside\n");
  ExpectNoRestore("ca/../../outside");
}

TEST_F(Backups, NothingIsOverwritten) {
  std::filesystem::create_directory(restored_);
  WriteAll(restored_ + "/mine", "kept");
  const Finished done = Restore(backup_, restored_);
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("holds mine already"));
  EXPECT_EQ(ReadAll(restored_ + "/mine"), "kept");
  const Finished fresh = BackUp(server_, temp_.File("elsewhere/there"));
  EXPECT_EQ(fresh.exit_code, 1);
  EXPECT_THAT(fresh.err, HasSubstr("elsewhere/there"));
}

TEST_F(Backups, FolderGetsADatedOneAndPathsElsewhereAreBroughtTogether) {
  const std::string config = server_.folder() + "/server.yaml";
  std::filesystem::rename(server_.folder() + "/store.db", temp_.File("elsewhere.db"));
  std::string yaml = ReadAll(config);
  yaml.replace(yaml.find("store.db"), 8, temp_.File("elsewhere.db"));
  WriteAll(config, yaml);
  const std::string daily = temp_.File("daily");
  std::filesystem::create_directory(daily);
  const Finished saved = BackUp(server_, daily);
  ASSERT_EQ(saved.exit_code, 0) << saved.err;
  const std::string made = std::filesystem::directory_iterator(daily)->path();
  EXPECT_EQ(made.rfind(daily + "/dumpwarden-20", 0), 0u) << made;
  EXPECT_THAT(ReadAll(made + "/server.yaml"), HasSubstr("store: store.db"));
  const Finished done = Restore(made, restored_);
  ASSERT_EQ(done.exit_code, 0) << done.err;
  server_.MoveTo(restored_);
  server_.Start();
  EXPECT_TRUE(server_.CtlJson({"host", "list"}).empty());
}

}  // namespace
}  // namespace dumpwarden
