// SPDX-License-Identifier: Apache-2.0
#include "core/report/table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/report/csv.h"
#include "core/report/json.h"

namespace dumpwarden {
namespace {

struct Writer {
  std::string operator()(std::monostate) const { return "<none>"; }
  std::string operator()(bool value) const { return value ? "yes" : "no"; }
  std::string operator()(const std::string& value) const { return Printable(value); }
  std::string operator()(const std::vector<std::string>& value) const {
    const auto item = [](std::string* out, const std::string& text) {
      out->append(Printable(text));
    };
    return absl::StrJoin(value, ", ", item);
  }
  std::string operator()(const std::map<std::string, std::string>& value) const {
    const auto pair = [](std::string* out, const auto& entry) {
      absl::StrAppend(out, Printable(entry.first), "=", Printable(entry.second));
    };
    return absl::StrJoin(value, ",", pair);
  }
  template <typename Number>
  std::string operator()(Number value) const {
    return absl::StrCat(value);
  }
};

// Characters, not bytes: everything but UTF-8 continuation bytes.
std::size_t Width(absl::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

using Lines = std::vector<std::vector<std::string>>;

std::vector<std::size_t> WidthsOf(const Lines& lines) {
  std::vector<std::size_t> widths;
  for (const std::vector<std::string>& line : lines) {
    widths.resize(std::max(widths.size(), line.size()));
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], Width(line[i]));
  }
  return widths;
}

std::string Aligned(const Lines& lines) {
  const std::vector<std::size_t> widths = WidthsOf(lines);
  std::string out;
  for (const std::vector<std::string>& line : lines) {
    std::string row;
    for (std::size_t i = 0; i < line.size(); ++i) {
      absl::StrAppend(&row, line[i], std::string(widths[i] - Width(line[i]) + 2, ' '));
    }
    row.erase(row.find_last_not_of(' ') + 1);
    absl::StrAppend(&out, row, "\n");
  }
  return out;
}

std::vector<std::string> Texts(const std::vector<Datum>& row) {
  std::vector<std::string> texts;
  for (const Datum& datum : row) texts.push_back(Text(datum));
  return texts;
}

std::string ToText(const Table& table) {
  Lines lines(1);
  for (const Column& column : table.columns) lines[0].push_back(column.heading);
  for (const std::vector<Datum>& row : table.rows) lines.push_back(Texts(row));
  return Aligned(lines);
}

std::string ToText(const std::vector<Field>& fields) {
  Lines lines;
  for (const Field& field : fields) {
    lines.push_back({absl::StrCat(field.name.heading, ":"), Text(field.value)});
  }
  return Aligned(lines);
}

bool IsEmpty(const Table& table) { return table.rows.empty(); }
bool IsEmpty(const std::vector<Field>& fields) { return fields.empty(); }

// "" when there is nothing to show.
std::string ToText(const Sheet::Section& section) {
  return std::visit(
      [&](const auto& content) {
        return IsEmpty(content) ? std::string()
                                : absl::StrCat(section.name.heading, "\n", ToText(content));
      },
      section.content);
}

std::string ToText(const Sheet& sheet) {
  std::string out = ToText(sheet.fields);
  for (const Sheet::Section& section : sheet.sections) {
    const std::string text = ToText(section);
    if (!text.empty()) absl::StrAppend(&out, out.empty() ? "" : "\n", text);
  }
  return out;
}

std::string ToCsv(const Table& table) {
  std::string out = CsvHeader(table);
  for (const std::vector<Datum>& row : table.rows) out += CsvRow(row);
  return out;
}

std::string ToCsv(const Sheet& sheet) {
  for (const Sheet::Section& section : sheet.sections) {
    if (const Table* table = std::get_if<Table>(&section.content)) return ToCsv(*table);
  }
  return "";
}

}  // namespace

std::string Text(const Datum& datum) { return std::visit(Writer(), datum); }

std::string Render(const Table& table, Format format) {
  switch (format) {
    case Format::kTable:
      return ToText(table);
    case Format::kJson:
      return Dump(ToJson(table));
    case Format::kCsv:
      return ToCsv(table);
  }
  return "";
}

std::string Render(const Sheet& sheet, Format format) {
  switch (format) {
    case Format::kTable:
      return ToText(sheet);
    case Format::kJson:
      return Dump(ToJson(sheet));
    case Format::kCsv:
      return ToCsv(sheet);
  }
  return "";
}

std::string RenderRow(const Table& table, std::size_t row, Format format) {
  switch (format) {
    case Format::kTable:
      return absl::StrCat(absl::StrJoin(Texts(table.rows[row]), "  "), "\n");
    case Format::kJson:
      return JsonLine(table, row);
    case Format::kCsv:
      return CsvRow(table.rows[row]);
  }
  return "";
}

}  // namespace dumpwarden
