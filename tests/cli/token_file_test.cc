// SPDX-License-Identifier: Apache-2.0
#include "cli/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(TokenFile, HoldsATokenAnEntry) {
  ASSERT_OK_AND_ASSIGN(const v1::CreateTokensRequest read,
                       ParseTokens("- { name: web-01, labels: { role: web, site: 'a' } }\n"
                                   "- labels: { role: sql }\n"
                                   "  hold: true\n",
                                   "hosts.yaml"));
  ASSERT_EQ(read.tokens_size(), 2);
  EXPECT_EQ(read.tokens(0).expected_name(), "web-01");
  EXPECT_EQ(read.tokens(0).labels().at("role"), "web");
  EXPECT_EQ(read.tokens(0).labels().at("site"), "a");
  EXPECT_FALSE(read.tokens(0).hold());
  EXPECT_EQ(read.tokens(1).expected_name(), "");
  EXPECT_TRUE(read.tokens(1).hold());
}

TEST(TokenFile, SaysEveryMistakeAndItsPlace) {
  const absl::Status read = ParseTokens(
                                "- { nane: web-01 }\n"
                                "- { name: [web-02] }\n"
                                "- { name: web-03, labels: [role] }\n"
                                "- { name: web-04, hold: perhaps }\n"
                                "- { labels: { role: { a: b } } }\n"
                                "- web-05\n",
                                "hosts.yaml")
                                .status();
  EXPECT_THAT(read, StatusIs(absl::StatusCode::kInvalidArgument,
                             AllOf(Not(HasSubstr("neither")), HasSubstr("hosts.yaml:1:"),
                                   HasSubstr("did you mean `name`"), HasSubstr("hosts.yaml:2:"),
                                   HasSubstr("hosts.yaml:3:"), HasSubstr("hosts.yaml:4:"),
                                   HasSubstr("hosts.yaml:5:"), HasSubstr("hosts.yaml:6:"))));
}

TEST(TokenFile, HasOneToAThousandEntries) {
  EXPECT_THAT(ParseTokens("", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("the file is empty")));
  EXPECT_THAT(ParseTokens("- {}\n", "f"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("neither a name")));
  for (const char* none : {"[]", "{ name: web-01 }", "web-01"}) {
    EXPECT_THAT(ParseTokens(none, "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("list of 1 to 1000")))
        << none;
  }
  std::string many;
  for (int i = 0; i < 1000; ++i) absl::StrAppend(&many, "- { name: web-", i, " }\n");
  ASSERT_OK_AND_ASSIGN(const v1::CreateTokensRequest read, ParseTokens(many, "f"));
  EXPECT_EQ(read.tokens_size(), 1000);
  EXPECT_FALSE(ParseTokens(many + "- { name: one-more }\n", "f").ok());
}

TEST(TokenFile, ComesFromStandardInputTooAndAMissingOneIsNamed) {
  std::istringstream in("- { name: web-01 }\n");
  EXPECT_EQ(ReadTokenFile("-", in)->tokens_size(), 1);
  EXPECT_THAT(ReadTokenFile("/nowhere/hosts.yaml", in),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cannot read /nowhere")));
}

}  // namespace
}  // namespace dumpwarden
