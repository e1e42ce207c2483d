// SPDX-License-Identifier: Apache-2.0
// The product's main job between real processes: a policy reaches registries,
// drift comes back.  Deadlines of the issue are tested with five times the
// time, and the figure is printed.
#include <gtest/gtest.h>
#include <signal.h>

#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

std::string KernelPolicy(const std::string& mode) {
  return absl::StrCat(
      "apiVersion: dumpwarden/v1\n"
      "kind: DumpPolicy\n"
      "metadata: { name: kernel-dumps }\n"
      "spec:\n"
      "  mode: ",
      mode,
      "\n"
      "  settings:\n"
      "    dump.type: kernel\n"
      "    dump.auto-reboot: on\n");
}

// The one drift row of a setting that was last seen, or null.
Json NewestDrift(const Server& server, const std::string& setting) {
  for (const Json& drift : server.CtlJson({"drift", "list"})) {
    if (drift["setting"] == setting) return drift;
  }
  return nullptr;
}

std::string StatusOf(const Server& server, const Host& host, const std::string& setting) {
  const Json shown = server.CtlJson({"host", "show", host.Id()});
  for (const Json& finding : shown["findings"]) {
    if (finding["setting"] == setting) return finding["status"];
  }
  return "";
}

TEST(MainJob, AppliedPolicyReachesEveryConnectedAgent) {
  Server server;
  server.Start();
  std::vector<std::unique_ptr<Host>> hosts;
  for (int i = 0; i < 4; ++i) {
    hosts.push_back(std::make_unique<Host>(absl::StrCat("host-", i)));
    hosts.back()->Join(server);
  }
  server.Apply(KernelPolicy("enforce"));
  absl::Duration took;
  EXPECT_TRUE(Eventually(
      [&] {
        for (const auto& host : hosts) {
          if (host->Value("CrashDumpEnabled") != "dword:00000002") return false;
        }
        return true;
      },
      absl::Seconds(5), &took));
  std::cout << "policy in 4 registries after " << took << " (asked: 1s)\n";
}

TEST(MainJob, ChangeBehindTheAgentsBackIsReportedAndCorrected) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(KernelPolicy("enforce"));
  ASSERT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000002"; }));
  ASSERT_TRUE(Eventually([&] { return NewestDrift(server, "dump.type") != nullptr; }));

  host.Set("AutoReboot", "dword:00000000");
  absl::Duration took;
  ASSERT_TRUE(Eventually([&] { return NewestDrift(server, "dump.auto-reboot") != nullptr; },
                         absl::Seconds(10), &took));
  std::cout << "drift listed after " << took << " (asked: 2s)\n";
  ASSERT_TRUE(
      Eventually([&] { return NewestDrift(server, "dump.auto-reboot")["state"] == "corrected"; }));
  const Json drift = NewestDrift(server, "dump.auto-reboot");
  EXPECT_EQ(drift["old"], "on");
  EXPECT_EQ(drift["new"], "off");
  EXPECT_FALSE(drift["host_time"].get<std::string>().empty());
  EXPECT_FALSE(drift["server_time"].get<std::string>().empty());
  EXPECT_EQ(host.Value("AutoReboot"), "dword:00000001");
}

TEST(MainJob, AuditedChangeStaysDriftedAndIsNotWritten) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(KernelPolicy("audit"));
  ASSERT_TRUE(Eventually([&] { return StatusOf(server, host, "dump.type") == "drifted"; }));
  const std::string before = ReadAll(host.File("host.reg"));
  host.Set("AutoReboot", "dword:00000000");
  ASSERT_TRUE(Eventually([&] { return StatusOf(server, host, "dump.auto-reboot") == "drifted"; }));
  EXPECT_EQ(host.Value("AutoReboot"), "dword:00000000");
  EXPECT_EQ(host.Value("CrashDumpEnabled"), "dword:00000007");
  host.Set("AutoReboot", "dword:00000001");
  EXPECT_TRUE(
      Eventually([&] { return StatusOf(server, host, "dump.auto-reboot") == "compliant"; }));
  EXPECT_EQ(ReadAll(host.File("host.reg")), before);
}

TEST(MainJob, ChangedTypeIsPendingUntilTheNextBoot) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(KernelPolicy("enforce"));
  ASSERT_TRUE(Eventually([&] { return StatusOf(server, host, "dump.type") == "pending-reboot"; }));
  std::string facts = kServer2022;
  facts.replace(facts.find("boot-1"), 6, "boot-2");
  WriteAll(host.File("facts.yaml"), facts);
  EXPECT_TRUE(Eventually([&] { return StatusOf(server, host, "dump.type") == "compliant"; }));
}

TEST(MainJob, LabelsOfTheTokenSelectPolicies) {
  Server server;
  server.Start();
  Host sql("sql-01");
  Host web("web-01");
  sql.Join(server, "role=sql");
  web.Join(server, "role=web");
  server.Apply(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: sql }\n"
      "spec: { selector: { matchLabels: { role: sql } }, settings: { dump.type: complete } }\n");
  EXPECT_TRUE(Eventually([&] { return sql.Value("CrashDumpEnabled") == "dword:00000001"; }));
  EXPECT_EQ(StatusOf(server, web, "dump.type"), "");
  EXPECT_EQ(web.Value("CrashDumpEnabled"), "dword:00000007");
  // The policy goes: the value stays, and nobody claims to manage it.
  EXPECT_EQ(server.Ctl({"policy", "delete", "sql"}).exit_code, 0);
  EXPECT_TRUE(Eventually([&] { return StatusOf(server, sql, "dump.type").empty(); }));
  EXPECT_EQ(sql.Value("CrashDumpEnabled"), "dword:00000001");
}

TEST(MainJob, AgentAloneKeepsEnforcingItsLastPolicies) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(KernelPolicy("enforce"));
  ASSERT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000002"; }));
  server.Kill(SIGTERM);
  host.Kill(SIGTERM);
  host.Set("CrashDumpEnabled", "dword:00000000");
  host.Start();
  ASSERT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000002"; }));
  // What happened meanwhile is told when the server is back.
  server.Start();
  EXPECT_TRUE(Eventually([&] {
    const Json drift = NewestDrift(server, "dump.type");
    return drift != nullptr && drift["new"] == "none" && drift["state"] == "corrected";
  }));
}

TEST(MainJob, FleetPlanOfADraftChangesNothing) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  // Of no policy, but of what it observed.
  ASSERT_TRUE(Eventually([&] {
    return server.CtlJson({"host", "list"})[0]["state"] == "compliant";
  })) << server.CtlJson({"host", "list"});
  WriteAll(host.File("draft.yaml"), KernelPolicy("enforce"));
  const Finished plan = server.Ctl(
      {"policy", "plan", "-f", host.File("draft.yaml"), "--detailed-exitcode", "-o", "json"});
  EXPECT_EQ(plan.exit_code, 2) << plan.err;
  EXPECT_NE(plan.out.find("dump.type"), std::string::npos) << plan.out;
  EXPECT_TRUE(server.CtlJson({"policy", "list"}).empty());
  EXPECT_EQ(host.Value("CrashDumpEnabled"), "dword:00000007");
}

TEST(MainJob, SummaryReportAndExplainAgree) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server, "role=web");
  server.Apply(KernelPolicy("enforce"));
  ASSERT_TRUE(
      Eventually([&] { return StatusOf(server, host, "dump.auto-reboot") == "compliant"; }));
  const Json report = server.CtlJson({"compliance", "report"});
  EXPECT_EQ(report.size(), 2u);
  const Finished csv = server.Ctl({"compliance", "report", "-o", "csv"});
  EXPECT_EQ(std::count(csv.out.begin(), csv.out.end(), '\n'), 3);
  EXPECT_EQ(server.CtlJson({"compliance", "summary"})["hosts"], 1);
  const Finished by_name = server.Ctl({"host", "explain", "web-01", "dump.type"});
  const Finished by_id = server.Ctl({"host", "explain", host.Id(), "dump.type"});
  EXPECT_EQ(by_id.exit_code, 0) << by_id.err;
  EXPECT_NE(by_id.out.find("kernel-dumps"), std::string::npos) << by_id.out;
  EXPECT_EQ(by_name.out, by_id.out);
  EXPECT_EQ(server.Ctl({"host", "show", "no-such-host"}).exit_code, 6);
}

}  // namespace
}  // namespace dumpwarden
