// SPDX-License-Identifier: Apache-2.0
#include "core/report/observation_report.h"

#include "absl/strings/str_cat.h"
#include "core/reconcile/observe.h"
#include "core/report/host_json.h"
#include "core/report/registry_data.h"

namespace dumpwarden {
namespace {

std::vector<Datum> SettingRow(const Setting& setting, const HostContext& host,
                              const v1::Observation& observation) {
  const ObservedCells cells = CellsOf(setting, observation);
  if (!cells.error.empty()) {
    return {std::string(setting.id), std::monostate(), cells.error};
  }
  const std::uint32_t build = host.facts.os().build();
  const std::string configured = Describe(setting, cells.values, build);
  return {std::string(setting.id), configured, WhyIgnored(setting, configured, build)};
}

Table SettingTable(const HostContext& host, const v1::Observation& observation) {
  Table table{{{"setting", "SETTING"}, {"configured", "CONFIGURED"}, {"note", "NOTE"}}, {}};
  for (const Setting& setting : AllSettings()) {
    table.rows.push_back(SettingRow(setting, host, observation));
  }
  return table;
}

std::optional<RegistryValue> ValueOf(const v1::Cell& cell) {
  if (!cell.present()) return std::nullopt;
  return RegistryValue{static_cast<RegType>(cell.type()), cell.data()};
}

Datum TypeOf(const v1::Cell& cell) {
  if (!cell.present()) return std::monostate();
  return TypeName(static_cast<RegType>(cell.type()));
}

Table CellTable(const v1::Observation& observation) {
  Table table{
      {{"key", "KEY"}, {"name", "NAME"}, {"type", "TYPE"}, {"data", "DATA"}, {"error", "ERROR"}},
      {}};
  for (const v1::Cell& cell : observation.cells()) {
    const Datum error = cell.error().empty() ? Datum() : Datum(cell.error());
    table.rows.push_back(
        {cell.key(), cell.name(), TypeOf(cell), RegistryData(ValueOf(cell)), error});
  }
  return table;
}

}  // namespace

std::string Render(const HostContext& host, const v1::Observation& observation, Format format) {
  const Table settings = SettingTable(host, observation);
  if (format != Format::kJson) return Render(settings, format);
  Json json = Json::object();
  json["host"] = HostToJson(host);
  json["settings"] = ToJson(settings);
  json["cells"] = ToJson(CellTable(observation));
  return Dump(json);
}

}  // namespace dumpwarden
