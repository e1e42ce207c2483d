// SPDX-License-Identifier: Apache-2.0
// The real service, alone: its identity has no certificate, so it never dials.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/identity.h"
#include "agent/state.h"
#include "core/base/digest.h"
#include "platform/system.h"
#include "tests/support/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr char kFirst[] = "d783c539-78c6-4f38-8e10-ecc8db8e5bbc";
constexpr char kSecond[] = "0b1f3bd2-5b0a-4d4c-9c53-6d7bd9ad5e5f";
constexpr char kRegistry[] =
    "Windows Registry Editor Version 5.00\r\n\r\n"
    "[HKEY_LOCAL_MACHINE\\SYSTEM\\CurrentControlSet\\Control\\CrashControl]\r\n"
    "\"AutoReboot\"=dword:00000000\r\n";
constexpr char kForSql[] =
    "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: sql }\nspec:\n"
    "  selector: { matchLabels: { role: sql } }\n  settings: { dump.auto-reboot: on }\n";

// A host with a policy that only a host of role sql gets.
class Run : public testing::Test {
 protected:
  Run() {
    fs::create_directories(temp_.File("elsewhere"));
    WriteAll(File("host.reg"), kRegistry);
    WriteAll(File("elsewhere/facts.yaml"), "os: { build: 20348, product: server }\n");
    fs::create_symlink(File("elsewhere/facts.yaml"), File("facts.yaml"));
    Enrol(kFirst, "web");
    auto state = AgentState::Open(File("data/state.db"), *random_);
    EXPECT_THAT(state.status(), IsOk());
    EXPECT_THAT((*state)->PutPolicies({{"sql", 1, Sha256(kForSql), kForSql}}), IsOk());
  }
  std::string File(const std::string& name) const { return temp_.File(name); }
  void Enrol(const std::string& host, const std::string& role) {
    Identity identity;
    identity.host_id = host;
    identity.trust_domain = "q.example";
    identity.server = "127.0.0.1:9";
    if (!role.empty()) identity.labels["role"] = role;
    ASSERT_THAT(SaveIdentity(*vfs_, File("data"), identity, "key", /*replace=*/true), IsOk());
  }
  // A policy, named like its role, that only a host of that role gets.
  static StoredPolicy OnlyFor(const std::string& role, const std::string& mode,
                              const std::string& settings) {
    const std::string name = role.substr(0, role.find(','));
    const std::string yaml =
        absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ", name,
                     " }\nspec:\n  mode: ", mode, "\n  selector: { matchLabels: { role: ", role,
                     " } }\n  settings: { ", settings, " }\n");
    return {name, 2, Sha256(yaml), yaml};
  }
  void PutPolicies(const std::vector<StoredPolicy>& policies) {
    auto state = AgentState::Open(File("data/state.db"), *random_);
    ASSERT_THAT(state, IsOk());
    ASSERT_THAT((*state)->PutPolicies(policies), IsOk());
  }
  void Start(const std::string& check_seconds) {
    process_ = std::make_unique<Process>(
        std::vector<std::string>{Program("dumpwarden-agent"), "run", "--data", File("data"),
                                 "--registry", "reg:" + File("host.reg"), "--facts",
                                 File("facts.yaml"), "--check-seconds", check_seconds},
        File("log"));
    ASSERT_TRUE(Eventually([&] { return absl::StrContains(LastError(), "tls.crt"); }))
        << process_->Err();
  }
  nlohmann::json Status() const {
    const Finished status =
        RunProgram({Program("dumpwarden-agent"), "status", "--data", File("data"), "-o", "json"});
    return nlohmann::json::parse(status.out, nullptr, /*allow_exceptions=*/false);
  }
  std::string LastError() const {
    const nlohmann::json status = Status();
    const auto error = status.find("last_error");
    return error == status.end() || !error->is_string() ? "" : error->get<std::string>();
  }
  bool IsWritten() const { return absl::StrContains(ReadAll(File("host.reg")), "dword:00000001"); }

  TempFolder temp_;
  std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Process> process_;
};

// Facts were read once, and then only when the folder that was named saw an event.
TEST_F(Run, FactsBehindALinkAreReadAgainAtAFullCheck) {
  Enrol(kFirst, "");
  Start("1");
  ASSERT_FALSE(IsWritten());
  WriteAll(File("elsewhere/facts.yaml"), "labels: { role: sql }\n");
  EXPECT_TRUE(Eventually([&] { return IsWritten(); })) << process_->Err();
}

// It kept labels and state of the host that it no longer was, until somebody restarted it.
TEST_F(Run, EnrolledAnewItGoesOnAsAnotherHost) {
  Start("3600");
  const std::string epoch = (*AgentState::OpenReadOnly(File("data/state.db")))->epoch();
  ASSERT_FALSE(IsWritten());
  Enrol(kSecond, "sql");
  EXPECT_TRUE(Eventually([&] { return IsWritten(); })) << process_->Err();
  EXPECT_NE((*AgentState::OpenReadOnly(File("data/state.db")))->epoch(), epoch);
  EXPECT_TRUE(process_->Running());
}

// It was looked at once more with the labels of the old token: what drifted by its policies began
// the new host's history.
TEST_F(Run, EnrolledAnewItTellsNothingOfPoliciesForTheOldLabels) {
  Enrol(kFirst, "sql");
  PutPolicies({OnlyFor("sql", "audit", "dump.auto-reboot: on"),
               OnlyFor("web", "enforce", "dump.overwrite: off")});
  Start("3600");
  ASSERT_FALSE(absl::StrContains(ReadAll(File("host.reg")), "Overwrite"));
  Enrol(kSecond, "web");
  ASSERT_TRUE(Eventually([&] {
    return absl::StrContains(ReadAll(File("host.reg")), "\"Overwrite\"=dword:00000000");
  })) << process_->Err();
  const auto state = AgentState::OpenReadOnly(File("data/state.db"));
  ASSERT_THAT(state, IsOk());
  const std::vector<v1::DriftEvent> events = (*state)->Events(100).value();
  EXPECT_FALSE(events.empty());
  for (const v1::DriftEvent& event : events) EXPECT_EQ(event.policy(), "web");
}

// It kept the labels of the old token until somebody mended the file.
TEST_F(Run, EnrolledAnewItHasTheNewLabelsThoughTheFactsFileCannotBeRead) {
  WriteAll(File("elsewhere/facts.yaml"), "labels: { site: a }\n");
  PutPolicies({OnlyFor("sql, site: a", "enforce", "dump.auto-reboot: on")});
  Start("3600");
  WriteAll(File("elsewhere/facts.yaml"), "labels: {\n");
  Enrol(kSecond, "sql");
  EXPECT_TRUE(Eventually([&] { return IsWritten(); })) << process_->Err();
  EXPECT_THAT(process_->Err(), HasSubstr("the facts file cannot be used"));
}

TEST_F(Run, EnrolledAnewItHasTheTokensLabelsAloneWhenTheyDoNotFitTheFiles) {
  std::string many = "labels: { l0: a";
  for (int i = 1; i < 32; ++i)  // as many as there may be
    absl::StrAppend(&many, ", l", i, ": a");
  WriteAll(File("elsewhere/facts.yaml"), many + " }\n");
  Enrol(kFirst, "");
  Start("3600");
  Enrol(kSecond, "sql");
  EXPECT_TRUE(Eventually([&] { return IsWritten(); })) << process_->Err();
}

TEST_F(Run, StatusTellsTheLastErrorOfAnAgentThatWasStopped) {
  Start("3600");
  process_->Kill(SIGTERM);
  EXPECT_EQ(process_->Wait(), 0) << process_->Err();
  EXPECT_FALSE(Status()["running"].get<bool>());
  EXPECT_THAT(LastError(), HasSubstr("tls.crt"));
}

}  // namespace
}  // namespace dumpwarden
