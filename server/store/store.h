// SPDX-License-Identifier: Apache-2.0
// What the server keeps.  State and its audit row commit in one transaction;
// an answer is given after the commit.  What every Store must do is
// tests/contract/store_contract.h.
#ifndef DUMPWARDEN_SERVER_STORE_STORE_H_
#define DUMPWARDEN_SERVER_STORE_STORE_H_

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/base/status_macros.h"
#include "core/reconcile/state_digest.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

using HostId = std::int64_t;  // dense, the server's own; never on the wire

struct HostRow {
  HostId id = 0;
  std::string uuid;
  std::string name;  // a label for people
  std::map<std::string, std::string> labels;
  std::string host_key;  // SPKI, DER
  absl::Time enrolled;
  absl::Time last_seen;  // infinite past = never
  bool revoked = false;
  bool quarantined = false;
  bool hold = false;  // until an operator approves it
  std::string agent_version;
  std::string epoch;
  std::uint64_t sequence = 0;  // last report
  std::string state_digest;
  std::string facts_digest;
  std::string policy_digest;                  // of the set that the findings speak of
  v1::Status state = v1::STATUS_UNSPECIFIED;  // worst finding; unspecified = never reported
};

// What the audit log says that a host was, before and after a change: SHA-256 over lines with its
// uuid, the SHA-256 of its host key in hex, and enrolled, quarantined or revoked.
std::string HostDigest(const HostRow& host);

struct PolicyRow {
  std::string name;
  std::uint64_t version = 0;
  std::string yaml;
  std::string digest;  // 32 bytes
  std::string author;
  absl::Time at;
  bool in_force = true;
};

// Payload of an EnrollHost's refusal whose message its caller may be told.
inline constexpr char kHolderMayKnow[] = "dumpwarden/holder-may-know";

struct TokenRow {
  std::string id;
  std::string secret_digest;  // SHA-256
  std::map<std::string, std::string> labels;
  std::string expected_name;
  absl::Time expires;
  bool hold = false;  // as the host that it makes
};

// A token, and what became of it.
struct TokenRecord {
  TokenRow token;  // without the digest
  std::optional<absl::Time> used;
  std::string used_by;  // uuid
  std::optional<absl::Time> revoked;
};

// The role that gives the others: somebody always has it.
inline constexpr char kAdminRole[] = "admin";

// A client certificate of a person.
struct CertificateRow {
  std::string serial;  // lower-case hex
  absl::Time expires;
};

struct PersonRow {
  std::string name;                // alice@corp.example
  std::vector<std::string> roles;  // sorted
  absl::Time added;
  std::optional<absl::Time> revoked;
  bool unlisted = false;                     // any certificate of that name is hers
  std::vector<CertificateRow> certificates;  // those that she may use; some may have expired
};

struct LoginCodeRow {
  std::string id;
  std::string secret_digest;  // SHA-256
  std::string person;
  absl::Time expires;
};

// A code as somebody shows it.
struct LoginClaim {
  std::string code_id;
  std::string secret_digest;
  absl::Time now;
};

// Who did it, from where, and what.
struct Audit {
  std::string actor;
  std::string source;
  std::string action;
  std::string object;
  std::string detail;
  std::string before;  // digests, may be empty
  std::string after;
};

struct AuditPage {
  std::vector<v1::AuditEntry> entries;
  std::uint64_t floor = 1;  // the lowest row that retention has left; 1 when none went
};

// What a report changes.  `state` is the whole state after it, made from what was kept of
// `base_epoch` and `base_sequence`: when another report was kept meanwhile, all of `state` is
// written, not what the report says of it.
struct ReportCommit {
  HostId host = 0;
  std::string base_epoch;
  std::uint64_t base_sequence = 0;
  std::string epoch;
  std::uint64_t sequence = 0;
  std::string state_digest;
  std::string policy_digest;
  v1::Report report;
  HostState state;
  absl::Time received;
};

// A host was heard.
struct HostTouch {
  HostId host = 0;
  absl::Time at;
  // When set: what the report of this epoch and number found, these policies find too.
  std::string policy_digest;
  std::string epoch;
  std::uint64_t sequence = 0;
};

// What a host told of itself.
struct HostReport {
  v1::Facts facts;
  HostState state;
};

struct DriftQuery {
  std::optional<HostId> host;
  std::uint32_t limit = 1000;
  std::uint64_t before_cursor = 0;  // 0 = newest
  // When set (0 = all): oldest first, an entry an event, so that a drift comes when it begins and
  // again when it ends; Drift.cursor is the event's.
  std::optional<std::uint64_t> after_cursor;
};

// How long what is over is kept; infinite = for ever.
struct Retention {
  absl::Duration tokens = absl::InfiniteDuration();           // since it was used or expired
  absl::Duration policy_versions = absl::InfiniteDuration();  // since another version replaced it
  absl::Duration drift = absl::InfiniteDuration();            // since its end; an open one stays
  absl::Duration audit = absl::InfiniteDuration();            // since it was written
};

// A run of retention over rows of one kind, a step at a time (DeleteExpired).
struct Expiry {
  enum class Kind { kTokens, kPolicyVersions, kDrift, kAudit };
  Kind kind;
  absl::Time over_before;    // what was over before then goes
  bool more = true;          // false: the run is at its end
  std::int64_t deleted = 0;  // so far
  std::int64_t said = 0;     // of these, in audit rows
  std::int64_t after = 0;    // the row up to which it has looked
};
// One for each kind that is not kept for ever.
std::vector<Expiry> ExpiriesOf(const Retention& retention, absl::Time now);

// What is known of the clock, so that one that jumps is seen over a restart.
struct KeptClock {
  absl::Time believed = absl::InfinitePast();  // the last time that was
  std::optional<absl::Time> doubted;           // since then: what it said last
  absl::Duration doubted_for;                  // while a server ran
};

// What a code that is good gives its person.
struct Login {
  CertificateRow certificate;
  Audit audit;
};
using IssueLogin = std::function<absl::StatusOr<Login>(const PersonRow& person)>;

class Store {
 public:
  virtual ~Store() = default;

  // --- Drift class: group commit.  `done` comes on the writer's thread, after the commit.
  // Events already kept (same host, sequence and content, in whatever epoch) are kept once.  The
  // report that begins an epoch ends (resolved) the open drifts of other epochs that its state does
  // not know.
  // kAborted when the sequence is not above the last one of its epoch (an exact repeat is OK and
  // changes nothing), when a report that begins an epoch is not full, or when the epoch holds
  // another event of the same number: nothing of the report is kept then.  kResourceExhausted when
  // the store lags.
  virtual void CommitReport(ReportCommit commit, std::function<void(absl::Status)> done) = 0;
  virtual void CommitFacts(HostId host, v1::Facts facts, std::string digest,
                           std::function<void(absl::Status)> done) = 0;
  // --- Liveness class: batched by the caller.
  virtual absl::Status TouchHosts(const std::vector<HostTouch>& seen) = 0;

  // --- Audit class: committed before the call returns.  The digests of a host and of a new token
  // are filled in.
  virtual absl::StatusOr<std::uint64_t> RecordAudit(const Audit& audit) = 0;
  // All or none; each leaves an audit row of its own.
  virtual absl::Status CreateTokens(const std::vector<std::pair<TokenRow, Audit>>& tokens) = 0;
  absl::Status CreateToken(const TokenRow& token, const Audit& audit) {
    return CreateTokens({{token, audit}});
  }
  // False, and no audit row, when it was already.  kNotFound; kFailedPrecondition when it was used
  // or has expired.
  virtual absl::StatusOr<bool> RevokeToken(const std::string& id, absl::Time now,
                                           const Audit& audit) = 0;
  // Burns the token and makes the host in one transaction.  kPermissionDenied: no such token or
  // wrong secret (the message says which, for the server's log and audit only); or used, expired,
  // revoked, another name expected: with the payload kHolderMayKnow, as the secret was right.  The
  // refusal leaves an audit row too.
  virtual absl::StatusOr<HostRow> EnrollHost(const std::string& token_id,
                                             const std::string& secret_digest, const HostRow& host,
                                             absl::Time now, const Audit& audit) = 0;
  // Of tokens and of login codes.
  virtual absl::StatusOr<std::optional<absl::Time>> NewestTokenExpiry(absl::Time now) = 0;
  virtual absl::Status QuarantineHost(HostId host, const Audit& audit) = 0;
  // For good.  False, and no audit row, when it was already.
  virtual absl::StatusOr<bool> RevokeHost(HostId host, const Audit& audit) = 0;
  // Name, roles, certificates and `unlisted` are kept.  kAlreadyExists when there is such a person;
  // one who was revoked comes back, without any right from before.
  virtual absl::Status AddPerson(const PersonRow& person, const std::optional<LoginCodeRow>& code,
                                 const Audit& audit) = 0;
  // In place of the person's other open code.  kNotFound, or kFailedPrecondition when revoked.
  virtual absl::Status CreateLoginCode(const LoginCodeRow& code, const Audit& audit) = 0;
  // Burns the code and keeps the certificate that `issue` makes (inside the transaction: it may not
  // call the store).  kPermissionDenied as EnrollHost; `refusal` is the audit row then.
  virtual absl::StatusOr<PersonRow> UseLoginCode(const LoginClaim& claim, const IssueLogin& issue,
                                                 const Audit& refusal) = 0;
  // False, and no audit row, when nothing changes.  kNotFound; kFailedPrecondition when revoked,
  // or when nobody else who is admin could log in any more.
  // `trial`: only checked.
  virtual absl::StatusOr<bool> SetRoles(const std::string& name,
                                        const std::vector<std::string>& roles, absl::Time now,
                                        bool trial, const Audit& audit) = 0;
  // With certificates and open codes.  The same.
  virtual absl::StatusOr<bool> RevokePerson(const std::string& name, absl::Time now, bool trial,
                                            const Audit& audit) = 0;
  // The host gets a new certificate, and with `hold` waits for ApproveHost from now on.
  // kPermissionDenied when it was revoked or quarantined: no audit row then.
  virtual absl::Status RenewHost(HostId host, bool hold, const Audit& audit) = 0;
  // False, and no audit row, when it is not held.  kFailedPrecondition when it was revoked.
  virtual absl::StatusOr<bool> ApproveHost(HostId host, const Audit& audit) = 0;
  virtual absl::Status SetHostVersion(HostId host, const std::string& agent_version) = 0;
  // All or none.  Same digest as in force is left alone (changed = false).  version 0 = next.
  // kAborted when a given version is not above every earlier one of that name.  Each policy that
  // changed leaves an audit row of its own: object, before and after are filled in.
  virtual absl::StatusOr<std::vector<v1::AppliedPolicy>> PutPolicies(
      const std::vector<PolicyRow>& policies, const Audit& audit) = 0;
  virtual absl::StatusOr<std::uint64_t> DeletePolicy(const std::string& name,
                                                     const Audit& audit) = 0;

  // The next step of a run, in one small transaction; nothing moves when it fails.  With the first
  // row that goes comes the audit row that says what goes, another each 50,000 rows and at the end
  // the count.  The newest version of a policy stays, so that numbering goes on.  Events of a drift
  // that went are not kept anew when a host tells them again.  Audit rows go from the oldest on,
  // without a gap: up to 20,000 are out of sight at once, with a row, and then deleted.
  virtual absl::Status DeleteExpired(Expiry& expiry, absl::Time now) = 0;
  virtual absl::Status KeepClock(const KeptClock& clock) = 0;

  // --- Reading: from any thread.
  virtual absl::StatusOr<std::vector<PolicyRow>> PoliciesInForce() = 0;
  virtual absl::StatusOr<PolicyRow> GetPolicy(const std::string& name, std::uint64_t version) = 0;
  virtual absl::StatusOr<std::vector<HostRow>> ListHosts() = 0;
  virtual absl::StatusOr<HostRow> FindHost(const std::string& uuid) = 0;
  virtual absl::StatusOr<std::vector<PersonRow>> ListPeople() = 0;  // by name; the revoked too
  virtual absl::StatusOr<PersonRow> FindPerson(const std::string& name) = 0;
  // The last to expire first.
  virtual absl::StatusOr<std::vector<TokenRecord>> ListTokens() = 0;
  // Empty when nothing was reported.
  virtual absl::StatusOr<HostState> ReadState(HostId host) = 0;
  virtual absl::StatusOr<v1::Facts> ReadFacts(HostId host) = 0;
  // Both of each, in this order, out of one moment.
  virtual absl::StatusOr<std::vector<HostReport>> ReadReports(const std::vector<HostId>& hosts) = 0;
  virtual absl::StatusOr<std::vector<std::pair<HostId, v1::Finding>>> ListFindings() = 0;
  // Drift rows with their ends joined; host_id is the uuid.
  virtual absl::StatusOr<std::vector<v1::Drift>> ListDrift(const DriftQuery& query) = 0;
  // Newest first, and where the log begins, out of one moment.
  virtual absl::StatusOr<AuditPage> ReadAudit(const v1::ListAuditRequest& query) = 0;
  absl::StatusOr<std::vector<v1::AuditEntry>> ListAudit(const v1::ListAuditRequest& query) {
    ASSIGN_OR_RETURN(AuditPage page, ReadAudit(query));
    return std::move(page.entries);
  }
  // Before the first KeepClock, the time of the newest audit row that no restore has written is
  // believed; without any, the infinite past.
  virtual absl::StatusOr<KeptClock> ReadClock() = 0;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_STORE_STORE_H_
