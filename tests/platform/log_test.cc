// SPDX-License-Identifier: Apache-2.0
// Whatever a stranger sends, a log line stays one line of JSON, at most 16 KiB.
#include "platform/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace dumpwarden {
namespace {

std::string Line(absl::string_view message, const std::vector<LogField>& fields) {
  return FormatLogLine(absl::FromUnixMillis(1790000000123), "dumpwarden-server", LogLevel::kWarning,
                       message, fields);
}

TEST(Log, WritesOneObject) {
  EXPECT_EQ(Line("handshake refused", {{"why", "expired"}}),
            R"({"time":"2026-09-21T14:13:20.123Z","level":"warning","program":"dumpwarden-server",)"
            R"("message":"handshake refused","why":"expired"})");
}

TEST(Log, KeepsForeignTextInItsPlace) {
  const struct {
    std::string text;
    std::string read;
    const char* why;
  } kCases[] = {
      {"a\"b\\c", "a\"b\\c", "quotes and backslashes"},
      {"a\nb\tc\r", "a\nb\tc\r", "control characters come back, escaped"},
      {std::string("a\0b", 3), std::string("a\0b", 3), "NUL"},
      {"\x1b[31m", "\x1b[31m", "terminal escapes"},
      {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f", "UTF-8 stays"},
      {"\xff\xfe", "\xef\xbf\xbd\xef\xbf\xbd", "not UTF-8"},
      {"\xc3", "\xef\xbf\xbd", "cut UTF-8"},
      {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", "a surrogate"},
      {"\xf0\x9f\x92\xbe", "\xf0\x9f\x92\xbe", "four bytes"},
      {"\xe2\x80\xaex", "\xe2\x80\xaex", "right-to-left override, escaped"},
  };
  for (const auto& c : kCases) {
    const std::string line = Line("m", {{"text", c.text}});
    for (const char byte : line) EXPECT_GE(static_cast<unsigned char>(byte), 0x20) << c.why;
    EXPECT_EQ(line.find("\xe2\x80\xae"), std::string::npos) << c.why;
    EXPECT_EQ(nlohmann::json::parse(line)["text"], c.read) << c.why;
  }
}

TEST(Log, NeverPasses16KiB) {
  const std::string huge(100000, '\x01');
  std::vector<LogField> fields;
  for (int i = 0; i < 20; ++i) fields.push_back({"field" + std::to_string(i), huge});
  const std::string line = Line(huge, fields);
  EXPECT_LE(line.size(), kMaxLogLine);
  EXPECT_EQ(nlohmann::json::parse(line)["cut"], true);
}

}  // namespace
}  // namespace dumpwarden
