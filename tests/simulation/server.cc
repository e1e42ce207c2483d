// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/server.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/timestamp.h"
#include "core/policy/policy.h"
#include "platform/sqlite.h"
#include "server/store/backup.h"

namespace dumpwarden::sim {
namespace {

const Actor kOperator = {"operator", "simulation"};

std::string StorePath(const Disk& disk) { return absl::StrCat(disk.folder(), "/server.db"); }

v1::DriftEvent EventOf(const Statement& row) {
  v1::DriftEvent event;
  event.set_sequence(static_cast<std::uint64_t>(row.Int(1)));
  event.set_kind(static_cast<v1::DriftEvent::Kind>(row.Int(2)));
  event.set_setting(row.Text(3));
  event.set_mode(static_cast<v1::Mode>(row.Int(4)));
  event.set_old_value(row.Text(5));
  event.set_new_value(row.Text(6));
  event.set_desired(row.Text(7));
  event.set_policy(row.Text(8));
  *event.mutable_at() = ToTimestamp(absl::FromUnixMicros(row.Int(9)));
  event.set_drift_sequence(static_cast<std::uint64_t>(row.Int(10)));
  event.set_count(static_cast<std::uint64_t>(row.Int(11)));
  return event;
}

absl::StatusOr<std::map<std::string, EventList>> ReadEvents(const std::string& path,
                                                            std::set<std::int64_t>& cursors) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::OpenReadOnly(path));
  ASSIGN_OR_RETURN(Statement select,
                   db->Prepare("SELECT uuid, sequence, kind, setting, mode, old_value, new_value, "
                               "desired, policy, host_time, drift_sequence, count, event_id "
                               "FROM drift_event JOIN host USING (host_id) ORDER BY event_id"));
  std::map<std::string, EventList> events;
  while (true) {
    ASSIGN_OR_RETURN(const bool row, select.Step());
    if (!row) return events;
    cursors.insert(select.Int(12));
    events[select.Text(0)].push_back(EventOf(select));
  }
}

}  // namespace

Server::Server(World& world, const std::string& folder)
    : world_(world),
      faults_(world.counts),
      clock_(world),
      disk_(folder, world, faults_),
      network_(world, faults_) {}

Server::~Server() {
  faults_.Die();
  TearDown();
}

// --- Life

void Server::StartSoon(absl::Duration delay) {
  if (running() || starting_) return;
  starting_ = true;
  world_.After(std::max(delay, away_until_ - world_.now()), [this] {
    starting_ = false;
    if (!running()) Start();
  });
}

void Server::Start() {
  faults_.Revive();
  absl::StatusOr<PumpedStore> opened = MakePumpedSqliteStore(StorePath(disk_), clock_);
  if (!opened.ok() || faults_.dead()) {
    world_.Trace(absl::StrCat("the server could not start: ", opened.status().ToString()));
    if (absl::IsDataLoss(opened.status())) {
      world_.Fail(absl::StrCat("P7: ", opened.status().ToString()));
    }
    opened = absl::UnknownError("");
    return StartSoon(absl::Seconds(5));
  }
  store_ = *std::move(opened);
  fleet_ = MakeFleet(*store_.store, clock_, world_.random);
  policies_ = std::make_unique<Policies>(*store_.store, *fleet_);
  ++process_;
  world_.Trace("the server is up");
  CheckPolicies();
  if (on_start_) on_start_();
  network_.ServerStarted(*this);
  world_.After(absl::Seconds(1), [this, process = process_] { Tick(process); });
}

void Server::Tick(int process) {
  if (process != process_ || !running()) return;
  fleet_->Tick();
  AfterEvent();
  world_.After(absl::Seconds(1), [this, process] { Tick(process); });
}

void Server::Pump() {
  pump_due_ = false;
  if (!running()) return;
  store_.pump();
  AfterEvent();
}

void Server::AfterEvent() {
  if (!running()) return;
  if (faults_.dead()) {
    world_.Trace(absl::StrCat("the server died at ", faults_.killed_in()));
    if (!power_fails_) world_.counts.Add(Fault::kServerKillInCall);
    const bool power = power_fails_ || world_.chance.Happens(0.5);
    return EndProcess(power ? Network::Death::kPower : Network::Death::kProcess);
  }
  if (pump_due_) return;
  pump_due_ = true;
  world_.After(absl::Milliseconds(world_.chance.Below(8)), [this] { Pump(); });
}

// What was queued and not committed is lost; its callbacks find a dead machine.
void Server::TearDown() {
  if (store_.store != nullptr && store_.pump) store_.pump();
  policies_.reset();
  fleet_.reset();
  store_ = {};
}

void Server::EndProcess(Network::Death death) {
  ++process_;
  TearDown();  // first: the fleet knows the streams
  network_.ServerDied(death);
  if (death == Network::Death::kPower) {
    world_.counts.Add(Fault::kServerPowerCut);
    disk_.PowerCut(power_fails_.value_or(Disk::Unsynced::kSome));
  }
  power_fails_.reset();
  StartSoon(absl::Milliseconds(world_.chance.Between(500, 90000)));
}

void Server::Kill() {
  if (!running()) return;
  world_.counts.Add(Fault::kServerKill);
  world_.Trace("the server is killed");
  faults_.Die();
  EndProcess(Network::Death::kProcess);
}

void Server::PowerCut() {
  if (!running()) return;
  world_.Trace("the server loses power");
  faults_.Die();
  EndProcess(Network::Death::kPower);
}

void Server::Restart() {
  if (!running()) return;
  world_.counts.Add(Fault::kServerRestart);
  world_.Trace("the server is restarted");
  fleet_->Drain();
  world_.After(absl::Milliseconds(500), [this, process = process_] {
    if (process == process_ && running()) EndProcess(Network::Death::kProcess);
  });
}

void Server::FailPower(Disk::Unsynced unsynced) {
  if (!running() || faults_.dead()) return;
  world_.Trace("the server loses power in the middle of things");
  power_fails_ = unsynced;
  faults_.Die();
  world_.After(absl::ZeroDuration(), [this] {
    if (running() && faults_.dead()) AfterEvent();
  });
}

void Server::GoAway(absl::Duration time) {
  if (!running()) return;
  world_.Trace(absl::StrCat("the server is away for ", absl::FormatDuration(time)));
  away_until_ = world_.now() + time;
  faults_.Die();
  EndProcess(Network::Death::kProcess);
}

// --- Backups

void Server::BackUp() {
  if (!running()) return;
  CheckPolicies();
  const std::string path = absl::StrCat(disk_.folder(), "/backup.db");
  const absl::Status made = BackUpStore(StorePath(disk_), path);
  const std::shared_ptr<DiskFile> file = disk_.Find(path);
  world_.Trace(absl::StrCat("backup: ", made.ToString()));
  if (made.ok() && !faults_.dead()) {
    if (!file->unsynced.empty()) world_.Fail("P7: a backup was made and is not synced");
    const MachineFaults::Pause pause(faults_);
    absl::StatusOr<PolicyMap> policies = InForce();
    if (!policies.ok()) return world_.Fail(policies.status().ToString());
    backup_ = Backup{file->bytes, *std::move(policies), Events()};
  }
  for (const char* suffix : {"", "-journal"}) disk_.Remove(path + suffix);
  std::filesystem::remove(path);
  AfterEvent();
}

std::map<std::string, EventList> Server::RestoreFromBackup() {
  std::map<std::string, EventList> lost = Events();
  for (auto& [uuid, events] : lost) {
    std::set<std::string> kept;
    for (const v1::DriftEvent& event : backup_->events[uuid]) kept.insert(Ledger::Content(event));
    std::erase_if(events, [&kept](const v1::DriftEvent& event) {
      return kept.contains(Ledger::Content(event));
    });
  }
  faults_.Die();
  EndProcess(Network::Death::kPower);
  const MachineFaults::Pause pause(faults_);
  disk_.Load({{"/server.db", backup_->store}});
  const absl::Status begun = BeginAfterRestore(StorePath(disk_), clock_.Now(), "backup");
  if (!begun.ok()) world_.Fail(absl::StrCat("restore: ", begun.ToString()));
  if (!lost_policies_) lost_policies_ = told_;
  told_ = backup_->policies;
  maybe_.clear();
  backup_.reset();
  return lost;
}

// Each with another text, so that it is another version: hosts may have a later one than the
// backup.
void Server::ApplyLostPolicies() {
  if (!running() || !lost_policies_) return;
  for (const std::string& name : PolicyNames()) {
    if (!lost_policies_->contains(name)) Delete(name);
  }
  std::vector<std::string> yamls;
  for (const auto& [name, yaml] : *lost_policies_) {
    yamls.push_back(absl::StrReplaceAll(yaml, {{"description: ", "description: again "}}));
  }
  if (!yamls.empty()) Apply(yamls);
  if (!running()) return;
  if (yamls.empty()) return lost_policies_.reset();
  const auto applied = told_.find(lost_policies_->begin()->first);
  const bool refused = applied == told_.end() || applied->second != yamls.front();
  if (refused) {  // facts have changed since: some host would be torn
    for (const std::string& name : PolicyNames()) Delete(name);
  }
  lost_policies_.reset();
}

// --- Listener

absl::StatusOr<SessionId> Server::Accept(const std::string& uuid, SessionOut& out) {
  absl::StatusOr<HostRow> row = store().FindHost(uuid);
  if (!row.ok()) return absl::UnavailableError(row.status().message());
  if (absl::Status room = fleet_->CheckRoom(*row); !room.ok()) return room;
  return fleet_->OnOpened(*row, absl::InfiniteFuture(), out);
}

void Server::Receive(SessionId session, v1::AgentMessage message) {
  fleet_->OnMessage(session, std::move(message));
  AfterEvent();
}

void Server::Closed(SessionId session) {
  fleet_->OnClosed(session);
  AfterEvent();
}

// --- Operators

void Server::Enroll(const std::string& uuid, const std::string& name) {
  const Audit audit{"operator", "", "test", uuid, "", "", ""};
  const std::string token = Sha256Hex(uuid).substr(0, 32);
  HostRow host;
  host.uuid = uuid;
  host.name = name;
  host.host_key = uuid;
  host.enrolled = clock_.Now();
  host.last_seen = absl::InfinitePast();
  const bool done =
      store().CreateToken({token, "digest", {}, "", clock_.Now() + absl::Hours(1)}, audit).ok() &&
      store().EnrollHost(token, "digest", host, clock_.Now(), audit).ok();
  if (!done) world_.Fail("enrolment failed before there was any fault");
}

// Whatever was not answered with OK may have been done all the same, unless it says that not.
void Server::Answered(const absl::Status& status, PolicyMap after) {
  if (faults_.dead()) {
    maybe_.push_back(std::move(after));
    return AfterEvent();
  }
  if (status.ok()) {
    told_ = std::move(after);
    maybe_.clear();
  } else if (!absl::IsAborted(status) && !absl::IsNotFound(status)) {
    maybe_.push_back(std::move(after));
  }
  AfterEvent();
}

void Server::Apply(const std::vector<std::string>& yamls) {
  if (!running()) return;
  CheckPolicies();
  v1::ApplyPoliciesRequest request;
  PolicyMap after = told_;
  std::string names;
  for (const std::string& yaml : yamls) {
    const absl::StatusOr<Policy> policy = ReadPolicy(yaml, "simulation");
    if (!policy.ok()) return world_.Fail(policy.status().ToString());
    request.add_policies()->set_yaml(yaml);
    after[policy->name] = yaml;
    absl::StrAppend(&names, " ", policy->name);
  }
  const auto response = policies_->Apply(request, kOperator);
  world_.Trace(absl::StrCat("policy apply", names, ": ", response.status().ToString()));
  if (absl::IsInvalidArgument(response.status())) world_.Fail(response.status().ToString());
  if (absl::IsAborted(response.status())) world_.counts.Add(Fault::kPolicyConflict);
  if (response.ok() && !faults_.dead()) world_.counts.Add(Fault::kPolicyApply);
  Answered(response.status(), std::move(after));
}

void Server::Delete(const std::string& name) {
  if (!running()) return;
  CheckPolicies();
  PolicyMap after = told_;
  after.erase(name);
  v1::DeletePolicyRequest request;
  request.set_name(name);
  const auto response = policies_->Delete(request, kOperator);
  world_.Trace(absl::StrCat("policy delete ", name, ": ", response.status().ToString()));
  if (response.ok() && !faults_.dead()) world_.counts.Add(Fault::kPolicyDelete);
  Answered(response.status(), std::move(after));
}

std::vector<std::string> Server::PolicyNames() {
  std::vector<std::string> names;
  for (const auto& [name, yaml] : told_) names.push_back(name);
  return names;
}

// --- Checks

absl::StatusOr<Server::PolicyMap> Server::InForce() {
  ASSIGN_OR_RETURN(const std::vector<PolicyRow> rows, store().PoliciesInForce());
  PolicyMap there;
  for (const PolicyRow& row : rows) there[row.name] = row.yaml;
  return there;
}

void Server::CheckPolicies() {
  const MachineFaults::Pause pause(faults_);
  const absl::StatusOr<PolicyMap> in_force = InForce();
  if (!in_force.ok()) return world_.Fail(absl::StrCat("P7: ", in_force.status().ToString()));
  const PolicyMap& there = *in_force;
  const bool one_of_maybe = std::find(maybe_.begin(), maybe_.end(), there) != maybe_.end();
  if (there != told_ && !one_of_maybe) {
    return world_.Fail(absl::StrCat("P7: ", there.size(),
                                    " policies are in force, and they are not the ", told_.size(),
                                    " that an operator was told"));
  }
  // What a call that failed left may yet come out of the log after a crash.
  if (one_of_maybe && there != told_) maybe_.push_back(std::exchange(told_, there));
}

std::map<std::string, EventList> Server::Events() {
  const MachineFaults::Pause pause(faults_);
  std::set<std::int64_t> cursors;
  auto events = ReadEvents(StorePath(disk_), cursors);
  const std::int64_t newest = cursors_.empty() ? 0 : *cursors_.rbegin();
  for (const std::int64_t cursor : cursors) {
    if (!cursors_.insert(cursor).second || cursor > newest) continue;
    world_.Fail(absl::StrCat("P6: the cursor ", cursor, " is new and not above ", newest,
                             ": who follows drift would miss it"));
  }
  if (!events.ok()) world_.Fail(events.status().ToString());
  return events.ok() ? *std::move(events) : std::map<std::string, EventList>();
}

}  // namespace dumpwarden::sim
