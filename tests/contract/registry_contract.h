// SPDX-License-Identifier: Apache-2.0
// What every Registry must do.  A test of one implementation gives a RegistryUnderTest and
// says INSTANTIATE_TYPED_TEST_SUITE_P(Fake, RegistryContract, FakeUnderTest).
//
// RegistryUnderTest has Open(), a new Registry on what is durable, in which kContractKey exists,
// Elsewhere(key, name, value), which is what another program writes, durably, while one is open,
// and Bytes(), the file as it is and when it was changed ("" where there is none).
#ifndef DUMPWARDEN_TESTS_CONTRACT_REGISTRY_CONTRACT_H_
#define DUMPWARDEN_TESTS_CONTRACT_REGISTRY_CONTRACT_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/registry_value.h"
#include "core/reconcile/registry.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {

inline constexpr char kContractKey[] = "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";

template <typename UnderTest>
class RegistryContract : public testing::Test {
 protected:
  void SetUp() override { registry_ = under_test_.Open(); }
  std::optional<RegistryValue> Read(absl::string_view key, absl::string_view name) {
    const auto value = registry_->Read(key, name);
    EXPECT_THAT(value, IsOk());
    return value.ok() ? *value : std::nullopt;
  }
  bool HasKey(absl::string_view key) {
    const auto has = registry_->HasKey(key);
    EXPECT_THAT(has, IsOk());
    return has.ok() && *has;
  }
  void Reopen() {
    registry_.reset();
    registry_ = under_test_.Open();
  }
  void Write(absl::string_view key, absl::string_view name, const RegistryValue& value) {
    EXPECT_THAT(registry_->Write(key, name, value), IsOk());
  }

  const std::string key_ = kContractKey;
  const std::string new_key_ = absl::StrCat(kContractKey, "\\Made\\ByTest");
  UnderTest under_test_;
  std::unique_ptr<Registry> registry_;
};

TYPED_TEST_SUITE_P(RegistryContract);

TYPED_TEST_P(RegistryContract, ReadsWhatWasWritten) {
  this->Write(this->key_, "A", DwordValue(7));
  EXPECT_EQ(this->Read(this->key_, "A"), DwordValue(7));
  this->Write(this->key_, "A", SzValue("other"));
  EXPECT_EQ(this->Read(this->key_, "A"), SzValue("other"));
}

TYPED_TEST_P(RegistryContract, AbsentIsAValueAndNoError) {
  EXPECT_EQ(this->Read(this->key_, "Absent"), std::nullopt);
  EXPECT_EQ(this->Read(this->new_key_, "Absent"), std::nullopt);
  EXPECT_FALSE(this->HasKey(this->new_key_));
  EXPECT_TRUE(this->HasKey(this->key_));
}

TYPED_TEST_P(RegistryContract, NamesIgnoreCase) {
  this->Write(this->key_, "Mixed", DwordValue(1));
  this->Write(absl::AsciiStrToUpper(this->key_), "mIXED", DwordValue(2));
  EXPECT_EQ(this->Read(absl::AsciiStrToLower(this->key_), "MIXED"), DwordValue(2));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Reopen();
  EXPECT_EQ(this->Read(this->key_, "mixed"), DwordValue(2));
  EXPECT_THAT(this->registry_->Delete(this->key_, "MIXED"), IsOk());
  EXPECT_EQ(this->Read(this->key_, "Mixed"), std::nullopt);
}

TYPED_TEST_P(RegistryContract, KeepsTypesAndBytesExactly) {
  const struct {
    RegistryValue value;
    const char* why;
  } cases[] = {
      {{RegType::kNone, ""}, "nothing of no type"},
      {{RegType::kNone, "xyz"}, "bytes of no type"},
      {{static_cast<RegType>(0x63), "\x01\x02\x03\x04\x05"}, "a type that nobody knows"},
      {{RegType::kSz, "odd"}, "a text of an odd number of bytes"},
      {{RegType::kSz, std::string("a\0b\0", 4)}, "a text without terminator"},
      {{RegType::kSz, ""}, "a text without anything"},
      {SzValue(""), "an empty text"},
      {SzValue("line\r\nline \\ \"q\" \xc3\xa4"), "a text with everything"},
      {ExpandSzValue("%SystemRoot%\\MEMORY.DMP"), "expandable text"},
      {MultiSzValue({}), "an empty list"},
      {{RegType::kMultiSz, ""}, "a list without its terminator"},
      {MultiSzValue({"?:\\pagefile.sys"}), "a list"},
      {DwordValue(0xffffffff), "the largest number"},
      {{RegType::kDword, "\x01"}, "a number of one byte"},
      {{RegType::kQword, std::string("\1\0\0\0\0\0\0\x80", 8)}, "a long number"},
      {{RegType::kBinary, std::string(4096, '\x5a')}, "a page of bytes"},
  };
  for (const auto& c : cases) this->Write(this->key_, c.why, c.value);
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Reopen();
  for (const auto& c : cases) EXPECT_EQ(this->Read(this->key_, c.why), c.value) << c.why;
}

TYPED_TEST_P(RegistryContract, DeletingWhatIsAbsentIsNoError) {
  EXPECT_THAT(this->registry_->Delete(this->key_, "Absent"), IsOk());
  EXPECT_THAT(this->registry_->Delete(this->new_key_, "Absent"), IsOk());
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(this->new_key_), IsOk());
  EXPECT_FALSE(this->HasKey(this->new_key_));
}

TYPED_TEST_P(RegistryContract, FlushMakesDurableAndOnlyFlushDoes) {
  this->Write(this->key_, "Flushed", DwordValue(1));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Write(this->key_, "Unflushed", DwordValue(1));
  EXPECT_THAT(this->registry_->Delete(this->key_, "Flushed"), IsOk());
  this->Reopen();
  EXPECT_EQ(this->Read(this->key_, "Flushed"), DwordValue(1));
  EXPECT_EQ(this->Read(this->key_, "Unflushed"), std::nullopt);
}

TYPED_TEST_P(RegistryContract, ReloadDropsWhatWasNotFlushed) {
  this->Write(this->key_, "Unflushed", DwordValue(1));
  this->Write(this->new_key_, "Unflushed", DwordValue(1));
  EXPECT_THAT(this->registry_->Reload(), IsOk());
  EXPECT_EQ(this->Read(this->key_, "Unflushed"), std::nullopt);
  EXPECT_FALSE(this->HasKey(this->new_key_));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Reopen();
  EXPECT_EQ(this->Read(this->key_, "Unflushed"), std::nullopt);
}

TYPED_TEST_P(RegistryContract, EqualValueTouchesNothing) {
  this->Write(this->key_, "A", DwordValue(1));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  const std::string before = this->under_test_.Bytes();
  this->Write(this->key_, "a", DwordValue(1));
  EXPECT_THAT(this->registry_->Delete(this->key_, "Absent"), IsOk());
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(this->key_), IsOk());
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  EXPECT_EQ(this->under_test_.Bytes(), before);
}

TYPED_TEST_P(RegistryContract, MakesKeysAndRemovesThemWhenEmpty) {
  const std::string parent = this->new_key_.substr(0, this->new_key_.rfind('\\'));
  this->Write(this->new_key_, "A", DwordValue(1));
  EXPECT_TRUE(this->HasKey(this->new_key_));
  EXPECT_TRUE(this->HasKey(parent));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Reopen();
  EXPECT_EQ(this->Read(this->new_key_, "A"), DwordValue(1));
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(this->new_key_), IsOk());
  EXPECT_TRUE(this->HasKey(this->new_key_)) << "it has a value";
  EXPECT_THAT(this->registry_->Delete(this->new_key_, "A"), IsOk());
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(parent), IsOk());
  EXPECT_TRUE(this->HasKey(this->new_key_)) << "its parent has a sub key and stays";
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(this->new_key_), IsOk());
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(parent), IsOk());
  EXPECT_FALSE(this->HasKey(parent));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Reopen();
  EXPECT_FALSE(this->HasKey(parent));
  EXPECT_TRUE(this->HasKey(this->key_));
}

TYPED_TEST_P(RegistryContract, LastOfSeveralWritesWins) {
  this->Write(this->key_, "A", DwordValue(1));
  EXPECT_THAT(this->registry_->Delete(this->key_, "A"), IsOk());
  this->Write(this->key_, "A", DwordValue(2));
  this->Write(this->new_key_, "B", DwordValue(3));
  EXPECT_THAT(this->registry_->Delete(this->new_key_, "B"), IsOk());
  EXPECT_THAT(this->registry_->DeleteKeyIfEmpty(this->new_key_), IsOk());
  this->Write(this->new_key_, "B", DwordValue(4));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  this->Reopen();
  EXPECT_EQ(this->Read(this->key_, "A"), DwordValue(2));
  EXPECT_EQ(this->Read(this->new_key_, "B"), DwordValue(4));
}

TYPED_TEST_P(RegistryContract, SaysThatItCanBeWrittenAndTouchesNothing) {
  const std::string before = this->under_test_.Bytes();
  EXPECT_THAT(this->registry_->CheckWritable(this->key_), IsOk());
  EXPECT_THAT(this->registry_->CheckWritable(this->new_key_), IsOk());
  EXPECT_FALSE(this->HasKey(this->new_key_));
  EXPECT_EQ(this->under_test_.Bytes(), before);
}

TYPED_TEST_P(RegistryContract, ValueThatAnotherProgramChangedMeanwhileIsNotOverwritten) {
  this->Write(this->key_, "A", DwordValue(1));
  this->Write(this->key_, "Gone", DwordValue(1));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  const struct {
    const char* name;
    bool deletes;
    const char* why;
  } cases[] = {{"A", false, "changed"}, {"New", false, "made"}, {"Gone", true, "changed, deleted"}};
  for (const auto& c : cases) {
    SCOPED_TRACE(c.why);
    if (c.deletes) {
      EXPECT_THAT(this->registry_->Delete(this->key_, c.name), IsOk());
    } else {
      this->Write(this->key_, c.name, DwordValue(2));
    }
    this->Write(this->key_, "Beside", SzValue(c.why));
    this->under_test_.Elsewhere(this->key_, c.name, DwordValue(3));
    const std::string theirs = this->under_test_.Bytes();
    for (int again = 0; again < 2; ++again) {
      EXPECT_THAT(this->registry_->Flush(),
                  StatusIs(absl::StatusCode::kAborted,
                           testing::HasSubstr(absl::StrCat(this->key_, "\\", c.name, " was"))));
    }
    EXPECT_TRUE(this->under_test_.Bytes() == theirs);
    EXPECT_THAT(this->registry_->Reload(), IsOk());
    EXPECT_EQ(this->Read(this->key_, c.name), DwordValue(3));
    EXPECT_EQ(this->Read(this->key_, "Beside"), std::nullopt);
  }
}

TYPED_TEST_P(RegistryContract, OtherValuesThatAnotherProgramWroteMeanwhileStay) {
  this->Write(this->key_, "A", DwordValue(2));
  this->Write(this->new_key_, "B", DwordValue(2));
  this->under_test_.Elsewhere(this->key_, "Theirs", DwordValue(3));
  EXPECT_THAT(this->registry_->Flush(), IsOk());
  EXPECT_EQ(this->Read(this->key_, "Theirs"), DwordValue(3));
  this->Reopen();
  EXPECT_EQ(this->Read(this->key_, "A"), DwordValue(2));
  EXPECT_EQ(this->Read(this->new_key_, "B"), DwordValue(2));
  EXPECT_EQ(this->Read(this->key_, "Theirs"), DwordValue(3));
}

REGISTER_TYPED_TEST_SUITE_P(RegistryContract, ReadsWhatWasWritten, AbsentIsAValueAndNoError,
                            NamesIgnoreCase, KeepsTypesAndBytesExactly,
                            DeletingWhatIsAbsentIsNoError, FlushMakesDurableAndOnlyFlushDoes,
                            ReloadDropsWhatWasNotFlushed, EqualValueTouchesNothing,
                            MakesKeysAndRemovesThemWhenEmpty, LastOfSeveralWritesWins,
                            SaysThatItCanBeWrittenAndTouchesNothing,
                            ValueThatAnotherProgramChangedMeanwhileIsNotOverwritten,
                            OtherValuesThatAnotherProgramWroteMeanwhileStay);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_TESTS_CONTRACT_REGISTRY_CONTRACT_H_
