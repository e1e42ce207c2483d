// SPDX-License-Identifier: Apache-2.0
#include "core/base/host_port.h"

#include <gtest/gtest.h>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

TEST(HostPort, ReadsNamesAndAddressesAndWritesThemAgain) {
  const struct {
    const char* text;
    const char* host;
    int port;
  } good[] = {{"0.0.0.0:7443", "0.0.0.0", 7443},
              {"[::1]:0", "::1", 0},
              {"dump.corp.example:1", "dump.corp.example", 1},
              {"[fe80::1%eth0]:7443", "fe80::1%eth0", 7443},
              {"WEB_01-a:65535", "WEB_01-a", 65535}};
  for (const auto& test : good) {
    ASSERT_OK_AND_ASSIGN(const HostPort parsed, ParseHostPort(test.text));
    EXPECT_EQ(parsed.host, test.host);
    EXPECT_EQ(parsed.port, test.port);
    EXPECT_EQ(JoinHostPort(parsed.host, parsed.port), test.text);
  }
}

TEST(HostPort, RefusesTheRestAndSaysWhatIsAccepted) {
  for (const char* bad :
       {"",       ":",          "a",     "a:",      ":1",           "a:x",
        "a:-1",   "a:+1",       "a: 1",  "a:1x",    "a:65536",      "a:99999999999",
        "::1:80", "[::1:80",    "[::1]", "[a]:1",   "[fe80::1%]:1", "[]:1",
        "a b:1",  "http://a:1", "a,b:1", "unix:/x", "a\x1b:1"}) {
    EXPECT_THAT(ParseHostPort(bad).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("HOST:PORT")))
        << bad;
  }
}

TEST(HostPort, PortZeroIsNoServer) {
  EXPECT_THAT(ParseServerAddress("a:0").status(),
              StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("HOST:PORT")));
  EXPECT_THAT(ParseServerAddress("a:1"), IsOk());
}

}  // namespace
}  // namespace dumpwarden
