// SPDX-License-Identifier: Apache-2.0
// kill -9 of the real programs at every FAILPOINT of the sources, by a table:
// a new one that has no row here is a failure.  Each must have been reached.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/end_to_end/fleet.h"
#include "tests/end_to_end/strangers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr int kKilled = 128 + SIGKILL;
constexpr int kMostTimes = 50;
constexpr absl::Duration kPastHalfLife = absl::Hours(24 * 4);

// What is at work when it is killed.
enum class Work {
  kAgent,
  kReport,
  kThreeSettings,
  kTokenMade,
  kTokenUsed,
  kEnroll,
  kReplace,
  kRenew,
  kRenewOnServer,
  kInit,
  kBackup,
  kRestore
};

struct Row {
  std::string failpoint;
  Work work;
};
const std::vector<Row> kRows = {
    {"agent.ack-received", Work::kAgent},
    {"agent.ack-received@2", Work::kAgent},
    {"agent.ack-recorded", Work::kAgent},
    {"agent.applied", Work::kAgent},
    {"agent.drift-recorded", Work::kAgent},
    {"agent.drift-recorded@2", Work::kAgent},
    {"agent.policies-kept", Work::kAgent},
    {"agent.report-numbered", Work::kAgent},
    {"agent.report-numbered@2", Work::kAgent},
    {"apply.backup-written", Work::kAgent},
    {"apply.deleted", Work::kAgent},
    {"apply.done", Work::kAgent},
    {"apply.flushed", Work::kAgent},
    {"apply.read-back", Work::kAgent},
    {"apply.set", Work::kAgent},
    {"apply.undo-written", Work::kAgent},
    {"durable.renamed", Work::kAgent},
    {"durable.renamed@2", Work::kAgent},
    {"durable.written", Work::kAgent},
    {"durable.written@2", Work::kAgent},
    {"replace.exchanged", Work::kAgent},
    {"durable.renamed", Work::kEnroll},
    {"durable.written", Work::kEnroll},
    {"enroll.answered", Work::kEnroll},
    {"identity.renamed", Work::kEnroll},
    {"identity.written", Work::kEnroll},
    {"durable.written", Work::kReplace},
    {"identity.old-aside", Work::kReplace},
    {"identity.renamed", Work::kReplace},
    {"durable.renamed", Work::kRenew},
    {"identity.old-aside", Work::kRenew},
    {"identity.renamed", Work::kRenew},
    {"identity.written", Work::kRenew},
    {"renew.answered", Work::kRenew},
    {"server.host-renewed", Work::kRenewOnServer},
    {"durable.renamed", Work::kInit},
    {"durable.written", Work::kInit},
    {"init.identities-made", Work::kInit},
    {"init.store-made", Work::kInit},
    {"backup.files-copied", Work::kBackup},
    {"backup.store-copied", Work::kBackup},
    {"durable.renamed", Work::kBackup},
    {"folder.renamed", Work::kBackup},
    {"folder.renamed", Work::kRestore},
    {"restore.files-copied", Work::kRestore},
    {"restore.store-begun", Work::kRestore},
    {"server.policy-committed", Work::kThreeSettings},
    {"server.report-committed", Work::kReport},
    {"server.report-committed@2", Work::kReport},
    {"server.token-made", Work::kTokenMade},
    {"server.token-used", Work::kTokenUsed},
};

std::vector<std::string> RowsOf(Work work) {
  std::vector<std::string> failpoints;
  for (const Row& row : kRows) {
    if (row.work == work) failpoints.push_back(row.failpoint);
  }
  return failpoints;
}

Environment At(const std::string& failpoint) { return {{"DUMPWARDEN_FAILPOINT", failpoint}}; }

// Kills a program the first time it gets there, the second, ... until it gets through.
void KillUntilItGetsThrough(const std::string& failpoint,
                            const std::function<Finished(int time, const Environment&)>& run,
                            const std::function<void(int time)>& check) {
  for (int time = 1; time < kMostTimes; ++time) {
    SCOPED_TRACE(absl::StrCat(failpoint, "@", time));
    const Finished done = run(time, At(absl::StrCat(failpoint, "@", time)));
    if (done.exit_code == 0) {
      EXPECT_GT(time, 1) << "was never reached";
      return;
    }
    ASSERT_EQ(done.exit_code, kKilled) << done.err;
    check(time);
    if (testing::Test::HasFailure()) return;
  }
  ADD_FAILURE() << "never got through";
}

// Of what the policy is about: whether a host is as it was, or as it shall be, and not between.
std::string StateOf(const Host& host) {
  const std::string cells =
      host.Value("CrashDumpEnabled") + host.Value("Overwrite") +
      (absl::StartsWith(host.Value("PagingFiles"), "hex(7):43") ? "sized" : "");  // C, not ?
  if (cells == "dword:00000007dword:00000001") return "old";
  return cells == "dword:00000001dword:00000000sized" ? "new" : cells;
}

std::vector<Json> DriftsOf(const Server& server, const Host& host) {
  std::vector<Json> drifts;
  for (const Json& drift : server.CtlJson({"drift", "list"})) {
    if (drift["host_id"] == host.Id()) drifts.push_back(drift);
  }
  return drifts;
}

// The host is as its policy says; the server has each of its drifts once, with its end.
void ExpectEnforcedAndTold(const Server& server, const Host& host) {
  EXPECT_TRUE(Eventually([&] { return StateOf(host) == "new"; })) << StateOf(host);
  EXPECT_TRUE(Eventually([&] {
    const std::vector<Json> drifts = DriftsOf(server, host);
    std::set<std::string> settings;
    for (const Json& drift : drifts) {
      if (drift["state"] == "corrected") settings.insert(drift["setting"].get<std::string>());
    }
    return drifts.size() == 3 && settings.size() == 3;
  })) << server.CtlJson({"drift", "list"}).dump(1);
  EXPECT_TRUE(Eventually([&] {
    const Json shown = server.CtlJson({"host", "show", host.Id()})["host"];
    return shown["connected"] == true && shown["policies"] == "current";
  }));
}

TEST(Failpoints, EachOfTheSourcesHasARow) {
  std::set<std::string> in_rows;
  for (const Row& row : kRows) in_rows.insert(row.failpoint.substr(0, row.failpoint.find('@')));
  std::set<std::string> in_sources;
  const std::string mark = "FAILPOINT(\"";
  for (const char* folder : {"agent", "cli", "core", "platform", "server"}) {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(
             absl::StrCat(DUMPWARDEN_SOURCE_DIR, "/", folder))) {
      if (!entry.is_regular_file()) continue;
      const std::string text = ReadAll(entry.path());
      for (std::size_t at = text.find(mark); at != std::string::npos; at = text.find(mark, at)) {
        at += mark.size();
        in_sources.insert(text.substr(at, text.find('"', at) - at));
      }
    }
  }
  EXPECT_EQ(in_rows, in_sources);
}

TEST(Failpoints, AgentKilledAnywhereEndsAllOldOrAllNewAndTellsItsDriftOnce) {
  Server server;
  server.Start();
  server.Apply(kThreeSettings);
  const std::vector<std::string> failpoints = RowsOf(Work::kAgent);
  std::vector<std::unique_ptr<Host>> hosts;
  for (std::size_t i = 0; i < failpoints.size(); ++i) {
    hosts.push_back(std::make_unique<Host>(absl::StrCat("web-", i)));
    ASSERT_EQ(hosts[i]->Enroll(server.CreateToken()).exit_code, 0);
    hosts[i]->Start(At(failpoints[i]));
  }
  for (std::size_t i = 0; i < failpoints.size(); ++i) {
    SCOPED_TRACE(failpoints[i]);
    ASSERT_EQ(hosts[i]->process().Wait(), kKilled) << "was not reached";
    EXPECT_THAT(StateOf(*hosts[i]), AnyOf("old", "new"));
    hosts[i]->Start();
  }
  for (std::size_t i = 0; i < failpoints.size(); ++i) {
    SCOPED_TRACE(failpoints[i]);
    ExpectEnforcedAndTold(server, *hosts[i]);
  }
}

TEST(Failpoints, ServerKilledBeforeItAcknowledgesAReportHasItOnce) {
  for (const std::string& failpoint : RowsOf(Work::kReport)) {
    SCOPED_TRACE(failpoint);
    Server server;
    server.Start();
    server.Apply(kThreeSettings);
    Host host("web-01");
    ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
    server.Kill(SIGTERM);
    server.Start(At(failpoint));
    host.Start();
    ASSERT_EQ(server.Wait(), kKilled) << "was not reached";
    server.Start();
    ExpectEnforcedAndTold(server, host);
  }
}

std::size_t AuditsOf(const Server& server, const char* action) {
  return server.CtlJson({"audit", "list", "--action", action}).size();
}

TEST(Failpoints, ServerKilledBeforeItAnswersHasThePolicyWithItsAuditRowOnce) {
  for (const std::string& failpoint : RowsOf(Work::kThreeSettings)) {
    SCOPED_TRACE(failpoint);
    Server server;
    server.Start(At(failpoint));
    EXPECT_NE(server.Ctl({"policy", "apply", "-f", "-"}, kThreeSettings).exit_code, 0);
    ASSERT_EQ(server.Wait(), kKilled) << "was not reached";
    server.Start();
    EXPECT_EQ(server.CtlJson({"policy", "list"})[0]["version"], 1);
    server.Apply(kThreeSettings);  // again, as whoever had no answer does
    EXPECT_EQ(server.CtlJson({"policy", "list"})[0]["version"], 1);
    EXPECT_EQ(AuditsOf(server, "policy.apply"), 1u);
  }
}

TEST(Failpoints, ServerKilledBeforeItAnswersHasTheTokenWithItsAuditRowOnce) {
  for (const std::string& failpoint : RowsOf(Work::kTokenMade)) {
    SCOPED_TRACE(failpoint);
    Server server;
    server.Start(At(failpoint));
    EXPECT_NE(server.Ctl({"token", "create"}).exit_code, 0);
    ASSERT_EQ(server.Wait(), kKilled) << "was not reached";
    server.Start();
    EXPECT_EQ(AuditsOf(server, "token.create"), 1u);
  }
}

TEST(Failpoints, ServerKilledBeforeItAnswersHasTheHostOfTheUsedTokenOnce) {
  for (const std::string& failpoint : RowsOf(Work::kTokenUsed)) {
    SCOPED_TRACE(failpoint);
    Server server;
    server.Start();
    server.Apply(kThreeSettings);
    const Json token = server.CreateToken();
    server.Kill(SIGTERM);
    server.Start(At(failpoint));
    Host host("web-01");
    const Finished cut = host.Enroll(token);
    EXPECT_NE(cut.exit_code, 0) << cut.out;
    EXPECT_FALSE(cut.err.empty());
    ASSERT_EQ(server.Wait(), kKilled) << "was not reached";
    server.Start();
    EXPECT_EQ(AuditsOf(server, "host.enroll"), 1u) << "the token is used, and there is the host";
    const Json other = server.CreateToken();  // or nobody listens
    const Finished again = host.Enroll(token);
    EXPECT_NE(again.exit_code, 0);
    EXPECT_THAT(again.err, HasSubstr("was used")) << "a clear answer";
    ASSERT_EQ(host.Enroll(other).exit_code, 0);
    host.Start();
    ExpectEnforcedAndTold(server, host);
  }
}

Finished EnrollAt(const Host& host, const Json& token, std::vector<std::string> more,
                  const Environment& environment) {
  WriteAll(host.File("token"), token["token"].get<std::string>());
  std::vector<std::string> command = {Program("dumpwarden-agent"),
                                      "enroll",
                                      "--config",
                                      host.File("agent.yaml"),
                                      "--server",
                                      token["address"].get<std::string>(),
                                      "--token-file",
                                      host.File("token")};
  command.insert(command.end(), more.begin(), more.end());
  return RunProgram(command, "", environment);
}

// A host that starts is let in.
void ExpectConnects(const Server& server, Host& host) {
  host.Start();
  const auto connected = [&] {
    return std::filesystem::exists(host.File("data/identity")) &&
           server.CtlJson({"host", "show", host.Id()})["host"]["connected"] == true;
  };
  EXPECT_TRUE(Eventually([&] { return connected() || !host.process().Running(); }));
  EXPECT_TRUE(connected()) << host.process().Err();
  host.process().Kill(SIGKILL);
}

TEST(Failpoints, EnrolmentKilledAnywhereIsWholeOrIsDoneAnewWithAnotherToken) {
  for (const std::string& failpoint : RowsOf(Work::kEnroll)) {
    Server server;
    server.Start();
    server.CreateToken();  // waits, so that the door stays open for a used one
    std::vector<std::unique_ptr<Host>> hosts;
    Json token;
    KillUntilItGetsThrough(
        failpoint,
        [&](int, const Environment& environment) {
          hosts.push_back(std::make_unique<Host>(absl::StrCat("web-", hosts.size())));
          token = server.CreateToken();
          return EnrollAt(*hosts.back(), token, {}, environment);
        },
        [&](int time) {
          const bool whole =
              std::filesystem::exists(hosts.back()->File("data/identity/identity.yaml"));
          if (whole || time <= 3) {  // more refusals than that and this address has to wait
            const Finished again = EnrollAt(*hosts.back(), token, {}, {});
            EXPECT_NE(again.exit_code, 0);
            EXPECT_THAT(again.err, HasSubstr(whole ? "enrolled already" : "was used"));
          }
          if (whole) return;
          const Finished anew = EnrollAt(*hosts.back(), server.CreateToken(), {}, {});
          EXPECT_EQ(anew.exit_code, 0) << anew.err;
        });
    for (const auto& host : hosts) ExpectConnects(server, *host);
  }
}

TEST(Failpoints, EnrolmentAnewKilledAnywhereLeavesTheOldIdentityOrTheNewOne) {
  Server server;
  server.Start();
  std::vector<std::unique_ptr<Host>> hosts;
  for (const std::string& failpoint : RowsOf(Work::kReplace)) {
    KillUntilItGetsThrough(
        failpoint,
        [&](int, const Environment& environment) {
          hosts.push_back(std::make_unique<Host>(absl::StrCat("web-", hosts.size())));
          EXPECT_EQ(hosts.back()->Enroll(server.CreateToken()).exit_code, 0);
          return EnrollAt(*hosts.back(), server.CreateToken(), {"--replace"}, environment);
        },
        [&](int) {});
  }
  for (const auto& host : hosts) ExpectConnects(server, *host);
}

// Started once more, the host is let in with another certificate than `old`.
void ExpectRenews(const Server& server, Host& host, const std::string& id, const Leaf& old) {
  host.Start();
  EXPECT_TRUE(Eventually([&] {
    return ReadAll(host.File("data/identity/tls.crt")) != old.chain &&
           server.CtlJson({"host", "show", id})["host"]["connected"] == true;
  })) << host.process().Err();
  host.process().Kill(SIGKILL);
}

TEST(Failpoints, RenewalKilledAnywhereLeavesTheOldIdentityOrTheNewOne) {
  Server server;
  server.Start();
  for (const std::string& failpoint : RowsOf(Work::kRenew)) {
    int time = 1;
    for (bool killed = true; killed && time < kMostTimes; ++time) {
      SCOPED_TRACE(absl::StrCat(failpoint, "@", time));
      Host host("web");
      ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
      const std::string id = host.Id();
      const Leaf old = Age(server, host, kPastHalfLife);
      host.Start(At(absl::StrCat(failpoint, "@", time)));
      ASSERT_TRUE(Eventually([&] {
        return !host.process().Running() ||
               absl::StrContains(host.process().Err(), "this host has a new certificate");
      }));
      killed = !host.process().Running();
      host.process().Kill(SIGKILL);
      ExpectRenews(server, host, id, old);
      EXPECT_EQ(host.Id(), id);
      if (HasFailure()) return;
    }
    EXPECT_GT(time, 2) << failpoint << " was never reached";
  }
}

TEST(Failpoints, ServerKilledBeforeItAnswersARenewalLeavesTheOldCertificateGood) {
  for (const std::string& failpoint : RowsOf(Work::kRenewOnServer)) {
    Server server;
    server.Start();
    Host host("web-01");
    ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
    const Leaf old = Age(server, host, kPastHalfLife);
    server.Kill(SIGTERM);
    server.Start(At(failpoint));
    host.Start();
    ASSERT_EQ(server.Wait(), kKilled) << "was not reached";
    server.Start();
    EXPECT_EQ(AuditsOf(server, "host.renew"), 1u);
    EXPECT_TRUE(Eventually([&] {
      return server.CtlJson({"host", "show", host.Id()})["host"]["connected"] == true;
    })) << "while the next try waits";
    EXPECT_EQ(ReadAll(host.File("data/identity/tls.crt")), old.chain);
    host.process().Kill(SIGKILL);
    ExpectRenews(server, host, host.Id(), old);
  }
}

Finished Init(const std::string& folder, const Environment& environment) {
  return RunProgram({Program("dumpwarden-server"), "init", "--dir", folder, "--trust-domain",
                     "corp.example", "--listen", absl::StrCat("127.0.0.1:", FreePort()),
                     "--enroll-listen", absl::StrCat("127.0.0.1:", FreePort())},
                    "", environment);
}

TEST(Failpoints, InitKilledAnywhereLeavesNothingThatServesOrAllOfIt) {
  TempFolder temp;
  for (const std::string& failpoint : RowsOf(Work::kInit)) {
    const auto folder = [&](int time) { return temp.File(absl::StrCat(failpoint, time)); };
    KillUntilItGetsThrough(
        failpoint,
        [&](int time, const Environment& environment) { return Init(folder(time), environment); },
        [&](int time) {
          const std::string config = folder(time) + "/server.yaml";
          if (!std::filesystem::exists(config)) {
            const Finished serve =
                RunProgram({Program("dumpwarden-server"), "serve", "--config", config});
            EXPECT_THAT(serve.exit_code, testing::Gt(0));
            EXPECT_THAT(serve.err, HasSubstr(config));
          }
          const Finished again = Init(folder(time), {});
          EXPECT_THAT(again.err, HasSubstr("nothing is overwritten"));
          std::filesystem::remove_all(folder(time));
          EXPECT_EQ(Init(folder(time), {}).exit_code, 0);
        });
  }
}

Finished BackUp(const Server& server, const std::string& to, const Environment& environment) {
  return RunProgram({Program("dumpwarden-server"), "backup", "--config",
                     server.folder() + "/server.yaml", "--to", to},
                    "", environment);
}
Finished Restore(const std::string& from, const std::string& to, const Environment& environment) {
  return RunProgram({Program("dumpwarden-server"), "restore", "--from", from, "--dir", to}, "",
                    environment);
}

// After a kill `folder` is there with all that it shall hold, or not at all, and then a second try
// says what stands in its way.
void ExpectAllOrNothing(const std::string& folder, const std::function<Finished()>& again) {
  if (std::filesystem::exists(folder)) return;
  const Finished refused = again();
  EXPECT_NE(refused.exit_code, 0);
  EXPECT_THAT(refused.err, HasSubstr(folder + ".partial"));
  std::filesystem::remove_all(folder + ".partial");
  const Finished done = again();
  EXPECT_EQ(done.exit_code, 0) << done.err;
}

TEST(Failpoints, BackupKilledAnywhereIsThereWholeOrNotAtAll) {
  Server server;
  TempFolder temp;
  for (const std::string& failpoint : RowsOf(Work::kBackup)) {
    const auto folder = [&](int time) { return temp.File(absl::StrCat(failpoint, time)); };
    KillUntilItGetsThrough(
        failpoint,
        [&](int time, const Environment& environment) {
          return BackUp(server, folder(time), environment);
        },
        [&](int time) {
          ExpectAllOrNothing(folder(time), [&] { return BackUp(server, folder(time), {}); });
          const Finished restored = Restore(folder(time), folder(time) + "-restored", {});
          EXPECT_EQ(restored.exit_code, 0) << restored.err;
        });
  }
}

TEST(Failpoints, RestoreKilledAnywhereIsThereWholeOrNotAtAll) {
  Server server;
  TempFolder temp;
  const std::string backup = temp.File("backup");
  ASSERT_EQ(BackUp(server, backup, {}).exit_code, 0);
  for (const std::string& failpoint : RowsOf(Work::kRestore)) {
    const auto folder = [&](int time) { return temp.File(absl::StrCat(failpoint, time)); };
    KillUntilItGetsThrough(
        failpoint,
        [&](int time, const Environment& environment) {
          return Restore(backup, folder(time), environment);
        },
        [&](int time) {
          ExpectAllOrNothing(folder(time), [&] { return Restore(backup, folder(time), {}); });
          server.MoveTo(folder(time));
          server.Start();
          EXPECT_EQ(server.CtlJson({"audit", "list", "--action", "server.restore"}).size(), 1u);
          server.Kill(SIGTERM);
        });
  }
}

}  // namespace
}  // namespace dumpwarden
