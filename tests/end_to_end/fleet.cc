// SPDX-License-Identifier: Apache-2.0
#include "tests/end_to_end/fleet.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <random>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace dumpwarden {

namespace {

bool IsFree(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  close(fd);
  return free;
}

}  // namespace

// Below the ports that the system gives to connections, which would take one that is let go.
int FreePort() {
  static std::mt19937 engine{std::random_device{}()};
  std::uniform_int_distribution<int> ports(20000, 31999);
  int port = ports(engine);
  while (!IsFree(port)) port = ports(engine);
  return port;
}

// Fixed ports, because a restarted server must be found again.
Server::Server() : folder_(temp_.File("server")), port_(FreePort()), enrollment_port_(FreePort()) {
  const Finished init = RunProgram(
      {Program("dumpwarden-server"), "init", "--dir", folder_, "--trust-domain", "corp.example",
       "--listen", address(), "--enroll-listen", absl::StrCat("127.0.0.1:", enrollment_port_)});
  EXPECT_EQ(init.exit_code, 0) << init.err;
}

void Server::Launch(const Environment& extra) {
  const std::string log = temp_.File("serve");
  WriteAll(log + ".out", "");
  process_ =
      std::make_unique<Process>(std::vector<std::string>{Program("dumpwarden-server"), "serve",
                                                         "--config", folder_ + "/server.yaml"},
                                log, extra);
}

bool Server::Ready() const { return process_->Out().find("\"ready\"") != std::string::npos; }

void Server::Start(const Environment& extra) {
  Launch(extra);
  ASSERT_TRUE(Eventually([&] { return Ready(); })) << process_->Err();
}

void Server::Kill(int signal) {
  process_->Kill(signal);
  ASSERT_NE(process_->Wait(), -1);
}

int Server::Wait() { return process_->Wait(); }

Finished Server::Ctl(std::vector<std::string> arguments, const std::string& input) const {
  arguments.insert(arguments.begin(),
                   {Program("dumpctl"), "--config", folder_ + "/operators/admin/dumpctl.yaml"});
  return RunProgram(arguments, input);
}

Json Server::CtlJson(std::vector<std::string> arguments) const {
  arguments.insert(arguments.end(), {"-o", "json"});
  const Finished done = Ctl(arguments);
  EXPECT_EQ(done.exit_code, 0) << done.err;
  Json json = Json::parse(done.out, nullptr, /*allow_exceptions=*/false);
  EXPECT_FALSE(json.is_discarded()) << done.out;
  return json;
}

void Server::Apply(const std::string& yaml) const {
  const Finished done = Ctl({"policy", "apply", "-f", "-"}, yaml);
  ASSERT_EQ(done.exit_code, 0) << done.err;
}

Json Server::CreateToken(const std::string& label) const {
  std::vector<std::string> arguments = {"token", "create"};
  if (!label.empty()) arguments.insert(arguments.end(), {"--label", label});
  return CtlJson(arguments);
}

std::string FreshRegistry() {
  return "Windows Registry Editor Version 5.00\r\n"
         "\r\n"
         "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\r\n"
         "\"AutoReboot\"=dword:00000001\r\n"
         "\"CrashDumpEnabled\"=dword:00000007\r\n"
         "\"LogEvent\"=dword:00000001\r\n"
         "\"Overwrite\"=dword:00000001\r\n"
         "\r\n"
         "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory "
         "Management]\r\n"
         "\"PagingFiles\"=hex(7):3f,00,3a,00,5c,00,70,00,61,00,67,00,65,00,66,00,69,00,6c,\\\r\n"
         "  00,65,00,2e,00,73,00,79,00,73,00,00,00,00,00\r\n";
}

Host::Host(const std::string& name, const std::string& facts) : name_(name) {
  WriteAll(File("host.reg"), FreshRegistry());
  WriteAll(File("facts.yaml"), facts);
  WriteAll(File("agent.yaml"), "registry: reg:host.reg\nfacts: facts.yaml\ndata: data\n");
}

Finished Host::Agent(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), Program("dumpwarden-agent"));
  return RunProgram(arguments);
}

Finished Host::Enroll(const Json& token) const {
  WriteAll(File("token"), token["token"].get<std::string>());
  return Agent({"enroll", "--config", File("agent.yaml"), "--server",
                token["address"].get<std::string>(), "--token-file", File("token"), "--name",
                name_});
}

void Host::Start(const Environment& extra) {
  process_ = std::make_unique<Process>(
      std::vector<std::string>{Program("dumpwarden-agent"), "run", "--config", File("agent.yaml")},
      File("run"), extra);
}

void Host::Kill(int signal) {
  process_->Kill(signal);
  ASSERT_NE(process_->Wait(), -1);
}

void Host::Join(const Server& server, const std::string& label) {
  const Finished enrolled = Enroll(server.CreateToken(label));
  ASSERT_EQ(enrolled.exit_code, 0) << enrolled.err;
  Start();
  ASSERT_TRUE(Eventually([&] {
    return server.CtlJson({"host", "show", Id()})["host"]["connected"] == true;
  })) << process_->Err();
}

// From the file, because status needs an agent that has run.
std::string Host::Id() const {
  const std::string text = ReadAll(File("data/identity/identity.yaml"));
  const std::string start = "host: '";
  const std::size_t at = text.find(start);
  EXPECT_NE(at, std::string::npos) << "not enrolled: " << text;
  if (at == std::string::npos) return "";
  return text.substr(at + start.size(), 36);  // a uuid
}

void Host::Set(const std::string& name, const std::string& data) const {
  std::string text = ReadAll(File("host.reg"));
  const std::size_t at = text.find(absl::StrCat("\"", name, "\"="));
  ASSERT_NE(at, std::string::npos) << name << " is not in " << text;
  const std::size_t end = text.find("\r\n", at);
  text.replace(at, end - at, absl::StrCat("\"", name, "\"=", data));
  WriteAll(File("host.reg.new"), text);
  ASSERT_EQ(rename(File("host.reg.new").c_str(), File("host.reg").c_str()), 0);
}

std::string Host::Value(const std::string& name) const {
  const std::string text = ReadAll(File("host.reg"));
  const std::string start = absl::StrCat("\"", name, "\"=");
  const std::size_t at = text.find(start);
  if (at == std::string::npos) return "";
  return text.substr(at + start.size(), text.find("\r\n", at) - at - start.size());
}

Person::Person(const Server& server, const std::string& name, const std::string& roles)
    : name_(name) {
  const Finished done = LogIn(server.CtlJson({"person", "add", name, "--role", roles}));
  EXPECT_EQ(done.exit_code, 0) << done.err;
}

Finished Person::LogIn(const Json& code, std::vector<std::string> more) const {
  WriteAll(File("code"), code["code"].get<std::string>());
  std::vector<std::string> arguments = {"login", "--server", code["address"].get<std::string>(),
                                        "--code-file", File("code")};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return Ctl(std::move(arguments));
}

std::vector<std::string> Person::CtlLine(std::vector<std::string> arguments) const {
  arguments.insert(arguments.begin(), {Program("dumpctl"), "--config", config()});
  return arguments;
}

Finished Person::Ctl(std::vector<std::string> arguments) const {
  return RunProgram(CtlLine(std::move(arguments)));
}

std::string Person::Files() const {
  std::filesystem::create_directories(File("files"));
  const std::pair<const char*, const char*> kNames[] = {
      {".ca.crt", "ca.crt"}, {".crt", "tls.crt"}, {".key", "tls.key"}};
  for (const auto& entry : std::filesystem::recursive_directory_iterator(File("config"))) {
    const std::string path = entry.path().string();
    for (const auto& [ending, name] : kNames) {
      if (!absl::EndsWith(path, ending)) continue;
      WriteAll(File(absl::StrCat("files/", name)), ReadAll(path));
      break;
    }
  }
  return File("files");
}

}  // namespace dumpwarden
