// SPDX-License-Identifier: Apache-2.0
#include "server/library_log.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <mutex>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {
namespace {

// The libraries take a plain function, which finds its object here.  Their threads go on for longer
// than any object, hence the lock.
std::mutex sink_mutex;
Refusals* sink = nullptr;

void Take(const char* library, absl::string_view file, int line, absl::string_view message) {
  const absl::string_view name = file.substr(file.rfind('/') + 1);  // npos + 1 is 0
  const std::lock_guard lock(sink_mutex);
  if (sink == nullptr) return;
  sink->Count({.action = library,
               .reason = absl::StrCat(name, ":", line),
               .source = "",
               .detail = std::string(message),
               .count = 0});
}

void TakeGrpc(gpr_log_func_args* arguments) {
  Take("grpc", arguments->file, arguments->line, arguments->message);
}

void TakeProtobuf(google::protobuf::LogLevel /*level*/, const char* file, int line,
                  const std::string& message) {
  Take("protobuf", file, line, message);
}

}  // namespace

LibraryLog::LibraryLog(Log& log, const Clock& clock)
    : lines_(clock, [&log](const Refusal& line) {
        log.Warning(
            line.action,
            {{"at", line.reason}, {"what", line.detail}, {"count", absl::StrCat(line.count)}});
      }) {
  {
    const std::lock_guard lock(sink_mutex);
    sink = &lines_;
  }
  gpr_set_log_function(&TakeGrpc);
  google::protobuf::SetLogHandler(&TakeProtobuf);
}

LibraryLog::~LibraryLog() {
  lines_.Flush();
  const std::lock_guard lock(sink_mutex);
  sink = nullptr;
}

}  // namespace dumpwarden
