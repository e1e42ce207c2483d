// SPDX-License-Identifier: Apache-2.0
// kill -9 of either side, and copies put back: what was acknowledged is there,
// and nothing is doubled.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <set>

#include "absl/strings/str_cat.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

TEST(Durability, KilledServerHasWhatItAcknowledgedAndDoublesNothing) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(kThreeSettings);
  ASSERT_TRUE(Eventually([&] { return server.CtlJson({"drift", "list"}).size() == 3; }));
  const Json findings = server.CtlJson({"compliance", "report"});
  for (int round = 0; round < 3; ++round) {
    server.Kill(SIGKILL);
    // While nobody listens, something happens that must be told once.
    host.Set("Overwrite", "dword:00000001");
    ASSERT_TRUE(Eventually([&] { return host.Value("Overwrite") == "dword:00000000"; }));
    server.Start();
    ASSERT_TRUE(Eventually([&] {
      return server.CtlJson({"drift", "list"}).size() == 4u + static_cast<unsigned>(round);
    })) << server.CtlJson({"drift", "list"}).dump(1);
    ASSERT_TRUE(Eventually([&] {
      return server.CtlJson({"host", "list"})[0]["connected"] == true;
    }));
  }
  std::set<std::string> seen;
  for (const Json& drift : server.CtlJson({"drift", "list"})) {
    EXPECT_EQ(drift["state"], "corrected");
    EXPECT_TRUE(
        seen.insert(drift["host_time"].get<std::string>() + drift["setting"].get<std::string>())
            .second);
  }
  EXPECT_EQ(server.CtlJson({"compliance", "report"}).size(), findings.size());
}

// A host that is set back (a VM's snapshot, a restored disk) gives used numbers again: its drift
// was acknowledged and in no row.
TEST(Durability, RestoredStateLosesNoDriftAndDoublesNone) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(kThreeSettings);
  const auto drifts = [&] { return server.CtlJson({"drift", "list"}).size(); };
  ASSERT_TRUE(Eventually([&] { return drifts() == 3; }));
  const auto drift = [&](unsigned expected) {
    host.Set("Overwrite", "dword:00000001");
    ASSERT_TRUE(Eventually([&] { return host.Value("Overwrite") == "dword:00000000"; }));
    ASSERT_TRUE(Eventually([&] { return drifts() == expected; }))
        << server.CtlJson({"drift", "list"}).dump(1) << host.process().Err();
  };
  host.Kill(SIGTERM);
  const std::filesystem::path data = host.File("data");
  const std::filesystem::path copy = host.File("copy");
  std::filesystem::create_directory(copy);
  const auto copy_state = [](const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const char* name : {"state.db", "state.db-wal", "state.db-shm"}) {
      std::filesystem::remove(to / name);
      if (std::filesystem::exists(from / name)) std::filesystem::copy(from / name, to / name);
    }
  };
  copy_state(data, copy);
  host.Start();
  drift(4);
  drift(5);
  host.Kill(SIGTERM);
  copy_state(copy, data);
  host.Start();
  drift(6);
  drift(7);
  // A second time to the same copy: its epoch is an old one now.
  host.Kill(SIGTERM);
  copy_state(copy, data);
  host.Set("Overwrite", "dword:00000001");
  host.Start();
  ASSERT_TRUE(Eventually([&] { return drifts() == 8; })) << host.process().Err();
  drift(9);
  for (const Json& row : server.CtlJson({"drift", "list"})) EXPECT_EQ(row["state"], "corrected");
}

// The host keeps its newer policies, rightly, and was shown compliant with the older ones.
TEST(Durability, ServerRestoredFromACopyDoesNotCallAHostCompliantThatIsAheadOfIt) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  const std::string kAutoReboot =
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: base }\nspec:\n  settings: ";
  const auto stands = [&](const std::string& state, const char* policies) {
    const std::string sums = server.Ctl({"compliance", "summary", "-o", "csv"}).out;
    return sums.find(absl::StrCat("hosts,", state, ",1")) != std::string::npos &&
           sums.find(absl::StrCat("settings,", state, ",1")) != std::string::npos &&
           server.CtlJson({"host", "list"})[0]["policies"] == policies;
  };
  server.Apply(kAutoReboot + "{ dump.auto-reboot: on }\n");
  ASSERT_TRUE(Eventually([&] { return stands("compliant", "current"); }));
  server.Kill(SIGTERM);
  // One file, as an administrator copies it.
  const std::filesystem::path file = server.folder() + "/store.db";
  const std::filesystem::path copy = server.folder() + "/copy.db";
  std::filesystem::copy(file, copy);
  server.Start();
  server.Apply(kAutoReboot + "{ dump.auto-reboot: off }\n");
  ASSERT_TRUE(Eventually([&] { return host.Value("AutoReboot") == "dword:00000000"; }));
  server.Kill(SIGTERM);
  std::filesystem::copy(copy, file, std::filesystem::copy_options::overwrite_existing);
  server.Start();
  EXPECT_TRUE(Eventually([&] {
    return stands("unknown", "outdated") && server.Err().find("newer-policy") != std::string::npos;
  })) << server.Err();
  EXPECT_EQ(server.CtlJson({"compliance", "report"})[0]["host_state"], "unknown");
}

}  // namespace
}  // namespace dumpwarden
