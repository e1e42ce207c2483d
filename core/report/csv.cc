// SPDX-License-Identifier: Apache-2.0
#include "core/report/csv.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kStartsFormula = "=+-@\t\r";

bool IsNumber(const Datum& datum) {
  return std::holds_alternative<std::int64_t>(datum) ||
         std::holds_alternative<std::uint64_t>(datum);
}

// Looks at the text before Text() escaped a leading TAB or CR.
bool StartsFormula(const Datum& datum, absl::string_view text) {
  if (const auto* raw = std::get_if<std::string>(&datum)) text = *raw;
  return !text.empty() && absl::StrContains(kStartsFormula, text[0]);
}

std::string Quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

std::string CsvField(const Datum& datum) {
  if (std::holds_alternative<std::monostate>(datum)) return "";
  const std::string text = Text(datum);
  if (IsNumber(datum)) return text;
  return Quoted(StartsFormula(datum, text) ? absl::StrCat("'", text) : text);
}

}  // namespace

std::string CsvHeader(const Table& table) {
  const auto key = [](std::string* out, const Column& column) { out->append(column.key); };
  return absl::StrCat(absl::StrJoin(table.columns, ",", key), "\r\n");
}

std::string CsvRow(const std::vector<Datum>& row) {
  const auto field = [](std::string* out, const Datum& datum) { out->append(CsvField(datum)); };
  return absl::StrCat(absl::StrJoin(row, ",", field), "\r\n");
}

}  // namespace dumpwarden
