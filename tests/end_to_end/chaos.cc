// SPDX-License-Identifier: Apache-2.0
#include "tests/end_to_end/chaos.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace dumpwarden {
namespace {

constexpr char kExtra[] =
    "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: extra }\nspec:\n"
    "  selector: { matchLabels: { ring: b } }\n  settings: { dump.log-event: off }\n";
constexpr char kWatch[] =
    "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: watch }\nspec:\n"
    "  mode: audit\n  settings: { dump.minidump-dir: 'C:\\Mini' }\n";

}  // namespace

const std::vector<Chaos::Action>& Chaos::Actions() {
  static const auto& actions = *new std::vector<Action>{
      {"kill-agent", 0.3, 0.03, &Chaos::KillAgent},
      {"kill-several", 0.1, 0, &Chaos::KillSeveral},
      {"kill-server", 0.05, 0, &Chaos::KillServer},
      {"kill-server-in-a-burst", 0.1, 0, &Chaos::KillServerInABurst},
      {"kill-agents-in-a-burst", 0.3, 0, &Chaos::KillAgentsInABurst},
      {"kill-everything", 0.02, 0, &Chaos::KillEverything},
      {"stop-agent", 0.2, 0.01, &Chaos::StopAgent},
      {"stop-server", 0.05, 0, &Chaos::StopServer},
      {"drift", 1.5, 0.1, &Chaos::Drift},
      {"put-back", 0.2, 0.01, &Chaos::PutBackOne},
      {"change-facts", 0.2, 0.01, &Chaos::ChangeFacts},
      {"apply-policy", 0.2, 0, &Chaos::ApplyPolicy},
      {"apply-policy-and-kill-the-server", 0.05, 0, &Chaos::ApplyPolicyAndKillTheServer},
      {"apply-policy-and-kill-dumpctl", 0.1, 0, &Chaos::ApplyPolicyAndKillDumpctl},
      {"delete-or-apply-policy", 0.1, 0, &Chaos::DeleteOrApplyExtra},
      {"create-token", 0.1, 0, &Chaos::CreateToken},
      {"read-drifts", 0.2, 0, &Chaos::ReadDrifts},
      {"look", 1, 0.2, &Chaos::LookAtOne},
  };
  return actions;
}

Chaos::Chaos(const ChaosOptions& given) : options(given), random_(given.seed) {}

// --- Build, Run, Repair

void Chaos::Build() {
  StartServer();
  ASSERT_TRUE(Eventually([&] { return server.Ready(); })) << server.Err();
  for (const std::string& policy : {BasePolicy(0), std::string(kExtra), std::string(kWatch)}) {
    ASSERT_NO_FATAL_FAILURE(server.Apply(policy));
  }
  for (int i = 0; i < options.agents; ++i) {
    machines.push_back(std::make_unique<Machine>(i, /*check_seconds=*/10));
    const Finished enrolled = machines.back()->host.Enroll(server.CreateToken());
    ASSERT_EQ(enrolled.exit_code, 0) << enrolled.err;
    StartAgent(*machines.back());
  }
  const auto policies_in_force = [this] {
    Poll();
    return !problems.empty() ||
           std::none_of(machines.begin(), machines.end(), [](const auto& machine) {
             return RegistryData(machine->Registry(), "DumpFileSize").empty();
           });
  };
  ASSERT_TRUE(Eventually(policies_in_force, absl::Minutes(5))) << server.Err();
  ASSERT_TRUE(problems.empty()) << problems[0];
}

void Chaos::Run() {
  double rate = 0;
  std::vector<double> weights;
  for (const Action& action : Actions()) {
    weights.push_back(action.per_second + action.per_second_and_agent * options.agents);
    rate += weights.back();
  }
  std::discrete_distribution<std::size_t> choose(weights.begin(), weights.end());
  std::exponential_distribution<> pause(rate);
  const auto act = [&](const Action& action) {
    const absl::Time next = absl::Now() + absl::Seconds(pause(random_));
    do {
      Tick();
      absl::SleepFor(std::clamp(next - absl::Now(), absl::ZeroDuration(), absl::Milliseconds(5)));
    } while (absl::Now() < next);
    ++counts[action.name];
    (this->*action.act)();
  };
  const absl::Time end = absl::Now() + options.time;
  while (absl::Now() < end && problems.empty()) act(Actions()[choose(random_)]);
  for (const Action& left_out : Actions()) {
    if (counts[left_out.name] == 0 && problems.empty()) act(left_out);
  }
}

void Chaos::Repair() {
  for (const Later& later : std::exchange(later_, {})) later.act();
  if (!server_up_) StartServer();
  EXPECT_TRUE(Eventually([&] { return server.Ready(); })) << server.Err();
  for (auto& machine : machines) {
    if (!machine->up) StartAgent(*machine);
  }
  EXPECT_TRUE(Eventually(
      [&] {
        Poll();
        return commands_.empty();
      },
      absl::Minutes(5)));
}

// --- Time

void Chaos::After(absl::Duration longest, std::function<void()> act) {
  const double part = std::uniform_real_distribution<>(0, 1)(random_);
  later_.push_back({absl::Now() + longest * part, std::move(act)});
}

void Chaos::Tick() {
  const absl::Time now = absl::Now();
  std::vector<Later> due;
  for (std::size_t i = 0; i < later_.size();) {
    if (later_[i].at > now) {
      ++i;
      continue;
    }
    due.push_back(std::move(later_[i]));
    later_.erase(later_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (const Later& later : due) later.act();
  Poll();
}

void Chaos::Poll() {
  std::vector<std::unique_ptr<Command>> ended;
  for (auto& command : commands_) {
    if (!command->killed && command->kill_at <= absl::Now()) {
      command->process->Kill(SIGKILL);
      command->killed = true;
    }
    if (!command->process->Running()) ended.push_back(std::move(command));
  }
  std::erase(commands_, nullptr);
  for (const auto& command : ended) {
    if (changing_ == command.get()) changing_ = nullptr;
    const int code = command->process->Wait();
    ++counts[code == 0 ? "commands answered" : "commands not answered"];
    if (code > 128 && !command->killed) problems.push_back("dumpctl: " + command->process->Err());
    if (code == 0) {
      const Json answer = Json::parse(command->process->Out(), nullptr, false);
      if (answer.is_discarded()) problems.push_back("no JSON: " + command->process->Out());
      if (!answer.is_discarded()) command->done(answer);
    }
  }
  for (auto& machine : machines) {
    if (machine->up && !machine->host.process().Running()) {
      problems.push_back("an agent ended by itself: " + machine->host.process().Err());
      machine->up = false;
    }
  }
  if (server_up_ && !server.process().Running()) {
    problems.push_back("the server ended by itself: " + server.Err());
    server_up_ = false;
  }
}

// --- Processes

Machine& Chaos::Any() { return *machines[random_() % machines.size()]; }

void Chaos::StartAgent(Machine& machine) {
  if (machine.up) return;
  machine.host.Start();
  machine.up = true;
  machine.stopped = false;
  ++machine.incarnation;
}

void Chaos::Kill(Machine& machine) {
  if (!machine.up) return;
  machine.host.process().Kill(SIGKILL);
  if (machine.host.process().Wait() != 128 + SIGKILL) {
    problems.push_back("an agent ended by itself: " + machine.host.process().Err());
  }
  machine.up = false;
  ++counts["agents killed"];
  After(absl::Seconds(3), [this, &machine] { StartAgent(machine); });
}

void Chaos::KillAgent() { Kill(Any()); }

void Chaos::KillSeveral() {
  for (std::size_t i = 0; i < machines.size() / 3 + 1; ++i) Kill(Any());
}

void Chaos::StopAgent() {
  Machine& machine = Any();
  if (!machine.up || machine.stopped) return;
  machine.host.process().Kill(SIGSTOP);
  machine.stopped = true;
  ++counts["agents stopped"];
  After(absl::Seconds(4), [&machine, incarnation = machine.incarnation] {
    if (!machine.up || machine.incarnation != incarnation) return;
    machine.host.process().Kill(SIGCONT);
    machine.stopped = false;
  });
}

void Chaos::StartServer() {
  if (server_up_) return;
  server.Launch();
  server_up_ = true;
  server_stopped_ = false;
  ++server_incarnation_;
}

void Chaos::KillServer() {
  if (!server_up_) return;
  server.process().Kill(SIGKILL);
  if (server.process().Wait() != 128 + SIGKILL) {
    problems.push_back("the server ended by itself: " + server.Err());
  }
  server_up_ = false;
  ++counts["servers killed"];
  After(absl::Seconds(2), [this] { StartServer(); });
}

// Within the time in which reports of drift are made, kept and acknowledged.
void Chaos::KillServerInABurst() {
  for (std::size_t i = 0; i < machines.size() / 2 + 1; ++i) DriftOne(Any());
  After(absl::Milliseconds(400), [this] { KillServer(); });
}

void Chaos::KillAgentsInABurst() {
  for (std::size_t i = 0; i < machines.size() / 4 + 1; ++i) {
    Machine& machine = Any();
    DriftOne(machine);
    After(absl::Milliseconds(400), [this, &machine] { Kill(machine); });
  }
}

void Chaos::KillEverything() {
  KillServer();
  for (auto& machine : machines) Kill(*machine);
}

void Chaos::StopServer() {
  if (!server_up_ || server_stopped_) return;
  server.process().Kill(SIGSTOP);
  server_stopped_ = true;
  ++counts["servers stopped"];
  After(absl::Seconds(3), [this, incarnation = server_incarnation_] {
    if (!server_up_ || server_incarnation_ != incarnation) return;
    server.process().Kill(SIGCONT);
    server_stopped_ = false;
  });
}

// --- Hosts

void Chaos::LookAt(Machine& machine) {
  const std::string problem = machine.Look();
  if (!problem.empty()) problems.push_back(problem);
}

void Chaos::LookAtOne() { LookAt(Any()); }

void Chaos::Drift() { DriftOne(Any()); }

void Chaos::DriftOne(Machine& machine) {
  LookAt(machine);
  machine.Drift(ChaosSettings()[random_() % ChaosSettings().size()], number_);
  number_ += 2;  // odd, so that a size reads as MiB
}

void Chaos::PutBackOne() {
  Machine& machine = Any();
  LookAt(machine);
  machine.PutBack();
}

void Chaos::ChangeFacts() { Any().WriteFacts(random_); }

// --- Commands

Chaos::Command& Chaos::Ctl(std::vector<std::string> arguments,
                           std::function<void(const Json&)> done) {
  arguments.insert(arguments.begin(), {Program("dumpctl"), "--config",
                                       server.folder() + "/operators/admin/dumpctl.yaml"});
  arguments.insert(arguments.end(), {"-o", "json"});
  auto command = std::make_unique<Command>();
  command->log = temp_.File(absl::StrCat("command-", commands_made_++));
  command->process = std::make_unique<Process>(arguments, command->log);
  command->kill_at = absl::InfiniteFuture();
  command->done = std::move(done);
  commands_.push_back(std::move(command));
  return *commands_.back();
}

Chaos::Command* Chaos::Apply() {
  if (changing_ != nullptr || step_ + 1 >= kMaxChaosSteps) return nullptr;
  ++step_;
  const std::string file = temp_.File(absl::StrCat("base-", step_, ".yaml"));
  WriteAll(file, BasePolicy(step_));
  changing_ = &Ctl({"policy", "apply", "-f", file}, [this](const Json& answer) {
    for (const Json& policy : answer) {
      answered.push_back({"policy.apply", policy["name"], policy["version"].dump(), policy});
    }
  });
  return changing_;
}

void Chaos::ApplyPolicy() { Apply(); }

void Chaos::ApplyPolicyAndKillTheServer() {
  if (Apply() != nullptr) After(absl::Milliseconds(200), [this] { KillServer(); });
}

void Chaos::ApplyPolicyAndKillDumpctl() {
  const double part = std::uniform_real_distribution<>(0, 1)(random_);
  if (Command* command = Apply()) {
    command->kill_at = absl::Now() + absl::Milliseconds(150) * part;
    ++counts["dumpctl killed"];
  }
}

void Chaos::DeleteOrApplyExtra() {
  if (changing_ != nullptr) return;
  extra_ = !extra_;
  const std::string file = temp_.File("extra.yaml");
  WriteAll(file, kExtra);
  if (extra_) {
    changing_ = &Ctl({"policy", "apply", "-f", file}, [this](const Json& answer) {
      if (answer[0]["changed"] != true) return;
      answered.push_back({"policy.apply", "extra", answer[0]["version"].dump(), answer[0]});
    });
  } else {
    changing_ = &Ctl({"policy", "delete", "extra"}, [this](const Json& answer) {
      answered.push_back({"policy.delete", "extra", answer[0]["version"].dump(), answer[0]});
    });
  }
}

void Chaos::CreateToken() {
  Ctl({"token", "create"}, [this](const Json& answer) {
    answered.push_back({"token.create", answer["id"], "", answer});
  });
}

void Chaos::ReadDrifts() {
  Ctl({"drift", "list", "--limit", "500"}, [this](const Json& answer) {
    for (const Json& drift : answer) drifts_seen.emplace(drift["cursor"].dump(), drift);
  });
}

Json Chaos::List(const std::string& noun, const std::string& key) const {
  Json all = Json::array();
  for (;;) {
    std::vector<std::string> arguments = {noun, "list", "--limit", "500"};
    if (!all.empty()) arguments.insert(arguments.end(), {"--before", all.back()[key].dump()});
    const Json page = server.CtlJson(arguments);
    for (const Json& row : page) all.push_back(row);
    if (page.empty()) return all;
  }
}

}  // namespace dumpwarden
