// SPDX-License-Identifier: Apache-2.0
// What stands in the way of a connection, told apart by agent and dumpctl in
// words: where, what, and what to do.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// Somebody listens, and is no server of ours.
class Stranger {
 public:
  enum class Manner { kSpeaksPlainly, kHangsUp, kIsMute };
  explicit Stranger(Manner manner) : manner_(manner), fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(listen(fd_, 16), 0);
    EXPECT_EQ(getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    address_ = absl::StrCat("127.0.0.1:", ntohs(address.sin_port));
    if (manner_ != Manner::kIsMute) thread_ = std::thread([this] { Answer(); });
  }
  ~Stranger() {
    shutdown(fd_, SHUT_RDWR);  // accept gives up
    if (thread_.joinable()) thread_.join();
    close(fd_);
  }
  const std::string& address() const { return address_; }

 private:
  void Answer() {
    while (true) {
      const int client = accept(fd_, nullptr, nullptr);
      if (client < 0) return;
      constexpr absl::string_view kPlain = "HTTP/1.0 400 Bad Request\r\n\r\n";
      if (manner_ == Manner::kSpeaksPlainly) {
        EXPECT_GT(send(client, kPlain.data(), kPlain.size(), MSG_NOSIGNAL), 0);
      }
      close(client);
    }
  }
  const Manner manner_;
  const int fd_;
  std::string address_;
  std::thread thread_;
};

class Unreachable : public testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    ASSERT_EQ(host_.Enroll(server_.CreateToken()).exit_code, 0);
  }

  Finished CtlAt(const std::string& address) const {
    const std::string folder = server_.folder() + "/operators/admin/";
    WriteAll(folder + "elsewhere.yaml", absl::StrReplaceAll(ReadAll(folder + "dumpctl.yaml"),
                                                            {{OperatorsAddress(), address}}));
    return RunProgram({Program("dumpctl"), "--config", folder + "elsewhere.yaml", "--timeout", "5s",
                       "host", "list"});
  }
  // As init wrote it.
  std::string OperatorsAddress() const {
    return "localhost" + server_.address().substr(server_.address().rfind(':'));
  }
  // The agent's log once it has said so.
  std::string AgentSays(const std::string& address, const std::string& what) {
    const std::string config = ReadAll(host_.File("agent.yaml"));
    WriteAll(host_.File("agent.yaml"), absl::StrCat(config, "server: '", address, "'\n"));
    host_.Start();
    Eventually([&] { return absl::StrContains(host_.process().Err(), what); });
    host_.Kill(SIGKILL);
    WriteAll(host_.File("agent.yaml"), config);
    return host_.process().Err();
  }

  Server server_;
  Host host_{"web-01"};
};

TEST_F(Unreachable, BothSayWhatStandsInTheWay) {
  const Stranger plain(Stranger::Manner::kSpeaksPlainly);
  const Stranger mute(Stranger::Manner::kIsMute);
  const struct {
    std::string address;
    const char* why;
  } cases[] = {
      {absl::StrCat("127.0.0.1:", FreePort()), "nothing listens there (connection refused)"},
      {"no-such-host.invalid:7443", "its name cannot be resolved"},
      {plain.address(), "does not speak TLS"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.address);
    const Finished done = CtlAt(test.address);
    EXPECT_EQ(done.exit_code, 1);
    EXPECT_THAT(done.err, AllOf(HasSubstr("no connection to the server " + test.address),
                                HasSubstr(test.why), HasSubstr("\n  do:  check that")));
    EXPECT_THAT(AgentSays(test.address, test.why),
                AllOf(HasSubstr(test.address + ": "), HasSubstr(test.why)));
  }
  const Finished silent = CtlAt(mute.address());
  EXPECT_THAT(silent.err, AllOf(HasSubstr(mute.address()), HasSubstr("says nothing")));
}

TEST_F(Unreachable, DumpctlTellsOneThatHangsUpFromOneThatRefusesItsCertificate) {
  const Stranger rude(Stranger::Manner::kHangsUp);
  EXPECT_THAT(CtlAt(rude.address()).err, AllOf(HasSubstr("before it had shown a certificate"),
                                               HasSubstr("proxy or firewall")));
}

TEST_F(Unreachable, BothSayWhichNamesTheServerHas) {
  const std::string port = server_.address().substr(server_.address().rfind(':'));
  const std::string config = server_.folder() + "/server.yaml";
  server_.Kill(SIGTERM);
  WriteAll(config, absl::StrReplaceAll(ReadAll(config),
                                       {{"'127.0.0.1" + port + "'", "'0.0.0.0" + port + "'"}}));
  server_.Start();
  EXPECT_THAT(CtlAt("127.0.0.2" + port).err,
              AllOf(HasSubstr("not for the name 127.0.0.2 but for localhost, 127.0.0.1"),
                    HasSubstr("do:  use one of these names in `server` of context admin")));
  EXPECT_THAT(AgentSays("127.0.0.2" + port, "does not name"),
              HasSubstr("but localhost, 127.0.0.1; dial one of these"));
}

TEST_F(Unreachable, EnrolmentSaysWhenItsPortIsOpen) {
  const Json used = server_.CreateToken();
  Host first("web-02");
  ASSERT_EQ(first.Enroll(used).exit_code, 0);
  Host second("web-03");
  Finished refused;
  EXPECT_TRUE(Eventually([&] {
    refused = second.Enroll(used);
    return absl::StrContains(refused.err, "nothing listens there");
  }));
  EXPECT_THAT(refused.err, AllOf(HasSubstr("open only while an unused token waits"),
                                 HasSubstr("dumpctl token create")));
}

}  // namespace
}  // namespace dumpwarden
