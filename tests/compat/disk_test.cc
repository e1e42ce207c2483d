// SPDX-License-Identifier: Apache-2.0
// What an earlier version left on disk opens with everything in it, and the
// enrolment that it asked for is granted.
#include <gmock/gmock.h>

#include <filesystem>
#include <memory>

#include "agent/state.h"
#include "core/base/digest.h"
#include "core/base/token.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "platform/system.h"
#include "server/identity/enrollment.h"
#include "server/store/sqlite_store.h"
#include "tests/compat/versions.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class DiskTest : public CompatTest {
 protected:
  std::string Copy(const std::string& name) {
    std::filesystem::copy_file(CompatFile(GetParam(), name), folder_.File(name));
    return folder_.File(name);
  }
  // The last message that crossed at one method.
  template <typename Message>
  Message Recorded(char sign, const std::string& method) {
    Message message;
    for (const RecordedEntry& entry : RecordingOf(GetParam())) {
      if (entry.sign == sign && entry.what.ends_with(method)) message.ParseFromString(entry.bytes);
    }
    return message;
  }
  TempFolder folder_;
  FakeClock clock_;
  const std::unique_ptr<Random> random_ = MakeSystemRandom();
};
INSTANTIATE_TEST_SUITE_P(Versions, DiskTest, testing::ValuesIn(CompatVersions()), VersionName);

TEST_P(DiskTest, TheStoreHasEverything) {
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(Copy("store.db"), clock_));
  ASSERT_OK_AND_ASSIGN(const auto hosts, store->ListHosts());
  ASSERT_THAT(hosts, SizeIs(1));
  EXPECT_EQ(hosts[0].name, "sql-01");
  EXPECT_EQ(hosts[0].labels.at("role"), "sql");
  EXPECT_EQ(hosts[0].agent_version, GetParam());
  EXPECT_TRUE(hosts[0].quarantined);
  ASSERT_OK_AND_ASSIGN(const HostState state, store->ReadState(hosts[0].id));
  EXPECT_EQ(StateDigest(state), hosts[0].state_digest) << "what was reported is what is kept";
  EXPECT_THAT(state.findings, SizeIs(2));
  ASSERT_OK_AND_ASSIGN(const v1::Facts facts, store->ReadFacts(hosts[0].id));
  EXPECT_EQ(FactsDigest(facts), hosts[0].facts_digest);
  ASSERT_OK_AND_ASSIGN(const auto policies, store->PoliciesInForce());
  ASSERT_THAT(policies, SizeIs(1));
  EXPECT_EQ(Sha256(policies[0].yaml), policies[0].digest);
  EXPECT_THAT(store->GetPolicy("watch", 1), IsOk());
  ASSERT_OK_AND_ASSIGN(const auto drifts, store->ListDrift({}));
  EXPECT_THAT(drifts, SizeIs(6));
  for (const v1::Drift& drift : drifts) EXPECT_NE(drift.state(), "drifted") << drift.DebugString();
  ASSERT_OK_AND_ASSIGN(const auto audit, store->ListAudit({}));
  EXPECT_THAT(audit, SizeIs(9));
  EXPECT_THAT(store->RecordAudit({}), IsOk());
  ASSERT_OK_AND_ASSIGN(const PersonRow admin, store->FindPerson("admin"));
  EXPECT_THAT(admin.roles, testing::ElementsAre("admin"));
  EXPECT_TRUE(admin.unlisted) << "its certificate is on no list";
}

TEST_P(DiskTest, TheAgentsStateHasEverything) {
  ASSERT_OK_AND_ASSIGN(const auto state, AgentState::Open(Copy("state.db"), *random_));
  ASSERT_OK_AND_ASSIGN(const auto policies, state->Policies());
  ASSERT_THAT(policies, SizeIs(1));
  EXPECT_EQ(policies[0].name, "base");
  EXPECT_EQ(Sha256(policies[0].yaml), policies[0].digest);
  EXPECT_EQ(state->HighestSeen("watch").value()->version, 1u);
  ASSERT_OK_AND_ASSIGN(const TrackedSettings tracked, state->Tracked());
  ASSERT_THAT(tracked, SizeIs(2));
  EXPECT_EQ(tracked.at("enforce dump.type").finding.status(), v1::STATUS_PENDING_REBOOT);
  EXPECT_THAT(state->Events(100).value(), IsEmpty());
  EXPECT_EQ(state->next_event(), 13u);
  EXPECT_EQ(state->acknowledged() + 1, state->next_report());
  ASSERT_TRUE(state->acknowledged_state().has_value());
  ASSERT_OK_AND_ASSIGN(const auto boot, state->BootSnapshot("boot-1"));
  EXPECT_TRUE(boot.has_value());
  // The server of that time knows this state under the same digest.
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(Copy("store.db"), clock_));
  EXPECT_EQ(StateDigest(*state->acknowledged_state()), store->ListHosts()->at(0).state_digest);
  EXPECT_EQ(state->epoch(), store->ListHosts()->at(0).epoch);
}

// The recorded request against a server that gave out the recorded token.
TEST_P(DiskTest, ItsEnrolmentIsGranted) {
  const auto request = Recorded<v1::EnrollRequest>('>', "/Enroll");
  const auto granted = Recorded<v1::EnrollResponse>('<', "/Enroll");
  const auto vfs = MakeSystemVfs();
  const auto log = MakeLog(clock_, "test");
  ASSERT_THAT(vfs->MakeFolder(folder_.File("ca")), IsOk());
  ASSERT_THAT(Authority::Create(*vfs, *random_, folder_.File("ca"), "corp.example", clock_.Now()),
              IsOk());
  ASSERT_OK_AND_ASSIGN(const auto authority, Authority::Open(*vfs, *random_, folder_.File("ca")));
  ASSERT_OK_AND_ASSIGN(const auto store, MakeSqliteStore(folder_.File("new.db"), clock_));
  ASSERT_OK_AND_ASSIGN(const EnrollmentToken token, ParseToken(request.token()));
  ASSERT_THAT(
      store->CreateToken(
          {token.id, Sha256(token.secret), {{"role", "sql"}}, "", clock_.Now() + absl::Hours(1)},
          {}),
      IsOk());
  HostEnrollment enrollment(*store, *authority, clock_, *random_, *log);
  const auto response = enrollment.Enroll(request, "ipv4:192.0.2.7:40000", granted.server());
  ASSERT_THAT(response, IsOk());
  EXPECT_EQ(response->chain_size(), granted.chain_size());
  EXPECT_EQ(response->trust_domain(), granted.trust_domain());
  EXPECT_EQ(response->labels().at("role"), granted.labels().at("role"));
  EXPECT_EQ(store->FindHost(response->host_id())->host_key, request.host_key());
}

}  // namespace
}  // namespace dumpwarden
