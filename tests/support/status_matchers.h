// SPDX-License-Identifier: Apache-2.0
// EXPECT_THAT(status, IsOk()), EXPECT_THAT(status, StatusIs(code, HasSubstr("..."))),
// and ASSERT_OK_AND_ASSIGN(auto x, expression).  Both Status and StatusOr.
#ifndef DUMPWARDEN_TESTS_SUPPORT_STATUS_MATCHERS_H_
#define DUMPWARDEN_TESTS_SUPPORT_STATUS_MATCHERS_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/base/status_macros.h"

namespace dumpwarden {

inline const absl::Status& AsStatus(const absl::Status& status) { return status; }
template <typename T>
const absl::Status& AsStatus(const absl::StatusOr<T>& or_value) {
  return or_value.status();
}

MATCHER(IsOk, "is OK") {
  *result_listener << AsStatus(arg).ToString();
  return AsStatus(arg).ok();
}

MATCHER_P2(StatusIs, code, message, "") {
  *result_listener << AsStatus(arg).ToString();
  return AsStatus(arg).code() == code && testing::SafeMatcherCast<std::string>(message).Matches(
                                             std::string(AsStatus(arg).message()));
}

}  // namespace dumpwarden

#define ASSERT_OK_AND_ASSIGN(lhs, expr) \
  DUMPWARDEN_ASSERT_OK_AND_ASSIGN(DUMPWARDEN_CONCAT(dumpwarden_or_, __LINE__), lhs, expr)
#define DUMPWARDEN_ASSERT_OK_AND_ASSIGN(tmp, lhs, expr) \
  auto tmp = (expr);                                    \
  ASSERT_TRUE(tmp.ok()) << tmp.status();                \
  lhs = std::move(tmp).value()

#endif  // DUMPWARDEN_TESTS_SUPPORT_STATUS_MATCHERS_H_
