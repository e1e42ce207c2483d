// SPDX-License-Identifier: Apache-2.0
#include "platform/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxValue = 4 * 1024;  // escaped
constexpr absl::string_view kCut = ",\"cut\":true";

const char* LevelWord(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

// Bytes of the UTF-8 sequence that `text` begins with, 0 when it is not one.
// Overlong forms, surrogates and what lies beyond U+10FFFF are not.
std::size_t SequenceLength(absl::string_view text, std::uint32_t& code) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const std::size_t length = byte(0) < 0x80                       ? 1
                             : byte(0) >= 0xC2 && byte(0) < 0xE0  ? 2
                             : (byte(0) & 0xF0) == 0xE0           ? 3
                             : byte(0) >= 0xF0 && byte(0) <= 0xF4 ? 4
                                                                  : 0;
  if (length == 0 || text.size() < length) return 0;
  code = length == 1 ? byte(0) : byte(0) & (0xFFu >> (length + 1));
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3Fu);
  }
  const bool overlong = (length == 3 && code < 0x800) || (length == 4 && code < 0x10000);
  const bool surrogate = code >= 0xD800 && code <= 0xDFFF;
  return overlong || surrogate || code > 0x10FFFF ? 0 : length;
}

// Control characters, and the bidirectional ones that reorder a terminal's line.
bool IsUnsafe(std::uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code <= 0x9F) || code == 0x061C ||
         (code >= 0x200E && code <= 0x200F) || (code >= 0x2028 && code <= 0x202E) ||
         (code >= 0x2066 && code <= 0x2069);
}

std::string Escaped(absl::string_view text) {
  std::string out;
  while (!text.empty() && out.size() < kMaxValue) {
    std::uint32_t code = 0;
    const std::size_t length = SequenceLength(text, code);
    if (length == 0) {
      absl::StrAppend(&out, "\\ufffd");
    } else if (code == '"' || code == '\\') {
      absl::StrAppend(&out, "\\", text.substr(0, 1));
    } else if (IsUnsafe(code)) {
      absl::StrAppendFormat(&out, "\\u%04x", code);
    } else {
      absl::StrAppend(&out, text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  if (!text.empty()) absl::StrAppend(&out, "...");
  return out;
}

std::string Member(absl::string_view key, absl::string_view value) {
  return absl::StrCat("\"", Escaped(key), "\":\"", Escaped(value), "\"");
}

class StderrLog : public Log {
 public:
  StderrLog(const Clock& clock, absl::string_view program)
      : clock_(clock),
        program_(program),
        logger_("dumpwarden", std::make_shared<spdlog::sinks::stderr_sink_mt>()) {
    logger_.set_pattern("%v");
    logger_.flush_on(spdlog::level::info);
  }

 protected:
  void Write(LogLevel level, absl::string_view message,
             const std::vector<LogField>& fields) override {
    const std::string line = FormatLogLine(clock_.Now(), program_, level, message, fields);
    logger_.log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
  }

 private:
  const Clock& clock_;
  const std::string program_;
  spdlog::logger logger_;
};

}  // namespace

std::string FormatLogLine(absl::Time at, absl::string_view program, LogLevel level,
                          absl::string_view message, const std::vector<LogField>& fields) {
  std::string line = absl::StrCat(
      "{", Member("time", absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", at, absl::UTCTimeZone())), ",",
      Member("level", LevelWord(level)), ",", Member("program", program), ",",
      Member("message", message));
  for (const LogField& field : fields) {
    const std::string member = Member(field.key, field.value);
    if (line.size() + 1 + member.size() + kCut.size() + 1 > kMaxLogLine) {
      return absl::StrCat(line, kCut, "}");
    }
    absl::StrAppend(&line, ",", member);
  }
  return absl::StrCat(line, "}");
}

std::unique_ptr<Log> MakeLog(const Clock& clock, absl::string_view program) {
  return std::make_unique<StderrLog>(clock, program);
}

}  // namespace dumpwarden
