// SPDX-License-Identifier: Apache-2.0
#include "core/catalog/registry_value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::Optional;

std::string Units(absl::string_view ascii) {
  std::string units;
  for (const char c : ascii) units.append({c, '\0'});
  return units;
}
const std::string kZero(2, '\0');

TEST(RegistryValue, HoldsTheBytesThatTheRegistryHolds) {
  EXPECT_EQ(DwordValue(0x12345678).data, "\x78\x56\x34\x12");
  EXPECT_EQ(SzValue("ab").data, Units("ab") + kZero);
  EXPECT_EQ(ExpandSzValue("a").type, RegType::kExpandSz);
  EXPECT_EQ(MultiSzValue({"a", "b"}).data, Units("a") + kZero + Units("b") + kZero + kZero);
  EXPECT_EQ(MultiSzValue({}).data, kZero);
  // [HIVE] 8.1: a real PagingFiles is 34 bytes.
  EXPECT_EQ(MultiSzValue({"?:\\pagefile.sys"}).data.size(), 34u);
}

TEST(RegistryValue, ReadsBackWhatItWrote) {
  EXPECT_THAT(AsDword(DwordValue(0xffffffff)), Optional(0xffffffffu));
  EXPECT_THAT(AsText(SzValue("D:\\\u00c4\U0001F600")), Optional(Eq("D:\\\u00c4\U0001F600")));
  EXPECT_THAT(AsMultiSz(MultiSzValue({"a", "bc"})), Optional(ElementsAre("a", "bc")));
  EXPECT_THAT(AsMultiSz(MultiSzValue({})), Optional(ElementsAre()));
}

TEST(RegistryValue, ReadsTextAsWindowsDoes) {
  const auto sz = [](std::string data) { return RegistryValue{RegType::kSz, std::move(data)}; };
  EXPECT_THAT(AsText(sz(Units("ab"))), Optional(Eq("ab"))) << "no terminator";
  EXPECT_THAT(AsText(sz(Units("ab") + kZero + Units("junk"))), Optional(Eq("ab")));
  EXPECT_THAT(AsText(sz("")), Optional(Eq("")));
  const auto multi = [](std::string data) {
    return RegistryValue{RegType::kMultiSz, std::move(data)};
  };
  EXPECT_THAT(AsMultiSz(multi(Units("a"))), Optional(ElementsAre("a")));
  EXPECT_THAT(AsMultiSz(multi(Units("a") + kZero + kZero + Units("b") + kZero)),
              Optional(ElementsAre("a")));
  EXPECT_THAT(AsMultiSz(multi("")), Optional(ElementsAre()));
}

TEST(RegistryValue, RefusesOtherTypesAndBrokenData) {
  EXPECT_EQ(AsDword({RegType::kDword, "abc"}), std::nullopt);
  EXPECT_EQ(AsDword({RegType::kQword, "abcd"}), std::nullopt);
  EXPECT_EQ(AsDword(SzValue("7")), std::nullopt);
  EXPECT_EQ(AsText({RegType::kSz, "odd"}), std::nullopt);
  EXPECT_EQ(AsText({RegType::kSz, std::string("\x00\xd8", 2)}), std::nullopt) << "lone surrogate";
  EXPECT_EQ(AsText(DwordValue(1)), std::nullopt);
  EXPECT_EQ(AsMultiSz(SzValue("a")), std::nullopt);
  EXPECT_EQ(AsMultiSz({RegType::kMultiSz, "odd"}), std::nullopt);
}

TEST(RegistryValue, ShowsItselfToPeople) {
  EXPECT_EQ(ToText(DwordValue(7)), "7");
  EXPECT_EQ(ToText(SzValue("a\"b")), "\"a\\\"b\"");
  EXPECT_EQ(ToText(MultiSzValue({"a", "b"})), "[\"a\",\"b\"]");
  EXPECT_EQ(ToText({RegType::kBinary, "\x01\x02"}), "hex:0102");
  EXPECT_EQ(ToText({RegType::kDword, "abc"}), "hex:616263") << "not a number: its bytes";
  EXPECT_EQ(ToText(SzValue("a\x1b[31m")), "\"a\\x1b[31m\"") << "nothing reaches a terminal raw";
  EXPECT_LT(ToText({RegType::kBinary, std::string(100000, 'x')}).size(), 100u);
  EXPECT_EQ(TypeName(RegType::kExpandSz), "REG_EXPAND_SZ");
  EXPECT_EQ(TypeName(static_cast<RegType>(0x63)), "REG_0x63");
}

TEST(RegistryValue, DoesNotLetBadUtf8Through) {
  EXPECT_EQ(SzValue("a\xff").data, std::string("a\0\xfd\xff\0\0", 6));
}

}  // namespace
}  // namespace dumpwarden
