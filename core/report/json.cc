// SPDX-License-Identifier: Apache-2.0
#include "core/report/json.h"

namespace dumpwarden {
namespace {

struct Converter {
  Json operator()(std::monostate) const { return nullptr; }
  template <typename T>
  Json operator()(const T& value) const {
    return value;
  }
};

std::string DumpWith(const Json& json, int indent) {
  constexpr bool kAscii = true;
  return json.dump(indent, ' ', kAscii, Json::error_handler_t::replace) + "\n";
}

Json RowToJson(const Table& table, const std::vector<Datum>& row) {
  Json object = Json::object();
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    object[table.columns[i].key] = ToJson(row[i]);
  }
  return object;
}

}  // namespace

Json ToJson(const Datum& datum) { return std::visit(Converter(), datum); }

Json ToJson(const Table& table) {
  Json array = Json::array();
  for (const std::vector<Datum>& row : table.rows) array.push_back(RowToJson(table, row));
  return array;
}

Json ToJson(const std::vector<Field>& fields) {
  Json object = Json::object();
  for (const Field& field : fields) object[field.name.key] = ToJson(field.value);
  return object;
}

Json ToJson(const Sheet& sheet) {
  Json object = ToJson(sheet.fields);
  for (const Sheet::Section& section : sheet.sections) {
    object[section.name.key] =
        std::visit([](const auto& content) { return ToJson(content); }, section.content);
  }
  return object;
}

std::string Dump(const Json& json) { return DumpWith(json, 2); }
std::string DumpOnLine(const Json& json) { return DumpWith(json, -1); }

std::string JsonLine(const Table& table, std::size_t row) {
  return DumpOnLine(RowToJson(table, table.rows[row]));
}

}  // namespace dumpwarden
