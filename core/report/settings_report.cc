// SPDX-License-Identifier: Apache-2.0
#include "core/report/settings_report.h"

#include "absl/strings/str_cat.h"
#include "core/catalog/catalog.h"

namespace dumpwarden {
namespace {

std::string EffectWord(Effect effect) {
  switch (effect) {
    case Effect::kImmediate:
      return "immediate";
    case Effect::kNextBoot:
      return "next-boot";
    case Effect::kNextBootIfCreated:
      return "next-boot-if-created";
  }
  return "";
}

// "kernel; automatic from build 9200"; not there when absent means nothing else.
Datum Default(const Setting& setting) {
  std::string text;
  for (const Fallback& fallback : setting.fallback) {
    if (fallback.value.empty()) continue;
    absl::StrAppend(&text, text.empty() ? "" : "; ", fallback.value);
    if (fallback.min_build != 0) absl::StrAppend(&text, " from build ", fallback.min_build);
  }
  if (text.empty()) return std::monostate();
  return text;
}

Datum BuildsOf(const Setting& setting) {
  const Builds& builds = setting.builds;
  if (builds.min == 0 && builds.below == 0) return std::monostate();
  std::string text;
  if (builds.min != 0) absl::StrAppend(&text, "from ", builds.min);
  if (builds.below != 0) absl::StrAppend(&text, text.empty() ? "" : " ", "below ", builds.below);
  return text;
}

Table CellTable(const Setting& setting) {
  Table table{{{"key", "KEY"}, {"name", "NAME"}, {"type", "TYPE"}}, {}};
  for (std::size_t i = 0; i < CellCount(setting); ++i) {
    const CellName& cell = setting.cells[i];
    table.rows.push_back({std::string(cell.key), std::string(cell.name), TypeName(cell.type)});
  }
  return table;
}

std::vector<Field> Fields(const Setting& setting) {
  return {{{"id", "SETTING"}, std::string(setting.id)},
          {{"default", "DEFAULT"}, Default(setting)},
          {{"effective", "EFFECTIVE"}, EffectWord(setting.effective)},
          {{"builds", "BUILDS"}, BuildsOf(setting)},
          {{"summary", "SUMMARY"}, std::string(setting.summary)},
          {{"accepts", "ACCEPTS"}, Accepts(setting)}};
}

}  // namespace

Table SettingsTable() {
  Table table;
  for (const Setting& setting : AllSettings()) {
    std::vector<Field> fields = Fields(setting);
    table.rows.emplace_back();
    if (table.columns.empty()) {
      for (const Field& field : fields) table.columns.push_back(field.name);
    }
    for (Field& field : fields) table.rows.back().push_back(std::move(field.value));
  }
  return table;
}

Sheet SettingSheet(const Setting& setting) {
  Sheet sheet;
  sheet.fields = Fields(setting);
  sheet.fields.push_back({{"source", "SOURCE"}, std::string(setting.source)});
  sheet.sections = {{{"cells", "Cells"}, CellTable(setting)}};
  return sheet;
}

}  // namespace dumpwarden
