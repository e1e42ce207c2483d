// SPDX-License-Identifier: Apache-2.0
// What fleet_plan.sh needs beside the programs themselves:
//   seed STORE HOSTS        fills the store of a server that does not run
//   read STORE              every row that a plan needs, bare, and how long it took
//   check HOSTS FILE POLICY...   FILE is `dumpctl policy plan -o json`: is it, host by host, what
//                           `dumpwarden-agent plan -o json` prints there?
#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "core/base/status_macros.h"
#include "core/policy/policy.h"
#include "core/report/json.h"
#include "core/report/plan_report.h"
#include "platform/sqlite.h"
#include "platform/system.h"
#include "server/store/sqlite_store.h"
#include "tests/support/seeded_fleet.h"

namespace dumpwarden {
namespace {

using Arguments = std::vector<std::string>;

std::vector<SeededHost> MakeFleet(const std::string& hosts) {
  std::uint32_t count = 0;
  if (!absl::SimpleAtoi(hosts, &count)) return {};
  std::vector<SeededHost> fleet;
  for (std::uint32_t number = 1; number <= count; ++number) {
    fleet.push_back(MakeSeededHost(number));
  }
  std::sort(fleet.begin(), fleet.end(),
            [](const SeededHost& a, const SeededHost& b) { return a.name < b.name; });
  return fleet;
}

absl::Status Seed(const Arguments& arguments) {
  const std::unique_ptr<Clock> clock = MakeSystemClock();
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, MakeSqliteStore(arguments[0], *clock));
  return AddSeededFleet(*store, MakeFleet(arguments[1]), clock->Now());
}

absl::Status ReadRows(Database& db, const std::string& table, int columns, std::uint64_t& bytes) {
  ASSIGN_OR_RETURN(Statement select, db.Prepare("SELECT * FROM " + table));
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return absl::OkStatus();
    for (int column = 0; column < columns; ++column) bytes += select.Blob(column).size();
  }
}

absl::Status Read(const Arguments& arguments) {
  const auto begin = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> db, Database::OpenReadOnly(arguments[0]));
  std::uint64_t bytes = 0;
  RETURN_IF_ERROR(ReadRows(*db, "host", 8, bytes));
  RETURN_IF_ERROR(ReadRows(*db, "host_label", 3, bytes));
  RETURN_IF_ERROR(ReadRows(*db, "host_state", 8, bytes));
  RETURN_IF_ERROR(ReadRows(*db, "facts", 2, bytes));
  RETURN_IF_ERROR(ReadRows(*db, "observation_rest", 2, bytes));
  RETURN_IF_ERROR(ReadRows(*db, "cell", 8, bytes));
  RETURN_IF_ERROR(ReadRows(*db, "finding", 9, bytes));
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  std::cout << absl::StreamFormat("%.0f\n", took.count());
  return bytes > 0 ? absl::OkStatus() : absl::DataLossError("the store is empty");
}

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::NotFoundError("cannot read " + path);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

Json PlanLocally(const SeededHost& host, const std::vector<PolicyInForce>& policies) {
  PlanReport report;
  report.host.facts = host.facts;
  report.host.facts.mutable_labels()->insert(host.labels.begin(), host.labels.end());
  const v1::Facts& facts = report.host.facts;
  report.plan = MakePlan(Merge(policies, facts), host.state.observation, facts);
  return Json::parse(Render(report, Format::kJson));
}

absl::Status Check(const Arguments& arguments) {
  std::vector<PolicyInForce> policies;
  for (std::size_t i = 2; i < arguments.size(); ++i) {
    ASSIGN_OR_RETURN(const std::string yaml, ReadFile(arguments[i]));
    ASSIGN_OR_RETURN(Policy policy, ReadPolicy(yaml, arguments[i]));
    policies.push_back({std::move(policy), 1});
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(arguments[1]));
  const Json answer = Json::parse(text);
  const std::vector<SeededHost> fleet = MakeFleet(arguments[0]);
  if (answer["hosts"].size() != fleet.size()) return absl::DataLossError("hosts are missing");
  for (std::size_t i = 0; i < fleet.size(); ++i) {
    const Json& of_fleet = answer["hosts"][i];
    const Json local = PlanLocally(fleet[i], policies);
    if (of_fleet["host"] == fleet[i].name && of_fleet["changes"] == local["changes"] &&
        of_fleet["findings"] == local["findings"]) {
      continue;
    }
    return absl::DataLossError("the fleet plan differs from the local one of " + fleet[i].name);
  }
  return absl::OkStatus();
}

absl::Status Run(Arguments arguments) {
  const std::string verb = arguments.empty() ? "" : arguments.front();
  if (!arguments.empty()) arguments.erase(arguments.begin());
  if (verb == "seed" && arguments.size() == 2) return Seed(arguments);
  if (verb == "read" && arguments.size() == 1) return Read(arguments);
  if (verb == "check" && arguments.size() > 2) return Check(arguments);
  return absl::InvalidArgumentError("seed STORE HOSTS, read STORE, check HOSTS FILE POLICY...");
}

}  // namespace
}  // namespace dumpwarden

int main(int argc, char** argv) {
  const absl::Status done = dumpwarden::Run({argv + 1, argv + argc});
  if (!done.ok()) std::cerr << "bench_fleet_plan: " << done << "\n";
  return done.ok() ? 0 : 1;
}
