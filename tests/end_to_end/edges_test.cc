// SPDX-License-Identifier: Apache-2.0
// Command lines and logs of the real programs, where only the whole shows them.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

TEST(Edges, ServerNamesAWrongWordAndItsVersion) {
  const std::string server = Program("dumpwarden-server");
  EXPECT_THAT(RunProgram({server, "--version"}).out,
              testing::MatchesRegex("dumpwarden-server [0-9.]+\n"));
  const struct {
    std::vector<std::string> arguments;
    const char* says;
  } cases[] = {
      {{"frob"}, "frob"},
      {{}, "init, serve, admit, backup or restore"},
      {{"serve", "--nope"}, "--nope"},
      {{"init", "--dir", "/nonexistent/x", "--listen", "foo"}, "--listen: found \"foo\""},
      {{"init", "--dir", "/nonexistent/x", "--name", "a b"}, "--name a b"},
      {{"backup"}, "--to"},
      {{"restore", "--from", "/nonexistent"}, "--dir"},
  };
  for (const auto& c : cases) {
    std::vector<std::string> command = {server};
    command.insert(command.end(), c.arguments.begin(), c.arguments.end());
    const Finished done = RunProgram(command);
    EXPECT_EQ(done.exit_code, 64) << done.err;
    EXPECT_THAT(done.err, HasSubstr(c.says));
  }
}

TEST(Edges, QuickStartRefusesOptionsThatContradict) {
  const std::string script = DUMPWARDEN_SOURCE_DIR "/deploy/quickstart.sh";
  const std::vector<std::vector<std::string>> cases = {
      {"--once", "--stop"}, {"--stop", "--once"}, {"--once", "--dir", "/nonexistent/x"}, {"--dir"},
      {"--frob"},
  };
  for (std::vector<std::string> command : cases) {
    command.insert(command.begin(), {"bash", script});
    const Finished done = RunProgram(command);
    EXPECT_EQ(done.exit_code, 64) << done.out;
    EXPECT_THAT(done.err, HasSubstr("quickstart: "));
  }
}

sockaddr_in AddressOf(const Server& server) {
  const std::vector<std::string> parts = absl::StrSplit(server.address(), ':');
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(parts[1])));
  inet_pton(AF_INET, parts[0].c_str(), &address.sin_addr);
  return address;
}

// Listens until somebody has dialled, and is silent to them; -1 when nobody does.
int AcceptOne(const sockaddr_in& address) {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int yes = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  EXPECT_EQ(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(listen(listener, 1), 0);
  pollfd wait{listener, POLLIN, 0};
  const int fd = poll(&wait, 1, 20'000) == 1 ? accept(listener, nullptr, nullptr) : -1;
  close(listener);
  return fd;
}

// Sends bytes to the server's port until it hangs up.
void Pester(const Server& server, const std::string& bytes) {
  const sockaddr_in address = AddressOf(server);
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL), static_cast<ssize_t>(bytes.size()));
  char answer[256];
  while (recv(fd, answer, sizeof answer, 0) > 0) {
  }
  close(fd);
}

// gRPC wrote lines of its own about every stranger.
TEST(Edges, ServersLogIsJsonLinesWhateverStrangersSend) {
  Server server;
  server.Start();
  for (int i = 0; i < 20; ++i) Pester(server, "GET / HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(Eventually([&] { return server.Err().find("\"grpc\"") != std::string::npos; }));
  server.Kill(SIGTERM);
  const std::string log = server.Err();
  int lines = 0;
  for (absl::string_view line : absl::StrSplit(log, '\n', absl::SkipEmpty())) {
    EXPECT_FALSE(Json::parse(line.begin(), line.end(), nullptr, false).is_discarded()) << line;
    lines += line.find("\"grpc\"") != absl::string_view::npos ? 1 : 0;
  }
  EXPECT_GE(lines, 1);
  EXPECT_LE(lines, 6) << "a few places of the library, not a line a stranger: " << log;
}

// protobuf complained on stderr, and the answer was INTERNAL: "the server's log says more".
TEST(Edges, DumpctlRefusesAnArgumentThatIsNotUtf8) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"host", "show", "web-\xff"},
        std::vector<std::string>{"host", "revoke", "web-01", "--reason", "\xc3("}}) {
    std::vector<std::string> argv = {Program("dumpctl")};
    argv.insert(argv.end(), words.begin(), words.end());
    const Finished refused = RunProgram(argv);
    EXPECT_EQ(refused.exit_code, 64) << refused.err;
    EXPECT_THAT(refused.err, testing::HasSubstr("is not UTF-8"));
    EXPECT_EQ(refused.err.find("protobuf"), std::string::npos) << refused.err;
  }
}

// It waited 20 seconds for whom it had dialled in between: gRPC's own patience.
TEST(Edges, DriftFollowWaitsForNoServerThatIsSilent) {
  Server server;
  server.Start();
  Host host("web-01");
  host.Join(server);
  server.Apply(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: p }\n"
      "spec: { settings: { dump.type: kernel, dump.auto-reboot: on } }\n");
  ASSERT_TRUE(Eventually([&] { return host.Value("CrashDumpEnabled") == "dword:00000002"; }));
  TempFolder temp;
  Process follow({Program("dumpctl"), "--config", server.folder() + "/operators/admin/dumpctl.yaml",
                  "drift", "follow", "-o", "json"},
                 temp.File("follow"));
  ASSERT_TRUE(Eventually([&] {
    host.Set("CrashDumpEnabled", "dword:00000000");  // again: it may not follow yet
    return follow.Out().find("dump.type") != std::string::npos;
  })) << follow.Err();
  host.Kill(SIGKILL);
  server.Kill(SIGTERM);
  const int silent = AcceptOne(AddressOf(server));
  ASSERT_GE(silent, 0) << follow.Err();
  server.Start();
  host.Set("AutoReboot", "dword:00000000");
  host.Start();
  EXPECT_TRUE(Eventually([&] { return follow.Out().find("dump.auto-reboot") != std::string::npos; },
                         absl::Seconds(14)))
      << follow.Err();
  close(silent);
}

}  // namespace
}  // namespace dumpwarden
