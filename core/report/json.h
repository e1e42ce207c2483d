// SPDX-License-Identifier: Apache-2.0
// How everything in this folder becomes JSON: ASCII, two spaces, keys in the
// order they were set; bytes that are not UTF-8 become U+FFFD and never throw.
#ifndef DUMPWARDEN_CORE_REPORT_JSON_H_
#define DUMPWARDEN_CORE_REPORT_JSON_H_

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/report/table.h"

namespace dumpwarden {

using Json = nlohmann::ordered_json;

Json ToJson(const Datum& datum);
Json ToJson(const Table& table);
Json ToJson(const std::vector<Field>& fields);
Json ToJson(const Sheet& sheet);
std::string Dump(const Json& json);        // with a line end
std::string DumpOnLine(const Json& json);  // the same on one line
std::string JsonLine(const Table& table, std::size_t row);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_JSON_H_
