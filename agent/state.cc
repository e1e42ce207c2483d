// SPDX-License-Identifier: Apache-2.0
#include "agent/state.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <limits>
#include <system_error>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "agent/event_queue.h"
#include "core/base/status_macros.h"
#include "core/reconcile/status.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kSchema = R"sql(
  CREATE TABLE fact(key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
  CREATE TABLE policy(name TEXT PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL,
                      yaml BLOB NOT NULL);
  CREATE TABLE policy_seen(name TEXT PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL);
  CREATE TABLE tracked(key TEXT PRIMARY KEY, finding BLOB NOT NULL, drift INTEGER NOT NULL,
                       drifted_value TEXT NOT NULL, correcting INTEGER NOT NULL);
  CREATE TABLE event(sequence INTEGER PRIMARY KEY, event BLOB NOT NULL);
)sql";

constexpr absl::string_view kAgreed = "ALTER TABLE tracked ADD COLUMN agreed TEXT;";
constexpr absl::string_view kStart = R"sql(
  ALTER TABLE tracked ADD COLUMN start BLOB;
  UPDATE tracked SET start = (SELECT event FROM event WHERE sequence = drift);
)sql";
constexpr std::array<absl::string_view, 3> kSchemas = {kSchema, kAgreed, kStart};

// Of table tracked in a file of that schema.
absl::string_view LaterColumns(std::int64_t schema) {
  return schema < 2 ? "NULL, NULL" : schema < 3 ? "agreed, NULL" : "agreed, start";
}

constexpr char kEpoch[] = "epoch";
constexpr char kNextReport[] = "next-report";
constexpr char kNextEvent[] = "next-event";
constexpr char kLastSentEvent[] = "last-sent-event";
constexpr char kAcknowledged[] = "acknowledged";
constexpr char kAcknowledgedState[] = "acknowledged-state";
constexpr char kPolicyProblems[] = "policy-problems";
constexpr char kBootId[] = "boot-id";
constexpr char kBootSnapshot[] = "boot-snapshot";
constexpr char kHost[] = "host";
constexpr char kWindow[] = "reconnect-window-ms";
constexpr char kConnected[] = "connected";
constexpr char kSince[] = "since";
constexpr char kLastAck[] = "last-ack";
constexpr char kLastError[] = "last-error";
constexpr char kLastErrorAt[] = "last-error-at";

absl::Status Corrupt(absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("the agent's state holds an unreadable ", what,
                   "; stop the agent and remove state.db: it starts anew and reports everything"));
}

std::int64_t Signed(std::uint64_t number) { return static_cast<std::int64_t>(number); }
std::uint64_t Unsigned(std::int64_t number) { return static_cast<std::uint64_t>(number); }

// In place of one that cannot be read: its status reads "unknown" until the next pass.
v1::Finding UnknownFinding(absl::string_view key) {
  v1::Finding finding;
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(key, absl::MaxSplits(' ', 1));
  finding.set_mode(parts.first == ModeWord(v1::MODE_AUDIT) ? v1::MODE_AUDIT : v1::MODE_ENFORCE);
  finding.set_setting(std::string(parts.second));
  return finding;
}

std::string NotRunYet(const std::string& path) {
  return absl::StrCat("there is nothing in ", path,
                      ": the agent has not run with this data folder yet: dumpwarden-agent run");
}

}  // namespace

absl::StatusOr<std::unique_ptr<AgentState>> AgentState::Open(const std::string& path,
                                                             Random& random) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path, Database::Durability::kFull));
  RETURN_IF_ERROR(db->Migrate({kSchemas.begin(), kSchemas.end()}));
  std::unique_ptr<AgentState> state(new AgentState(std::move(db), kSchemas.size()));
  RETURN_IF_ERROR(state->MakeEpoch(random));
  RETURN_IF_ERROR(state->Load());
  return state;
}

absl::StatusOr<std::unique_ptr<AgentState>> AgentState::OpenReadOnly(const std::string& path) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) {
    return absl::NotFoundError(NotRunYet(path));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::OpenReadOnly(path));
  ASSIGN_OR_RETURN(Statement version, db->Prepare("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const bool known, version.Step());
  if (!known || version.Int(0) == 0) return absl::NotFoundError(NotRunYet(path));
  const std::int64_t schema = version.Int(0);
  version.Reset();
  std::unique_ptr<AgentState> state(new AgentState(std::move(db), schema));
  RETURN_IF_ERROR(state->Load());
  return state;
}

absl::Status AgentState::MakeEpoch(Random& random) {
  ASSIGN_OR_RETURN(const std::optional<std::string> epoch, Get(kEpoch));
  if (epoch.has_value()) return absl::OkStatus();
  return Put(kEpoch, random.Bytes(16));
}

absl::Status AgentState::BeginEpoch(Random& random, const TrackedSettings& tracked) {
  const std::string epoch = random.Bytes(16);
  std::vector<v1::DriftEvent> open;
  for (const auto& [key, setting] : tracked) {
    if (setting.drift != 0 && setting.start.has_value()) open.push_back(*setting.start);
  }
  RETURN_IF_ERROR(db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(PutEpoch(epoch));
    RETURN_IF_ERROR(ReplaceTracked(tracked));
    RETURN_IF_ERROR(
        db_->Execute("DELETE FROM event WHERE sequence IN (SELECT drift FROM tracked)"));
    RETURN_IF_ERROR(QueueEvents(open));
    return CompactQueue();
  }));
  HaveEpoch(epoch);
  return absl::OkStatus();
}

absl::Status AgentState::PutEpoch(const std::string& epoch) {
  RETURN_IF_ERROR(Put(kEpoch, epoch));
  RETURN_IF_ERROR(PutInt(kAcknowledged, 0));
  return Forget(kAcknowledgedState);
}

void AgentState::HaveEpoch(const std::string& epoch) {
  epoch_ = epoch;
  acknowledged_ = 0;
  acknowledged_state_.reset();
  acknowledged_digest_.clear();
}

absl::Status AgentState::Load() {
  ASSIGN_OR_RETURN(const std::optional<std::string> epoch, Get(kEpoch));
  if (!epoch.has_value() || epoch->size() != 16) return Corrupt("epoch");
  epoch_ = *epoch;
  ASSIGN_OR_RETURN(const std::int64_t next_event, GetInt(kNextEvent, 1));
  next_event_ = Unsigned(next_event);
  ASSIGN_OR_RETURN(const std::int64_t next_report, GetInt(kNextReport, 1));
  next_report_ = Unsigned(next_report);
  ASSIGN_OR_RETURN(const std::int64_t last_sent, GetInt(kLastSentEvent, 0));
  last_sent_event_ = Unsigned(last_sent);
  ASSIGN_OR_RETURN(const std::int64_t acknowledged, GetInt(kAcknowledged, 0));
  acknowledged_ = Unsigned(acknowledged);
  ASSIGN_OR_RETURN(const std::optional<std::string> bytes, Get(kAcknowledgedState));
  if (!bytes.has_value()) return absl::OkStatus();
  v1::Report report;
  if (!report.ParseFromString(*bytes)) return Corrupt("acknowledged report");
  ApplyReport(report, acknowledged_state_.emplace());
  acknowledged_digest_ = StateDigest(*acknowledged_state_);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<std::string>> AgentState::Get(absl::string_view key) {
  ASSIGN_OR_RETURN(Statement statement, db_->Prepare("SELECT value FROM fact WHERE key = ?"));
  ASSIGN_OR_RETURN(const bool found, statement.Bind(1, key).Step());
  if (!found) return std::optional<std::string>();
  return std::optional<std::string>(statement.Blob(0));
}

absl::StatusOr<std::int64_t> AgentState::GetInt(absl::string_view key, std::int64_t fallback) {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, Get(key));
  if (!text.has_value()) return fallback;
  std::int64_t number = 0;
  if (!absl::SimpleAtoi(*text, &number)) return Corrupt(key);
  return number;
}

absl::StatusOr<absl::Time> AgentState::GetTime(absl::string_view key) {
  constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::min();
  ASSIGN_OR_RETURN(const std::int64_t millis, GetInt(key, kNever));
  return millis == kNever ? absl::InfinitePast() : absl::FromUnixMillis(millis);
}

absl::Status AgentState::Put(absl::string_view key, absl::string_view value) {
  ASSIGN_OR_RETURN(Statement statement, db_->Prepare("INSERT INTO fact(key, value) VALUES(?1, ?2) "
                                                     "ON CONFLICT(key) DO UPDATE SET value = ?2"));
  return statement.Bind(1, key).BindBlob(2, value).Run();
}

absl::Status AgentState::PutInt(absl::string_view key, std::int64_t value) {
  return Put(key, absl::StrCat(value));
}

absl::Status AgentState::Forget(absl::string_view key) {
  ASSIGN_OR_RETURN(Statement statement, db_->Prepare("DELETE FROM fact WHERE key = ?"));
  return statement.Bind(1, key).Run();
}

absl::StatusOr<std::vector<StoredPolicy>> AgentState::Policies() {
  ASSIGN_OR_RETURN(Statement statement,
                   db_->Prepare("SELECT name, version, digest, yaml FROM policy ORDER BY name"));
  std::vector<StoredPolicy> policies;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return policies;
    policies.push_back(
        {statement.Text(0), Unsigned(statement.Int(1)), statement.Blob(2), statement.Blob(3)});
  }
}

absl::StatusOr<std::optional<SeenVersion>> AgentState::HighestSeen(absl::string_view name) {
  ASSIGN_OR_RETURN(Statement statement,
                   db_->Prepare("SELECT version, digest FROM policy_seen WHERE name = ?"));
  ASSIGN_OR_RETURN(const bool found, statement.Bind(1, name).Step());
  if (!found) return std::optional<SeenVersion>();
  return std::optional<SeenVersion>({Unsigned(statement.Int(0)), statement.Blob(1)});
}

absl::Status AgentState::PutPolicies(const std::vector<StoredPolicy>& policies,
                                     absl::string_view problems) {
  return db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(db_->Execute("DELETE FROM policy"));
    ASSIGN_OR_RETURN(Statement put, db_->Prepare("INSERT INTO policy VALUES(?, ?, ?, ?)"));
    ASSIGN_OR_RETURN(Statement seen,
                     db_->Prepare("INSERT INTO policy_seen VALUES(?1, ?2, ?3) ON CONFLICT(name) "
                                  "DO UPDATE SET version = ?2, digest = ?3 WHERE version < ?2"));
    for (const StoredPolicy& policy : policies) {
      const std::int64_t version = Signed(policy.version);
      put.Bind(1, policy.name).Bind(2, version).BindBlob(3, policy.digest);
      RETURN_IF_ERROR(put.BindBlob(4, policy.yaml).Run());
      seen.Bind(1, policy.name).Bind(2, version);
      RETURN_IF_ERROR(seen.BindBlob(3, policy.digest).Run());
    }
    return SetPolicyProblems(problems);
  });
}

absl::StatusOr<std::string> AgentState::PolicyProblems() {
  ASSIGN_OR_RETURN(const std::optional<std::string> text, Get(kPolicyProblems));
  return text.value_or("");
}

absl::Status AgentState::SetPolicyProblems(absl::string_view problems) {
  return Put(kPolicyProblems, problems);
}

absl::StatusOr<TrackedSettings> AgentState::Tracked() {
  ASSIGN_OR_RETURN(
      Statement statement,
      db_->Prepare(absl::StrCat("SELECT key, finding, drift, drifted_value, correcting, ",
                                LaterColumns(schema_), " FROM tracked")));
  TrackedSettings tracked;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return tracked;
    const std::string key = statement.Text(0);
    TrackedSetting& setting = tracked[key];
    if (!setting.finding.ParseFromString(statement.Blob(1))) setting.finding = UnknownFinding(key);
    setting.drift = Unsigned(statement.Int(2));
    setting.drifted_value = statement.Text(3);
    setting.correcting = statement.Int(4) != 0;
    if (!statement.IsNull(5)) setting.agreed = statement.Text(5);
    if (statement.IsNull(6)) continue;
    if (!setting.start.emplace().ParseFromString(statement.Blob(6))) setting.start.reset();
  }
}

absl::Status AgentState::ReplaceTracked(const TrackedSettings& tracked) {
  RETURN_IF_ERROR(db_->Execute("DELETE FROM tracked"));
  ASSIGN_OR_RETURN(Statement put, db_->Prepare("INSERT INTO tracked VALUES(?, ?, ?, ?, ?, ?, ?)"));
  for (const auto& [key, setting] : tracked) {
    put.Bind(1, key).BindBlob(2, setting.finding.SerializeAsString());
    put.Bind(3, Signed(setting.drift)).Bind(4, setting.drifted_value);
    put.Bind(5, std::int64_t{setting.correcting});
    if (setting.agreed.has_value()) {
      put.Bind(6, *setting.agreed);
    } else {
      put.BindNull(6);
    }
    if (setting.start.has_value()) {
      put.BindBlob(7, setting.start->SerializeAsString());
    } else {
      put.BindNull(7);
    }
    RETURN_IF_ERROR(put.Run());
  }
  return absl::OkStatus();
}

absl::Status AgentState::QueueEvents(const std::vector<v1::DriftEvent>& events) {
  ASSIGN_OR_RETURN(Statement put, db_->Prepare("INSERT INTO event VALUES(?, ?)"));
  for (const v1::DriftEvent& event : events) {
    put.Bind(1, Signed(event.sequence()));
    RETURN_IF_ERROR(put.BindBlob(2, event.SerializeAsString()).Run());
  }
  return absl::OkStatus();
}

absl::Status AgentState::CompactQueue() {
  ASSIGN_OR_RETURN(const std::size_t count, EventCount());
  if (count <= kMaxQueuedEvents) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<v1::DriftEvent> events, Events(count));
  RETURN_IF_ERROR(db_->Execute("DELETE FROM event"));
  return QueueEvents(CompactEvents(std::move(events), last_sent_event_));
}

absl::Status AgentState::Record(const TrackedSettings& tracked,
                                const std::vector<v1::DriftEvent>& events) {
  const std::uint64_t next =
      events.empty() ? next_event_ : std::max(next_event_, events.back().sequence() + 1);
  RETURN_IF_ERROR(db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(ReplaceTracked(tracked));
    if (events.empty()) return absl::OkStatus();
    RETURN_IF_ERROR(QueueEvents(events));
    RETURN_IF_ERROR(PutInt(kNextEvent, Signed(next)));
    return CompactQueue();
  }));
  next_event_ = next;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<v1::DriftEvent>> AgentState::Events(std::size_t limit) {
  ASSIGN_OR_RETURN(Statement statement,
                   db_->Prepare("SELECT event FROM event ORDER BY sequence LIMIT ?"));
  statement.Bind(1, static_cast<std::int64_t>(limit));
  std::vector<v1::DriftEvent> events;
  while (true) {
    ASSIGN_OR_RETURN(const bool more, statement.Step());
    if (!more) return events;
    if (!events.emplace_back().ParseFromString(statement.Blob(0))) return Corrupt("event");
  }
}

absl::StatusOr<std::size_t> AgentState::EventCount() {
  ASSIGN_OR_RETURN(Statement statement, db_->Prepare("SELECT count(*) FROM event"));
  RETURN_IF_ERROR(statement.Step().status());
  return static_cast<std::size_t>(statement.Int(0));
}

absl::StatusOr<std::uint64_t> AgentState::TakeReportSequence(std::uint64_t last_event) {
  const std::uint64_t sent = std::max(last_sent_event_, last_event);
  RETURN_IF_ERROR(db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(PutInt(kLastSentEvent, Signed(sent)));
    return PutInt(kNextReport, Signed(next_report_ + 1));
  }));
  last_sent_event_ = sent;
  return next_report_++;
}

absl::Status AgentState::Acknowledge(std::uint64_t sequence, const HostState& state,
                                     std::uint64_t last_event, absl::Time at) {
  RETURN_IF_ERROR(db_->Transaction([&]() -> absl::Status {
    ASSIGN_OR_RETURN(Statement drop, db_->Prepare("DELETE FROM event WHERE sequence <= ?"));
    RETURN_IF_ERROR(drop.Bind(1, Signed(last_event)).Run());
    RETURN_IF_ERROR(PutInt(kAcknowledged, Signed(sequence)));
    RETURN_IF_ERROR(PutInt(kLastAck, absl::ToUnixMillis(at)));
    return Put(kAcknowledgedState, MakeReport(nullptr, state).SerializeAsString());
  }));
  acknowledged_ = sequence;
  acknowledged_state_ = state;
  acknowledged_digest_ = StateDigest(state);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<v1::Observation>> AgentState::BootSnapshot(absl::string_view boot_id) {
  ASSIGN_OR_RETURN(const std::optional<std::string> id, Get(kBootId));
  if (!id.has_value() || *id != boot_id) return std::optional<v1::Observation>();
  ASSIGN_OR_RETURN(const std::optional<std::string> bytes, Get(kBootSnapshot));
  v1::Observation observation;
  if (!bytes.has_value() || !observation.ParseFromString(*bytes)) observation.Clear();
  return std::optional<v1::Observation>(std::move(observation));
}

absl::Status AgentState::SetBootSnapshot(absl::string_view boot_id,
                                         const v1::Observation& observation) {
  return db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(Put(kBootId, boot_id));
    return Put(kBootSnapshot, observation.SerializeAsString());
  });
}

absl::StatusOr<absl::Duration> AgentState::ReconnectWindow(absl::Duration fallback) {
  ASSIGN_OR_RETURN(const std::int64_t millis, GetInt(kWindow, absl::ToInt64Milliseconds(fallback)));
  return absl::Milliseconds(millis);
}

absl::Status AgentState::SetReconnectWindow(absl::Duration window) {
  return PutInt(kWindow, absl::ToInt64Milliseconds(window));
}

absl::StatusOr<std::optional<std::size_t>> AgentState::ActAs(absl::string_view host_id,
                                                             Random& random) {
  ASSIGN_OR_RETURN(const std::optional<std::string> before, Get(kHost));
  if (before == host_id) return std::optional<std::size_t>();
  if (!before.has_value()) {
    RETURN_IF_ERROR(Put(kHost, host_id));
    return std::optional<std::size_t>();
  }
  ASSIGN_OR_RETURN(const std::size_t dropped, EventCount());
  const std::string epoch = random.Bytes(16);
  RETURN_IF_ERROR(db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(PutEpoch(epoch));
    RETURN_IF_ERROR(Forget(kWindow));
    RETURN_IF_ERROR(
        db_->Execute("DELETE FROM event; "
                     "UPDATE tracked SET drift = 0, drifted_value = '', correcting = 0, "
                     "start = NULL"));
    return Put(kHost, host_id);
  }));
  HaveEpoch(epoch);
  return std::optional<std::size_t>(dropped);
}

absl::StatusOr<ConnectionState> AgentState::Connection() {
  ConnectionState connection;
  ASSIGN_OR_RETURN(const std::int64_t connected, GetInt(kConnected, 0));
  connection.connected = connected != 0;
  ASSIGN_OR_RETURN(connection.since, GetTime(kSince));
  ASSIGN_OR_RETURN(connection.last_ack, GetTime(kLastAck));
  ASSIGN_OR_RETURN(const std::optional<std::string> error, Get(kLastError));
  connection.last_error = error.value_or("");
  ASSIGN_OR_RETURN(connection.last_error_at, GetTime(kLastErrorAt));
  return connection;
}

absl::Status AgentState::SetConnected(absl::Time at) {
  return db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(PutInt(kConnected, 1));
    RETURN_IF_ERROR(PutInt(kSince, absl::ToUnixMillis(at)));
    return Put(kLastError, "");
  });
}

absl::Status AgentState::PutNotConnected(absl::Time at) {
  ASSIGN_OR_RETURN(const std::int64_t was_connected, GetInt(kConnected, 0));
  ASSIGN_OR_RETURN(const std::optional<std::string> since, Get(kSince));
  RETURN_IF_ERROR(PutInt(kConnected, 0));
  if (was_connected == 0 && since.has_value()) return absl::OkStatus();
  return PutInt(kSince, absl::ToUnixMillis(at));
}

absl::Status AgentState::SetNotConnected(absl::Time at) {
  return db_->Transaction([&] { return PutNotConnected(at); });
}

absl::Status AgentState::SetDisconnected(absl::string_view why, absl::Time at) {
  return db_->Transaction([&]() -> absl::Status {
    RETURN_IF_ERROR(PutNotConnected(at));
    RETURN_IF_ERROR(Put(kLastError, why));
    return PutInt(kLastErrorAt, absl::ToUnixMillis(at));
  });
}

}  // namespace dumpwarden
