// SPDX-License-Identifier: Apache-2.0
#include "core/base/sizes.h"

#include <random>

#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

TEST(Sizes, ReadsEverySpellingAndWritesOne) {
  const struct {
    const char* text;
    Size size;
    const char* canonical;
  } kCases[] = {
      {"16GiB", {0, 16 * std::int64_t{kGiB}}, "16GiB"},
      {"4096MiB", {0, 4 * std::int64_t{kGiB}}, "4GiB"},
      {"1025MiB", {0, 1025 * std::int64_t{kMiB}}, "1025MiB"},
      {"16TiB", {0, 16384 * std::int64_t{kGiB}}, "16TiB"},
      {"0GiB", {0, 0}, "0MiB"},
      {"ram", {1000, 0}, "ram"},
      {"ram * 1", {1000, 0}, "ram"},
      {"ram*1.50", {1500, 0}, "ram * 1.5"},
      {"ram * 0.001", {1, 0}, "ram * 0.001"},
      {"ram * 16", {16000, 0}, "ram * 16"},
      {"ram+257MiB", {1000, 257 * std::int64_t{kMiB}}, "ram + 257MiB"},
      {"ram  -  1GiB", {1000, -std::int64_t{kGiB}}, "ram - 1GiB"},
      {"ram * 0.25 + 1024MiB", {250, std::int64_t{kGiB}}, "ram * 0.25 + 1GiB"},
      {"ram + 0MiB", {1000, 0}, "ram"},
  };
  for (const auto& c : kCases) {
    ASSERT_OK_AND_ASSIGN(const Size size, ParseSize(c.text));
    EXPECT_EQ(size, c.size) << c.text;
    EXPECT_EQ(FormatSize(size), c.canonical);
  }
}

TEST(Sizes, RefusesWhatItsAuthorMayHaveMeantOtherwise) {
  const struct {
    const char* text;
    const char* message;
    const char* why;
  } kCases[] = {
      {"", "whole decimal number", "empty"},
      {"16", "no unit", "bytes or megabytes?"},
      {"16GB", "\"GB\" is not a unit", "1000 or 1024?"},
      {"16G", "\"G\" is not a unit", "1000 or 1024?"},
      {"16gib", "not a unit", "one spelling"},
      {"16 GiB", "not a unit", "one spelling"},
      {"1.5GiB", "not a unit", "whole numbers only"},
      {"010MiB", "whole decimal number", "octal?"},
      {"0x10MiB", "not a unit", "hex"},
      {"1e3MiB", "not a unit", "float"},
      {"-1GiB", "whole decimal number", "negative"},
      {"17TiB", "above 16TiB", "too much"},
      {"99999999999999999999GiB", "whole decimal number", "overflows"},
      {"18014398509481985KiB", "above 16TiB", "overflows in bytes"},
      {"RAM + 1GiB", "lower case", "one spelling"},
      {"1GiB + ram", "starts with ram", "one order"},
      {"ramp", "one of * + -", "another word"},
      {"ram * 0", "factor", "nothing"},
      {"ram * 16.001", "factor", "above the limit"},
      {"ram * 1.0001", "factor", "too fine"},
      {"ram * 1.", "factor", "no decimals"},
      {"ram * .5", "factor", "no whole part"},
      {"ram * -1", "factor", "negative"},
      {"ram + ", "whole decimal number", "no amount"},
      {"ram + 257", "no unit", "bytes or megabytes?"},
      {"ram + ram", "whole decimal number", "twice"},
      {"ram / 2", "one of * + -", "no division"},
  };
  for (const auto& c : kCases) {
    const auto size = ParseSize(c.text);
    EXPECT_EQ(size.status().code(), absl::StatusCode::kInvalidArgument) << c.text << ": " << c.why;
    EXPECT_THAT(std::string(size.status().message()), HasSubstr(c.message)) << c.text;
  }
}

TEST(Sizes, RoundTripsAnySize) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 5000; ++i) {
    Size size{static_cast<std::uint32_t>(random() % 16001), 0};
    size.bytes = static_cast<std::int64_t>((random() % (1ull << 44)) >> (random() % 44));
    if (size.ram_thousandths > 0 && random() % 2 == 0) size.bytes = -size.bytes;
    ASSERT_OK_AND_ASSIGN(const Size again, ParseSize(FormatSize(size)));
    ASSERT_EQ(again, size) << FormatSize(size);
  }
}

TEST(Sizes, AreWorkedOutFromMemory) {
  const struct {
    Size size;
    std::uint64_t ram;
    std::uint64_t bytes;
  } kCases[] = {
      {{1000, 257 * std::int64_t{kMiB}}, 64 * kGiB, 64 * kGiB + 257 * kMiB},
      {{1500, 0}, 4 * kGiB, 6 * kGiB},
      {{1, 0}, 1999, 1},
      {{1000, -std::int64_t{kGiB}}, kGiB, 0},
      {{1000, 0}, 16384 * kGiB, 16384 * kGiB},
  };
  for (const auto& c : kCases) {
    ASSERT_OK_AND_ASSIGN(const std::uint64_t bytes, ResolveSize(c.size, c.ram));
    EXPECT_EQ(bytes, c.bytes) << FormatSize(c.size);
  }
  ASSERT_OK_AND_ASSIGN(const std::uint64_t fixed, ResolveSize({0, 5}, std::nullopt));
  EXPECT_EQ(fixed, 5u);
}

TEST(Sizes, SayWhyTheyCannotBeWorkedOut) {
  EXPECT_THAT(ResolveSize({1000, 0}, std::nullopt),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("memory.bytes")));
  EXPECT_THAT(ResolveSize({1000, -std::int64_t{kGiB}}, kMiB),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("below 0")));
  EXPECT_THAT(ResolveSize({1001, 0}, 16384 * kGiB),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("above 16TiB")));
  EXPECT_THAT(ResolveSize({16000, 0}, ~std::uint64_t{0}),
              StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("not believable")));
}

TEST(Sizes, FormatsBytesInTheLargestUnitThatDivides) {
  EXPECT_EQ(FormatBytes(0), "0MiB");
  EXPECT_EQ(FormatBytes(1023), "1023B");
  EXPECT_EQ(FormatBytes(1024), "1KiB");
  EXPECT_EQ(FormatBytes(kGiB + kMiB), "1025MiB");
}

}  // namespace
}  // namespace dumpwarden
