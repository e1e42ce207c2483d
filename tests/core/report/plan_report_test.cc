// SPDX-License-Identifier: Apache-2.0
#include "core/report/plan_report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/report/findings.h"
#include "core/report/registry_data.h"

namespace dumpwarden {
namespace {

using Json = nlohmann::json;
using testing::HasSubstr;
using testing::Not;

constexpr char kKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

v1::Finding MakeFinding(const std::string& setting, v1::Status status) {
  v1::Finding finding;
  finding.set_setting(setting);
  finding.set_status(status);
  finding.set_mode(v1::MODE_ENFORCE);
  finding.set_desired("complete");
  finding.set_configured("active");
  finding.set_policy("sql");
  finding.set_reason("differs");
  return finding;
}

PlanReport MakeReport() {
  PlanReport report;
  report.host.registry = "reg:host.reg";
  report.host.facts.mutable_os()->set_build(20348);
  report.plan.edits = {
      {Edit::Action::kDelete, "dump.type", kKey, "FilterPages", DwordValue(1), std::nullopt},
      {Edit::Action::kMakeFolder, "dump.file", "D:\\Dumps", "", std::nullopt, std::nullopt},
      {Edit::Action::kSet, "dump.type", kKey, "CrashDumpEnabled", DwordValue(7), DwordValue(1)},
      {Edit::Action::kSet, "dump.file", kKey, "DumpFile", std::nullopt,
       ExpandSzValue("D:\\Dumps\\MEMORY.DMP")},
  };
  report.plan.findings = {MakeFinding("dump.file", v1::STATUS_COMPLIANT),
                          MakeFinding("dump.type", v1::STATUS_DRIFTED)};
  return report;
}

TEST(PlanReport, HasExactlyTheJsonOfTheDesign) {
  EXPECT_EQ(Json::parse(Render(MakeReport(), Format::kJson)), Json::parse(R"({
    "host": {"registry": "reg:host.reg", "os": {"build": 20348}, "warnings": [],
             "state": "drifted"},
    "changes": [
      {"setting": "dump.type", "key": "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl",
       "name": "FilterPages", "action": "delete", "type": "REG_DWORD", "from": 1, "to": null},
      {"setting": "dump.file", "key": "D:\\Dumps", "name": null, "action": "mkdir", "type": null,
       "from": null, "to": null},
      {"setting": "dump.type", "key": "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl",
       "name": "CrashDumpEnabled", "action": "set", "type": "REG_DWORD", "from": 7, "to": 1},
      {"setting": "dump.file", "key": "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl",
       "name": "DumpFile", "action": "set", "type": "REG_EXPAND_SZ", "from": null,
       "to": "D:\\Dumps\\MEMORY.DMP"}],
    "findings": [
      {"setting": "dump.file", "status": "compliant", "desired": "complete",
       "configured": "active", "policy": "sql", "reason": "differs", "mode": "enforce"},
      {"setting": "dump.type", "status": "drifted", "desired": "complete",
       "configured": "active", "policy": "sql", "reason": "differs", "mode": "enforce"}]})"));
}

TEST(PlanReport, NamesTheBackupOnlyOfAnApply) {
  PlanReport report = MakeReport();
  EXPECT_FALSE(Json::parse(Render(report, Format::kJson)).contains("backup"));
  report.backup = "";
  EXPECT_EQ(Json::parse(Render(report, Format::kJson))["backup"], nullptr);
  report.backup = "x/backup.reg";
  EXPECT_EQ(Json::parse(Render(report, Format::kJson))["backup"], "x/backup.reg");
}

TEST(PlanReport, ReadsLikeADiffAsText) {
  const std::string text = Render(MakeReport(), Format::kTable);
  EXPECT_THAT(text, HasSubstr("Changes to make:  4\n"));
  EXPECT_THAT(text, HasSubstr("\n-  dump.type  1 -> absent "));
  EXPECT_THAT(text, HasSubstr("\n+  dump.file  new folder "));
  EXPECT_THAT(text, HasSubstr("\n~  dump.type  7 -> 1 "));
  EXPECT_THAT(text, Not(HasSubstr(" \n"))) << "trailing space";
}

TEST(PlanReport, CountsTheSameInEveryFormat) {
  const PlanReport report = MakeReport();
  const Json json = Json::parse(Render(report, Format::kJson));
  const std::string csv = Render(report, Format::kCsv);
  EXPECT_EQ(json["changes"].size(), 4U);
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 5);
  EXPECT_THAT(Render(report, Format::kTable), HasSubstr("Changes to make:  4\n"));
}

TEST(PlanReport, SurvivesTextThatIsNotText) {
  PlanReport report = MakeReport();
  report.host.warnings = {"\xff\x1b[2J"};
  report.plan.findings[0].set_reason("\xed\xa0\x80\x1b]0;x\x07");
  report.plan.edits[0].from = RegistryValue{RegType::kSz, std::string("\x00\xd8", 2)};
  for (const Format format : {Format::kTable, Format::kJson, Format::kCsv}) {
    EXPECT_THAT(Render(report, format), Not(HasSubstr("\x1b")));
  }
}

TEST(RegistryData, IsWhatTheDesignSaysForEachType) {
  const std::string qword("\x01\0\0\0\x01\0\0\0", 8);
  const struct {
    std::optional<RegistryValue> value;
    Datum datum;
    const char* why;
  } cases[] = {
      {std::nullopt, std::monostate(), "absent is null"},
      {DwordValue(4294967295U), std::uint64_t{4294967295U}, "unsigned"},
      {RegistryValue{RegType::kQword, qword}, std::uint64_t{0x100000001U}, "little-endian"},
      {RegistryValue{RegType::kQword, "\x01"}, std::string("01"), "a QWORD of one byte"},
      {RegistryValue{RegType::kDword, "\x01"}, std::string("01"), "a DWORD of one byte"},
      {SzValue("D:\\x"), std::string("D:\\x"), "text"},
      {RegistryValue{RegType::kSz, std::string("\x00\xd8", 2)}, std::string("00d8"),
       "a lone surrogate"},
      {RegistryValue{RegType::kSz, "abc"}, std::string("616263"), "half a UTF-16 unit"},
      {MultiSzValue({"a", "b"}), std::vector<std::string>{"a", "b"}, "array"},
      {MultiSzValue({}), std::vector<std::string>{}, "an empty list is not null"},
      {RegistryValue{RegType::kBinary, "\xAB\xCD"}, std::string("abcd"), "lower-case"},
      {RegistryValue{static_cast<RegType>(0x63), "\x01"}, std::string("01"), "unknown type"},
  };
  for (const auto& c : cases) EXPECT_EQ(RegistryData(c.value), c.datum) << c.why;
}

}  // namespace
}  // namespace dumpwarden
