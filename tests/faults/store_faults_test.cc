// SPDX-License-Identifier: Apache-2.0
// The server's store under a SQLite without memory, disk or room: state and
// audit row are there together or not at all, and what was answered is there.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "platform/sqlite.h"
#include "server/store/backup.h"
#include "server/store/schema.h"
#include "server/store/sqlite_store.h"
#include "tests/faults/sqlite_loop.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

Audit By(const std::string& action) { return {"alice", "192.0.2.1", action, "", "", "", ""}; }

HostState State(const std::string& dump_type) {
  HostState state;
  for (const char* name : {"CrashDumpEnabled", "FilterPages"}) {
    v1::Cell& cell = *state.observation.add_cells();
    cell.set_key("HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl");
    cell.set_name(name);
    cell.set_present(true);
    cell.set_data(dump_type);
  }
  v1::Finding& finding = state.findings.emplace_back();
  finding.set_setting("dump.type");
  finding.set_mode(v1::MODE_ENFORCE);
  finding.set_configured(dump_type);
  return state;
}

void AddEvent(v1::Report& report, std::uint64_t sequence, v1::DriftEvent::Kind kind,
              std::uint64_t drift_sequence) {
  v1::DriftEvent& event = *report.add_events();
  event.set_sequence(sequence);
  event.set_kind(kind);
  event.set_setting("dump.type");
  event.set_mode(v1::MODE_ENFORCE);
  event.set_new_value("none");
  event.mutable_at()->set_seconds(static_cast<std::int64_t>(1000 + sequence));
  event.set_drift_sequence(drift_sequence);
}

PolicyRow Policy(const std::string& name, const std::string& yaml) {
  PolicyRow policy;
  policy.name = name;
  policy.yaml = yaml;
  policy.digest = Sha256(yaml);
  policy.author = "alice";
  return policy;
}

class StoreFaults : public testing::Test {
 protected:
  static void SetUpTestSuite() { InstallSqliteFaults(); }

  absl::Status GiveToken(const std::string& id) {
    TokenRow token;
    token.id = id;
    token.secret_digest = Sha256("secret");
    token.labels = {{"role", "sql"}};
    token.expires = clock_.Now() + absl::Hours(1);
    return store_.store->CreateToken(token, By("token.create"));
  }
  absl::StatusOr<HostRow> Enroll(const std::string& token, const std::string& uuid) {
    HostRow host;
    host.uuid = uuid;
    host.name = "web-01";
    host.host_key = "SPKI of " + uuid;
    return store_.store->EnrollHost(token, Sha256("secret"), host, clock_.Now(), By("host.enroll"));
  }
  ReportCommit Commit(HostId host, std::uint64_t sequence, const HostState& after,
                      const HostState* before) {
    ReportCommit commit;
    commit.host = host;
    commit.epoch = "epoch-1";
    commit.sequence = sequence;
    commit.base_epoch = before == nullptr ? "" : "epoch-1";
    commit.base_sequence = before == nullptr ? 0 : sequence - 1;
    commit.state = after;
    commit.state_digest = StateDigest(after);
    commit.report = MakeReport(before, after);
    commit.received = clock_.Now();
    return commit;
  }
  absl::Status Open(const Path& path) {
    ASSIGN_OR_RETURN(store_, MakePumpedSqliteStore(path, clock_));
    return store_.store->ListHosts().status();  // a reader's connection is open, as in most calls
  }
  void Close() { store_ = {}; }

  // One who has logged in, and one with a code.
  void SeedPeople() {
    PersonRow alice;
    alice.name = "alice";
    alice.roles = {kAdminRole};
    alice.certificates = {{"a1", clock_.Now() + absl::Hours(1)}};
    ASSERT_THAT(store_.store->AddPerson(alice, std::nullopt, By("person.add")), IsOk());
    PersonRow bob;
    bob.name = "bob";
    bob.roles = {"author", "viewer"};
    ASSERT_THAT(store_.store->AddPerson(bob, Code("bob", "open-code"), By("person.add")), IsOk());
  }
  LoginCodeRow Code(const std::string& name, const std::string& id) {
    return {id, Sha256("secret"), name, clock_.Now() + absl::Hours(1)};
  }
  absl::StatusOr<PersonRow> UseCode(const std::string& id) {
    const absl::Time expires = clock_.Now() + absl::Hours(720);
    return store_.store->UseLoginCode(
        {id, Sha256("secret"), clock_.Now()},
        [expires](const PersonRow&) -> absl::StatusOr<Login> {
          return Login{{"b1", expires}, By("person.login")};
        },
        By("person.login.refused"));
  }

  // Two hosts that have reported a drift, an open token, a policy of two versions, two people.
  void Seed(const Path& path) {
    ASSERT_THAT(Open(path), IsOk());
    for (HostId host : {1, 2}) {
      ASSERT_THAT(GiveToken(absl::StrCat("used-", host)), IsOk());
      ASSERT_EQ(Enroll(absl::StrCat("used-", host), absl::StrCat("uuid-", host))->id, host);
      ReportCommit commit = Commit(host, 1, State("none"), nullptr);
      AddEvent(commit.report, 1, v1::DriftEvent::KIND_DRIFTED, 0);
      absl::Status kept;
      store_.store->CommitReport(std::move(commit), [&kept](absl::Status s) { kept = s; });
      store_.pump();
      ASSERT_THAT(kept, IsOk());
    }
    ASSERT_THAT(GiveToken("open"), IsOk());
    SeedPeople();
    ASSERT_THAT(store_.store->PutPolicies({Policy("base", "one")}, By("policy.apply")), IsOk());
    ASSERT_THAT(store_.store->PutPolicies({Policy("base", "two")}, By("policy.apply")), IsOk());
    Close();
  }

  FaultCase CaseOf(std::function<Answer()> run, int least_memory, int least_disk, int least_full) {
    FaultCase operation;
    operation.seed = [this](const Path& path) { Seed(path); };
    operation.open = [this](const Path& path) { return Open(path); };
    operation.close = [this] { Close(); };
    operation.run = OnePart([run = std::move(run)](const Path&) { return run(); });
    operation.warm = true;
    operation.least_memory = least_memory;
    operation.least_disk = least_disk;
    operation.least_full = least_full;
    return operation;
  }
  void LoopStatus(std::function<absl::Status(Store&)> run) {
    const auto answer = [this, run = std::move(run)]() -> Answer {
      RETURN_IF_ERROR(run(*store_.store));
      return "";
    };
    LoopOver(CaseOf(answer, 15, 5, 2));
  }

  FakeClock clock_;
  PumpedStore store_;
};

TEST_F(StoreFaults, GivesATokenWithItsAuditRow) {
  LoopStatus([this](Store&) { return GiveToken("new"); });
}

TEST_F(StoreFaults, BurnsATokenWithTheHostThatItMakes) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        ASSIGN_OR_RETURN(const HostRow host, Enroll("open", "uuid-3"));
        return absl::StrCat(host.id, host.labels.at("role"));
      },
      40, 8, 2));
}

TEST_F(StoreFaults, RefusesWithAnAuditRow) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        const absl::Status refused = Enroll("used-1", "uuid-3").status();
        if (absl::IsPermissionDenied(refused)) return std::string(refused.message());
        return refused;
      },
      20, 5, 2));
}

// A report with the end of a drift and another's facts, in one transaction: one may be kept without
// the other, and none by halves.
TEST_F(StoreFaults, KeepsAReportWithItsDriftOrNothingOfIt) {
  FaultCase operation = CaseOf({}, 100, 5, 2);
  operation.parts = 2;
  operation.run = [this](const Path&, unsigned parts) {
    const HostState before = State("none");
    ReportCommit commit = Commit(1, 2, State("kernel"), &before);
    AddEvent(commit.report, 2, v1::DriftEvent::KIND_CORRECTED, 1);
    AddEvent(commit.report, 3, v1::DriftEvent::KIND_DRIFTED, 0);
    v1::Facts facts;
    facts.mutable_os()->set_build(20348);
    std::vector<Answer> answers;
    const auto done = [&answers](absl::Status status) {
      answers.push_back(status.ok() ? Answer("") : Answer(status));
    };
    if ((parts & 1) != 0) store_.store->CommitReport(commit, done);
    if ((parts & 2) != 0) store_.store->CommitFacts(2, facts, FactsDigest(facts), done);
    store_.pump();
    return answers;
  };
  LoopOver(operation);
}

TEST_F(StoreFaults, RenewsAndHoldsAHostOrTakesATokenBackWithAnAuditRow) {
  LoopStatus([](Store& store) { return store.RenewHost(1, true, By("host.hold")); });
  LoopStatus([this](Store& store) {
    return store.RevokeToken("open", clock_.Now(), By("token.revoke")).status();
  });
}

TEST_F(StoreFaults, MakesAFileOfTokensOrNoneOfThem) {
  LoopStatus([this](Store& store) {
    std::vector<std::pair<TokenRow, Audit>> tokens;
    for (const char* id : {"a", "b", "c"}) {
      TokenRow token;
      token.id = id;
      token.labels = {{"role", "sql"}};
      token.expires = clock_.Now() + absl::Hours(1);
      tokens.emplace_back(token, By("token.create"));
    }
    return store.CreateTokens(tokens);
  });
}

TEST_F(StoreFaults, NotesWhomItHeard) {
  LoopStatus([this](Store& store) {
    return store.TouchHosts({{1, clock_.Now() + absl::Hours(1), "", "", 0},
                             {2, clock_.Now() + absl::Hours(1), "", "", 0}});
  });
}

TEST_F(StoreFaults, KeepsPoliciesAsASetWithTheirAuditRows) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        ASSIGN_OR_RETURN(const auto applied,
                         store_.store->PutPolicies({Policy("base", "three"), Policy("more", "one")},
                                                   By("policy.apply")));
        return absl::StrCat(applied[0].version(), " ", applied[1].version());
      },
      100, 10, 3));
}

TEST_F(StoreFaults, WithdrawsAPolicyWithItsAuditRow) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        ASSIGN_OR_RETURN(const std::uint64_t version,
                         store_.store->DeletePolicy("base", By("policy.delete")));
        return absl::StrCat(version);
      },
      20, 5, 2));
}

TEST_F(StoreFaults, NotesWhatElseAnOperatorDid) {
  LoopStatus([](Store& store) { return store.QuarantineHost(1, By("host.quarantine")); });
  LoopStatus([](Store& store) { return store.RevokeHost(1, By("host.revoke")).status(); });
  LoopStatus([](Store& store) { return store.SetHostVersion(1, "0.2.0"); });
  LoopStatus([](Store& store) { return store.RecordAudit(By("server.start")).status(); });
}

TEST_F(StoreFaults, BurnsALoginCodeWithTheCertificateThatItGives) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        ASSIGN_OR_RETURN(const PersonRow bob, UseCode("open-code"));
        return absl::StrCat(bob.name, bob.roles[0], bob.roles[1], bob.certificates[0].serial);
      },
      20, 5, 2));
  LoopOver(CaseOf(
      [this]() -> Answer {
        const absl::Status refused = UseCode("nobody's").status();
        if (absl::IsPermissionDenied(refused)) return std::string(refused.message());
        return refused;
      },
      10, 5, 2));
}

TEST_F(StoreFaults, ChangesPeopleWithAnAuditRow) {
  LoopStatus([this](Store& store) {
    PersonRow carol;
    carol.name = "carol";
    carol.roles = {"viewer"};
    return store.AddPerson(carol, Code("carol", "c1"), By("person.add"));
  });
  LoopStatus([this](Store& store) {
    return store.CreateLoginCode(Code("alice", "c2"), By("person.code"));
  });
  LoopStatus([this](Store& store) {
    return store.SetRoles("bob", {"operator"}, clock_.Now(), false, By("person.roles")).status();
  });
  LoopStatus([this](Store& store) {
    return store.RevokePerson("bob", clock_.Now(), false, By("person.revoke")).status();
  });
}

// Half a person would be one without roles, or whose certificate was withdrawn.
TEST_F(StoreFaults, ReadsPeopleRightOrSaysThatItCannot) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        std::string all;
        ASSIGN_OR_RETURN(const std::vector<PersonRow> people, store_.store->ListPeople());
        for (const PersonRow& person : people) {
          absl::StrAppend(&all, person.name, person.roles.size(), person.certificates.size());
        }
        ASSIGN_OR_RETURN(const PersonRow alice, store_.store->FindPerson("alice"));
        return absl::StrCat(all, alice.name, alice.roles.size(), alice.certificates.size());
      },
      20, 5, 0));
}

TEST_F(StoreFaults, LetsGoOfWhatIsOverWithAnAuditRow) {
  for (const bool tokens : {true, false}) {
    Retention retention;
    (tokens ? retention.tokens : retention.policy_versions) = absl::Hours(1);
    LoopStatus([this, retention](Store& store) -> absl::Status {
      const absl::Time now = clock_.Now() + absl::Hours(24);
      Expiry expiry = ExpiriesOf(retention, now).front();
      while (expiry.more) RETURN_IF_ERROR(store.DeleteExpired(expiry, now));
      return absl::OkStatus();
    });
  }
}

TEST_F(StoreFaults, KnowsWhatItKnewOfTheClockOrKnowsMore) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        RETURN_IF_ERROR(store_.store->KeepClock({clock_.Now(), clock_.Now(), absl::Hours(1)}));
        ASSIGN_OR_RETURN(const KeptClock kept, store_.store->ReadClock());
        return absl::StrCat(absl::FormatTime(kept.believed),
                            absl::FormatTime(kept.doubted.value_or(absl::InfinitePast())),
                            absl::FormatDuration(kept.doubted_for));
      },
      20, 5, 2));
}

TEST_F(StoreFaults, ReadsHostsRightOrSaysThatItCannot) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        std::string all;
        ASSIGN_OR_RETURN(const std::vector<HostRow> hosts, store_.store->ListHosts());
        for (const HostRow& host : hosts) {
          absl::StrAppend(&all, host.uuid, host.name, host.labels.at("role"), host.host_key,
                          host.epoch, host.sequence, host.state_digest, "\n");
        }
        ASSIGN_OR_RETURN(const auto reports, store_.store->ReadReports({1, 2}));
        for (const HostReport& report : reports) {
          absl::StrAppend(&all, report.state.observation.ShortDebugString());
        }
        ASSIGN_OR_RETURN(const auto findings, store_.store->ListFindings());
        for (const auto& [host, finding] : findings) {
          absl::StrAppend(&all, host, finding.ShortDebugString());
        }
        ASSIGN_OR_RETURN(const auto expiry, store_.store->NewestTokenExpiry(clock_.Now()));
        return absl::StrCat(all, absl::FormatTime(expiry.value_or(absl::InfinitePast())));
      },
      100, 10, 0));
}

// The first call of all, without a reader's connection.
TEST_F(StoreFaults, OpensAReaderOrSaysThatItCannot) {
  FaultCase operation = CaseOf(
      [this]() -> Answer {
        ASSIGN_OR_RETURN(const HostRow host, store_.store->FindHost("uuid-1"));
        return host.name;
      },
      12, 5, 0);
  operation.open = [this](const Path& path) -> absl::Status {
    ASSIGN_OR_RETURN(store_, MakePumpedSqliteStore(path, clock_));
    return absl::OkStatus();
  };
  operation.warm = false;
  operation.skip = 3;
  LoopOver(operation);
}

TEST_F(StoreFaults, ReadsHistoryRightOrSaysThatItCannot) {
  LoopOver(CaseOf(
      [this]() -> Answer {
        std::string all;
        ASSIGN_OR_RETURN(const auto drifts, store_.store->ListDrift({}));
        for (const v1::Drift& drift : drifts) absl::StrAppend(&all, drift.ShortDebugString());
        ASSIGN_OR_RETURN(const auto audit, store_.store->ListAudit({}));
        for (const v1::AuditEntry& row : audit) absl::StrAppend(&all, row.ShortDebugString());
        ASSIGN_OR_RETURN(const auto policies, store_.store->PoliciesInForce());
        for (const PolicyRow& policy : policies) {
          absl::StrAppend(&all, policy.name, policy.version, policy.yaml, policy.digest);
        }
        ASSIGN_OR_RETURN(const PolicyRow policy, store_.store->GetPolicy("base", 1));
        return absl::StrCat(all, policy.yaml);
      },
      100, 10, 0));
}

// A whole file is opened, from each schema that there ever was.
TEST_F(StoreFaults, BringsAnEarlierFileToTheNewestSchemaOrLeavesItForTheNextTry) {
  for (std::size_t version = 0; version < Migrations().size(); ++version) {
    FaultCase operation;
    operation.seed = [version](const Path& path) {
      const auto db = Database::Open(path, Database::Durability::kFull);
      ASSERT_THAT(db, IsOk());
      const std::vector<absl::string_view> all = Migrations();
      ASSERT_THAT((*db)->Migrate({all.begin(), all.begin() + static_cast<std::ptrdiff_t>(version)}),
                  IsOk());
    };
    operation.open = [](const Path&) { return absl::OkStatus(); };
    operation.close = [] {};
    operation.run = OnePart([this](const Path& path) -> Answer {
      const absl::Status opened = Open(path);
      Close();
      RETURN_IF_ERROR(opened);
      return "";
    });
    operation.has_steps = true;
    operation.skip = 3;
    operation.least_memory = 15;
    operation.least_disk = 10;
    operation.least_full = 5;
    LoopOver(operation);
    if (HasFailure()) return;
  }
}

TEST_F(StoreFaults, BacksUpAllOrSaysThatItCannot) {
  FaultCase operation = CaseOf({}, 15, 8, 3);
  operation.warm = false;
  operation.skip = 3;
  operation.run = OnePart([](const Path& path) -> Answer {
    const Path copy = path + ".copy";
    for (const char* suffix : {"", "-journal", "-wal", "-shm"}) {
      std::filesystem::remove(copy + suffix);
    }
    RETURN_IF_ERROR(BackUpStore(path, copy));
    return "";
  });
  operation.outcome = [](const Path& path) { return DumpOf(path + ".copy"); };
  LoopOver(operation);
}

TEST_F(StoreFaults, BeginsAfterARestoreAsAWhole) {
  FaultCase operation = CaseOf({}, 15, 8, 3);
  operation.warm = false;
  operation.open = [](const Path&) { return absl::OkStatus(); };
  operation.close = [] {};
  operation.skip = 3;
  operation.run = OnePart([this](const Path& path) -> Answer {
    RETURN_IF_ERROR(BeginAfterRestore(path, clock_.Now(), "/backup"));
    return "";
  });
  LoopOver(operation);
}

}  // namespace
}  // namespace dumpwarden
