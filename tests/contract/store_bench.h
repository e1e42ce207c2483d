// SPDX-License-Identifier: Apache-2.0
// What the store's contract (store_contract.h) stands on: a store on a bench,
// and hosts, reports and policies to feed it.
#ifndef DUMPWARDEN_TESTS_CONTRACT_STORE_BENCH_H_
#define DUMPWARDEN_TESTS_CONTRACT_STORE_BENCH_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/reconcile/state_digest.h"
#include "server/store/store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {

// StoreBench is one store and what may befall it.
class StoreBench {
 public:
  virtual ~StoreBench() = default;
  virtual Store& store() = 0;
  // A second store, opened on what would be on the disk if the power went now.
  virtual std::unique_ptr<Store> AfterPowerCut() = 0;
  // From now on no audit row can be written.
  virtual void BreakAudit() = 0;
};
using MakeStoreBench = std::unique_ptr<StoreBench> (*)(FakeClock& clock);

class StoreContract : public testing::TestWithParam<MakeStoreBench> {
 protected:
  void SetUp() override { bench_ = GetParam()(clock_); }
  Store& store() { return bench_->store(); }

  static Audit By(const std::string& action) {
    Audit audit;
    audit.actor = "spiffe://corp.example/operator/alice";
    audit.source = "192.0.2.1:4711";
    audit.action = action;
    return audit;
  }

  absl::Status GiveToken(const std::string& id, const std::string& expected_name = "") {
    TokenRow token;
    token.id = id;
    token.secret_digest = Sha256("secret");
    token.labels = {{"role", "sql"}, {"site", "mue"}};
    token.expected_name = expected_name;
    token.expires = clock_.Now() + absl::Hours(1);
    return store().CreateToken(token, By("token.create"));
  }

  absl::StatusOr<HostRow> Enroll(const std::string& token, const std::string& uuid,
                                 const std::string& name = "web-01",
                                 const std::string& secret = "secret") {
    HostRow host;
    host.uuid = uuid;
    host.name = name;
    host.host_key = "SPKI of " + uuid;
    return store().EnrollHost(token, Sha256(secret), host, clock_.Now(), By("host.enroll"));
  }

  HostRow NewHost(const std::string& uuid) {
    EXPECT_THAT(GiveToken("token of " + uuid), IsOk());
    const absl::StatusOr<HostRow> host = Enroll("token of " + uuid, uuid);
    EXPECT_THAT(host, IsOk());
    return host.value_or(HostRow());
  }

  static HostState State(const std::string& dump_type) {
    HostState state;
    for (const char* name : {"CrashDumpEnabled", "FilterPages", "Overwrite"}) {
      v1::Cell& cell = *state.observation.add_cells();
      cell.set_key("HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl");
      cell.set_name(name);
      cell.set_present(true);
      cell.set_type(4);
      cell.set_data(std::string("\2\0\0\0", 4) + (name[0] == 'C' ? dump_type : ""));
    }
    state.observation.add_folders()->set_path("D:\\Dumps");
    state.observation.add_warnings("the hive is dirty");
    v1::Finding finding;
    finding.set_setting("dump.type");
    finding.set_mode(v1::MODE_ENFORCE);
    finding.set_status(dump_type == "kernel" ? v1::STATUS_COMPLIANT : v1::STATUS_DRIFTED);
    finding.set_desired("kernel");
    finding.set_configured(dump_type);
    finding.set_policy("base");
    finding.set_policy_version(3);
    finding.set_reason("because");
    state.findings.push_back(finding);
    return state;
  }

  ReportCommit Commit(HostId host, std::uint64_t sequence, const HostState& after,
                      const HostState* before = nullptr, const std::string& epoch = "epoch-1") {
    ReportCommit commit;
    commit.host = host;
    commit.epoch = epoch;
    commit.sequence = sequence;
    commit.state = after;
    commit.state_digest = StateDigest(after);
    commit.policy_digest = Sha256("policies");
    commit.report = MakeReport(before, after);
    commit.received = clock_.Now();
    return commit;
  }

  static void AddEvent(ReportCommit& commit, std::uint64_t sequence, v1::DriftEvent::Kind kind,
                       std::uint64_t drift_sequence = 0) {
    v1::DriftEvent& event = *commit.report.add_events();
    event.set_sequence(sequence);
    event.set_kind(kind);
    event.set_setting("dump.type");
    event.set_mode(v1::MODE_ENFORCE);
    event.set_old_value("kernel");
    event.set_new_value("none");
    event.set_desired("kernel");
    event.set_policy("base");
    event.mutable_at()->set_seconds(1000 + static_cast<std::int64_t>(sequence));
    event.set_drift_sequence(drift_sequence);
  }

  // The report says which drifts are open on the host: these.
  static void SayOpen(ReportCommit& commit, const std::vector<std::uint64_t>& sequences) {
    commit.report.mutable_open_drifts();
    for (const std::uint64_t sequence : sequences) {
      v1::OpenDrifts::Drift& drift = *commit.report.mutable_open_drifts()->add_drifts();
      drift.set_sequence(sequence);
      drift.set_setting("dump.type");
      drift.set_mode(v1::MODE_ENFORCE);
    }
  }

  absl::Status Keep(ReportCommit commit) {
    const auto done = std::make_shared<std::promise<absl::Status>>();
    store().CommitReport(std::move(commit),
                         [done](absl::Status status) { done->set_value(std::move(status)); });
    return done->get_future().get();
  }

  absl::Status Put(const std::string& name, const std::string& yaml, std::uint64_t version = 0) {
    return store().PutPolicies({Policy(name, yaml, version)}, By("policy.apply")).status();
  }

  static PolicyRow Policy(const std::string& name, const std::string& yaml,
                          std::uint64_t version = 0) {
    PolicyRow policy;
    policy.name = name;
    policy.version = version;
    policy.yaml = yaml;
    policy.digest = Sha256(yaml);
    policy.author = "alice";
    return policy;
  }

  // Runs of retention to their ends: how many went.
  absl::StatusOr<std::int64_t> DeleteAll(const Retention& retention) {
    std::int64_t deleted = 0;
    for (Expiry& expiry : ExpiriesOf(retention, clock_.Now())) {
      while (expiry.more) RETURN_IF_ERROR(store().DeleteExpired(expiry, clock_.Now()));
      deleted += expiry.deleted;
    }
    return deleted;
  }

  std::vector<v1::AuditEntry> AuditOf(const std::string& action) {
    v1::ListAuditRequest query;
    query.set_action(action);
    return store().ListAudit(query).value();
  }

  FakeClock clock_;
  std::unique_ptr<StoreBench> bench_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_STORE_BENCH_H_
