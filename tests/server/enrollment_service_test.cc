// SPDX-License-Identifier: Apache-2.0
// The door against the real store and real ports.
#include "server/enrollment_service.h"

#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "dumpwarden/v1/enrollment.grpc.pb.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

class EnrollmentDoorTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
  }

  static ListenerOptions OptionsFor(const std::string& address) {
    ListenerOptions options;
    options.address = address;
    options.credentials = grpc::InsecureServerCredentials();
    options.max_message_bytes = 1024;
    options.max_threads = 4;
    return options;
  }
  static std::shared_ptr<grpc::Service> MakeService() {
    return std::make_shared<v1::Enrollment::Service>();
  }
  std::unique_ptr<EnrollmentDoor> DoorAt(const std::string& address) {
    return std::make_unique<EnrollmentDoor>(*store_, clock_, *log_, OptionsFor(address),
                                            MakeService);
  }
  absl::Status MakeToken() {
    ++made_;
    return store_->CreateToken({"t", "d", {}, "", clock_.Now() + absl::Hours(1)},
                               {"test", "", "test", "", "", "", ""});
  }

  TempFolder temp_;
  FakeClock clock_;
  const std::unique_ptr<Log> log_ = MakeLog(clock_, "test");
  std::unique_ptr<Store> store_;
  int made_ = 0;
};

TEST_F(EnrollmentDoorTest, IsOpenWhileATokenWaits) {
  const auto door = DoorAt("127.0.0.1:0");
  EXPECT_THAT(door->Refresh(), IsOk());
  EXPECT_EQ(door->Address(), std::nullopt);
  ASSERT_OK_AND_ASSIGN(const std::string address, door->OpenFor([this] { return MakeToken(); }));
  EXPECT_THAT(door->Refresh(), IsOk());
  EXPECT_EQ(door->Address(), address);
  clock_.Advance(absl::Hours(2));
  EXPECT_THAT(door->Refresh(), IsOk());
  EXPECT_EQ(door->Address(), std::nullopt);
}

// The token was kept, its secret lost with the error, and its id waited for nobody.
TEST_F(EnrollmentDoorTest, MakesNoTokenWhenItsPortIsTaken) {
  ASSERT_OK_AND_ASSIGN(const auto other,
                       Listener::Start(OptionsFor("127.0.0.1:0"), {MakeService()}));
  const auto door = DoorAt(other->address());
  EXPECT_THAT(door->OpenFor([this] { return MakeToken(); }),
              StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr(other->address())));
  EXPECT_EQ(made_, 0);
}

TEST_F(EnrollmentDoorTest, ClosesAgainWhenNoTokenCameOfIt) {
  const auto door = DoorAt("127.0.0.1:0");
  EXPECT_THAT(door->OpenFor([] { return absl::InvalidArgumentError("no"); }),
              StatusIs(absl::StatusCode::kInvalidArgument, "no"));
  EXPECT_THAT(door->Refresh(), IsOk());
  EXPECT_EQ(door->Address(), std::nullopt);
}

// Operators' calls that were still answered while the server stopped used a door that was gone.
TEST_F(EnrollmentDoorTest, MayBeAskedAfterItWasClosedForGood) {
  const auto door = DoorAt("127.0.0.1:0");
  ASSERT_THAT(door->OpenFor([this] { return MakeToken(); }), IsOk());
  door->Close();
  EXPECT_EQ(door->Address(), std::nullopt);
  EXPECT_THAT(door->Refresh(), StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_THAT(door->OpenFor([this] { return MakeToken(); }),
              StatusIs(absl::StatusCode::kUnavailable, testing::_));
  EXPECT_EQ(made_, 1);
  EXPECT_EQ(door->Address(), std::nullopt) << "a token waits, but nobody opens it again";
}

}  // namespace
}  // namespace dumpwarden
