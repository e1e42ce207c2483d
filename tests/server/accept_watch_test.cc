// SPDX-License-Identifier: Apache-2.0
// A real listening socket that the test accepts from, or does not.
#include "server/accept_watch.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

class AcceptWatchTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_GE(listener_, 0);
    ASSERT_EQ(bind(listener_, reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
    ASSERT_EQ(listen(listener_, 16), 0);
    socklen_t size = sizeof address_;
    ASSERT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address_), &size), 0);
    watch_.Watch(ntohs(address_.sin_port));
  }
  void TearDown() override {
    for (const int socket : clients_) close(socket);
    close(listener_);
  }

  void Connect() {
    const int client = clients_.emplace_back(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(client, reinterpret_cast<const sockaddr*>(&address_), sizeof address_), 0);
  }
  void Accept() { clients_.push_back(accept(listener_, nullptr, nullptr)); }

  absl::Status CheckFor(int seconds) {
    for (int i = 0; i < seconds; ++i) {
      clock_.Advance(absl::Seconds(1));
      if (absl::Status status = watch_.Check(); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

  FakeClock clock_;
  AcceptWatch watch_{clock_};
  sockaddr_in address_ = {.sin_family = AF_INET,
                          .sin_port = 0,
                          .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
                          .sin_zero = {}};
  int listener_ = socket(AF_INET, SOCK_STREAM, 0);
  std::vector<int> clients_;
};

// 1,100 idle connections and `ulimit -n 1024` silenced the server for ever.
TEST_F(AcceptWatchTest, NoticesAListenerThatWentDeaf) {
  EXPECT_THAT(CheckFor(60), IsOk()) << "nobody asks for anything";
  Connect();
  EXPECT_THAT(CheckFor(9), IsOk());
  EXPECT_THAT(CheckFor(2),
              StatusIs(absl::StatusCode::kUnavailable, testing::HasSubstr("limit of open files")));
}

TEST_F(AcceptWatchTest, TakesACrowdForNoDeafness) {
  for (int i = 0; i < 5; ++i) Connect();
  for (int i = 0; i < 4; ++i) {
    EXPECT_THAT(CheckFor(9), IsOk());
    Accept();  // fewer wait
  }
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(CheckFor(9), IsOk());
    watch_.NoteHandshake();  // as many wait as before, but others came through
  }
  EXPECT_THAT(CheckFor(9), IsOk());
}

TEST_F(AcceptWatchTest, TakesItsOwnLatenessForNoDeafness) {
  Connect();
  EXPECT_THAT(watch_.Check(), IsOk());
  clock_.Advance(absl::Minutes(1));
  EXPECT_THAT(watch_.Check(), IsOk());
}

}  // namespace
}  // namespace dumpwarden
