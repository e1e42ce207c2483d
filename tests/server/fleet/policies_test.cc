// SPDX-License-Identifier: Apache-2.0
// Policies, plans and compliance as operators see them, on the real store.
#include "server/fleet/policies.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/policy/facts.h"
#include "core/reconcile/observe.h"
#include "core/reconcile/status.h"
#include "platform/system.h"
#include "server/fleet/compliance.h"
#include "server/fleet/hosts.h"
#include "server/fleet/planning.h"
#include "server/fleet/policy_push.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/fake_folders.h"
#include "tests/support/fake_registry.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const Actor kAlice = {"spiffe://corp.example/operator/alice", "ipv4:192.0.2.1:1"};

std::string PolicyYaml(const std::string& name, int priority, const std::string& settings,
                       const std::string& selector = "") {
  return absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata:\n  name: ", name,
                      "\nspec:\n  priority: ", priority, "\n",
                      selector.empty() ? "" : absl::StrCat("  selector: ", selector, "\n"),
                      "  settings:\n    ", settings, "\n");
}

class SilentStream final : public SessionOut {
 public:
  void Send(std::shared_ptr<const std::string> /*bytes*/) override {}
  void SendLatest(std::shared_ptr<const std::string> /*bytes*/) override {}
  void Close(const v1::Goodbye& /*goodbye*/) override {}
  void Abort() override {}
  void ReadNext() override {}
};

class PoliciesTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    fleet_ = MakeFleet(*store_, clock_, *random_);
    policies_ = std::make_unique<Policies>(*store_, *fleet_);
    hosts_ = std::make_unique<Hosts>(*store_, *fleet_, clock_, absl::Minutes(4));
  }

  HostRow Enroll(const std::string& name, const std::map<std::string, std::string>& labels = {}) {
    const std::string hex = Sha256Hex(absl::StrCat(name, ++enrolled_));
    const Audit audit{"test", "", "test", name, "", "", ""};
    EXPECT_THAT(store_->CreateToken({hex, "d", labels, "", clock_.Now() + absl::Hours(1)}, audit),
                IsOk());
    HostRow host;
    host.uuid = absl::StrCat(hex.substr(0, 8), "-0000-4000-8000-000000000000");
    host.name = name;
    host.host_key = hex;
    host.enrolled = clock_.Now();
    host.last_seen = absl::InfinitePast();
    return store_->EnrollHost(hex, "d", host, clock_.Now(), audit).value_or(HostRow{});
  }

  // What a host with an empty registry tells of itself.
  void Report(const HostRow& host, v1::Status status) {
    FakeRegistry registry;
    FakeFolders folders;
    v1::Facts facts;
    facts.mutable_os()->set_build(20348);
    ReportCommit commit;
    commit.host = host.id;
    commit.epoch = std::string(16, 'e');
    commit.sequence = 1;
    commit.state.observation = Observe(registry, folders, {}, facts);
    v1::Finding& finding = commit.state.findings.emplace_back();
    finding.set_setting("dump.type");
    finding.set_mode(v1::MODE_ENFORCE);
    finding.set_status(status);
    commit.state_digest = StateDigest(commit.state);
    commit.policy_digest = DigestInForce();
    commit.report = MakeReport(nullptr, commit.state);
    commit.received = clock_.Now();
    store_->CommitFacts(host.id, facts, FactsDigest(facts), [](absl::Status) {});
    store_->CommitReport(commit, [](absl::Status done) { EXPECT_THAT(done, IsOk()); });
    // The audit class commits behind what was queued before it.
    EXPECT_THAT(store_->RecordAudit({"test", "", "barrier", "", "", "", ""}), IsOk());
  }

  absl::StatusOr<v1::ApplyPoliciesResponse> Apply(const std::vector<std::string>& yamls,
                                                  bool dry_run = false) {
    v1::ApplyPoliciesRequest request;
    request.set_dry_run(dry_run);
    for (const std::string& yaml : yamls) {
      v1::PolicySource& source = *request.add_policies();
      source.set_file(absl::StrCat("p", request.policies_size(), ".yaml"));
      source.set_yaml(yaml);
    }
    return policies_->Apply(request, kAlice);
  }

  std::string DigestInForce() {
    const auto push = LoadPolicyPush(*store_);
    EXPECT_THAT(push, IsOk());
    return push.ok() ? (*push)->digest : "";
  }

  // The session of a host that has reported.
  SessionId Connect(const HostRow& host, SessionOut& stream) {
    const HostRow row = *store_->FindHost(host.uuid);
    const SessionId session = fleet_->OnOpened(row, absl::InfiniteFuture(), stream);
    v1::AgentMessage message;
    v1::Hello& hello = *message.mutable_hello();
    hello.set_protocol_min(1);
    hello.set_protocol_max(1);
    hello.set_instance("one");
    hello.set_epoch(row.epoch);
    hello.set_acknowledged(row.sequence);
    hello.set_state_digest(row.state_digest);
    hello.set_policy_digest(row.policy_digest);
    fleet_->OnMessage(session, message);
    return session;
  }

  void CheckIn(const HostRow& host, SessionId session, const std::string& policy_digest) {
    const HostRow row = *store_->FindHost(host.uuid);
    v1::AgentMessage message;
    message.mutable_check_in()->set_sequence(row.sequence);
    message.mutable_check_in()->set_state_digest(row.state_digest);
    message.mutable_check_in()->set_policy_digest(policy_digest);
    fleet_->OnMessage(session, message);
  }

  // What four commands say of the one host: list and show, summary, report, explain.
  std::set<std::string> Verdicts(const HostRow& host) {
    std::set<std::string> words = {hosts_->List({})->hosts(0).state()};
    v1::GetHostRequest get;
    get.set_host(host.uuid);
    const v1::GetHostResponse shown = *hosts_->Get(get);
    words.insert(shown.host().state());
    for (const v1::Finding& f : shown.findings()) words.emplace(StatusWord(f.status()));
    const v1::SummarizeComplianceResponse sums = *SummarizeCompliance(*store_, *hosts_, {});
    for (const auto& entry : sums.states()) words.insert(entry.first);
    for (const auto& entry : sums.findings()) words.insert(entry.first);
    const std::vector<v1::HostFinding> rows = *ReportCompliance(*store_, *hosts_, {});
    for (const v1::HostFinding& row : rows) {
      words.insert(row.host_state());
      words.emplace(StatusWord(row.finding().status()));
    }
    v1::ExplainHostRequest explain;
    explain.set_host(host.uuid);
    explain.set_setting("dump.type");
    const v1::ExplainHostResponse explained = *ExplainHost(*store_, *hosts_, explain);
    words.insert(explained.host().state());
    for (const v1::Finding& f : explained.settings(0).findings()) {
      words.emplace(StatusWord(f.status()));
    }
    return words;
  }

  std::string PoliciesOf(const HostRow& host) {
    v1::GetHostRequest request;
    request.set_host(host.uuid);
    return hosts_->Get(request)->host().policies();
  }

  std::size_t InForce() { return store_->PoliciesInForce()->size(); }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Policies> policies_;
  std::unique_ptr<Hosts> hosts_;
  int enrolled_ = 0;
};

TEST_F(PoliciesTest, NumbersVersionsAndLeavesTheSameBytesAlone) {
  const std::string yaml = PolicyYaml("base", 1, "dump.type: kernel");
  ASSERT_OK_AND_ASSIGN(const auto first, Apply({yaml}));
  EXPECT_EQ(first.policies(0).version(), 1u);
  EXPECT_TRUE(first.policies(0).changed());
  ASSERT_OK_AND_ASSIGN(const auto again, Apply({yaml}));
  EXPECT_EQ(again.policies(0).version(), 1u);
  EXPECT_FALSE(again.policies(0).changed());
  ASSERT_OK_AND_ASSIGN(const auto next, Apply({PolicyYaml("base", 1, "dump.type: small")}));
  EXPECT_EQ(next.policies(0).version(), 2u);
  ASSERT_OK_AND_ASSIGN(const auto list, policies_->List());
  ASSERT_EQ(list.policies_size(), 1);
  EXPECT_EQ(list.policies(0).author(), kAlice.id);
  EXPECT_EQ(list.policies(0).mode(), "enforce");
}

TEST_F(PoliciesTest, SaysEveryProblemOfEveryFileAndWritesNothing) {
  EXPECT_THAT(Apply({PolicyYaml("good", 1, "dump.type: kernel"),
                     PolicyYaml("a", 1, "dump.typ: kernel"), PolicyYaml("b", 1, "dump.type: 7")}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("p2.yaml:8:5"), HasSubstr("p3.yaml:8:"))));
  EXPECT_THAT(Apply({PolicyYaml("a", 1, "dump.type: kernel"), PolicyYaml("a", 2, "nmi.crash: on")}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("p2.yaml"), HasSubstr("p1.yaml"))));
  EXPECT_THAT(Apply({}), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
  EXPECT_EQ(InForce(), 0u);
}

TEST_F(PoliciesTest, WritesNothingOnADryRun) {
  ASSERT_OK_AND_ASSIGN(const auto dry, Apply({PolicyYaml("a", 1, "dump.type: kernel")}, true));
  EXPECT_EQ(dry.policies(0).version(), 1u);
  EXPECT_TRUE(dry.policies(0).changed());
  EXPECT_EQ(InForce(), 0u);
}

TEST_F(PoliciesTest, RefusesANewConflictAndNamesBothPoliciesAndAHost) {
  Enroll("web-01", {{"role", "web"}});
  Enroll("web-02", {{"role", "web"}});
  ASSERT_THAT(Apply({PolicyYaml("base", 5, "dump.type: kernel")}), IsOk());
  EXPECT_THAT(Apply({PolicyYaml("web", 5, "dump.type: small", "{ matchLabels: { role: web } }")}),
              StatusIs(absl::StatusCode::kAborted,
                       AllOf(HasSubstr("dump.type"), HasSubstr("base"), HasSubstr("web"),
                             HasSubstr("web-0"), HasSubstr("1 more"))));
  EXPECT_EQ(InForce(), 1u);
  EXPECT_THAT(Apply({PolicyYaml("sql", 5, "dump.type: small", "{ matchLabels: { role: sql } }")}),
              IsOk())
      << "no known host is both";
  EXPECT_THAT(Apply({PolicyYaml("web", 6, "dump.type: small", "{ matchLabels: { role: web } }")}),
              IsOk())
      << "the higher priority wins";
}

TEST_F(PoliciesTest, RefusesToChangeAPolicyThatStaysInAConflict) {
  const std::string first = PolicyYaml("first", 5, "dump.type: kernel");
  ASSERT_THAT(Apply({first, PolicyYaml("second", 5, "dump.type: small")}), IsOk())
      << "no host is known yet";
  Enroll("web-01");
  EXPECT_THAT(Apply({PolicyYaml("second", 5, "dump.type: none")}),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("first and second")));
  EXPECT_THAT(Apply({first}), IsOk()) << "the same bytes change nothing";
  EXPECT_THAT(Apply({PolicyYaml("third", 5, "dump.overwrite: on")}), IsOk())
      << "it has no part in the conflict";
  EXPECT_THAT(Apply({PolicyYaml("second", 6, "dump.type: none")}), IsOk()) << "it ends it";
}

TEST_F(PoliciesTest, RefusesToLayAConflictOpenByDeletingWhatHidesIt) {
  Enroll("web-01");
  ASSERT_THAT(Apply({PolicyYaml("top", 9, "dump.type: kernel")}), IsOk());
  ASSERT_THAT(
      Apply({PolicyYaml("a", 1, "dump.type: small"), PolicyYaml("b", 1, "dump.type: none")}),
      IsOk());
  v1::DeletePolicyRequest request;
  request.set_name("top");
  EXPECT_THAT(policies_->Delete(request, kAlice),
              StatusIs(absl::StatusCode::kAborted, HasSubstr("a and b")));
  request.set_name("a");
  EXPECT_THAT(policies_->Delete(request, kAlice), IsOk());
  EXPECT_EQ(InForce(), 2u);
  request.set_name("nobody");
  EXPECT_THAT(policies_->Delete(request, kAlice),
              StatusIs(absl::StatusCode::kNotFound, testing::_));
}

TEST_F(PoliciesTest, PlansADraftFromWhatIsStored) {
  const HostRow b = Enroll("b");
  const HostRow a = Enroll("a");
  Enroll("silent");
  Report(a, v1::STATUS_COMPLIANT);
  Report(b, v1::STATUS_COMPLIANT);
  v1::PlanPoliciesRequest request;
  request.add_policies()->set_yaml(PolicyYaml("base", 1, "dump.type: kernel"));
  ASSERT_OK_AND_ASSIGN(const auto plan, PlanPolicies(*store_, request));
  ASSERT_EQ(plan.hosts_size(), 3);
  EXPECT_EQ(plan.hosts(0).host(), "a");
  EXPECT_EQ(plan.hosts(0).state(), v1::STATUS_DRIFTED);
  EXPECT_TRUE(plan.hosts(0).restart());
  ASSERT_GE(plan.hosts(0).changes_size(), 1);
  EXPECT_EQ(plan.hosts(0).changes(0).setting(), "dump.type");
  EXPECT_EQ(plan.hosts(2).host(), "silent");
  EXPECT_EQ(plan.hosts(2).changes_size(), 0);
  EXPECT_EQ(plan.states().at("drifted"), 2u);
  EXPECT_EQ(plan.states().at("unknown"), 1u);
  EXPECT_EQ(InForce(), 0u);
}

TEST_F(PoliciesTest, ExplainsWhoSetAValueAndWhoLost) {
  Enroll("sql-01", {{"role", "sql"}});
  ASSERT_THAT(Apply({PolicyYaml("base", 1, "dump.type: small"),
                     PolicyYaml("sql", 2, "dump.type: kernel", "{ matchLabels: { role: sql } }")}),
              IsOk());
  v1::ExplainHostRequest request;
  request.set_host("SQL-01");
  ASSERT_OK_AND_ASSIGN(const auto told, ExplainHost(*store_, *hosts_, request));
  ASSERT_EQ(told.settings_size(), 1);
  EXPECT_EQ(told.settings(0).value(), "kernel");
  ASSERT_EQ(told.settings(0).layers_size(), 2);
  EXPECT_EQ(told.settings(0).layers(0).policy(), "sql");
  EXPECT_TRUE(told.settings(0).layers(0).won());
  EXPECT_FALSE(told.settings(0).layers(1).won());
  request.set_setting("dump.typ");
  EXPECT_THAT(ExplainHost(*store_, *hosts_, request),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("did you mean dump.type?")));
}

TEST_F(PoliciesTest, FindsHostsByIdOrByANameThatOneHas) {
  const HostRow one = Enroll("twin");
  const HostRow two = Enroll("twin");
  EXPECT_EQ(FindHostByText(*store_, one.uuid)->id, one.id);
  EXPECT_THAT(
      FindHostByText(*store_, "twin"),
      StatusIs(absl::StatusCode::kAborted, AllOf(HasSubstr(one.uuid), HasSubstr(two.uuid))));
  EXPECT_THAT(FindHostByText(*store_, "nobody"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nobody")));
}

TEST_F(PoliciesTest, SumsUpTheWorstTheSilentAndTheQuarantined) {
  const HostRow drifted = Enroll("drifted");
  const HostRow silent = Enroll("silent");
  Enroll("never");
  Report(drifted, v1::STATUS_DRIFTED);
  Report(silent, v1::STATUS_COMPLIANT);
  v1::SummarizeComplianceRequest all;
  ASSERT_OK_AND_ASSIGN(const auto now, SummarizeCompliance(*store_, *hosts_, all));
  EXPECT_EQ(now.hosts(), 3u);
  EXPECT_EQ(now.states().at("drifted"), 1u);
  EXPECT_EQ(now.states().at("compliant"), 1u);
  EXPECT_EQ(now.states().at("unknown"), 1u);
  EXPECT_EQ(now.findings().at("drifted"), 1u);
  clock_.Advance(absl::Minutes(5));
  ASSERT_OK_AND_ASSIGN(const auto later, SummarizeCompliance(*store_, *hosts_, all));
  EXPECT_EQ(later.states().at("unknown"), 3u) << "nobody was heard for longer than the limit";
  ASSERT_THAT(store_->QuarantineHost(drifted.id, {"test", "", "host.quarantine", "", "", "", ""}),
              IsOk());
  v1::ListHostsRequest request;
  request.set_state("quarantined");
  ASSERT_OK_AND_ASSIGN(const auto listed, hosts_->List(request));
  ASSERT_EQ(listed.hosts_size(), 1);
  EXPECT_EQ(listed.hosts(0).name(), "drifted");
  request.set_state("broken");
  EXPECT_THAT(hosts_->List(request), StatusIs(absl::StatusCode::kInvalidArgument, testing::_));
}

using Words = std::set<std::string>;

// A host without the policies in force was shown compliant.
TEST_F(PoliciesTest, SaysUnknownOfAHostThatHasOtherPoliciesThanThoseInForce) {
  const HostRow host = Enroll("web-01");
  Report(host, v1::STATUS_COMPLIANT);
  EXPECT_EQ(Verdicts(host), Words{"compliant"});
  EXPECT_EQ(PoliciesOf(host), "current");
  ASSERT_THAT(Apply({PolicyYaml("base", 1, "dump.type: kernel")}), IsOk());
  EXPECT_EQ(Verdicts(host), Words{"unknown"}) << "it is not connected: no grace";
  v1::ReportComplianceRequest request;
  request.set_status("compliant");
  EXPECT_THAT(*ReportCompliance(*store_, *hosts_, request), testing::IsEmpty());
  request.set_status("unknown");
  ASSERT_EQ(ReportCompliance(*store_, *hosts_, request)->size(), 1u);
  EXPECT_THAT(ReportCompliance(*store_, *hosts_, request)->front().finding().reason(),
              AllOf(HasSubstr("was compliant"), HasSubstr("other policies")));
}

TEST_F(PoliciesTest, GivesAConnectedHostHalfAMinuteToTakePolicies) {
  const HostRow host = Enroll("web-01");
  Report(host, v1::STATUS_COMPLIANT);
  SilentStream stream;
  const SessionId session = Connect(host, stream);
  ASSERT_THAT(Apply({PolicyYaml("base", 1, "dump.type: kernel")}), IsOk());
  EXPECT_EQ(Verdicts(host), Words{"compliant"}) << "apply does not make everything unknown";
  EXPECT_EQ(PoliciesOf(host), "pending");
  clock_.Advance(absl::Seconds(29));
  EXPECT_EQ(PoliciesOf(host), "pending");
  clock_.Advance(absl::Seconds(1));
  CheckIn(host, session, std::string(32, 'o'));
  EXPECT_EQ(Verdicts(host), Words{"unknown"}) << "it refuses them, or is an older program";
  EXPECT_EQ(PoliciesOf(host), "outdated");
  CheckIn(host, session, DigestInForce());
  EXPECT_EQ(Verdicts(host), Words{"compliant"}) << "they find the same";
  fleet_->Tick();
  EXPECT_EQ(store_->FindHost(host.uuid)->policy_digest, DigestInForce());
  fleet_->OnClosed(session);
  EXPECT_EQ(Verdicts(host), Words{"compliant"}) << "gone, and still known";
}

TEST_F(PoliciesTest, GivesNoTimeToAHostThatComesWithOldPolicies) {
  const HostRow host = Enroll("web-01");
  Report(host, v1::STATUS_COMPLIANT);
  ASSERT_THAT(Apply({PolicyYaml("base", 1, "dump.type: kernel")}), IsOk());
  SilentStream stream;
  clock_.Advance(absl::Seconds(1));
  Connect(host, stream);
  EXPECT_EQ(Verdicts(host), Words{"unknown"});
}

// Hosts were unknown, and what they had found long ago was counted as it was then.
TEST_F(PoliciesTest, CountsWhatASilentHostFoundAsUnknownEverywhere) {
  const HostRow host = Enroll("gone");
  Report(host, v1::STATUS_COMPLIANT);
  clock_.Advance(absl::Minutes(5));
  EXPECT_EQ(Verdicts(host), Words{"unknown"});
  const auto sums = *SummarizeCompliance(*store_, *hosts_, {});
  EXPECT_EQ(sums.findings().at("unknown"), 1u);
  EXPECT_THAT(ReportCompliance(*store_, *hosts_, {})->front().finding().reason(),
              HasSubstr("not heard since 2026-11-22T17:00:00"));
}

// last_seen may be five minutes old when the server is killed; the limit is four.
TEST_F(PoliciesTest, KnowsALiveHostAfterTheServerWasKilled) {
  const HostRow host = Enroll("web-01");
  Report(host, v1::STATUS_COMPLIANT);
  SilentStream stream;
  const SessionId session = Connect(host, stream);
  fleet_->Tick();
  clock_.Advance(kTouchEvery - absl::Seconds(1));
  CheckIn(host, session, DigestInForce());
  fleet_->Tick();  // nothing is due yet: the server is killed now
  const auto fleet = MakeFleet(*store_, clock_, *random_);
  const Hosts after(*store_, *fleet, clock_, absl::Minutes(4));
  EXPECT_EQ(after.StateOf(*store_->FindHost(host.uuid)), "compliant");
  clock_.Advance(absl::Minutes(4));
  EXPECT_EQ(after.StateOf(*store_->FindHost(host.uuid)), "compliant") << "it has time to come back";
  clock_.Advance(absl::Seconds(2));
  EXPECT_EQ(after.StateOf(*store_->FindHost(host.uuid)), "unknown");
}

// Its agent hung, its connection stayed, and its last state was shown for ever.
TEST_F(PoliciesTest, KnowsNothingOfAConnectedHostThatIsSilent) {
  const HostRow host = Enroll("hung");
  Report(host, v1::STATUS_COMPLIANT);
  SilentStream stream;
  const SessionId session = Connect(host, stream);
  EXPECT_EQ(hosts_->StateOf(*store_->FindHost(host.uuid)), "compliant");
  clock_.Advance(absl::Minutes(5));
  EXPECT_TRUE(fleet_->IsConnected(host.id));
  EXPECT_EQ(hosts_->StateOf(*store_->FindHost(host.uuid)), "unknown");
  v1::AgentMessage check_in;
  check_in.mutable_check_in();
  fleet_->OnMessage(session, check_in);
  EXPECT_EQ(hosts_->StateOf(*store_->FindHost(host.uuid)), "compliant");
}

TEST_F(PoliciesTest, ListsMoreDriftThanIsReadAtOnce) {
  const HostRow host = Enroll("busy");
  ReportCommit commit;
  commit.host = host.id;
  commit.epoch = std::string(16, 'e');
  commit.sequence = 1;
  commit.state_digest = StateDigest(commit.state);
  commit.report = MakeReport(nullptr, commit.state);
  for (std::uint64_t i = 1; i <= 1100; ++i) {
    v1::DriftEvent& event = *commit.report.add_events();
    event.set_sequence(i);
    event.set_kind(v1::DriftEvent::KIND_DRIFTED);
    event.set_mode(v1::MODE_ENFORCE);
    event.set_setting("dump.type");
  }
  store_->CommitReport(commit, [](absl::Status done) { EXPECT_THAT(done, IsOk()); });
  EXPECT_THAT(store_->RecordAudit({"test", "", "barrier", "", "", "", ""}), IsOk());
  v1::ListDriftRequest request;
  request.set_limit(1050);
  ASSERT_OK_AND_ASSIGN(const auto listed, ListDrift(*store_, request));
  ASSERT_EQ(listed.drifts_size(), 1050);
  for (int i = 1; i < listed.drifts_size(); ++i) {
    ASSERT_LT(listed.drifts(i).cursor(), listed.drifts(i - 1).cursor());
  }
  request.set_limit(5000);
  EXPECT_EQ(ListDrift(*store_, request)->drifts_size(), 1100);
}

TEST_F(PoliciesTest, ChoosesByLabels) {
  const HostRow sql = Enroll("sql", {{"role", "sql"}, {"site", "b"}});
  const HostRow web = Enroll("web", {{"role", "web"}, {"site", "b"}});
  Report(sql, v1::STATUS_DRIFTED);
  Report(web, v1::STATUS_COMPLIANT);
  v1::ReportComplianceRequest request;
  request.set_label_selector("role=sql,site=b");
  ASSERT_OK_AND_ASSIGN(const auto rows, ReportCompliance(*store_, *hosts_, request));
  ASSERT_EQ(rows.size(), 1u);
  EXPECT_EQ(rows[0].host(), "sql");
  request.set_label_selector("");
  request.set_status("compliant");
  ASSERT_OK_AND_ASSIGN(const auto good, ReportCompliance(*store_, *hosts_, request));
  ASSERT_EQ(good.size(), 1u);
  EXPECT_EQ(good[0].host(), "web");
  request.set_label_selector("role");
  EXPECT_THAT(ReportCompliance(*store_, *hosts_, request),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("KEY=VALUE")));
}

}  // namespace
}  // namespace dumpwarden
