// SPDX-License-Identifier: Apache-2.0
// What the agent must remember over a kill or a power cut: one SQLite file,
// every change a transaction that is on disk when the call returns.  Messages
// that depend on a change are sent after it.
#ifndef DUMPWARDEN_AGENT_STATE_H_
#define DUMPWARDEN_AGENT_STATE_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/base/random.h"
#include "core/reconcile/state_digest.h"
#include "dumpwarden/v1/report.pb.h"
#include "platform/sqlite.h"

namespace dumpwarden {

inline constexpr std::size_t kMaxQueuedEvents = 10000;

struct StoredPolicy {
  std::string name;
  std::uint64_t version = 0;
  std::string digest;  // SHA-256 of yaml
  std::string yaml;
  bool operator==(const StoredPolicy&) const = default;
};

// The highest version of a policy that was ever in force here.
struct SeenVersion {
  std::uint64_t version = 0;
  std::string digest;
};

// What the last reconcile said of one setting in one overlay, and the drift
// that is open there.
struct TrackedSetting {
  v1::Finding finding;
  std::uint64_t drift = 0;    // sequence of the open DRIFTED event; 0 = none
  std::string drifted_value;  // what the registry held then
  bool correcting = false;    // our own write may have happened since
  // Configured when host and policy last agreed.
  std::optional<std::string> agreed{};
  // That event; nullopt when an earlier agent made it, or it cannot be read.
  std::optional<v1::DriftEvent> start{};

  void ForgetDrift() {
    drift = 0;
    drifted_value.clear();
    correcting = false;
    start.reset();
  }
};
using TrackedSettings = std::map<std::string, TrackedSetting>;  // by FindingKey

// For the status command.
struct ConnectionState {
  bool connected = false;
  absl::Time since = absl::InfinitePast();     // of the present state
  absl::Time last_ack = absl::InfinitePast();  // of a report
  std::string last_error;
  absl::Time last_error_at = absl::InfinitePast();
};

// AgentState is one thread's.
class AgentState {
 public:
  // Makes the file, with a new epoch, when there is none.
  static absl::StatusOr<std::unique_ptr<AgentState>> Open(const std::string& path, Random& random);
  // For looking while another process writes; kNotFound when there is no file.
  static absl::StatusOr<std::unique_ptr<AgentState>> OpenReadOnly(const std::string& path);

  const std::string& epoch() const { return epoch_; }
  // A new one, after which the server is known to hold nothing: for when this state or the server
  // was restored, and a number may stand for two contents.  Queued events keep their numbers; the
  // starts of open drifts are queued again, under the numbers that they had.
  absl::Status BeginEpoch(Random& random, const TrackedSettings& tracked);

  absl::StatusOr<std::vector<StoredPolicy>> Policies();  // by name
  absl::StatusOr<std::optional<SeenVersion>> HighestSeen(absl::string_view name);
  // The whole set and its problems in one transaction; raises the highest versions seen.
  absl::Status PutPolicies(const std::vector<StoredPolicy>& policies,
                           absl::string_view problems = "");
  // Why the last set was not put in force as it came, a line each.
  absl::StatusOr<std::string> PolicyProblems();
  absl::Status SetPolicyProblems(absl::string_view problems);

  // A row that cannot be read is STATUS_UNSPECIFIED.
  absl::StatusOr<TrackedSettings> Tracked();
  // Replaces what is tracked and queues `events`, in one transaction.  More
  // than kMaxQueuedEvents are compacted: see event_queue.h.
  absl::Status Record(const TrackedSettings& tracked, const std::vector<v1::DriftEvent>& events);
  std::uint64_t next_event() const { return next_event_; }

  // The oldest unacknowledged events.
  absl::StatusOr<std::vector<v1::DriftEvent>> Events(std::size_t limit);
  absl::StatusOr<std::size_t> EventCount();

  // A number for the next report, never given before, over restarts too.  The report holds the
  // events up to `last_event`: the server may keep them from now on.
  absl::StatusOr<std::uint64_t> TakeReportSequence(std::uint64_t last_event);
  std::uint64_t next_report() const { return next_report_; }
  std::uint64_t acknowledged() const { return acknowledged_; }
  // What the server is known to hold; nullopt before the first acknowledgement.
  const std::optional<HostState>& acknowledged_state() const { return acknowledged_state_; }
  const std::string& acknowledged_digest() const { return acknowledged_digest_; }  // empty: of none
  // The server has report `sequence`, which made `state` and held the events up to `last_event`.
  absl::Status Acknowledge(std::uint64_t sequence, const HostState& state, std::uint64_t last_event,
                           absl::Time at);

  // One that cannot be read is empty: what Windows read at this boot is not known then.
  absl::StatusOr<std::optional<v1::Observation>> BootSnapshot(absl::string_view boot_id);
  absl::Status SetBootSnapshot(absl::string_view boot_id, const v1::Observation& observation);

  absl::StatusOr<absl::Duration> ReconnectWindow(absl::Duration fallback);
  absl::Status SetReconnectWindow(absl::Duration window);

  // Under which identity the state goes on.  With another one than before, what the server said
  // to the old one (come back rarely, say) no longer holds, an epoch begins, and no drift is open:
  // then the answer is how many events go, which were not acknowledged to the old one.
  absl::StatusOr<std::optional<std::size_t>> ActAs(absl::string_view host_id, Random& random);

  absl::StatusOr<ConnectionState> Connection();
  absl::Status SetConnected(absl::Time at);
  absl::Status SetDisconnected(absl::string_view why, absl::Time at);
  // Not connected, and for no reason that is worth telling: the last error stays.
  absl::Status SetNotConnected(absl::Time at);

 private:
  AgentState(std::unique_ptr<Database> db, std::int64_t schema)
      : db_(std::move(db)), schema_(schema) {}
  absl::Status Load();
  absl::Status MakeEpoch(Random& random);
  absl::StatusOr<std::optional<std::string>> Get(absl::string_view key);
  absl::StatusOr<std::int64_t> GetInt(absl::string_view key, std::int64_t fallback);
  absl::StatusOr<absl::Time> GetTime(absl::string_view key);
  absl::Status Put(absl::string_view key, absl::string_view value);
  absl::Status PutInt(absl::string_view key, std::int64_t value);
  absl::Status Forget(absl::string_view key);
  absl::Status PutEpoch(const std::string& epoch);
  void HaveEpoch(const std::string& epoch);  // PutEpoch is committed
  absl::Status PutNotConnected(absl::Time at);
  absl::Status ReplaceTracked(const TrackedSettings& tracked);
  absl::Status QueueEvents(const std::vector<v1::DriftEvent>& events);
  absl::Status CompactQueue();

  std::unique_ptr<Database> db_;
  std::int64_t schema_;  // of the file: an earlier one only when it is looked at
  std::string epoch_;
  std::uint64_t next_event_ = 1;
  std::uint64_t next_report_ = 1;
  std::uint64_t last_sent_event_ = 0;
  std::uint64_t acknowledged_ = 0;
  std::optional<HostState> acknowledged_state_;
  std::string acknowledged_digest_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_STATE_H_
