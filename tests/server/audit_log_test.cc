// SPDX-License-Identifier: Apache-2.0
#include "server/audit_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "core/base/timestamp.h"
#include "platform/sqlite.h"
#include "server/store/sqlite_store.h"
#include "tests/support/fake_clock.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

class AuditLogTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_OK_AND_ASSIGN(store_, MakeSqliteStore(temp_.File("store.db"), clock_));
    ASSERT_OK_AND_ASSIGN(db_, Database::Open(temp_.File("store.db"), Database::Durability::kFull));
  }
  // Two days old.
  void AddRows(int count) {
    ASSERT_THAT(
        db_->Execute(absl::StrCat(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ", count,
            ") INSERT INTO audit (at, actor, source, action, object, detail, before, after) "
            "SELECT ",
            absl::ToUnixMicros(clock_.Now() - absl::Hours(48)),
            ", 'alice', '', 'old', 'o' || i, '', x'0a', x'0b' FROM n")),
        IsOk());
  }
  // What is over for a day goes; all of it.
  void RunRetention() {
    Retention retention;
    retention.audit = absl::Hours(24);
    for (Expiry& expiry : ExpiriesOf(retention, clock_.Now())) {
      while (expiry.more) ASSERT_THAT(store_->DeleteExpired(expiry, clock_.Now()), IsOk());
    }
  }

  absl::Status Export() {
    return ExportAudit(*store_, {"spiffe://corp.example/operator/bob", "ipv4:192.0.2.1:1"},
                       [this](const v1::ExportAuditResponse& piece) {
                         pieces_.push_back(piece);
                         return absl::OkStatus();
                       });
  }
  std::vector<v1::AuditEntry> Entries() const {
    std::vector<v1::AuditEntry> all;
    for (const auto& piece : pieces_) {
      all.insert(all.end(), piece.entries().begin(), piece.entries().end());
    }
    return all;
  }

  TempFolder temp_;
  FakeClock clock_;
  std::unique_ptr<Store> store_;
  std::unique_ptr<Database> db_;
  std::vector<v1::ExportAuditResponse> pieces_;
};

TEST_F(AuditLogTest, ExportsEveryRowInOrderUpToItsOwn) {
  AddRows(2'500);
  ASSERT_THAT(Export(), IsOk());
  const std::vector<v1::AuditEntry> all = Entries();
  ASSERT_THAT(all, SizeIs(2'501));
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].sequence(), i + 1);
  EXPECT_EQ(all[7].object(), "o8");
  EXPECT_EQ(all[7].before(), "\x0a");
  EXPECT_EQ(all[7].after(), "\x0b");
  EXPECT_EQ(all.back().action(), "audit.export");
  EXPECT_EQ(all.back().actor(), "spiffe://corp.example/operator/bob");
  EXPECT_EQ(all.back().source(), "ipv4:192.0.2.1:1");
  EXPECT_EQ(pieces_.front().first_sequence(), 1u);
  EXPECT_EQ(pieces_.front().last_sequence(), 2'501u);
  for (const auto& piece : pieces_) EXPECT_LE(piece.entries_size(), 500);
}

// What comes while it is exported is in the next export.
TEST_F(AuditLogTest, ExportEndsThoughTheLogGrows) {
  AddRows(1'200);
  ASSERT_THAT(ExportAudit(*store_, {"bob", ""},
                          [this](const v1::ExportAuditResponse& piece) {
                            AddRows(600);
                            pieces_.push_back(piece);
                            return absl::OkStatus();
                          }),
              IsOk());
  EXPECT_THAT(Entries(), SizeIs(1'201));
}

TEST_F(AuditLogTest, ExportsNothingThatItCannotRecord) {
  AddRows(3);
  ASSERT_THAT(db_->Execute("CREATE TRIGGER broken BEFORE INSERT ON audit BEGIN "
                           "SELECT RAISE(ABORT, 'no room'); END"),
              IsOk());
  EXPECT_FALSE(Export().ok());
  EXPECT_THAT(pieces_, IsEmpty());
}

TEST_F(AuditLogTest, ExportSaysWhereTheLogBegins) {
  AddRows(30);
  RunRetention();
  ASSERT_THAT(Export(), IsOk());
  EXPECT_EQ(pieces_.front().first_sequence(), 31u);
  const std::vector<v1::AuditEntry> all = Entries();
  ASSERT_THAT(all, SizeIs(2));
  EXPECT_EQ(all[0].action(), "retention.delete");
}

TEST_F(AuditLogTest, ExportWithAGapIsNone) {
  AddRows(1'200);
  const absl::Status done = ExportAudit(*store_, {"bob", ""}, [&](const auto&) {
    RunRetention();
    return absl::OkStatus();
  });
  EXPECT_THAT(done, StatusIs(absl::StatusCode::kAborted, HasSubstr("export it again")));
}

TEST_F(AuditLogTest, ExportEndsWithWhoReadsIt) {
  AddRows(1'200);
  int pieces = 0;
  EXPECT_THAT(ExportAudit(*store_, {"bob", ""},
                          [&](const auto&) {
                            ++pieces;
                            return absl::CancelledError("gone");
                          }),
              StatusIs(absl::StatusCode::kCancelled, "gone"));
  EXPECT_EQ(pieces, 1);
}

TEST_F(AuditLogTest, ListsAHundredRowsWhenNotToldHowMany) {
  AddRows(11'000);
  EXPECT_EQ(ListAudit(*store_, {})->entries_size(), 100);
  v1::ListAuditRequest many;
  many.set_limit(1'000'000);
  EXPECT_EQ(ListAudit(*store_, many)->entries_size(), 10'000);
}

TEST_F(AuditLogTest, RefusesFiltersThatAskForTooMuch) {
  const auto verdict = [&](const std::function<void(v1::AuditFilter&)>& edit) {
    v1::ListAuditRequest request;
    edit(*request.mutable_filter());
    return ListAudit(*store_, request).status();
  };
  const auto refused = StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("accepted"));
  EXPECT_THAT(verdict([](auto& f) { f.add_actions(std::string(500, 'x')); }), IsOk());
  EXPECT_THAT(verdict([](auto& f) { f.add_actions(std::string(501, 'x')); }), refused);
  EXPECT_THAT(verdict([](auto& f) { f.add_objects(""); }), refused);
  for (const int words : {16, 17, 1'600}) {
    EXPECT_EQ(verdict([&](auto& f) {
                for (int i = 0; i < words; ++i) f.add_actors("x");
              }).ok(),
              words == 16);
  }
  EXPECT_THAT(verdict([](auto& f) { f.mutable_since()->set_seconds(-1); }), refused);
  EXPECT_THAT(verdict([](auto& f) { f.mutable_until()->set_nanos(-1); }), refused);
}

}  // namespace
}  // namespace dumpwarden
