// SPDX-License-Identifier: Apache-2.0
// An operator's machine, or a host that wants to enrol, that a thief owns:
// calls in any order, each frame a method and its request, against the real
// functions and store, which keep what earlier inputs did.  What must read the store only leaves
// no audit row, what is in force stays readable and within its caps, and nobody
// enrols without a token.
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/policy/policy_set.h"
#include "platform/log.h"
#include "platform/system.h"
#include "server/fleet/compliance.h"
#include "server/fleet/fleet.h"
#include "server/fleet/hosts.h"
#include "server/fleet/planning.h"
#include "server/fleet/policies.h"
#include "server/fleet/revocation.h"
#include "server/identity/authority.h"
#include "server/identity/enrollment.h"
#include "server/identity/roles.h"
#include "server/people.h"
#include "server/store/sqlite_store.h"
#include "tests/fuzz/check.h"
#include "tests/fuzz/frames.h"
#include "tests/support/fake_clock.h"
#include "tests/support/seeded_fleet.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

const Actor kOperator = {"spiffe://fuzz.example/operator/a", "ipv4:192.0.2.7:1"};

class Silence final : public Log {
 protected:
  void Write(LogLevel, absl::string_view, const std::vector<LogField>&) override {}
};

class Server {
 public:
  Server() {
    Check(Authority::Create(*vfs_, *random_, folder_.File("ca"), "fuzz.example", clock_.Now()).ok(),
          "no authority");
    auto authority = Authority::Open(*vfs_, *random_, folder_.File("ca"));
    auto store = MakeSqliteStore(folder_.File("store.db"), clock_);
    Check(authority.ok() && store.ok(), "no store");
    authority_ = *std::move(authority);
    store_ = *std::move(store);
    fleet_ = MakeFleet(*store_, clock_, *random_);
    hosts_ = std::make_unique<Hosts>(*store_, *fleet_, clock_, absl::Minutes(5));
    policies_ = std::make_unique<Policies>(*store_, *fleet_);
    enrollment_ = std::make_unique<HostEnrollment>(*store_, *authority_, clock_, *random_, log_);
    people_ = std::make_unique<People>(*store_, *authority_, clock_, *random_, log_);
    PersonRow admin;
    admin.name = "a";
    admin.roles = {kAdminRole};
    admin.certificates = {{"5e", absl::InfiniteFuture()}};
    Check(store_->AddPerson(admin, std::nullopt, {}).ok(), "no admin");
    std::vector<SeededHost> hosts;
    for (std::uint32_t i = 1; i <= kHosts; ++i) hosts.push_back(MakeSeededHost(i));
    Check(AddSeededFleet(*store_, hosts, clock_.Now()).ok(), "no hosts");
  }

  void Converse(absl::string_view bytes) {
    for (auto frame = TakeFrame(bytes); frame; frame = TakeFrame(bytes)) {
      if (frame->empty()) continue;
      const auto method = static_cast<unsigned char>(frame->front());
      Call(method % kMethods, frame->substr(1));
      clock_.Advance(absl::Seconds(1));
      fleet_->Tick();
    }
    auto rows = store_->PoliciesInForce();
    Check(rows.ok() && std::ssize(*rows) <= kMaxPolicies, "more policies than the cap");
    Check(ReadInForce(*rows).ok(), "a policy in force cannot be read");
    // The codes that were made are in nobody's hands: nobody but the first admin could log in.
    const auto admin = store_->FindPerson("a");
    Check(admin.ok() && !admin->revoked && RolesOf(admin->roles) & roles::kAdmin,
          "no admin is left");
  }

 private:
  static constexpr int kMethods = 22;
  static constexpr std::uint32_t kHosts = 8;

  template <typename Request, typename Do>
  void With(absl::string_view bytes, bool changes, Do call) {
    Request request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    const std::uint64_t before = NewestAudit();
    const bool done = call(request);
    Check(changes || NewestAudit() == before, "a call that only reads left an audit row");
    Check(!changes || done || NewestAudit() == before, "a refused change left an audit row");
  }

  void Call(int method, absl::string_view bytes) {
    switch (method) {
      case 0:
        return With<v1::ApplyPoliciesRequest>(bytes, true, [&](const auto& request) {
          return policies_->Apply(request, kOperator).ok();
        });
      case 1:
        return With<v1::DeletePolicyRequest>(bytes, true, [&](const auto& request) {
          return policies_->Delete(request, kOperator).ok();
        });
      case 2:
        return With<v1::ListPoliciesRequest>(bytes, false,
                                             [&](const auto&) { return policies_->List().ok(); });
      case 3:
        return With<v1::GetPolicyRequest>(
            bytes, false, [&](const auto& request) { return policies_->Get(request).ok(); });
      case 4:
        return With<v1::PlanPoliciesRequest>(
            bytes, false, [&](const auto& request) { return PlanPolicies(*store_, request).ok(); });
      case 5:
        return With<v1::PlanPoliciesRequest>(bytes, false, [&](const auto& request) {
          return PlanHosts(*store_, request, [](const auto&) { return absl::OkStatus(); }).ok();
        });
      case 6:
        return With<v1::ListHostsRequest>(
            bytes, false, [&](const auto& request) { return hosts_->List(request).ok(); });
      case 7:
        return With<v1::GetHostRequest>(
            bytes, false, [&](const auto& request) { return hosts_->Get(request).ok(); });
      case 8:
        return With<v1::ExplainHostRequest>(bytes, false, [&](const auto& request) {
          return ExplainHost(*store_, *hosts_, request).ok();
        });
      case 9:
        return With<v1::SummarizeComplianceRequest>(bytes, false, [&](const auto& request) {
          return SummarizeCompliance(*store_, *hosts_, request).ok();
        });
      case 10:
        return With<v1::ListDriftRequest>(
            bytes, false, [&](const auto& request) { return ListDrift(*store_, request).ok(); });
      case 11:
        return With<v1::CreateTokenRequest>(bytes, true, [&](const auto& request) {
          return enrollment_->CreateToken(request, kOperator.id, kOperator.source).ok();
        });
      case 12:
        return With<v1::ReportComplianceRequest>(bytes, false, [&](const auto& request) {
          return ReportCompliance(*store_, *hosts_, request).ok();
        });
      case 13:
        return With<v1::ListAuditRequest>(
            bytes, false, [&](const auto& request) { return store_->ListAudit(request).ok(); });
      case 15:
        return With<v1::RevokeHostRequest>(bytes, true, [&](const auto& request) {
          return RevokeHost(*store_, *fleet_, request, kOperator).ok();
        });
      case 16:
        return With<v1::ListPeopleRequest>(bytes, false,
                                           [&](const auto&) { return people_->List().ok(); });
      case 17:
        return With<v1::AddPersonRequest>(bytes, true, [&](const auto& request) {
          return people_->Add(request, kOperator).ok();
        });
      case 18:
        return With<v1::CreateLoginCodeRequest>(bytes, true, [&](const auto& request) {
          return people_->CreateCode(request, kOperator).ok();
        });
      case 19:
        return With<v1::SetRolesRequest>(bytes, true, [&](const auto& request) {
          return people_->SetRoles(request, kOperator).ok();
        });
      case 20:
        return With<v1::RevokePersonRequest>(bytes, true, [&](const auto& request) {
          return people_->Revoke(request, kOperator).ok();
        });
      case 21:
        return LogIn(bytes);
      default:
        return Enroll(bytes);
    }
  }

  // A token of this server is not to be guessed.
  void Enroll(absl::string_view bytes) {
    v1::EnrollRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    Check(!enrollment_->Enroll(request, NextPeer(), "dw:7443").ok(), "a stranger enrolled");
  }

  void LogIn(absl::string_view bytes) {
    v1::LoginRequest request;
    if (!request.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
    Check(!people_->Login(request, NextPeer(), "dw:7443").ok(), "a stranger logged in");
  }

  // Ever other addresses: one that failed five times is not listened to.
  std::string NextPeer() {
    ++strangers_;
    return absl::StrCat("ipv4:192.0.", strangers_ / 250 % 250, ".", strangers_ % 250, ":1");
  }

  std::uint64_t NewestAudit() {
    v1::ListAuditRequest request;
    request.set_limit(1);
    const auto rows = store_->ListAudit(request);
    Check(rows.ok(), "the audit log cannot be read");
    return rows->empty() ? 0 : rows->front().sequence();
  }

  TempFolder folder_;
  FakeClock clock_;
  Silence log_;
  const std::unique_ptr<Vfs> vfs_ = MakeSystemVfs();
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
  std::unique_ptr<Authority> authority_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Fleet> fleet_;
  std::unique_ptr<Hosts> hosts_;
  std::unique_ptr<Policies> policies_;
  std::unique_ptr<HostEnrollment> enrollment_;
  std::unique_ptr<People> people_;
  int strangers_ = 0;
};

}  // namespace
}  // namespace dumpwarden

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static auto& server = *new dumpwarden::Server;
  server.Converse(absl::string_view(reinterpret_cast<const char*>(data), size));
  return 0;
}
