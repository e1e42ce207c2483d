// SPDX-License-Identifier: Apache-2.0
#include "tests/faults/sqlite_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <limits>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_folder.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr int kMostCalls = 20'000;

// How long it fails, and what is done then.
enum class Trouble {
  kOnce,   // one call; the same object goes on
  kTwice,  // two in a row: what a failure is answered with (a roll-back) may fail, too
  kWhile,  // all calls until the operation has answered; the same object goes on
  kGone,   // all calls, until nothing of the process is left
};

// DUMPWARDEN_FAULT_STRIDE: lets every so manieth call fail only.  The address sanitizer's run takes
// it; what each call leaves is the ordinary run's.
int Stride() {
  static const int stride = [] {
    const char* text = std::getenv("DUMPWARDEN_FAULT_STRIDE");
    int number = 1;
    if (text != nullptr && (!absl::SimpleAtoi(text, &number) || number < 1)) {
      ADD_FAILURE() << "DUMPWARDEN_FAULT_STRIDE=" << text << ": a number from 1 on";
      number = 1;
    }
    return number;
  }();
  return stride;
}

int CallsOf(Trouble trouble) {
  switch (trouble) {
    case Trouble::kOnce:
      return 1;
    case Trouble::kTwice:
      return 2;
    case Trouble::kWhile:
    case Trouble::kGone:
      break;
  }
  return std::numeric_limits<int>::max();
}

void CopyDatabase(const Path& from, const Path& to) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::filesystem::remove(to + suffix);
    // Without -shm: whoever opens the copy finds it as after a kill.
    if (std::string(suffix) != "-shm" && std::filesystem::exists(from + suffix)) {
      std::filesystem::copy_file(from + suffix, to + suffix);
    }
  }
}

void AppendRow(sqlite3_stmt* row, std::string& out) {
  for (int i = 0; i < sqlite3_column_count(row); ++i) {
    const int type = sqlite3_column_type(row, i);
    const char* bytes = static_cast<const char*>(sqlite3_column_blob(row, i));
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(row, i));
    absl::StrAppend(&out, type, ":", absl::CEscape({bytes == nullptr ? "" : bytes, size}), "|");
  }
  out += '\n';
}

void AppendQuery(sqlite3* db, const std::string& sql, std::string& out) {
  sqlite3_stmt* statement = nullptr;
  ASSERT_EQ(sqlite3_prepare_v2(db, sql.c_str(), -1, &statement, nullptr), SQLITE_OK) << sql;
  int code = SQLITE_ROW;
  while ((code = sqlite3_step(statement)) == SQLITE_ROW) AppendRow(statement, out);
  EXPECT_EQ(code, SQLITE_DONE) << sqlite3_errmsg(db);
  sqlite3_finalize(statement);
}

// The lines that one of the two has and the other has not.
std::string Difference(const std::string& expected, const std::string& found) {
  std::string lines;
  const auto without = [&lines](const std::string& one, const std::string& other, char mark) {
    for (const absl::string_view line : absl::StrSplit(one, '\n')) {
      if (!absl::StrContains(other, line))
        absl::StrAppend(&lines, "\n", std::string(1, mark), line);
    }
  };
  without(expected, found, '-');
  without(found, expected, '+');
  return lines;
}

class Loop {
 public:
  Loop(const FaultCase& operation, SqliteFault kind, Trouble trouble, bool warm)
      : operation_(operation), kind_(kind), trouble_(trouble), warm_(warm) {
    operation_.seed(seed_);
    expected_.resize(std::size_t{1} << operation_.parts);
    for (unsigned parts = 0; parts < expected_.size(); ++parts) {
      Reset();
      const std::vector<Answer> answers = operation_.run(live_, parts);
      for (const Answer& answer : answers) EXPECT_TRUE(answer.ok()) << answer.status();
      CheckSynced(answers);
      if (parts + 1 == expected_.size()) answers_ = answers;
      expected_[parts] = DumpOf(live_);
    }
    if (operation_.outcome) outcome_ = operation_.outcome(live_);
  }
  ~Loop() { operation_.close(); }

  // How many calls could be made to fail.
  int Run() {
    int faults = 0;
    for (int nth = 1; nth < kMostCalls; nth += std::max(StepAfter(nth), Stride())) {
      SCOPED_TRACE(absl::StrCat("call ", nth));
      Reset();
      FailSqlite(kind_, nth, CallsOf(trouble_));
      const std::vector<Answer> answers = operation_.run(live_, All());
      CheckSynced(answers);
      if (trouble_ == Trouble::kGone) operation_.close();
      if (StopFailingSqlite() == 0) return faults;
      ++faults;
      Check(answers);
      if (testing::Test::HasFailure()) return faults;
    }
    ADD_FAILURE() << "never got through";
    return 0;
  }

 private:
  // A call that fails once is any of them, in turn; of those from which on all fail, of very many,
  // and of those that were tried cold, the further on, the fewer.
  int StepAfter(int nth) const {
    if (operation_.skip != 0) return 1 + nth / operation_.skip;
    if (trouble_ != Trouble::kOnce) return 1 + nth / 10;
    return warm_ ? 1 + nth / 30 : 1;
  }

  unsigned All() const { return static_cast<unsigned>(expected_.size()) - 1; }

  void Reset() {
    operation_.close();
    CopyDatabase(seed_, live_);
    ForgetUnsyncedSqliteFiles();
    ASSERT_THAT(operation_.open(live_), IsOk());
    if (warm_) WarmUp();
  }

  void WarmUp() {
    const NoSqliteCommits lost;
    for (int i = 0; i < 2; ++i) operation_.run(live_, All());
  }

  void Check(const std::vector<Answer>& answers) {
    unsigned answered = 0;
    ASSERT_EQ(answers.size(), operation_.parts);
    for (unsigned i = 0; i < answers.size(); ++i) {
      if (answers[i].ok()) {
        answered |= 1u << i;
        EXPECT_EQ(*answers[i], *answers_[i]) << "answered OK, and wrong";
      } else {
        const std::string why(answers[i].status().message());
        EXPECT_THAT(why, HasSubstr(live_)) << "which file?";
        EXPECT_GT(why.size(), live_.size() + 20) << "what?";
      }
    }
    if (trouble_ == Trouble::kGone) {
      ASSERT_THAT(operation_.open(live_), IsOk());
    } else {  // whoever opens what a kill would leave now finds all that was answered
      CopyDatabase(live_, killed_);
      CheckState(DumpOf(killed_), answered);
    }
    if (operation_.outcome && answered == All()) {
      EXPECT_EQ(operation_.outcome(live_), outcome_);
    }
    const std::string now = DumpOf(live_);
    CheckState(now, answered);
    RunAgain(now);
  }

  void CheckSynced(const std::vector<Answer>& answers) {
    for (const Answer& answer : answers) {
      if (!answer.ok()) continue;
      EXPECT_EQ(UnsyncedSqliteFiles(), 0) << "answered before it is on the disk";
    }
  }

  // A legal state that has every part that was answered with OK.
  void CheckState(const std::string& now, unsigned answered) {
    for (unsigned parts = 0; parts < expected_.size(); ++parts) {
      if (expected_[parts] == now && (parts & answered) == answered) return;
    }
    if (answered == 0 && operation_.has_steps) return;
    ADD_FAILURE() << "answered OK: parts " << answered
                  << "; found against before:" << Difference(expected_.front(), now)
                  << "\nand against after:" << Difference(expected_.back(), now);
  }

  // What is not there yet can be done now, with the same object.
  void RunAgain(const std::string& now) {
    unsigned missing = All();
    for (unsigned parts = 0; parts < expected_.size(); ++parts) {
      if (expected_[parts] == now) missing = All() & ~parts;
    }
    const bool reads = expected_.front() == expected_.back();
    if (reads) missing = All();
    if (missing == 0) return;
    const std::vector<Answer> answers = operation_.run(live_, missing);
    for (const Answer& answer : answers)
      EXPECT_TRUE(answer.ok()) << "when tried again: " << answer.status();
    CheckDone();
  }

  void CheckDone() {
    const std::string now = DumpOf(live_);
    EXPECT_TRUE(now == expected_.back()) << Difference(expected_.back(), now);
  }

  const FaultCase& operation_;
  const SqliteFault kind_;
  const Trouble trouble_;
  const bool warm_;
  TempFolder folder_;
  const Path seed_ = folder_.File("seed.db");
  const Path live_ = folder_.File("live.db");
  const Path killed_ = folder_.File("killed.db");
  std::vector<std::string> expected_;  // by the parts that are done
  std::vector<Answer> answers_;
  std::string outcome_;
};

}  // namespace

std::function<std::vector<Answer>(const Path&, unsigned)> OnePart(
    std::function<Answer(const Path&)> part) {
  return [part = std::move(part)](const Path& path, unsigned parts) {
    std::vector<Answer> answers;
    if (parts != 0) answers.push_back(part(path));
    return answers;
  };
}

std::string DumpOf(const Path& path) {
  sqlite3* db = nullptr;
  std::string out;
  EXPECT_EQ(sqlite3_open_v2(path.c_str(), &db, SQLITE_OPEN_READWRITE, nullptr), SQLITE_OK);
  AppendQuery(db, "PRAGMA integrity_check", out);
  AppendQuery(db, "PRAGMA user_version", out);
  AppendQuery(db, "SELECT type, name, sql FROM sqlite_master ORDER BY 1, 2", out);
  std::vector<std::string> tables;
  sqlite3_exec(
      db, "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1",
      [](void* found, int, char** row, char**) {
        static_cast<std::vector<std::string>*>(found)->emplace_back(row[0]);
        return 0;
      },
      &tables, nullptr);
  for (const std::string& table : tables) {
    absl::StrAppend(&out, table, ":\n");
    AppendQuery(db, absl::StrCat("SELECT * FROM ", table), out);
  }
  sqlite3_close(db);
  return out;
}

namespace {

void LoopOver(const FaultCase& operation, bool warm) {
  const struct {
    SqliteFault kind;
    const char* name;
    int least;
  } kKinds[] = {{SqliteFault::kMemory, "memory", operation.least_memory},
                {SqliteFault::kDisk, "disk", operation.least_disk},
                {SqliteFault::kFull, "full", operation.least_full}};
  const struct {
    Trouble trouble;
    const char* name;
  } kTroubles[] = {{Trouble::kOnce, "once"},
                   {Trouble::kTwice, "twice"},
                   {Trouble::kWhile, "while"},
                   {Trouble::kGone, "gone"}};
  for (const auto& kind : kKinds) {
    for (const auto& trouble : kTroubles) {
      const std::string name = absl::StrCat(kind.name, "_", trouble.name, warm ? "_warm" : "");
      SCOPED_TRACE(name);
      const int faults = Loop(operation, kind.kind, trouble.trouble, warm).Run();
      testing::Test::RecordProperty(name, faults);
      if (testing::Test::HasFailure()) return;
      int least = trouble.trouble == Trouble::kOnce ? kind.least : kind.least / 3;
      least /= Stride();
      if (warm) least = std::min(least, 1);  // what is prepared and read is not again
      EXPECT_GE(faults, least);
    }
  }
}

}  // namespace

void LoopOver(const FaultCase& operation) {
  LoopOver(operation, false);
  if (operation.warm && !testing::Test::HasFailure()) LoopOver(operation, true);
}

}  // namespace dumpwarden
