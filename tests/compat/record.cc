// SPDX-License-Identifier: Apache-2.0
// Records what the programs of this build say to each other, and what they
// leave on disk, for later versions to be held against:
//   compat_record FOLDER
// A real server, agent and dumpctl, with a tap on each connection (tap.h).
#include <signal.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/session.pb.h"
#include "platform/sqlite.h"
#include "tests/compat/recording.h"
#include "tests/compat/schema.h"
#include "tests/compat/tap.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

void Must(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "compat_record: %s\n", what.c_str());
  std::exit(1);
}

std::string Policy(const std::string& name, const std::string& mode, const std::string& settings) {
  return absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ", name,
                      " }\nspec:\n  mode: ", mode, "\n  selector: { matchLabels: { role: sql } }\n",
                      "  settings: { ", settings, " }\n");
}

class Recorder {
 public:
  Recorder() {
    const std::string file = server_.folder() + "/server.yaml";
    WriteAll(file,
             absl::StrReplaceAll(ReadAll(file), {{"check-in-seconds: 60", "check-in-seconds: 2"}}));
    server_.Start();
    const std::string home = server_.folder() + "/operators/admin";
    admin_ = std::make_unique<Tap>(Files(home), server_.address(), tape_);
    WriteAll(home + "/tap.yaml",
             absl::StrCat("current: tap\ncontexts: [ { name: tap, server: '", admin_->address(),
                          "', ca: ca.crt, certificate: tls.crt, key: tls.key } ]\n"));
  }

  // Waits for a message of one kind that was not there at the last call.
  template <typename Message>
  void Await(char sign, const std::string& what, const std::function<bool(const Message&)>& is) {
    Must(Eventually([&] {
           const std::vector<RecordedEntry> entries = tape_.Entries();
           for (std::size_t i = seen_; i < entries.size(); ++i) {
             Message message;
             if (entries[i].sign != sign || entries[i].what.find("Session/") == std::string::npos ||
                 !message.ParseFromString(entries[i].bytes) || !is(message)) {
               continue;
             }
             seen_ = i + 1;
             return true;
           }
           return false;
         }),
         "there was no " + what);
  }
  void AwaitAgent(const std::string& what, v1::AgentMessage::MessageCase kind) {
    Await<v1::AgentMessage>('>', what, [&](const auto& m) { return m.message_case() == kind; });
  }
  void AwaitServer(const std::string& what, v1::ServerMessage::MessageCase kind) {
    Await<v1::ServerMessage>('<', what, [&](const auto& m) { return m.message_case() == kind; });
  }
  // Everything that was found is acknowledged, and nothing is on its way.
  void AwaitQuiet() {
    AwaitAgent("check-in", v1::AgentMessage::kCheckIn);
    AwaitServer("ack of a check-in", v1::ServerMessage::kAck);
  }

  Json Ctl(std::vector<std::string> arguments, const std::string& input = "") {
    arguments.insert(arguments.begin(), {Program("dumpctl"), "--config",
                                         server_.folder() + "/operators/admin/tap.yaml"});
    const Finished done = RunProgram(arguments, input);
    Must(done.exit_code == 0 || done.exit_code == 2, done.err);
    return Json::parse(done.out, nullptr, /*allow_exceptions=*/false);
  }

  void Enroll() {
    const Json token = Ctl({"token", "create", "--label", "role=sql", "-o", "json"});
    TapFiles files = Files("");
    const Tap tap(files, token["address"].get<std::string>(), tape_);
    Json through = token;
    through["address"] = tap.address();
    const Finished enrolled = host_.Enroll(through);
    Must(enrolled.exit_code == 0, enrolled.err);
  }

  void Join() {
    session_ = std::make_unique<Tap>(Files(host_.File("data/identity")), server_.address(), tape_);
    const std::string config = ReadAll(host_.File("agent.yaml"));
    WriteAll(host_.File("agent.yaml"), config + "server: " + session_->address() + "\n");
    host_.Start();
    AwaitQuiet();
  }

  void Drift() {
    tape_.Note("set-auto-reboot-1");
    host_.Set("AutoReboot", "dword:00000001");
    Await<v1::AgentMessage>('>', "drift",
                            [](const auto& m) { return m.report().events_size() > 0; });
    AwaitQuiet();
  }

  void Policies() {
    std::filesystem::create_directory(host_.File("policies"));
    const std::string base = Policy("base", "enforce", "dump.type: kernel, dump.auto-reboot: off");
    Ctl({"policy", "plan", "-f", "-"}, base);
    Ctl({"policy", "plan", "-f", "-", "-o", "json"}, base);
    Ctl({"policy", "apply", "-f", "-", "--dry-run"}, base);
    WriteAll(host_.File("policies/base.yaml"), base);
    WriteAll(host_.File("policies/watch.yaml"), Policy("watch", "audit", "dump.overwrite: off"));
    Ctl({"policy", "apply", "-f", host_.File("policies")});
    AwaitServer("policy", v1::ServerMessage::kPolicyDocument);
    AwaitQuiet();
  }

  // What operators ask, of a host that is there.
  void Ask() {
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {"policy", "list"},
             {"policy", "show", "base"},
             {"host", "list", "-l", "role=sql"},
             {"host", "show", "sql-01"},
             {"host", "explain", "sql-01"},
             {"compliance", "summary"},
             {"compliance", "report"},
             {"drift", "list"},
             {"audit", "list", "--action", "policy.apply"},
             {"audit", "export", "--output", host_.File("audit.jsonl")}}) {
      Ctl(arguments);
    }
  }

  // One who comes and goes, and what is only tried with the host.
  void People() {
    for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
             {"person", "add", "bob@corp.example", "--role", "viewer"},
             {"person", "code", "bob@corp.example"},
             {"person", "roles", "bob@corp.example", "--role", "auditor,author"},
             {"person", "list"},
             {"person", "revoke", "bob@corp.example", "--reason", "recorded"},
             {"host", "revoke", "sql-01", "--reason", "recorded", "--dry-run"}}) {
      Ctl(arguments);
    }
  }

  // Tokens by the file, one that is taken back, and an approval of a host that is not held.
  void Tokens() {
    Ctl({"token", "create", "-f", "-"}, "- { name: sql-02 }\n- { name: sql-03, hold: true }\n");
    Ctl({"token", "list", "--state", "used"});
    const Json extra = Ctl({"token", "create", "--hold", "-o", "json"});
    Ctl({"token", "revoke", extra["id"].get<std::string>()});
    Ctl({"host", "approve", "sql-01"});
  }

  // After a cursor: from "now" on would depend on what comes first.
  void Follow() {
    const Json newest = Ctl({"drift", "list", "--limit", "1", "-o", "json"});
    Process follower(
        {Program("dumpctl"), "--config", server_.folder() + "/operators/admin/tap.yaml", "drift",
         "follow", "--after", newest[0]["cursor"].dump(), "-o", "json"},
        host_.File("follow"));
    Must(Eventually([&] { return Heard('>', "/FollowDrift"); }),
         "drift was not followed: " + follower.Err());
    Drift();
    Must(Eventually([&] { return Heard('<', "/FollowDrift"); }), "no drift was followed");
    follower.Kill(SIGKILL);
    Must(Eventually([&] { return Heard('=', "/FollowDrift"); }), "drift follow goes on");
  }

  void Restart() {
    tape_.Note("restart-server");
    server_.Kill(SIGTERM);
    server_.Start();
    AwaitAgent("hello", v1::AgentMessage::kHello);
    AwaitQuiet();
  }

  void Withdraw() {
    Ctl({"policy", "delete", "watch"});
    Await<v1::AgentMessage>('>', "report without the policy",
                            [](const auto& m) { return m.report().removed_size() > 0; });
    AwaitQuiet();
  }

  // Both are shut out.
  void Clone() {
    const std::string folder = host_.File("clone");
    std::filesystem::create_directory(folder);
    for (const char* name : {"host.reg", "facts.yaml", "agent.yaml", "data"}) {
      std::filesystem::copy(host_.File(name), folder + "/" + name,
                            std::filesystem::copy_options::recursive);
    }
    tape_.Note("clone");
    Process clone({Program("dumpwarden-agent"), "run", "--config", folder + "/agent.yaml"},
                  folder + "/run");
    AwaitAgent("answer to a probe", v1::AgentMessage::kProbeReply);
    AwaitServer("goodbye", v1::ServerMessage::kGoodbye);
    AwaitServer("second goodbye", v1::ServerMessage::kGoodbye);
  }

  void Save(const std::string& folder) {
    tape_.Note("stop");
    host_.Kill(SIGTERM);
    session_.reset();
    server_.Kill(SIGTERM);
    std::filesystem::create_directories(folder);
    Shrink(server_.folder() + "/store.db", folder + "/store.db");
    Shrink(host_.File("data/state.db"), folder + "/state.db");
    WriteAll(folder + "/session.recording", FormatRecording(tape_.Entries()));
    WriteAll(folder + "/schema.pb", PresentSchema().SerializeAsString());
    const auto* service = v1::ListHostsRequest::descriptor()->file()->FindServiceByName("Admin");
    for (int i = 0; i < service->method_count(); ++i) {
      Must(Heard('<', "/" + service->method(i)->name()),
           service->method(i)->name() + " was not asked: record.cc lacks a command for it");
    }
  }

 private:
  TapFiles Files(const std::string& client) const {
    TapFiles files{server_.folder() + "/server.crt", server_.folder() + "/server.key",
                   server_.folder() + "/operators/admin/ca.crt", "", ""};
    if (!client.empty()) {
      files.client_chain = client + "/tls.crt";
      files.client_key = client + "/tls.key";
    }
    return files;
  }
  bool Heard(char sign, const std::string& method) const {
    for (const RecordedEntry& entry : tape_.Entries()) {
      if (entry.sign == sign && entry.what.ends_with(method)) return true;
    }
    return false;
  }
  static void Shrink(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
    const auto db = Database::Open(to, Database::Durability::kExtra);
    Must(db.ok(), to);
    const absl::Status shrunk =
        (*db)->Execute("PRAGMA journal_mode = DELETE; PRAGMA page_size = 512; VACUUM");
    Must(shrunk.ok(), std::string(shrunk.message()));
  }

  Tape tape_;
  std::size_t seen_ = 0;
  Server server_;
  Host host_{"sql-01"};
  std::unique_ptr<Tap> admin_;
  std::unique_ptr<Tap> session_;
};

}  // namespace
}  // namespace dumpwarden

int main(int argc, char** argv) {
  dumpwarden::Must(argc == 2, "usage: compat_record FOLDER");
  dumpwarden::Recorder recorder;
  recorder.Enroll();
  recorder.Join();
  recorder.Policies();
  recorder.Drift();
  recorder.Ask();
  recorder.People();
  recorder.Tokens();
  recorder.Follow();
  recorder.Restart();
  recorder.Drift();
  recorder.Withdraw();
  recorder.Clone();
  recorder.Save(argv[1]);
  return 0;
}
