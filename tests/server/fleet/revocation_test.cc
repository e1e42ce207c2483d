// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/revocation.h"

#include "core/policy/policy_set.h"
#include "server/fleet/compliance.h"
#include "server/fleet/hosts.h"
#include "server/fleet/planning.h"
#include "tests/server/fleet/fleet_rig.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const Actor kAlice = {"spiffe://corp.example/operator/alice", "ipv4:192.0.2.1:1"};

v1::AgentMessage CheckIn() {
  v1::AgentMessage message;
  message.mutable_check_in()->set_sequence(1);
  return message;
}

class RevocationTest : public FleetRig {
 protected:
  absl::StatusOr<v1::RevokeHostResponse> Revoke(const std::string& host, bool dry_run = false,
                                                const std::string& reason = "stolen") {
    v1::RevokeHostRequest request;
    request.set_host(host);
    request.set_reason(reason);
    request.set_dry_run(dry_run);
    return RevokeHost(*store_, *fleet_, request, kAlice);
  }
  std::vector<v1::AuditEntry> Rows() {
    v1::ListAuditRequest request;
    request.set_action("host.revoke");
    return store_->ListAudit(request).value();
  }
  std::vector<std::string> NamesIn(const std::string& state) {
    const Hosts hosts(*store_, *fleet_, clock_, absl::Minutes(5));
    v1::ListHostsRequest request;
    request.set_state(state);
    std::vector<std::string> names;
    const auto listed = hosts.List(request);
    EXPECT_THAT(listed.status(), IsOk());
    if (!listed.ok()) return names;
    for (const v1::HostSummary& host : listed->hosts()) names.push_back(host.name());
    return names;
  }
};

// T: a stolen host's key stays good for seven days.
TEST_F(RevocationTest, EndsEveryStreamOfTheHostAtOnceAndNoOther) {
  const HostRow host = Enroll(1);
  const HostRow other = Enroll(2);
  CountingStream live;
  CountingStream waiting;
  CountingStream others;
  const SessionId session = Join(host, live);
  Join(host, waiting);
  Join(other, others);
  ASSERT_OK_AND_ASSIGN(const v1::RevokeHostResponse done, Revoke("host-1"));
  EXPECT_TRUE(done.changed());
  EXPECT_EQ(done.id(), host.uuid);
  EXPECT_EQ(done.sessions(), 2u);
  for (CountingStream* stream : {&live, &waiting}) {
    EXPECT_EQ(stream->goodbye().reason(), v1::Goodbye::REASON_REVOKED);
    EXPECT_THAT(stream->goodbye().message(), HasSubstr("enrol it anew"));
  }
  EXPECT_EQ(others.goodbye().reason(), v1::Goodbye::REASON_UNSPECIFIED);
  const int reads = live.reads();
  fleet_->OnMessage(session, CheckIn());
  EXPECT_EQ(live.reads(), reads) << "nothing that it says is taken";
  ASSERT_THAT(Rows(), SizeIs(1));
  EXPECT_EQ(Rows()[0].actor(), kAlice.id);
  EXPECT_EQ(Rows()[0].source(), kAlice.source);
  EXPECT_EQ(Rows()[0].object(), host.uuid);
  EXPECT_EQ(Rows()[0].detail(), "stolen");
}

// It was authorised while the store did not know yet, and opened when all streams had been ended.
TEST_F(RevocationTest, AStreamThatWasLetInJustBeforeDoesNotLast) {
  const HostRow before = Enroll(1);
  ASSERT_THAT(Revoke("host-1"), IsOk());
  CountingStream stream;
  Open(before, stream);
  EXPECT_EQ(stream.goodbye().reason(), v1::Goodbye::REASON_REVOKED);
}

TEST_F(RevocationTest, IsDoneOnceAndADryRunDoesNothing) {
  const HostRow host = Enroll(1);
  CountingStream stream;
  Join(host, stream);
  ASSERT_OK_AND_ASSIGN(const v1::RevokeHostResponse dry, Revoke(host.uuid, true));
  EXPECT_TRUE(dry.changed());
  EXPECT_EQ(stream.goodbye().reason(), v1::Goodbye::REASON_UNSPECIFIED);
  EXPECT_FALSE(store_->FindHost(host.uuid)->revoked);
  EXPECT_THAT(Rows(), SizeIs(0));
  ASSERT_OK_AND_ASSIGN(const v1::RevokeHostResponse done, Revoke(host.uuid));
  EXPECT_TRUE(done.changed());
  ASSERT_OK_AND_ASSIGN(const v1::RevokeHostResponse again, Revoke(host.uuid));
  EXPECT_FALSE(again.changed());
  EXPECT_EQ(again.sessions(), 0u);
  EXPECT_THAT(Rows(), SizeIs(1));
}

TEST_F(RevocationTest, WantsAReasonAndAHostThatThereIs) {
  Enroll(1);
  const struct {
    const char* why;
    std::string host;
    std::string reason;
    absl::StatusCode code;
    const char* says;
  } kCases[] = {
      {"no reason", "host-1", "", absl::StatusCode::kInvalidArgument, "a reason is missing"},
      {"blanks", "host-1", " \t", absl::StatusCode::kInvalidArgument, "a reason is missing"},
      {"one byte too many", "host-1", std::string(501, 'x'), absl::StatusCode::kInvalidArgument,
       "at most 500"},
      {"no such host", "host-2", "stolen", absl::StatusCode::kNotFound, "dumpctl host list"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(Revoke(c.host, false, c.reason).status(), StatusIs(c.code, HasSubstr(c.says)))
        << c.why;
  }
  EXPECT_THAT(Rows(), SizeIs(0));
  EXPECT_THAT(Revoke("host-1", false, std::string(500, 'x')).status(), IsOk());
}

// A machine that was enrolled anew has the name of the one that was revoked.
TEST_F(RevocationTest, ANameIsOfTheHostThatIsInTheFleet) {
  const HostRow first = Enroll(1);
  ASSERT_THAT(Revoke("host-1"), IsOk());
  EXPECT_EQ(FindHostByText(*store_, "host-1")->uuid, first.uuid) << "while there is no other";
  HostRow second = first;
  second.uuid = UuidOf(77);
  second.host_key = second.uuid;
  const Audit audit{"test", "", "test", "", "", "", ""};
  ASSERT_THAT(store_->CreateToken({"t", "d", {}, "", clock_.Now() + absl::Hours(1)}, audit),
              IsOk());
  ASSERT_THAT(store_->EnrollHost("t", "d", second, clock_.Now(), audit).status(), IsOk());
  EXPECT_EQ(FindHostByText(*store_, "host-1")->uuid, second.uuid);
  EXPECT_EQ(FindHostByText(*store_, first.uuid)->uuid, first.uuid);
}

// A host that was thrown away stood in the way of policies, and in every count.
TEST_F(RevocationTest, NothingIsPlannedOrCountedForIt) {
  Enroll(1);
  Enroll(2);
  ASSERT_THAT(Revoke("host-1"), IsOk());
  EXPECT_THAT(NamesIn("revoked"), testing::ElementsAre("host-1"));
  EXPECT_THAT(NamesIn(""), SizeIs(2)) << "it is still listed";
  const Hosts hosts(*store_, *fleet_, clock_, absl::Minutes(5));
  ASSERT_OK_AND_ASSIGN(const auto summary, SummarizeCompliance(*store_, hosts, {}));
  EXPECT_EQ(summary.hosts(), 1u);
  EXPECT_EQ(summary.states().count("revoked"), 0u);
  v1::PlanPoliciesRequest plan;
  plan.add_policies()->set_yaml(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: base }\n"
      "spec: { settings: { dump.type: kernel } }\n");
  ASSERT_OK_AND_ASSIGN(const auto planned, PlanPolicies(*store_, plan));
  EXPECT_EQ(planned.host_count(), 1u);
}

TEST_F(RevocationTest, ARevokedHostIsNoPartOfAConflict) {
  Enroll(1);
  Policies policies(*store_, *fleet_);
  const auto apply = [&](const std::string& name, const std::string& type) {
    v1::ApplyPoliciesRequest request;
    request.add_policies()->set_yaml(
        absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ", name,
                     " }\nspec: { settings: { dump.type: ", type, " } }\n"));
    return policies.Apply(request, kAlice).status();
  };
  ASSERT_THAT(apply("one", "kernel"), IsOk());
  ASSERT_THAT(apply("two", "small"), StatusIs(absl::StatusCode::kAborted, testing::_));
  ASSERT_THAT(Revoke("host-1"), IsOk());
  EXPECT_THAT(apply("two", "small"), IsOk());
}

}  // namespace
}  // namespace dumpwarden
