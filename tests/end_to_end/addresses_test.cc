// SPDX-License-Identifier: Apache-2.0
// The ways from a host to its server: several addresses, and a
// proxy.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/connect_proxy.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

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
  WriteAll(host.File("agent.yaml"), absl::StrCat(ReadAll(host.File("agent.yaml")), "server: ['",
                                                 other, "', '", server.address(), "']\n"));
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

void Add(const Host& host, const std::string& line) {
  WriteAll(host.File("agent.yaml"), ReadAll(host.File("agent.yaml")) + line + "\n");
}

TEST(Proxy, EnrolmentAndSessionGoThroughItToANameThatOnlyItKnows) {
  Server server;
  const std::string config = server.folder() + "/server.yaml";
  WriteAll(config, absl::StrReplaceAll(ReadAll(config), {{"names: [", "names: [dw.invalid, "}}));
  server.Start();
  ConnectProxy proxy;
  Host host("web-01");
  Add(host, absl::StrCat("proxy: '", proxy.address(), "'"));
  const Json token = server.CreateToken();
  const Finished enrolled = host.Enroll(token);
  ASSERT_EQ(enrolled.exit_code, 0) << enrolled.err;
  host.Start();
  ASSERT_TRUE(Eventually([&] { return IsConnected(server); })) << host.process().Err();
  ASSERT_GE(proxy.Asked().size(), 2u);
  EXPECT_EQ(proxy.Asked()[0], token["address"]);
  EXPECT_THAT(proxy.Asked()[1], HasSubstr("dw.invalid:"));
}

TEST(Proxy, SaysWhetherItRefusesOrIsNotThere) {
  Server server;
  server.Start();
  const Json token = server.CreateToken();
  ConnectProxy refusing(/*refuses=*/true);
  const std::string nobody = LocalAddress(FreePort());
  const struct {
    std::string proxy;
    std::string message;
  } kCases[] = {
      {refusing.address(),
       absl::StrCat("the proxy ", refusing.address(), " refuses to connect to ")},
      {nobody, absl::StrCat("the proxy ", nobody, " cannot be reached")},
  };
  for (const auto& c : kCases) {
    Host host("web-01");
    ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
    Add(host, absl::StrCat("proxy: '", c.proxy, "'"));
    host.Start();
    EXPECT_TRUE(Eventually([&] {
      return host.process().Err().find(c.message) != std::string::npos;
    })) << host.process().Err();
    Host fresh("web-02");
    Add(fresh, absl::StrCat("proxy: '", c.proxy, "'"));
    const Finished enrolled = fresh.Enroll(token);
    EXPECT_EQ(enrolled.exit_code, 1);
    EXPECT_THAT(enrolled.err, HasSubstr(c.message));
  }
}

TEST(Proxy, OfTheEnvironmentIsNotUsed) {
  Server server;
  server.Start();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(server.CreateToken()).exit_code, 0);
  ConnectProxy proxy;
  const std::string url = "http://" + proxy.address();
  host.Start({{"grpc_proxy", url}, {"https_proxy", url}, {"http_proxy", url}});
  ASSERT_TRUE(Eventually([&] { return IsConnected(server); })) << host.process().Err();
  EXPECT_TRUE(proxy.Asked().empty());
}

}  // namespace
}  // namespace dumpwarden
