// SPDX-License-Identifier: Apache-2.0
// The log: one JSON object a line on stderr.  Values may come from strangers,
// so everything is escaped and a line never passes 16 KiB.  Thread-safe.
#ifndef DUMPWARDEN_PLATFORM_LOG_H_
#define DUMPWARDEN_PLATFORM_LOG_H_

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/clock.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxLogLine = 16 * 1024;

enum class LogLevel { kInfo, kWarning, kError };

struct LogField {
  std::string key;
  std::string value;
};

// log.Warning("handshake refused", {{"why", "expired"}, {"peer", peer}});
class Log {
 public:
  virtual ~Log() = default;
  void Info(absl::string_view message, const std::vector<LogField>& fields = {}) {
    Write(LogLevel::kInfo, message, fields);
  }
  void Warning(absl::string_view message, const std::vector<LogField>& fields = {}) {
    Write(LogLevel::kWarning, message, fields);
  }
  void Error(absl::string_view message, const std::vector<LogField>& fields = {}) {
    Write(LogLevel::kError, message, fields);
  }

 protected:
  virtual void Write(LogLevel level, absl::string_view message,
                     const std::vector<LogField>& fields) = 0;
};

// `clock` must outlive the log.  `program` stands in every line.
std::unique_ptr<Log> MakeLog(const Clock& clock, absl::string_view program);

// The line, without its newline.  What does not fit is cut, and the line says so.
std::string FormatLogLine(absl::Time at, absl::string_view program, LogLevel level,
                          absl::string_view message, const std::vector<LogField>& fields);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_PLATFORM_LOG_H_
