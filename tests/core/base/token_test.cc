// SPDX-License-Identifier: Apache-2.0
#include "core/base/token.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kId(32, 'a');
const std::string kSecret(64, 'b');
const std::string kPin(64, 'c');

std::string Token(const std::string& id, const std::string& secret, const std::string& pin,
                  const std::string& expiry) {
  return absl::StrCat("dwt1.", id, ".", secret, ".", pin, ".", expiry);
}

TEST(Token, ReadsWhatItWrites) {
  const std::string text = Token(kId, kSecret, kPin, "1790000000");
  ASSERT_OK_AND_ASSIGN(const EnrollmentToken token, ParseToken(text));
  EXPECT_EQ(token.id, kId);
  EXPECT_EQ(token.secret, kSecret);
  EXPECT_EQ(token.root_pin, kPin);
  EXPECT_EQ(token.expires, absl::FromUnixSeconds(1790000000));
  EXPECT_EQ(FormatToken(token), text);
}

TEST(Token, RefusesWhatIsNotExactlyOneAndKeepsTheSecretOutOfTheMessage) {
  const struct {
    std::string text;
    const char* message;
    const char* why;
  } kCases[] = {
      {"", "five parts", "empty"},
      {absl::StrCat("dwt2.", kId, ".", kSecret, ".", kPin, ".1"), "not known", "later format"},
      {Token(kId, kSecret, kPin, "1") + ".x", "five parts", "a sixth part"},
      {Token(kId + "a", kSecret, kPin, "1"), "the id", "too long"},
      {Token(std::string(32, 'A'), kSecret, kPin, "1"), "the id", "upper case"},
      {Token(kId, kSecret.substr(1), kPin, "1"), "the secret", "too short"},
      {Token(kId, kSecret, std::string(64, 'g'), "1"), "the root pin", "no hex digit"},
      {Token(kId, kSecret, kPin, ""), "the expiry", "no number"},
      {Token(kId, kSecret, kPin, "01"), "the expiry", "a second spelling of 1"},
      {Token(kId, kSecret, kPin, "+1"), "the expiry", "a second spelling of 1"},
      {Token(kId, kSecret, kPin, "-1"), "the expiry", "before 1970"},
      {Token(kId, kSecret, kPin, "1 "), "the expiry", "trailing space"},
      {Token(kId, kSecret, kPin, "253402300800"), "the expiry", "year 10000"},
      {Token(kId, kSecret, kPin, "99999999999999999999"), "the expiry", "overflows"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ParseToken(c.text), StatusIs(absl::StatusCode::kInvalidArgument,
                                             AllOf(HasSubstr(c.message), Not(HasSubstr("bbbb")))))
        << c.why;
  }
}

// Whoever pastes the wrong one hears so, before it is sent anywhere.
TEST(Token, ALoginCodeIsNoTokenAndATokenNoLoginCode) {
  const std::string token = Token(kId, kSecret, kPin, "1790000000");
  std::string code = token;
  code.replace(0, 4, "dwl1");
  ASSERT_OK_AND_ASSIGN(const LoginCode read, ParseLoginCode(code));
  EXPECT_EQ(read.secret, kSecret);
  EXPECT_EQ(FormatLoginCode(read), code);
  for (const absl::Status& refused : {ParseToken(code).status(), ParseLoginCode(token).status()}) {
    EXPECT_THAT(refused, StatusIs(absl::StatusCode::kInvalidArgument,
                                  AllOf(HasSubstr("not known"), Not(HasSubstr("bbbb")))));
  }
}

}  // namespace
}  // namespace dumpwarden
