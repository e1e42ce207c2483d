// SPDX-License-Identifier: Apache-2.0
// Enrols a host with each token, one after the other, each over a connection of
// its own, as hosts do; then as many bare TLS handshakes with the same listener.
// Prints how many of each there are in a second, and what each costs the server.
// bench_enrollment SERVER-PID ADDRESS TOKEN-FILE: a token a line.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "agent/enroll.h"
#include "agent/grpc_link.h"
#include "core/base/clock.h"
#include "core/base/status_macros.h"
#include "core/base/token.h"
#include "platform/system.h"
#include "tests/support/bare_session.h"
#include "tests/support/bare_tls.h"

namespace dumpwarden {
namespace {

constexpr double kMaxCpuRatio = 6;

double CpuMillis(const std::string& pid) {
  const std::string stat = FileText(absl::StrCat("/proc/", pid, "/stat"));
  // After the name, which may hold spaces: the state is field 3, utime 14, stime 15.
  const std::vector<std::string> fields =
      absl::StrSplit(stat.substr(std::min(stat.size(), stat.rfind(')') + 2)), ' ');
  std::int64_t user = 0;
  std::int64_t system = 0;
  if (fields.size() < 13 || !absl::SimpleAtoi(fields[11], &user) ||
      !absl::SimpleAtoi(fields[12], &system)) {
    return 0;
  }
  return 1000.0 * static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
}

struct Cost {
  double each_ms = 0;     // by the clock
  double server_cpu = 0;  // ms of the server's, each
};

absl::StatusOr<Cost> Measure(const std::string& pid, std::size_t count,
                             const std::function<absl::Status(std::size_t)>& once) {
  const double cpu = CpuMillis(pid);
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < count; ++i) RETURN_IF_ERROR(once(i));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  const auto n = static_cast<double>(count);
  return Cost{took.count() / n, (CpuMillis(pid) - cpu) / n};
}

struct Prepared {
  EnrollmentKeys keys;
  v1::EnrollRequest request;
  std::string pin;
};

absl::StatusOr<std::vector<Prepared>> Prepare(const std::string& file) {
  std::vector<Prepared> hosts;
  const std::string text = FileText(file);
  for (const absl::string_view token : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    Prepared host;
    ASSIGN_OR_RETURN(const EnrollmentToken parsed, ParseToken(token));
    host.pin = parsed.root_pin;
    ASSIGN_OR_RETURN(host.keys, MakeEnrollmentKeys());
    ASSIGN_OR_RETURN(host.request,
                     MakeEnrollRequest(host.keys, token, absl::StrCat("host-", hosts.size())));
    hosts.push_back(std::move(host));
  }
  if (hosts.size() < 2) return absl::InvalidArgumentError("two tokens are needed, at least");
  return hosts;
}

absl::Status Run(const std::string& pid, const std::string& address, const std::string& file) {
  const std::unique_ptr<Clock> clock = MakeSystemClock();
  ASSIGN_OR_RETURN(const std::vector<Prepared> hosts, Prepare(file));
  const std::size_t count = hosts.size() - 1;  // the last token keeps the listener open
  const BareTls tls;
  ASSIGN_OR_RETURN(const Cost bare,
                   Measure(pid, count, [&](std::size_t) { return tls.Handshake(address); }));
  ASSIGN_OR_RETURN(
      const Cost enrolment, Measure(pid, count, [&](std::size_t i) -> absl::Status {
        ASSIGN_OR_RETURN(const v1::EnrollResponse response,
                         CallEnroll(address, "", hosts[i].pin, *clock, hosts[i].request));
        return CheckEnrollResponse(response, hosts[i].keys, hosts[i].pin, clock->Now()).status();
      }));
  const double ratio = enrolment.server_cpu / bare.server_cpu;
  std::cout << absl::StrFormat(
      "%d of each            handshake  enrolment  ratio\n"
      "a second              %9.0f  %9.0f  %5.2f\n"
      "server CPU each, ms   %9.2f  %9.2f  %5.2f  (aim <= %.0f)\n",
      count, 1000 / bare.each_ms, 1000 / enrolment.each_ms, bare.each_ms / enrolment.each_ms,
      bare.server_cpu, enrolment.server_cpu, ratio, kMaxCpuRatio);
  if (ratio <= kMaxCpuRatio) return absl::OkStatus();
  return absl::OutOfRangeError("the aim is missed");
}

}  // namespace
}  // namespace dumpwarden

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: bench_enrollment SERVER-PID ADDRESS TOKEN-FILE\n";
    return 64;
  }
  const absl::Status status = dumpwarden::Run(argv[1], argv[2], argv[3]);
  if (!status.ok()) std::cerr << "bench_enrollment: " << status.message() << "\n";
  return status.ok() ? 0 : 1;
}
