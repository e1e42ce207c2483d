// SPDX-License-Identifier: Apache-2.0
// Two agents, one token: a thousand times, on threads, on the real store.
#include <barrier>
#include <map>
#include <thread>

#include "platform/sqlite.h"
#include "tests/support/enrollment_rig.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr int kRounds = 1'000;

struct Racer {
  v1::EnrollRequest request;
  absl::StatusOr<v1::EnrollResponse> answer = absl::UnknownError("it did not run");
};

class TokenRace : public EnrollmentRig {
 protected:
  // Both ask at the same moment.
  void Race(Racer (&racers)[2], int round) {
    std::barrier together(2);
    const auto run = [&](int i) {
      const std::string peer =
          absl::StrCat("ipv4:10.", i, ".", round / 256, ".", round % 256, ":1");
      together.arrive_and_wait();
      racers[i].answer = enrollment_->Enroll(racers[i].request, peer, "dw.corp.example:7443");
    };
    std::thread other(run, 1);
    run(0);
    other.join();
  }

  std::int64_t Count(const std::string& sql) {
    auto db = Database::OpenReadOnly(temp_.File("store.db"));
    EXPECT_THAT(db, IsOk());
    auto select = (*db)->Prepare(sql);
    EXPECT_THAT(select, IsOk());
    EXPECT_THAT(select->Step(), IsOk());
    return select->Int(0);
  }
};

TEST_F(TokenRace, T33ExactlyOneOfTwoWinsEachOfAThousandRounds) {
  for (int round = 0; round < kRounds; ++round) {
    SCOPED_TRACE(round);
    const std::string token = Token();
    Racer racers[2];
    for (int i = 0; i < 2; ++i) {
      racers[i].request =
          EnrollRequestOf(token, absl::StrCat("racer-", i), *MakeCsrDer(**MakeKey()));
    }
    Race(racers, round);
    const int winner = racers[0].answer.ok() ? 0 : 1;
    ASSERT_THAT(racers[winner].answer, IsOk());
    ASSERT_THAT(racers[1 - winner].answer,
                StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("the token was used")));
    ASSERT_OK_AND_ASSIGN(const HostRow host, store_->FindHost(racers[winner].answer->host_id()));
    ASSERT_EQ(host.host_key, racers[winner].request.host_key());
  }
  // What is not one of a winner's is nowhere.
  const struct {
    const char* what;
    const char* sql;
    int count;
  } kExpected[] = {
      {"hosts", "SELECT COUNT(*) FROM host", kRounds},
      {"states", "SELECT COUNT(*) FROM host_state", kRounds},
      {"labels", "SELECT COUNT(*) FROM host_label", 0},
      {"tokens", "SELECT COUNT(*) FROM token", kRounds},
      {"tokens used, each by another host", "SELECT COUNT(DISTINCT used_by) FROM token", kRounds},
      {"rows of makers", "SELECT COUNT(*) FROM audit WHERE action = 'token.create'", kRounds},
      {"rows of winners",
       "SELECT COUNT(*) FROM audit JOIN host ON uuid = object WHERE action = 'host.enroll'",
       kRounds},
      {"rows of losers", "SELECT COUNT(*) FROM audit WHERE action = 'host.enroll.refused'",
       kRounds},
      {"rows", "SELECT COUNT(*) FROM audit", 3 * kRounds},
  };
  for (const auto& expected : kExpected)
    EXPECT_EQ(Count(expected.sql), expected.count) << expected.what;
}

}  // namespace
}  // namespace dumpwarden
