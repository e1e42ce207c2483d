// SPDX-License-Identifier: Apache-2.0
// The integer shape, which no row has yet, through a row of the test.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/catalog/catalog.h"
#include "core/catalog/shapes.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr Setting kMinidumps{
    .id = "test.count",
    .summary = "A number.",
    .shape = Shape::kInteger,
    .cells = {{{"HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl", "MinidumpsCount"}}},
    .min = 1,
    .max = 65535,
    .fallback = {{{0, "50"}}},
    .source = "test"};

using Cells = std::vector<CellValue>;

TEST(IntegerValue, IsDecimalDigitsInTheRangeOfItsRow) {
  const ShapeFunctions& shape = FunctionsOf(Shape::kInteger);
  for (const char* good : {"1", "50", "65535"}) {
    EXPECT_EQ(shape.spell(kMinidumps, good).value(), good);
  }
  for (const char* bad :
       {"", "0", "65536", "007", "+7", "-1", "0x7", "7.0", " 7", "1e3", "99999999999"}) {
    EXPECT_THAT(shape.spell(kMinidumps, bad),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("a whole number from 1 to 65535 in decimal digits")))
        << bad;
  }
}

TEST(IntegerValue, IsWrittenAsADwordAndReadBackAsItself) {
  for (const char* value : {"1", "50", "65535"}) {
    EXPECT_EQ(Resolve(kMinidumps, value, std::nullopt).value(), value) << "needs no memory";
    ASSERT_OK_AND_ASSIGN(const Cells cells, Encode(kMinidumps, value));
    EXPECT_EQ(Describe(kMinidumps, cells, 20348), value);
    EXPECT_TRUE(Means(kMinidumps, cells, value, 20348));
  }
  EXPECT_EQ(Encode(kMinidumps, "258").value(), Cells{DwordValue(258)});
  EXPECT_THAT(Encode(kMinidumps, "65536"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("65536")));
}

TEST(IntegerValue, ReadsAsCustomWhatItCouldNotHaveWritten) {
  EXPECT_EQ(Describe(kMinidumps, Cells{std::nullopt}, 20348), "50") << "its documented default";
  EXPECT_EQ(Describe(kMinidumps, Cells{DwordValue(0)}, 20348), "custom (0x0)");
  EXPECT_EQ(Describe(kMinidumps, Cells{DwordValue(65536)}, 20348), "custom (0x10000)");
  EXPECT_EQ(Describe(kMinidumps, Cells{SzValue("7")}, 20348), "custom (REG_SZ \"7\")");
  EXPECT_FALSE(Means(kMinidumps, Cells{SzValue("7")}, "7", 20348));
}

}  // namespace
}  // namespace dumpwarden
