// SPDX-License-Identifier: Apache-2.0
// Golden plans: one file a case under tests/golden/plan, which holds policies,
// facts, registry and folders as they are, and the plan and findings expected.
// DUMPWARDEN_UPDATE_GOLDEN=1 writes what comes out into the files; read the diff.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "core/policy/facts.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/plan.h"
#include "core/reconcile/status.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

struct Section {
  std::string name;  // policy facts registry at-boot folders plan findings
  std::string text;
};

struct Case {
  std::string head;  // what the case shows
  std::vector<Section> sections;
  std::string Text(absl::string_view name) const {
    for (const Section& section : sections) {
      if (section.name == name) return section.text;
    }
    return "";
  }
};

Case ReadCase(const std::filesystem::path& path) {
  std::ifstream file(path);
  Case c;
  for (std::string line; std::getline(file, line);) {
    if (absl::StartsWith(line, "--- ")) {
      c.sections.push_back({line.substr(4), ""});
    } else {
      absl::StrAppend(c.sections.empty() ? &c.head : &c.sections.back().text, line, "\n");
    }
  }
  return c;
}

std::vector<std::string> LinesOf(absl::string_view text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

const CellName* FindCell(absl::string_view name) {
  for (const Setting& row : AllSettings()) {
    for (const CellName& cell : row.cells) {
      if (!name.empty() && cell.name == name) return &cell;
    }
  }
  return nullptr;
}

// dword 7 | sz TEXT | expand TEXT | multi A | B | hex 0102
RegistryValue ValueOf(absl::string_view type, absl::string_view text) {
  std::uint32_t number = 0;
  if (type == "dword" && absl::SimpleAtoi(text, &number)) return DwordValue(number);
  if (type == "sz") return SzValue(text);
  if (type == "expand") return ExpandSzValue(text);
  if (type == "multi") return MultiSzValue(absl::StrSplit(text, " | ", absl::SkipEmpty()));
  if (type == "hex") return {RegType::kBinary, absl::HexStringToBytes(text)};
  ADD_FAILURE() << "registry line of unknown type: " << type << " " << text;
  return {};
}

void FillRegistry(absl::string_view text, FakeRegistry& registry) {
  for (const std::string& line : LinesOf(text)) {
    const std::vector<std::string> words = absl::StrSplit(line, absl::MaxSplits(' ', 2));
    const CellName* cell = FindCell(words[0]);
    ASSERT_NE(cell, nullptr) << "no row has the cell " << line;
    const std::string rest = words.size() > 2 ? words[2] : "";
    if (words[1] == "unreadable") {
      registry.MakeUnreadable(cell->key, cell->name, absl::PermissionDeniedError(rest));
    } else {
      registry.Set(cell->key, cell->name, ValueOf(words[1], rest));
    }
  }
}

// A line a folder: `D:\Dumps`; a drive alone can be looked at and holds nothing else.
void FillFolders(absl::string_view text, FakeFolders& folders) {
  for (const std::string& line : LinesOf(text)) {
    folders.AddDrive(line.substr(0, 3));
    if (line.size() > 3) folders.AddFolder(line);
  }
}

std::string ValueText(const CellValue& value) { return value ? ToText(*value) : "absent"; }

std::string PlanText(const Plan& plan) {
  std::string text;
  for (const Edit& edit : plan.edits) {
    absl::StrAppend(&text, ActionWord(edit.action), " ", edit.setting, " ",
                    edit.name.empty() ? edit.key : edit.name);
    if (edit.action != Edit::Action::kMakeFolder) {
      absl::StrAppend(&text, ": ", ValueText(edit.from), " -> ", ValueText(edit.to));
      if (edit.to) absl::StrAppend(&text, " ", TypeName(edit.to->type));
    }
    absl::StrAppend(&text, "\n");
  }
  return text;
}

std::string FindingsText(const Plan& plan) {
  std::string text;
  for (const v1::Finding& finding : plan.findings) {
    absl::StrAppend(&text, ModeWord(finding.mode()), " ", finding.setting(), " ",
                    StatusWord(finding.status()), "\n  desired: ", finding.desired(),
                    "\n  configured: ", finding.configured(), "\n  policy: ", finding.policy(),
                    "\n");
    if (!finding.reason().empty()) absl::StrAppend(&text, "  reason: ", finding.reason(), "\n");
  }
  return text;
}

void CarryOut(const Plan& plan, FakeRegistry& registry, FakeFolders& folders) {
  for (const Edit& edit : plan.edits) {
    if (edit.action == Edit::Action::kMakeFolder) {
      EXPECT_THAT(folders.Make(edit.key), IsOk());
    } else if (edit.to) {
      registry.Set(edit.key, edit.name, *edit.to);
    } else {
      registry.Unset(edit.key, edit.name);
    }
  }
}

Desired DesiredOf(const Case& c, const v1::Facts& facts) {
  std::vector<PolicyInForce> policies;
  for (const Section& section : c.sections) {
    if (section.name != "policy") continue;
    auto policy = ReadPolicy(section.text, "policy.yaml", UnknownSettings::kKeep);
    EXPECT_THAT(policy, IsOk());
    if (policy.ok()) policies.push_back({*std::move(policy), 1});
  }
  return Merge(policies, facts);
}

std::string Spelled(const Case& c) {
  std::string text = c.head;
  for (const Section& section : c.sections) {
    absl::StrAppend(&text, "--- ", section.name, "\n", section.text);
  }
  return text;
}

void Update(const std::filesystem::path& path, Case c, const Plan& plan) {
  for (Section& section : c.sections) {
    if (section.name == "plan") section.text = PlanText(plan);
    if (section.name == "findings") section.text = FindingsText(plan);
  }
  std::ofstream(path) << Spelled(c);
}

class PlanGolden : public testing::TestWithParam<std::filesystem::path> {};

TEST_P(PlanGolden, IsAsWritten) {
  const Case c = ReadCase(GetParam());
  ASSERT_OK_AND_ASSIGN(const v1::Facts facts, ReadFacts(c.Text("facts"), "facts.yaml"));
  const Desired desired = DesiredOf(c, facts);
  FakeRegistry registry;
  FakeFolders folders;
  FillRegistry(c.Text("registry"), registry);
  FillFolders(c.Text("folders"), folders);
  std::optional<v1::Observation> at_boot;
  if (!c.Text("at-boot").empty()) {
    FakeRegistry then;
    FillRegistry(c.Text("at-boot"), then);
    at_boot = Observe(then, folders, desired, facts);
  }
  const v1::Observation* boot = at_boot ? &*at_boot : nullptr;
  const Plan plan = MakePlan(desired, Observe(registry, folders, desired, facts), facts, boot);
  EXPECT_TRUE(registry.log().empty()) << "a plan writes nothing";
  if (std::getenv("DUMPWARDEN_UPDATE_GOLDEN") != nullptr) return Update(GetParam(), c, plan);
  EXPECT_EQ(PlanText(plan), c.Text("plan")) << c.head;
  EXPECT_EQ(FindingsText(plan), c.Text("findings")) << c.head;

  CarryOut(plan, registry, folders);
  const Plan again = MakePlan(desired, Observe(registry, folders, desired, facts), facts, boot);
  EXPECT_EQ(PlanText(again), "") << "a second apply writes nothing";
}

std::vector<std::filesystem::path> CaseFiles() {
  std::vector<std::filesystem::path> files;
  for (const auto& entry :
       std::filesystem::directory_iterator(DUMPWARDEN_SOURCE_DIR "/tests/golden/plan")) {
    if (entry.path().extension() == ".test") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  return files;
}

INSTANTIATE_TEST_SUITE_P(Files, PlanGolden, testing::ValuesIn(CaseFiles()), [](const auto& info) {
  return absl::StrReplaceAll(info.param.stem().string(), {{"-", "_"}});
});

}  // namespace
}  // namespace dumpwarden
