// SPDX-License-Identifier: Apache-2.0
#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kGood[] = R"(trust-domain: corp.example
listeners: { agents: '0.0.0.0:7443', enrollment: '[::1]:0' }
names: [dumpwarden.corp.example, 192.0.2.1]
store: store.db
ca: /etc/dumpwarden/ca
tls: { chain: tls/server.crt, key: server.key }
limits: { sessions: 10, check-in-seconds: 5, messages-per-second: 7, reconnect-window-max-seconds: 60 }
retention: { tokens-days: 30, policy-versions-days: 365, drift-days: 400, audit-days: 3650 }
)";

std::string With(const std::string& from, const std::string& to) {
  std::string text = kGood;
  const auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

TEST(ServerConfig, ReadsEveryKeyAndResolvesPathsFromTheFile) {
  ASSERT_OK_AND_ASSIGN(const ServerConfig config, ParseServerConfig(kGood, "/srv/dw/server.yaml"));
  EXPECT_EQ(config.trust_domain, "corp.example");
  EXPECT_EQ(config.agents_listener, "0.0.0.0:7443");
  EXPECT_EQ(config.enrollment_listener, "[::1]:0");
  EXPECT_THAT(config.names, testing::ElementsAre("dumpwarden.corp.example", "192.0.2.1"));
  EXPECT_EQ(config.store, "/srv/dw/store.db");
  EXPECT_EQ(config.ca, "/etc/dumpwarden/ca");
  EXPECT_EQ(config.tls_chain, "/srv/dw/tls/server.crt");
  EXPECT_EQ(config.tls_key, "/srv/dw/server.key");
  EXPECT_EQ(config.max_sessions, 10u);
  EXPECT_EQ(config.check_in_seconds, 5u);
  EXPECT_EQ(config.messages_per_second, 7);
  EXPECT_EQ(config.reconnect_window_max, absl::Minutes(1));
  EXPECT_EQ(config.retention.tokens, absl::Hours(30 * 24));
  EXPECT_EQ(config.retention.policy_versions, absl::Hours(365 * 24));
  EXPECT_EQ(config.retention.drift, absl::Hours(400 * 24));
  EXPECT_EQ(config.retention.audit, absl::Hours(3650 * 24));
}

TEST(ServerConfig, IsWrittenAsItWasRead) {
  ASSERT_OK_AND_ASSIGN(const ServerConfig config, ParseServerConfig(kGood, "/srv/dw/server.yaml"));
  const std::string written = FormatServerConfig(config);
  ASSERT_OK_AND_ASSIGN(const ServerConfig again, ParseServerConfig(written, "/elsewhere.yaml"));
  EXPECT_EQ(FormatServerConfig(again), written);
  EXPECT_EQ(again.retention.tokens, config.retention.tokens);
  EXPECT_EQ(again.retention.policy_versions, config.retention.policy_versions);
  EXPECT_EQ(again.retention.drift, config.retention.drift);
  EXPECT_EQ(again.retention.audit, config.retention.audit);
}

TEST(ServerConfig, SaysWhereAndWhatIsWrong) {
  const struct {
    const char* why;
    std::string yaml;
    const char* message;
  } cases[] = {
      {"an unknown key has a suggestion", With("store:", "stor:"), "s.yaml:4:1"},
      {"the suggestion", With("store:", "stor:"), "store"},
      {"an unknown key in a section", With("sessions:", "sesions:"), "limits"},
      {"a listener without a port", With("0.0.0.0:7443", "0.0.0.0"), "s.yaml:2:22"},
      {"a port that is none", With("0.0.0.0:7443", "0.0.0.0:70000"), "HOST:PORT"},
      {"a trust domain in capitals", With("corp.example\n", "CORP\n"), "trust-domain"},
      {"a retention that deletes at once", With("tokens-days: 30", "tokens-days: 0"), "retention"},
      {"drift that goes at once", With("drift-days: 400", "drift-days: 0"), "drift-days"},
      {"audit rows that go at once", With("audit-days: 3650", "audit-days: 0"), "audit-days"},
      {"a table that has no retention", With("tokens-days", "facts-days"), "retention"},
      {"no names", With("[dumpwarden.corp.example, 192.0.2.1]", "[]"), "names"},
      {"a name that is none", With("192.0.2.1", "'a b'"), "s.yaml:3:34"},
      {"a limit in hex", With("sessions: 10", "sessions: 0x10"), "limits.sessions"},
      {"a limit out of range", With("check-in-seconds: 5", "check-in-seconds: 0"), "check-in"},
      {"a rate of nothing", With("messages-per-second: 7", "messages-per-second: 4"), "5 to 10000"},
      {"a rate that is none", With("messages-per-second: 7", "messages-per-second: 10001"),
       "limits.messages-per-second"},
      {"a section that is a word", With("{ chain: tls/server.crt, key: server.key }", "x"), "tls"},
      {"nothing at all", "", "the file is empty"},
      {"a second document", std::string(kGood) + "---\na: b\n", "document"},
  };
  for (const auto& test : cases) {
    SCOPED_TRACE(test.why);
    EXPECT_THAT(ParseServerConfig(test.yaml, "s.yaml"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(test.message)));
  }
}

TEST(ServerConfig, ReadsWhatInitWrites) {
  ASSERT_OK_AND_ASSIGN(ServerConfig config, ParseServerConfig(kGood, "/server.yaml"));
  ASSERT_OK_AND_ASSIGN(const ServerConfig again,
                       ParseServerConfig(FormatServerConfig(config), "/elsewhere/s.yaml"));
  EXPECT_EQ(FormatServerConfig(again), FormatServerConfig(config));
}

}  // namespace
}  // namespace dumpwarden
