// SPDX-License-Identifier: Apache-2.0
// What a program has to say, as one value that is rendered as aligned text,
// JSON or CSV.  Text from hosts is data: no rendering lets a control character
// reach a terminal, or a formula reach a spreadsheet.
#ifndef DUMPWARDEN_CORE_REPORT_TABLE_H_
#define DUMPWARDEN_CORE_REPORT_TABLE_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/string_view.h"

namespace dumpwarden {

// One thing in a cell.  The first alternative is "not there": null in JSON, empty in CSV,
// <none> in text.
using Datum = std::variant<std::monostate, bool, std::int64_t, std::uint64_t, std::string,
                           std::vector<std::string>, std::map<std::string, std::string>>;

// A Table has a name for each column: `key` for programs, `heading` for people.
struct Column {
  std::string key;
  std::string heading;
};

struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Datum>> rows;  // each as long as `columns`
};

struct Field {
  Column name;
  Datum value;
};

// A Sheet is named groups of fields and named tables: one host, one plan.
struct Sheet {
  struct Section {
    Column name;
    std::variant<std::vector<Field>, Table> content;
  };
  std::vector<Field> fields;
  std::vector<Section> sections;  // CSV is the first table of them
};

enum class Format { kTable, kJson, kCsv };

// With a line end after the last line.  JSON is ASCII (other characters as \u....): an array of
// objects for a Table, an object for a Sheet.  CSV is RFC 4180 with a header.
std::string Render(const Table& table, Format format);
std::string Render(const Sheet& sheet, Format format);
// One row as a line: JSON without line breaks, CSV and text without a header.
std::string RenderRow(const Table& table, std::size_t row, Format format);

// A datum as one line of text, safe to print.
std::string Text(const Datum& datum);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_TABLE_H_
