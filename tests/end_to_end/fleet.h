// SPDX-License-Identifier: Apache-2.0
// A server and hosts on loopback, each a real process with a real certificate,
// a real database and a real .reg file.
#ifndef DUMPWARDEN_TESTS_END_TO_END_FLEET_H_
#define DUMPWARDEN_TESTS_END_TO_END_FLEET_H_

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/process.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {

using Json = nlohmann::json;

// A policy that changes every host of a test, in three settings.
inline constexpr char kThreeSettings[] =
    "apiVersion: dumpwarden/v1\n"
    "kind: DumpPolicy\n"
    "metadata: { name: base }\n"
    "spec:\n"
    "  settings:\n"
    "    dump.type: complete\n"
    "    dump.overwrite: off\n"
    "    pagefile.files: [ { path: 'C:\\pagefile.sys', initial: ram + 257MiB, maximum: ram + "
    "257MiB } ]\n";

int FreePort();

// Server is one dumpwarden-server with a folder of its own.
class Server {
 public:
  Server();
  void Launch(const Environment& extra = {});  // does not wait
  bool Ready() const;                          // has said so
  void Start(const Environment& extra = {});   // both
  void Kill(int signal);                       // and waits for the end
  int Wait();                                  // for an end that comes by itself; the exit code
  // dumpctl with the first operator's context.
  Finished Ctl(std::vector<std::string> arguments, const std::string& input = "") const;
  // The same with -o json; the test fails when it does not exit 0 or print JSON.
  Json CtlJson(std::vector<std::string> arguments) const;
  // Applies a policy given as text; the test fails when it is refused.
  void Apply(const std::string& yaml) const;
  Json CreateToken(const std::string& label = "") const;  // token, address, id, expires

  // Served from there when it starts next.
  void MoveTo(const std::string& folder) { folder_ = folder; }

  const std::string& folder() const { return folder_; }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  std::string Err() const { return process_->Err(); }
  pid_t pid() const { return process_->pid(); }
  Process& process() { return *process_; }

 private:
  TempFolder temp_;
  std::string folder_;
  int port_;
  int enrollment_port_;
  std::unique_ptr<Process> process_;
};

inline constexpr char kServer2022[] =
    "os: { build: 20348, product: server }\n"
    "memory: { bytes: 17179869184 }\n"
    "volumes:\n"
    "  - { path: 'C:\\', kind: fixed, total: 107374182400, free: 53687091200, boot: true }\n"
    "boot: { id: boot-1, at: 2026-11-22T10:00:00Z }\n";

// Host is one machine: a registry in a .reg file, facts, and an agent.
class Host {
 public:
  explicit Host(const std::string& name, const std::string& facts = kServer2022);
  Finished Enroll(const Json& token) const;
  void Start(const Environment& extra = {});
  void Kill(int signal);
  // The agent enrolled and running, and known to be connected.
  void Join(const Server& server, const std::string& label = "");

  // One value line of the file by another hand: Set("AutoReboot", "dword:00000000").
  void Set(const std::string& name, const std::string& data) const;
  std::string Value(const std::string& name) const;  // the text after "Name"=, or ""
  Finished Agent(std::vector<std::string> arguments) const;

  std::string File(const std::string& name) const { return temp_.File(name); }
  std::string registry() const { return "reg:" + File("host.reg"); }
  std::string Id() const;  // uuid, after enrolment
  Process& process() { return *process_; }

 private:
  TempFolder temp_;
  std::string name_;
  std::unique_ptr<Process> process_;
};

// Person is one who was added and has logged in, with a configuration of their own.
class Person {
 public:
  // The test fails when any of it does.
  Person(const Server& server, const std::string& name, const std::string& roles);
  explicit Person(std::string name) : name_(std::move(name)) {}  // not added, not logged in

  // dumpctl login with a code as `person add -o json` gives it.
  Finished LogIn(const Json& code, std::vector<std::string> more = {}) const;
  Finished Ctl(std::vector<std::string> arguments) const;  // with that configuration
  std::vector<std::string> CtlLine(std::vector<std::string> arguments) const;
  // ca.crt, tls.crt and tls.key of the one context, as DialWith wants them.
  std::string Files() const;

  const std::string& name() const { return name_; }
  std::string config() const { return temp_.File("config/dumpctl.yaml"); }
  std::string File(const std::string& name) const { return temp_.File(name); }

 private:
  TempFolder temp_;
  std::string name_;
};

// CrashControl and Memory Management as a fresh Server 2022 has them.
std::string FreshRegistry();

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_END_TO_END_FLEET_H_
