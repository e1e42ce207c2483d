// SPDX-License-Identifier: Apache-2.0
#include "core/report/fleet_plan_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/report/plan_report.h"

namespace dumpwarden {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;

constexpr char kKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

std::vector<Edit> MakeEdits() {
  return {
      {Edit::Action::kDelete, "dump.type", kKey, "FilterPages", DwordValue(1), std::nullopt},
      {Edit::Action::kMakeFolder, "dump.file", "D:\\Dumps", "", std::nullopt, std::nullopt},
      {Edit::Action::kSet, "dump.type", kKey, "CrashDumpEnabled", DwordValue(7), DwordValue(1)},
      {Edit::Action::kSet, "dump.file", kKey, "DumpFile", std::nullopt, ExpandSzValue("D:\\M.DMP")},
      {Edit::Action::kSet, "pagefile.files", kKey, "PagingFiles",
       RegistryValue{RegType::kBinary, "\x01\xff"}, MultiSzValue({"a", "b"})},
  };
}

void SetCell(const std::optional<RegistryValue>& value, v1::Cell& cell) {
  cell.set_present(value.has_value());
  if (!value) return;
  cell.set_type(static_cast<std::uint32_t>(value->type));
  cell.set_data(value->data);
}

// The edits as a server sends them.
v1::PlanPoliciesResponse MakeAnswer() {
  v1::PlanPoliciesResponse answer;
  auto& host = *answer.add_hosts();
  host.set_host("web-01");
  host.set_id("0b3f");
  host.set_state(v1::STATUS_DRIFTED);
  host.set_restart(true);
  for (const Edit& edit : MakeEdits()) {
    v1::PlannedChange& change = *host.add_changes();
    change.set_setting(edit.setting);
    change.set_action(std::string(ActionWord(edit.action)));
    change.set_key(edit.key);
    change.set_name(edit.name);
    SetCell(edit.from, *change.mutable_before());
    SetCell(edit.to, *change.mutable_after());
  }
  v1::Finding& finding = *host.add_findings();
  finding.set_setting("dump.type");
  finding.set_status(v1::STATUS_DRIFTED);
  answer.add_hosts()->set_host("silent");
  return answer;
}

TEST(FleetPlanReport, PrintsTheChangesOfAHostAsItsAgentDoes) {
  PlanReport agents;
  agents.plan.edits = MakeEdits();
  agents.plan.findings = {MakeAnswer().hosts(0).findings(0)};
  const Json agent = Json::parse(Render(agents, Format::kJson));
  const Json fleet = Json::parse(Render(MakeAnswer(), Format::kJson));
  EXPECT_EQ(fleet["hosts"][0]["changes"], agent["changes"]);
  EXPECT_EQ(fleet["hosts"][0]["findings"], agent["findings"]);
  EXPECT_EQ(fleet["hosts"][0]["changes"][2],
            Json::parse(R"({"setting": "dump.type", "name": "CrashDumpEnabled", "action": "set",
                "key": "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl",
                "type": "REG_DWORD", "from": 7, "to": 1})"));
}

TEST(FleetPlanReport, NamesEveryHostEvenOneThatNeverReported) {
  const Json fleet = Json::parse(Render(MakeAnswer(), Format::kJson));
  ASSERT_EQ(fleet["hosts"].size(), 2U);
  EXPECT_EQ(fleet["hosts"][0]["id"], "0b3f");
  EXPECT_EQ(fleet["hosts"][0]["state"], "drifted");
  EXPECT_EQ(fleet["hosts"][0]["restart"], true);
  EXPECT_EQ(fleet["hosts"][1]["state"], "unknown");
  EXPECT_EQ(fleet["hosts"][1]["changes"], Json::array());
}

v1::PlanPoliciesResponse MakeSummary() {
  v1::PlanPoliciesResponse summary;
  summary.set_summary(true);
  summary.set_host_count(9'000);
  summary.set_changed_hosts(4'000);
  summary.set_restart_hosts(3'000);
  summary.set_change_count(17'000);
  const std::pair<const char*, std::uint32_t> kStates[] = {
      {"unknown", 7}, {"compliant", 4'993}, {"error", 1}, {"drifted", 3'999}};
  for (const auto& [word, hosts] : kStates) (*summary.mutable_states())[word] = hosts;
  auto& host = *summary.add_hosts();
  host.set_host("web-01");
  host.set_state(v1::STATUS_DRIFTED);
  host.set_change_count(5);
  host.set_restart(true);
  return summary;
}

TEST(FleetPlanReport, SumsUpTheWorstStateFirst) {
  EXPECT_EQ(Json::parse(Render(MakeSummary(), Format::kJson)), Json::parse(R"({
      "host_count": 9000, "changed_hosts": 4000, "restart_hosts": 3000, "change_count": 17000,
      "states": [{"state": "error", "hosts": 1}, {"state": "drifted", "hosts": 3999},
                 {"state": "compliant", "hosts": 4993}, {"state": "unknown", "hosts": 7}],
      "hosts": [{"host": "web-01", "state": "drifted", "changes": 5, "restart": true}]})"));
  EXPECT_EQ(Render(MakeSummary(), Format::kCsv),
            "state,hosts\r\nerror,1\r\ndrifted,3999\r\ncompliant,4993\r\nunknown,7\r\n");
  EXPECT_THAT(Render(MakeSummary(), Format::kTable), HasSubstr("With a restart:  3000\n"));
}

TEST(FleetPlanReport, HasALineAChangeInCsv) {
  const std::string csv = Render(MakeAnswer(), Format::kCsv);
  EXPECT_THAT(csv, HasSubstr("host,setting,action,from,to,key,name\r\n"));
  EXPECT_THAT(csv, HasSubstr("web-01,dump.type,delete,1,absent,"));
  EXPECT_THAT(csv, HasSubstr("web-01,dump.file,mkdir,,,D:\\Dumps,\r\n"));
}

}  // namespace
}  // namespace dumpwarden
