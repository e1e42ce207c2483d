// SPDX-License-Identifier: Apache-2.0
// A host that waits for an operator: it is told so, and gets nothing else.
#include "server/fleet/hosts.h"
#include "server/fleet/revocation.h"
#include "tests/server/fleet/fleet_rig.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

const Actor kAlice = {"spiffe://corp.example/operator/alice", "ipv4:192.0.2.1:1"};

class HoldTest : public FleetRig {
 protected:
  // As after a late renewal.
  HostRow Held(int number) {
    const HostRow host = Enroll(number);
    const Audit audit{"test", "", "host.hold", host.uuid, "", "", ""};
    EXPECT_THAT(store_->RenewHost(host.id, true, audit), IsOk());
    return *store_->FindHost(host.uuid);
  }
  absl::StatusOr<v1::ApproveHostResponse> Approve(const std::string& host, bool dry_run = false) {
    v1::ApproveHostRequest request;
    request.set_host(host);
    request.set_dry_run(dry_run);
    return ApproveHost(*store_, *fleet_, request, kAlice);
  }
  std::vector<v1::AuditEntry> Rows() {
    v1::ListAuditRequest request;
    request.set_action("host.approve");
    return store_->ListAudit(request).value();
  }
};

TEST_F(HoldTest, IsToldWhichCommandLetsItInAndGetsNothing) {
  const HostRow host = Held(1);
  CountingStream stream;
  Join(host, stream);
  EXPECT_EQ(stream.goodbye().reason(), v1::Goodbye::REASON_HOLD);
  EXPECT_THAT(stream.goodbye().message(), HasSubstr("dumpctl host approve " + host.uuid));
  EXPECT_EQ(stream.goodbye().reconnect_window_ms(), 900'000u);
  EXPECT_FALSE(stream.welcomed());
  EXPECT_FALSE(fleet_->IsConnected(host.id));
  fleet_->Tick();
  EXPECT_THAT(refused_, testing::ElementsAre("hold " + host.uuid));
}

TEST_F(HoldTest, EndsEveryStreamOfTheHostAndOfNoOther) {
  const HostRow host = Enroll(1);
  CountingStream live;
  CountingStream others;
  CountingStream late;
  Join(host, live);
  Join(Enroll(2), others);
  EXPECT_EQ(fleet_->Hold(host.id), 1u);
  EXPECT_EQ(live.goodbye().reason(), v1::Goodbye::REASON_HOLD);
  EXPECT_EQ(others.goodbye().reason(), v1::Goodbye::REASON_UNSPECIFIED);
  Join(host, late);  // authorised while the store did not know yet
  EXPECT_EQ(late.goodbye().reason(), v1::Goodbye::REASON_HOLD);
}

TEST_F(HoldTest, IsLetInWhenItComesAfterTheApproval) {
  const HostRow host = Held(1);
  fleet_->Hold(host.id);
  ASSERT_OK_AND_ASSIGN(const v1::ApproveHostResponse dry, Approve("host-1", true));
  EXPECT_TRUE(dry.changed());
  EXPECT_TRUE(store_->FindHost(host.uuid)->hold);
  EXPECT_THAT(Rows(), SizeIs(0));
  ASSERT_OK_AND_ASSIGN(const v1::ApproveHostResponse done, Approve("host-1"));
  EXPECT_TRUE(done.changed());
  EXPECT_EQ(done.id(), host.uuid);
  CountingStream stream;
  Join(*store_->FindHost(host.uuid), stream);
  EXPECT_TRUE(stream.welcomed());
  EXPECT_FALSE(Approve("host-1")->changed());
  ASSERT_THAT(Rows(), SizeIs(1));
  EXPECT_EQ(Rows()[0].actor(), kAlice.id);
  EXPECT_EQ(Rows()[0].object(), host.uuid);
}

TEST_F(HoldTest, IsAStateOfItsOwnAndARevokedHostIsNotApproved) {
  Held(1);
  Enroll(2);
  const Hosts hosts(*store_, *fleet_, clock_, absl::Minutes(5));
  v1::ListHostsRequest request;
  request.set_state("hold");
  ASSERT_OK_AND_ASSIGN(const v1::ListHostsResponse held, hosts.List(request));
  ASSERT_EQ(held.hosts_size(), 1);
  EXPECT_EQ(held.hosts(0).name(), "host-1");
  EXPECT_EQ(held.hosts(0).state(), "hold");
  v1::RevokeHostRequest revoke;
  revoke.set_host("host-1");
  revoke.set_reason("not ours");
  ASSERT_THAT(RevokeHost(*store_, *fleet_, revoke, kAlice), IsOk());
  for (const bool dry_run : {true, false}) {
    EXPECT_THAT(Approve("host-1", dry_run),
                StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("revoked")));
  }
  EXPECT_THAT(Approve("host-9"), StatusIs(absl::StatusCode::kNotFound, testing::_));
}

}  // namespace
}  // namespace dumpwarden
