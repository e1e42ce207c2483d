// SPDX-License-Identifier: Apache-2.0
// Hosts report changes one after the other, first alone, then while another
// host floods the server with 10,000 reports as fast as it is read.  Prints how
// long a report waits for its Ack in both, and exits 1 when a flood costs more
// than the aims.  bench_flood SERVER SERVER-PID FLOODER OTHER...: folders with
// the identities of enrolled hosts.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "tests/support/bare_session.h"

namespace dumpwarden {
namespace {

using Millis = std::chrono::duration<double, std::milli>;

constexpr int kFlood = 10'000;
constexpr std::uint64_t kReports = 50;  // of each host, in each part
constexpr std::chrono::milliseconds kBetween(200);
constexpr double kMaxMedianRatio = 2;
constexpr double kMaxTailRatio = 3;
constexpr std::int64_t kMaxGrowthMib = 64;

std::int64_t PeakKib(const std::string& pid) {
  const std::string status = FileText(absl::StrCat("/proc/", pid, "/status"));
  for (const absl::string_view line : absl::StrSplit(status, '\n')) {
    if (!absl::StartsWith(line, "VmHWM:")) continue;
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    std::int64_t kib = 0;
    if (words.size() > 1 && absl::SimpleAtoi(words[1], &kib)) return kib;
  }
  return 0;
}

struct Others {
  std::vector<std::unique_ptr<BareSession>> sessions;
  std::uint64_t reported = 0;  // by each
};

// Every host's, in order; empty when one was not acknowledged.
std::vector<double> Report(Others& others) {
  std::vector<std::vector<double>> times(others.sessions.size());
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < others.sessions.size(); ++i) {
    threads.emplace_back([&, i] {
      for (std::uint64_t n = others.reported + 1; n <= others.reported + kReports; ++n) {
        const auto begin = std::chrono::steady_clock::now();
        const bool told =
            others.sessions[i]->Write(BareReport(n)) && others.sessions[i]->AwaitAck(n);
        if (!told) return;
        times[i].push_back(Millis(std::chrono::steady_clock::now() - begin).count());
        std::this_thread::sleep_for(kBetween + std::chrono::milliseconds(7 * i));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  others.reported += kReports;
  std::vector<double> all;
  for (const auto& some : times) {
    if (some.size() != kReports) return {};
    all.insert(all.end(), some.begin(), some.end());
  }
  std::sort(all.begin(), all.end());
  return all;
}

double Of(const std::vector<double>& sorted, double part) {
  return sorted[static_cast<std::size_t>(part * static_cast<double>(sorted.size() - 1))];
}

int Run(const std::string& server, const std::string& pid, const std::string& flooder,
        const std::vector<std::string>& folders) {
  Others others;
  for (const std::string& folder : folders) {
    others.sessions.push_back(std::make_unique<BareSession>(DialWith(server, folder)));
    if (!others.sessions.back()->Join()) {
      std::cerr << folder << ": no session\n";
      return 1;
    }
  }
  Report(others);  // warm
  const std::int64_t quiet_kib = PeakKib(pid);
  const std::vector<double> quiet = Report(others);
  std::vector<double> flooded;
  {
    BareSession session(DialWith(server, flooder));
    if (!session.Join()) {
      std::cerr << flooder << ": no session\n";
      return 1;
    }
    const BareFlood flood(session, kFlood);
    flooded = Report(others);
    std::cout << absl::StrFormat("one host floods: %d of %d reports written, %d acknowledged\n",
                                 flood.written(), kFlood, flood.acknowledged());
    if (flood.acknowledged() == 0) return 1;
  }
  const std::int64_t growth = (PeakKib(pid) - quiet_kib) / 1024;
  if (quiet.empty() || flooded.empty()) {
    std::cerr << "a report of another host was not acknowledged\n";
    return 1;
  }
  const double median = Of(flooded, 0.5) / Of(quiet, 0.5);
  const double tail = Of(flooded, 0.99) / Of(quiet, 0.99);
  std::cout << absl::StrFormat(
      "report to Ack of %d others   quiet     flood  ratio\n"
      "median                  %8.1f  %8.1f  %5.2f  (aim <= %.0f)\n"
      "p99                     %8.1f  %8.1f  %5.2f  (aim <= %.0f)   ms\n"
      "the server's peak memory grew by %d MiB (aim <= %d)\n",
      folders.size(), Of(quiet, 0.5), Of(flooded, 0.5), median, kMaxMedianRatio, Of(quiet, 0.99),
      Of(flooded, 0.99), tail, kMaxTailRatio, growth, kMaxGrowthMib);
  return median <= kMaxMedianRatio && tail <= kMaxTailRatio && growth <= kMaxGrowthMib ? 0 : 1;
}

}  // namespace
}  // namespace dumpwarden

int main(int argc, char** argv) {
  if (argc < 5) {
    std::cerr << "usage: bench_flood SERVER SERVER-PID FLOODER OTHER...\n";
    return 64;
  }
  return dumpwarden::Run(argv[1], argv[2], argv[3], {argv + 4, argv + argc});
}
