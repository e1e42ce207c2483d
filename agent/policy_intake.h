// SPDX-License-Identifier: Apache-2.0
// Policies on their way in.  Everything here comes from the server and may be
// hostile: digests are checked, sizes capped, versions never go back, and a set
// is put in force whole or not at all.
#ifndef DUMPWARDEN_AGENT_POLICY_INTAKE_H_
#define DUMPWARDEN_AGENT_POLICY_INTAKE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/state.h"
#include "core/base/clock.h"
#include "core/policy/merge.h"
#include "dumpwarden/v1/policy.pb.h"
#include "platform/log.h"

namespace dumpwarden {

class PolicyIntake {
 public:
  // All must outlive this.
  PolicyIntake(AgentState& state, const Clock& clock, Log& log)
      : state_(state), clock_(clock), log_(log) {}

  // Reads the last good policies.
  absl::Status Start();

  struct Outcome {
    bool in_force = false;                     // other policies than before: reconcile
    std::optional<v1::PolicyRequest> request;  // to be sent
    bool hang_up = false;                      // this server sends nothing but what is invalid
  };
  // An error means that the state could not be kept; the old policies stay.
  absl::StatusOr<Outcome> OnSet(const v1::PolicySet& set);
  absl::StatusOr<Outcome> OnDocument(const v1::PolicyDocument& document);
  // What was not complete is asked for again in the next session.
  void OnDisconnected();

  const std::vector<PolicyInForce>& policies() const { return policies_; }
  const std::string& digest() const { return digest_; }  // of the set in force

 private:
  absl::StatusOr<bool> MayEnter(const v1::PolicyEntry& entry);
  absl::StatusOr<Outcome> PutInForce();
  absl::Status CheckDocument(const v1::PolicyDocument& document, const std::string& digest) const;
  // The entry's policy, or the last good one of its name, or nothing.
  std::optional<StoredPolicy> Accept(const v1::PolicyEntry& entry);
  const StoredPolicy* InForce(const std::string& name) const;
  const std::string* BytesOf(const std::string& digest) const;
  // Kept for the status, and logged: both as far as a hostile server cannot fill memory or disk.
  void Refuse(const std::string& what);
  // Those that can be read.
  std::vector<PolicyInForce> ReadAll(const std::vector<StoredPolicy>& stored);
  void Use(std::vector<StoredPolicy> stored, std::vector<PolicyInForce> policies);
  // What is in force has been read before: a set changes one policy of many.
  absl::StatusOr<Policy> ReadOnce(const std::string& name, const std::string& digest,
                                  const std::string& yaml);

  AgentState& state_;
  const Clock& clock_;
  Log& log_;
  std::vector<StoredPolicy> stored_;  // by name
  std::vector<PolicyInForce> policies_;
  std::string digest_;
  std::optional<std::vector<v1::PolicyEntry>> pending_;          // a set that is not complete
  std::map<std::string, std::string> documents_;                 // received: digest -> YAML
  std::map<std::pair<std::string, std::string>, Policy> fresh_;  // name, digest: while put in force
  std::vector<std::string> problems_;
  int invalid_sets_ = 0;                               // in this session
  absl::Duration minute_ = -absl::InfiniteDuration();  // monotonic: when it began
  int logged_ = 0;                                     // in this minute
  std::uint64_t not_logged_ = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_POLICY_INTAKE_H_
