// SPDX-License-Identifier: Apache-2.0
// An operator takes a host out of the fleet: it is off at once, stays out, and
// the same machine comes back only as another host.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdio>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/end_to_end/fleet.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

Json RowOf(const Server& server, const std::string& id) {
  for (Json& row : server.CtlJson({"host", "list"})) {
    if (row["id"] == id) return row;
  }
  return {};
}

class Revocation : public testing::Test {
 protected:
  void SetUp() override {
    server_.Start();
    host_.Join(server_);
    other_.Join(server_);
    id_ = host_.Id();
  }
  bool IsConnected(const std::string& id) const { return RowOf(server_, id)["connected"] == true; }

  Server server_;
  Host host_{"web-01"};
  Host other_{"web-02"};
  std::string id_;
};

TEST_F(Revocation, SaysWhatIsWrongAndADryRunLeavesTheHostIn) {
  const Finished no_reason = server_.Ctl({"host", "revoke", "web-01"});
  EXPECT_EQ(no_reason.exit_code, 64) << no_reason.err;
  EXPECT_THAT(no_reason.err, HasSubstr("--reason"));
  const Finished blank = server_.Ctl({"host", "revoke", "web-01", "--reason", " "});
  EXPECT_EQ(blank.exit_code, 64) << blank.err;
  const Finished nobody = server_.Ctl({"host", "revoke", "web-09", "--reason", "stolen"});
  EXPECT_EQ(nobody.exit_code, 6) << nobody.err;
  const Finished dry = server_.Ctl({"host", "revoke", "web-01", "--reason", "stolen", "--dry-run"});
  EXPECT_EQ(dry.exit_code, 0) << dry.err;
  EXPECT_THAT(dry.out, HasSubstr("revoked (dry run)"));
  EXPECT_TRUE(IsConnected(id_));
}

TEST_F(Revocation, EndsTheSessionAtOnceAndTheMachineComesBackAsAnotherHost) {
  const Json done = server_.CtlJson({"host", "revoke", "web-01", "--reason", "stolen, case 7741"});
  ASSERT_EQ(done.size(), 1u) << done;
  EXPECT_EQ(done[0]["id"], id_);
  EXPECT_EQ(done[0]["changed"], true);
  EXPECT_EQ(done[0]["sessions"], 1);
  absl::Duration took;
  // One second is what is promised.
  EXPECT_TRUE(Eventually([&] { return !IsConnected(id_); }, absl::Seconds(5), &took));
  std::printf("a revoked host is off after %s\n", absl::FormatDuration(took).c_str());
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(host_.process().Err(), "this host was revoked; enrol it anew");
  })) << host_.process().Err();
  EXPECT_EQ(RowOf(server_, id_)["state"], "revoked");
  EXPECT_TRUE(IsConnected(other_.Id())) << "nobody else goes";

  bool recorded = false;
  for (const Json& row : server_.CtlJson({"audit", "list", "--action", "host.revoke"})) {
    recorded |= row["object"] == id_ && row["detail"] == "stolen, case 7741" &&
                absl::StrContains(row["actor"].get<std::string>(), "/operator/admin");
  }
  EXPECT_TRUE(recorded);
  const Finished again = server_.Ctl({"host", "revoke", "web-01", "--reason", "once more"});
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_THAT(again.out, HasSubstr("was revoked before"));

  // Its key and certificate are still good for days; the server knows better, after a restart too.
  host_.Kill(SIGKILL);
  server_.Kill(SIGTERM);
  server_.Start();
  const std::size_t said = host_.process().Err().size();
  host_.Start();
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(host_.process().Err(), "this host was revoked; enrol it anew");
  })) << host_.process().Err()
      << said;
  EXPECT_FALSE(IsConnected(id_));

  const Json token = server_.CreateToken();
  WriteAll(host_.File("token"), token["token"].get<std::string>());
  const Finished anew = host_.Agent({"enroll", "--config", host_.File("agent.yaml"), "--server",
                                     token["address"].get<std::string>(), "--token-file",
                                     host_.File("token"), "--name", "web-01", "--replace"});
  ASSERT_EQ(anew.exit_code, 0) << anew.err;
  EXPECT_NE(host_.Id(), id_);
  host_.Kill(SIGTERM);  // it would ask again only after a while
  host_.Start();
  EXPECT_TRUE(Eventually([&] { return IsConnected(host_.Id()); })) << host_.process().Err();
  EXPECT_EQ(server_.CtlJson({"host", "show", "web-01"})["host"]["id"], host_.Id())
      << "the name is the new one's";
}

}  // namespace
}  // namespace dumpwarden
