// SPDX-License-Identifier: Apache-2.0
// The ways from a host to its server: several addresses.
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

std::string LocalAddress(int port) { return absl::StrCat("127.0.0.1:", port); }

bool IsConnected(const Server& server) {
  const Json hosts = server.CtlJson({"host", "list"});
  return hosts.size() == 1 && hosts[0]["connected"] == true;
}

// The server is to listen there, and operators to dial it there.
void Renumber(const Server& server, const std::string& to) {
  const auto port = [](const std::string& address) { return address.substr(address.rfind(':')); };
  for (const char* name : {"/server.yaml", "/operators/admin/dumpctl.yaml"}) {
    const std::string file = server.folder() + name;
    WriteAll(file, absl::StrReplaceAll(ReadAll(file), {{port(server.address()), port(to)}}));
  }
}

TEST(Addresses, DeadOneIsPassedOverAndFoundWhenTheServerIsThere) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
  const std::string other = LocalAddress(FreePort());
  WriteAll(host.File("agent.yaml"),
           absl::StrCat(ReadAll(host.File("agent.yaml")), "server: ['", other, "', '",
                        server.address(), "']\n"));
  host.Start();
  ASSERT_TRUE(Eventually([&] { return IsConnected(server); })) << host.process().Err();
  EXPECT_NE(host.process().Err().find(other), std::string::npos) << "it was not tried first";
  const Finished status = host.Agent({"status", "--config", host.File("agent.yaml"), "-o", "json"});
  EXPECT_NE(status.out.find(other + ", " + server.address()), std::string::npos) << status.out;
  server.Kill(SIGKILL);
  Renumber(server, other);
  server.Start();
  EXPECT_TRUE(Eventually([&] { return IsConnected(server); })) << host.process().Err();
}

}  // namespace
}  // namespace dumpwarden
