// SPDX-License-Identifier: Apache-2.0
#include "core/report/observation_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/catalog/catalog.h"
#include "core/policy/policy.h"
#include "core/reconcile/plan.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::IsEmpty;

HostContext Server2022() {
  HostContext host;
  host.registry = "reg:host.reg";
  host.facts.mutable_os()->set_build(20348);
  return host;
}

// Every cell of the table absent, but those of `setting`.
v1::Observation With(const Setting& setting, const std::vector<CellValue>& values) {
  v1::Observation observation;
  for (const Setting& row : AllSettings()) {
    for (std::size_t i = 0; i < CellCount(row); ++i) {
      v1::Cell& cell = *observation.add_cells();
      cell.set_key(std::string(row.cells[i].key));
      cell.set_name(std::string(row.cells[i].name));
      if (row.id != setting.id || !values[i]) continue;
      cell.set_present(true);
      cell.set_type(static_cast<std::uint32_t>(values[i]->type));
      cell.set_data(values[i]->data);
    }
  }
  return observation;
}

v1::Observation WithText(absl::string_view id, absl::string_view resolved) {
  const Setting& setting = *FindSetting(id);
  const auto cells = Encode(setting, resolved);
  EXPECT_TRUE(cells.ok()) << id << " " << resolved << cells.status();
  return With(setting, cells.value_or(std::vector<CellValue>(CellCount(setting))));
}

Plan PlanOf(const Policy& policy, const v1::Observation& observation, const v1::Facts& facts) {
  const PolicyInForce in_force{policy, 1};
  return MakePlan(Merge({&in_force, 1}, facts), observation, facts);
}

TEST(PolicyYaml, ReadsBackAndPlansNothingOnTheHostItCameFrom) {
  const struct {
    const char* setting;
    const char* value;
    const char* line;
  } cases[] = {
      {"dump.type", "kernel", "    dump.type: kernel\n"},
      {"dump.type", "active", "    dump.type: active\n"},
      {"dump.auto-reboot", "off", "    dump.auto-reboot: off\n"},
      {"dump.file", "D:\\It's here\\MEMORY.DMP", "    dump.file: 'D:\\It''s here\\MEMORY.DMP'\n"},
      {"dump.dedicated-file-size", "4GiB", "    dump.dedicated-file-size: 4GiB\n"},
      {"pagefile.files", "none", "    pagefile.files: none\n"},
      {"pagefile.files", "C:\\pagefile.sys 4096MiB 8192MiB",
       "    pagefile.files: [ { path: 'C:\\pagefile.sys', initial: 4GiB, maximum: 8GiB } ]\n"},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(c.value);
    const HostContext host = Server2022();
    const v1::Observation observation = WithText(c.setting, c.value);
    const std::string yaml = PolicyYaml(host, observation);
    EXPECT_THAT(yaml, HasSubstr(c.line));
    const absl::StatusOr<Policy> policy = ReadPolicy(yaml, "observed");
    ASSERT_THAT(policy, IsOk()) << yaml;
    EXPECT_THAT(PlanOf(*policy, observation, host.facts).edits, IsEmpty());
  }
}

TEST(PolicyYaml, AsksForMoreThanNothing) {
  const HostContext host = Server2022();
  const std::string yaml = PolicyYaml(host, WithText("dump.type", "kernel"));
  ASSERT_OK_AND_ASSIGN(const Policy policy, ReadPolicy(yaml, "observed"));
  const Plan plan = PlanOf(policy, WithText("dump.type", "small"), host.facts);
  ASSERT_EQ(plan.edits.size(), 1U);
  EXPECT_EQ(plan.edits[0].name, "CrashDumpEnabled");
}

TEST(PolicyYaml, LeavesOutWhatNoPolicyCanSay) {
  const v1::Observation observation = With(*FindSetting("dump.auto-reboot"), {DwordValue(5)});
  const std::string yaml = PolicyYaml(Server2022(), observation);
  EXPECT_THAT(yaml, HasSubstr("    # dump.auto-reboot: custom ("));
  ASSERT_OK_AND_ASSIGN(const Policy policy, ReadPolicy(yaml, "observed"));
  for (const DesiredValue& value : policy.settings) EXPECT_NE(value.setting, "dump.auto-reboot");
}

TEST(PolicyYaml, LeavesOutWhatThisWindowsIgnores) {
  const std::string yaml = PolicyYaml(Server2022(), WithText("nmi.crash", "on"));
  EXPECT_THAT(yaml, HasSubstr("    # nmi.crash: on ("));
  const std::string absent = PolicyYaml(Server2022(), WithText("dump.type", "kernel"));
  EXPECT_THAT(absent, HasSubstr("    # nmi.crash: unset (")) << "ignored as well";
}

TEST(PolicyYaml, KeepsHostileTextInsideItsComment) {
  HostContext host = Server2022();
  host.registry = "reg:x\n  settings: { dump.type: none }";
  v1::Observation observation = WithText("dump.type", "kernel");
  observation.mutable_cells(0)->set_error("boom\n    dump.type: none");
  EXPECT_THAT(ReadPolicy(PolicyYaml(host, observation), "observed"), IsOk());
}

TEST(Observation, ShowsSettingsAndRawCells) {
  const Json json =
      Json::parse(Render(Server2022(), WithText("dump.type", "kernel"), Format::kJson));
  EXPECT_EQ(json["host"]["os"]["build"], 20348);
  EXPECT_EQ(json["settings"].size(), AllSettings().size());
  bool found = false;
  for (const Json& cell : json["cells"]) {
    if (cell["name"] != "CrashDumpEnabled") continue;
    found = true;
    EXPECT_EQ(cell["type"], "REG_DWORD");
    EXPECT_EQ(cell["data"], 2);
  }
  EXPECT_TRUE(found);
}

TEST(Observation, SaysWhatCouldNotBeRead) {
  v1::Observation observation = WithText("dump.type", "kernel");
  for (v1::Cell& cell : *observation.mutable_cells()) cell.set_error("access denied");
  EXPECT_THAT(Render(Server2022(), observation, Format::kTable), HasSubstr("access denied"));
}

}  // namespace
}  // namespace dumpwarden
