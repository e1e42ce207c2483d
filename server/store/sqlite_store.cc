// SPDX-License-Identifier: Apache-2.0
#include "server/store/sqlite_store.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/sqlite.h"
#include "server/store/audit_retention.h"
#include "server/store/audit_rows.h"
#include "server/store/group_commit.h"
#include "server/store/hosts.h"
#include "server/store/people.h"
#include "server/store/policies.h"
#include "server/store/readers.h"
#include "server/store/reports.h"
#include "server/store/retention.h"
#include "server/store/schema.h"
#include "server/store/tokens.h"

namespace dumpwarden {
namespace {

absl::Status CheckNames(const std::vector<PolicyRow>& policies) {
  std::set<std::string> names;
  for (const PolicyRow& policy : policies) {
    if (names.insert(policy.name).second) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("the policy ", Quote(policy.name), " is given twice; once is expected"));
  }
  return absl::OkStatus();
}

Audit AuditOfPut(Audit audit, const PolicyRow& policy, const PutOutcome& outcome) {
  audit.object = policy.name;
  audit.detail = absl::StrCat("version ", outcome.applied.version(),
                              audit.detail.empty() ? "" : "; ", audit.detail);
  audit.before = outcome.before;
  audit.after = policy.digest;
  return audit;
}

class SqliteStore : public Store {
 public:
  SqliteStore(const std::string& path, std::unique_ptr<Database> db, const Clock& clock,
              GroupCommit::Writer writer)
      : clock_(clock), readers_(path), writer_(std::move(db), writer) {}

  void Pump() { writer_.Pump(); }

  // Both remain while the writer ends: what it calls back may still read.
  ~SqliteStore() override { readers_.CloseIdle(); }

  void CommitReport(ReportCommit commit, std::function<void(absl::Status)> done) override {
    writer_.Submit([commit = std::move(commit)](Database& db) { return KeepReport(db, commit); },
                   std::move(done));
  }

  void CommitFacts(HostId host, v1::Facts facts, std::string digest,
                   std::function<void(absl::Status)> done) override {
    writer_.Submit([host, facts = std::move(facts), digest = std::move(digest)](
                       Database& db) { return KeepFacts(db, host, facts, digest); },
                   std::move(done));
  }

  absl::Status TouchHosts(const std::vector<HostTouch>& seen) override {
    return writer_.Commit([&](Database& db) { return UpdateLastSeen(db, seen); });
  }

  absl::StatusOr<std::uint64_t> RecordAudit(const Audit& audit) override {
    std::uint64_t sequence = 0;
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) -> absl::Status {
      ASSIGN_OR_RETURN(sequence, InsertAudit(db, audit, clock_.Now()));
      return absl::OkStatus();
    }));
    return sequence;
  }

  absl::Status CreateTokens(const std::vector<std::pair<TokenRow, Audit>>& tokens) override {
    return writer_.Commit([&](Database& db) -> absl::Status {
      for (const auto& [token, audit] : tokens) {
        RETURN_IF_ERROR(InsertToken(db, token));
        Audit row = audit;
        row.after = token.secret_digest;
        RETURN_IF_ERROR(InsertAudit(db, row, clock_.Now()).status());
      }
      return absl::OkStatus();
    });
  }

  absl::StatusOr<bool> RevokeToken(const std::string& id, absl::Time now,
                                   const Audit& audit) override {
    return CommitWhenChanged(
        audit, [&](Database& db, Audit& row) { return UpdateTokenRevoked(db, id, now, row); });
  }

  absl::StatusOr<HostRow> EnrollHost(const std::string& token_id, const std::string& secret_digest,
                                     const HostRow& host, absl::Time now,
                                     const Audit& audit) override {
    const TokenClaim claim{token_id, secret_digest, host, now};
    absl::StatusOr<HostRow> enrolled = host;
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) -> absl::Status {
      const absl::Status checked = CheckToken(db, claim);
      // The refusal is an outcome to be committed: its audit row must stay.
      if (absl::IsPermissionDenied(checked)) {
        enrolled = checked;
        Audit row = audit;
        row.action = "host.enroll.refused";
        return RecordRefusal(db, std::move(row), checked);
      }
      RETURN_IF_ERROR(checked);
      ASSIGN_OR_RETURN(enrolled, InsertHost(db, claim));
      Audit row = audit;
      row.after = HostDigest(*enrolled);
      return InsertAudit(db, row, clock_.Now()).status();
    }));
    return enrolled;
  }

  absl::StatusOr<std::optional<absl::Time>> NewestTokenExpiry(absl::Time now) override {
    return readers_.Run([&](Database& db) { return SelectNewestExpiry(db, now); });
  }

  absl::Status QuarantineHost(HostId host, const Audit& audit) override {
    return CommitHostChange(host, audit,
                            [&](Database& db) -> absl::StatusOr<bool> {
                              RETURN_IF_ERROR(UpdateQuarantined(db, host));
                              return true;
                            })
        .status();
  }

  absl::StatusOr<bool> RevokeHost(HostId host, const Audit& audit) override {
    return CommitHostChange(host, audit, [&](Database& db) { return UpdateRevoked(db, host); });
  }

  absl::Status AddPerson(const PersonRow& person, const std::optional<LoginCodeRow>& code,
                         const Audit& audit) override {
    return CommitAudited(audit, [&](Database& db) -> absl::Status {
      RETURN_IF_ERROR(InsertPerson(db, person, clock_.Now()));
      return code.has_value() ? InsertLoginCode(db, *code) : absl::OkStatus();
    });
  }
  absl::Status CreateLoginCode(const LoginCodeRow& code, const Audit& audit) override {
    Audit row = audit;
    row.after = code.secret_digest;
    return CommitAudited(row, [&](Database& db) { return InsertLoginCode(db, code); });
  }
  absl::StatusOr<PersonRow> UseLoginCode(const LoginClaim& claim, const IssueLogin& issue,
                                         const Audit& refusal) override {
    absl::StatusOr<PersonRow> person = absl::UnknownError("");
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) -> absl::Status {
      person = CheckLoginCode(db, claim);
      // As in EnrollHost.
      if (absl::IsPermissionDenied(person.status())) {
        return RecordRefusal(db, refusal, person.status());
      }
      RETURN_IF_ERROR(person.status());
      ASSIGN_OR_RETURN(const Login login, issue(*person));
      RETURN_IF_ERROR(KeepLogin(db, claim, *person, login.certificate));
      person->certificates.push_back(login.certificate);
      return InsertAudit(db, login.audit, clock_.Now()).status();
    }));
    return person;
  }
  absl::StatusOr<bool> SetRoles(const std::string& name, const std::vector<std::string>& roles,
                                absl::Time now, bool trial, const Audit& audit) override {
    const RolesChange change{name, roles, now, trial};
    return CommitWhenChanged(
        audit, [&](Database& db, Audit& row) { return UpdateRoles(db, change, row); }, trial);
  }
  absl::StatusOr<bool> RevokePerson(const std::string& name, absl::Time now, bool trial,
                                    const Audit& audit) override {
    return CommitWhenChanged(
        audit,
        [&](Database& db, Audit& row) { return UpdatePersonRevoked(db, name, now, trial, row); },
        trial);
  }

  absl::Status RenewHost(HostId host, bool hold, const Audit& audit) override {
    return CommitAudited(audit, [&](Database& db) -> absl::Status {
      RETURN_IF_ERROR(CheckRenewable(db, host));
      return hold ? UpdateHold(db, host, true) : absl::OkStatus();
    });
  }

  absl::StatusOr<bool> ApproveHost(HostId host, const Audit& audit) override {
    return CommitHostChange(host, audit, [&](Database& db) { return UpdateApproved(db, host); });
  }

  absl::Status SetHostVersion(HostId host, const std::string& agent_version) override {
    return writer_.Commit([&](Database& db) { return UpdateVersion(db, host, agent_version); });
  }

  absl::StatusOr<std::vector<v1::AppliedPolicy>> PutPolicies(const std::vector<PolicyRow>& policies,
                                                             const Audit& audit) override {
    RETURN_IF_ERROR(CheckNames(policies));
    std::vector<v1::AppliedPolicy> applied;
    // Outside of the commit: it takes a while when there are many hosts.
    ASSIGN_OR_RETURN(const ReportedVersions reported, readers_.Run(&SelectReportedVersions));
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) -> absl::Status {
      for (const PolicyRow& policy : policies) {
        ASSIGN_OR_RETURN(const PutOutcome outcome, PutPolicy(db, policy, reported, clock_.Now()));
        applied.push_back(outcome.applied);
        if (!outcome.applied.changed()) continue;
        const Audit row = AuditOfPut(audit, policy, outcome);
        RETURN_IF_ERROR(InsertAudit(db, row, clock_.Now()).status());
      }
      return CheckPolicyLimits(db);
    }));
    return applied;
  }

  absl::StatusOr<std::uint64_t> DeletePolicy(const std::string& name, const Audit& audit) override {
    std::uint64_t version = 0;
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) -> absl::Status {
      ASSIGN_OR_RETURN(const PolicyRow policy, WithdrawPolicy(db, name));
      version = policy.version;
      Audit row = audit;
      row.before = policy.digest;
      row.after.clear();
      return InsertAudit(db, row, clock_.Now()).status();
    }));
    return version;
  }

  absl::Status DeleteExpired(Expiry& expiry, absl::Time now) override {
    Expiry next = expiry;
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) { return DeleteStep(db, next, now); }));
    expiry = next;
    return absl::OkStatus();
  }

  absl::Status KeepClock(const KeptClock& clock) override {
    return writer_.Commit([&](Database& db) { return UpdateClock(db, clock); });
  }
  absl::StatusOr<KeptClock> ReadClock() override { return readers_.Run(&SelectClock); }

  absl::StatusOr<std::vector<PolicyRow>> PoliciesInForce() override {
    return readers_.Run(&SelectPoliciesInForce);
  }
  absl::StatusOr<PolicyRow> GetPolicy(const std::string& name, std::uint64_t version) override {
    return readers_.Run([&](Database& db) { return SelectPolicy(db, name, version); });
  }
  absl::StatusOr<std::vector<HostRow>> ListHosts() override { return readers_.Run(&SelectHosts); }
  absl::StatusOr<HostRow> FindHost(const std::string& uuid) override {
    return readers_.Run([&](Database& db) { return SelectHost(db, uuid); });
  }
  absl::StatusOr<std::vector<PersonRow>> ListPeople() override {
    return readers_.Run(&SelectPeople);
  }
  absl::StatusOr<PersonRow> FindPerson(const std::string& name) override {
    return readers_.Run([&](Database& db) { return SelectPerson(db, name); });
  }
  absl::StatusOr<std::vector<TokenRecord>> ListTokens() override {
    return readers_.Run(&SelectTokens);
  }
  absl::StatusOr<HostState> ReadState(HostId host) override {
    return readers_.Run([&](Database& db) { return SelectState(db, host); });
  }
  absl::StatusOr<v1::Facts> ReadFacts(HostId host) override {
    return readers_.Run([&](Database& db) { return SelectFacts(db, host); });
  }
  absl::StatusOr<std::vector<HostReport>> ReadReports(const std::vector<HostId>& hosts) override {
    return readers_.Run([&](Database& db) { return SelectReports(db, hosts); });
  }
  absl::StatusOr<std::vector<std::pair<HostId, v1::Finding>>> ListFindings() override {
    return readers_.Run(&SelectFindings);
  }
  absl::StatusOr<std::vector<v1::Drift>> ListDrift(const DriftQuery& query) override {
    return readers_.Run([&](Database& db) { return SelectDrift(db, query); });
  }
  absl::StatusOr<AuditPage> ReadAudit(const v1::ListAuditRequest& query) override {
    return readers_.Run([&](Database& db) -> absl::StatusOr<AuditPage> {
      ASSIGN_OR_RETURN(const std::uint64_t floor, SelectAuditFloor(db));
      ASSIGN_OR_RETURN(std::vector<v1::AuditEntry> entries, SelectAudit(db, query));
      return AuditPage{std::move(entries), floor};
    });
  }

 private:
  absl::Status CommitAudited(const Audit& audit, const GroupCommit::Work& change) {
    return writer_.Commit([&](Database& db) -> absl::Status {
      RETURN_IF_ERROR(change(db));
      return InsertAudit(db, audit, clock_.Now()).status();
    });
  }

  // `change` says whether it changed anything, and may add to the row.
  absl::StatusOr<bool> CommitWhenChanged(
      const Audit& audit,
      const std::function<absl::StatusOr<bool>(Database& db, Audit& row)>& change,
      bool trial = false) {
    bool changed = false;
    RETURN_IF_ERROR(writer_.Commit([&](Database& db) -> absl::Status {
      Audit row = audit;
      ASSIGN_OR_RETURN(changed, change(db, row));
      if (!changed || trial) return absl::OkStatus();
      return InsertAudit(db, row, clock_.Now()).status();
    }));
    return changed;
  }

  // With the digests of the host before and after.
  absl::StatusOr<bool> CommitHostChange(
      HostId host, const Audit& audit,
      const std::function<absl::StatusOr<bool>(Database&)>& change) {
    return CommitWhenChanged(audit, [&](Database& db, Audit& row) -> absl::StatusOr<bool> {
      ASSIGN_OR_RETURN(row.before, SelectHostDigest(db, host));
      ASSIGN_OR_RETURN(const bool changed, change(db));
      ASSIGN_OR_RETURN(row.after, SelectHostDigest(db, host));
      return changed;
    });
  }

  absl::Status RecordRefusal(Database& db, Audit audit, const absl::Status& why) {
    audit.detail = absl::StrCat(why.message(), audit.detail.empty() ? "" : "; ", audit.detail);
    return InsertAudit(db, audit, clock_.Now()).status();
  }

  const Clock& clock_;
  Readers readers_;
  GroupCommit writer_;
};

absl::StatusOr<std::unique_ptr<SqliteStore>> Make(const std::string& path, const Clock& clock,
                                                  GroupCommit::Writer writer) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> db, Database::Open(path, Database::Durability::kFull));
  RETURN_IF_ERROR(db->CheckIntegrity());
  RETURN_IF_ERROR(db->Migrate(Migrations()));
  return std::make_unique<SqliteStore>(path, std::move(db), clock, writer);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> MakeSqliteStore(const std::string& path,
                                                       const Clock& clock) {
  return Make(path, clock, GroupCommit::Writer::kOwnThread);
}

absl::StatusOr<PumpedStore> MakePumpedSqliteStore(const std::string& path, const Clock& clock) {
  ASSIGN_OR_RETURN(std::unique_ptr<SqliteStore> store,
                   Make(path, clock, GroupCommit::Writer::kPumped));
  std::function<void()> pump = [made = store.get()] { made->Pump(); };
  return PumpedStore{std::move(store), std::move(pump)};
}

}  // namespace dumpwarden
