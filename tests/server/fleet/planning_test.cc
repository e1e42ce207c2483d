// SPDX-License-Identifier: Apache-2.0
// The plan of a fleet against the plan that each of its hosts would make.
#include "server/fleet/planning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/policy/policy.h"
#include "core/reconcile/status.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/seeded_fleet.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using HostPlan = v1::PlanPoliciesResponse::HostPlan;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr std::uint32_t kHosts = 300;  // more than are read at once

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// What ships in policies/ is the draft.
v1::PlanPoliciesRequest Drafts() {
  v1::PlanPoliciesRequest request;
  for (const auto& file : std::filesystem::directory_iterator(DUMPWARDEN_SOURCE_DIR "/policies")) {
    v1::PolicySource& source = *request.add_policies();
    source.set_file(file.path().filename());
    source.set_yaml(ReadFile(file.path()));
  }
  return request;
}

std::string TextOf(const std::string& setting, absl::string_view action, const std::string& key,
                   const std::string& name, const std::optional<RegistryValue>& from,
                   const std::optional<RegistryValue>& to) {
  const auto text = [](const std::optional<RegistryValue>& value) {
    return value ? absl::StrCat(TypeName(value->type), ":", value->data) : "absent";
  };
  return absl::StrCat(setting, " ", action, " ", key, " ", name, " ", text(from), " ", text(to));
}

std::optional<RegistryValue> ValueOf(const v1::Cell& cell) {
  if (!cell.present()) return std::nullopt;
  return RegistryValue{static_cast<RegType>(cell.type()), cell.data()};
}

std::vector<std::string> ChangesOf(const HostPlan& plan) {
  std::vector<std::string> changes;
  for (const v1::PlannedChange& change : plan.changes()) {
    changes.push_back(TextOf(change.setting(), change.action(), change.key(), change.name(),
                             ValueOf(change.before()), ValueOf(change.after())));
  }
  return changes;
}

std::vector<std::string> ChangesOf(const Plan& plan) {
  std::vector<std::string> changes;
  for (const Edit& edit : plan.edits) {
    changes.push_back(
        TextOf(edit.setting, ActionWord(edit.action), edit.key, edit.name, edit.from, edit.to));
  }
  return changes;
}

template <typename Findings>
std::vector<std::string> TextsOf(const Findings& findings) {
  std::vector<std::string> texts;
  for (const v1::Finding& finding : findings) texts.push_back(finding.SerializeAsString());
  return texts;
}

class FleetPlan : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    for (std::uint32_t number = 1; number <= kHosts; ++number) {
      fleet_.push_back(MakeSeededHost(number));
    }
    ASSERT_THAT(AddSeededFleet(*store_, fleet_, clock_.Now()), IsOk());
    std::sort(fleet_.begin(), fleet_.end(),
              [](const SeededHost& a, const SeededHost& b) { return a.name < b.name; });
  }

  // As the agent does: its own facts with the labels of its token, what it observes, and the
  // policies, in an order of its own.
  static Plan PlanLocally(const SeededHost& host) {
    std::vector<PolicyInForce> policies;
    const v1::PlanPoliciesRequest drafts = Drafts();
    for (const v1::PolicySource& source : drafts.policies()) {
      policies.push_back({ReadPolicy(source.yaml(), source.file()).value(), 1});
    }
    v1::Facts facts = host.facts;
    facts.mutable_labels()->insert(host.labels.begin(), host.labels.end());
    return MakePlan(Merge(policies, facts), host.state.observation, facts);
  }

  std::vector<HostPlan> PlanEach(const v1::PlanPoliciesRequest& request) {
    std::vector<HostPlan> plans;
    EXPECT_THAT(PlanHosts(*store_, request,
                          [&](const HostPlan& plan) {
                            plans.push_back(plan);
                            return absl::OkStatus();
                          }),
                IsOk());
    return plans;
  }

  TempFolder temp_;
  FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::vector<SeededHost> fleet_;  // by name
};

TEST_F(FleetPlan, IsThePlanThatEachHostWouldMakeInOrderOfName) {
  std::set<std::string> different;
  std::set<std::string> different_plans;
  const std::vector<HostPlan> plans = PlanEach(Drafts());
  ASSERT_THAT(plans, SizeIs(kHosts));
  for (std::size_t i = 0; i < plans.size(); ++i) {
    const Plan local = PlanLocally(fleet_[i]);
    EXPECT_EQ(plans[i].host(), fleet_[i].name);
    EXPECT_EQ(ChangesOf(plans[i]), ChangesOf(local)) << fleet_[i].name;
    EXPECT_EQ(TextsOf(plans[i].findings()), TextsOf(local.findings)) << fleet_[i].name;
    EXPECT_EQ(plans[i].state(), WorstOf(local.findings));
    EXPECT_EQ(plans[i].change_count(), local.edits.size());
    different.insert(fleet_[i].state.observation.SerializeAsString());
    different_plans.insert(absl::StrJoin(ChangesOf(local), "\n"));
  }
  EXPECT_THAT(different, SizeIs(kHosts)) << "the hosts do differ";
  EXPECT_GT(different_plans.size(), kHosts / 10);
}

TEST_F(FleetPlan, IsTheSameInOneAnswerAndEveryTime) {
  const std::vector<HostPlan> plans = PlanEach(Drafts());
  v1::PlanPoliciesRequest request = Drafts();
  std::reverse(request.mutable_policies()->begin(), request.mutable_policies()->end());
  request.set_summary_from(kHosts + 1);
  ASSERT_OK_AND_ASSIGN(const auto answer, PlanPolicies(*store_, request));
  EXPECT_FALSE(answer.summary());
  ASSERT_EQ(answer.hosts_size(), static_cast<int>(plans.size()));
  for (int i = 0; i < answer.hosts_size(); ++i) {
    EXPECT_EQ(answer.hosts(i).SerializeAsString(),
              plans[static_cast<std::size_t>(i)].SerializeAsString());
  }
}

TEST_F(FleetPlan, SumsUpWhatThePlansOfAllHostsSay) {
  v1::PlanPoliciesResponse expected;
  for (const HostPlan& plan : PlanEach(Drafts())) {
    ++(*expected.mutable_states())[std::string(StatusWord(plan.state()))];
    expected.set_changed_hosts(expected.changed_hosts() + (plan.changes().empty() ? 0 : 1));
    expected.set_restart_hosts(expected.restart_hosts() + (plan.restart() ? 1 : 0));
    expected.set_change_count(expected.change_count() +
                              static_cast<std::uint64_t>(plan.changes_size()));
    if (plan.changes().empty() || expected.hosts_size() == kHostsInSummary) continue;
    HostPlan& host = *expected.add_hosts();
    host = plan;
    host.clear_changes();
    host.clear_findings();
  }
  expected.set_host_count(kHosts);
  expected.set_summary(true);
  v1::PlanPoliciesRequest request = Drafts();
  request.set_summary_from(kHosts);
  ASSERT_OK_AND_ASSIGN(const auto summary, PlanPolicies(*store_, request));
  EXPECT_EQ(summary.DebugString(), expected.DebugString());
  EXPECT_EQ(summary.hosts_size(), kHostsInSummary);
  EXPECT_GE(summary.states_size(), 3) << "several states: " << summary.DebugString();
}

TEST_F(FleetPlan, IsOfOneHostWhenAsked) {
  v1::PlanPoliciesRequest request = Drafts();
  request.set_host(fleet_[7].name);
  const std::vector<HostPlan> plans = PlanEach(request);
  ASSERT_THAT(plans, SizeIs(1));
  EXPECT_EQ(plans[0].host(), fleet_[7].name);
  EXPECT_EQ(ChangesOf(plans[0]), ChangesOf(PlanLocally(fleet_[7])));
  request.set_host("nobody");
  EXPECT_THAT(PlanPolicies(*store_, request),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
}

// The host knows what Windows read at boot; the server has its word only.
TEST_F(FleetPlan, KeepsThatAHostWaitsForItsRestart) {
  SeededHost host = MakeSeededHost(kHosts + 1);
  const Plan local = PlanLocally(host);
  const auto settled = std::find_if(
      local.findings.begin(), local.findings.end(),
      [](const v1::Finding& finding) { return finding.status() == v1::STATUS_COMPLIANT; });
  ASSERT_NE(settled, local.findings.end()) << "take another number";
  host.state.findings = {*settled};
  host.state.findings[0].set_status(v1::STATUS_PENDING_REBOOT);
  host.state.findings[0].set_reason("it runs with none");
  ASSERT_THAT(AddSeededFleet(*store_, {host}, clock_.Now()), IsOk());
  v1::PlanPoliciesRequest request = Drafts();
  request.set_host(host.name);
  const std::vector<HostPlan> plans = PlanEach(request);
  ASSERT_THAT(plans, SizeIs(1));
  std::vector<v1::Finding> expected = local.findings;
  expected[static_cast<std::size_t>(settled - local.findings.begin())] = host.state.findings[0];
  EXPECT_EQ(TextsOf(plans[0].findings()), TextsOf(expected));
}

TEST_F(FleetPlan, EndsWhenItsReaderIsGone) {
  int seen = 0;
  EXPECT_THAT(PlanHosts(*store_, Drafts(),
                        [&](const HostPlan&) {
                          return ++seen == 3 ? absl::CancelledError("gone") : absl::OkStatus();
                        }),
              StatusIs(absl::StatusCode::kCancelled, HasSubstr("gone")));
  EXPECT_EQ(seen, 3);
}

TEST_F(FleetPlan, ChangesNotAByteOfTheStore) {
  const std::string file = ReadFile(temp_.File("store.db"));
  const std::string wal = ReadFile(temp_.File("store.db-wal"));
  ASSERT_FALSE(file.empty());
  ASSERT_FALSE(wal.empty());
  v1::ListAuditRequest all;
  all.set_limit(10'000);
  const std::size_t audited = store_->ListAudit(all)->size();
  EXPECT_THAT(PlanEach(Drafts()), SizeIs(kHosts));
  v1::PlanPoliciesRequest request = Drafts();
  request.set_summary_from(0);
  EXPECT_THAT(PlanPolicies(*store_, request), IsOk());
  EXPECT_TRUE(ReadFile(temp_.File("store.db")) == file);
  EXPECT_TRUE(ReadFile(temp_.File("store.db-wal")) == wal);
  EXPECT_THAT(*store_->ListAudit(all), SizeIs(audited));
  EXPECT_THAT(*store_->PoliciesInForce(), IsEmpty());
}

}  // namespace
}  // namespace dumpwarden
