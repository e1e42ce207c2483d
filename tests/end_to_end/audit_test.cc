// SPDX-License-Identifier: Apache-2.0
// The audit log as people read it: dumpctl audit list and export, of a server
// that goes on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "platform/sqlite.h"
#include "tests/end_to_end/fleet.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr char kAdmin[] = "spiffe://corp.example/operator/admin";

std::string Policy(const std::string& name) {
  return absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: ", name,
                      " }\nspec: { settings: { dump.type: kernel } }\n");
}

class AuditCommands : public testing::Test {
 protected:
  std::vector<std::string> Actions(std::vector<std::string> options) {
    options.insert(options.begin(), {"audit", "list", "--oldest-first"});
    std::vector<std::string> actions;
    for (const Json& row : server_.CtlJson(options)) actions.push_back(row["action"]);
    return actions;
  }
  Finished Export(std::vector<std::string> options = {}) {
    options.insert(options.begin(), {"audit", "export", "--output", file_});
    return server_.Ctl(options);
  }
  std::vector<Json> Exported() {
    std::vector<Json> rows;
    const std::string text = ReadAll(file_);
    for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      rows.push_back(Json::parse(line.begin(), line.end(), nullptr, false));
      EXPECT_FALSE(rows.back().is_discarded()) << line;
    }
    return rows;
  }
  std::vector<std::string> Files() {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) {
      names.push_back(entry.path().filename());
    }
    return names;
  }
  // So many rows as years make.
  void AddRows(int count) {
    const auto db = Database::Open(server_.folder() + "/store.db", Database::Durability::kFull);
    ASSERT_THAT(db, IsOk());
    ASSERT_THAT(
        (*db)->Execute(absl::StrCat(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ", count,
            ") INSERT INTO audit (at, actor, source, action, object, detail, before, "
            "after) SELECT 1790000000000000 + i, 'somebody', '', 'old', 'o' || i, "
            "hex(zeroblob(1500)), x'0a', x'0b' FROM n")),
        IsOk());
  }

  Server server_;
  TempFolder folder_;
  const std::string file_ = folder_.File("audit.jsonl");
};

TEST_F(AuditCommands, ListFindsWhoDidWhatWhen) {
  server_.Start();
  server_.Apply(Policy("web"));
  server_.Apply(Policy("db"));
  ASSERT_EQ(server_.Ctl({"policy", "delete", "db"}).exit_code, 0);
  const Json token = server_.CreateToken();
  Host host("web-01");
  ASSERT_EQ(host.Enroll(token).exit_code, 0);
  EXPECT_THAT(Actions({}), ElementsAre("server.init", "policy.apply", "policy.apply",
                                       "policy.delete", "token.create", "host.enroll"));
  EXPECT_THAT(Actions({"--action", "policy.*"}),
              ElementsAre("policy.apply", "policy.apply", "policy.delete"));
  EXPECT_THAT(Actions({"--action", "policy.delete", "--action", "token.*"}),
              ElementsAre("policy.delete", "token.create"));
  EXPECT_THAT(Actions({"--object", "db"}), ElementsAre("policy.apply", "policy.delete"));
  EXPECT_THAT(Actions({"--object", "db", "--action", "policy.delete"}),
              ElementsAre("policy.delete"));
  EXPECT_THAT(Actions({"--actor", kAdmin, "--action", "token.*"}), ElementsAre("token.create"));
  EXPECT_THAT(Actions({"--actor", "admin", "--limit", "1"}), ElementsAre("policy.apply"));
  EXPECT_THAT(Actions({"--actor", host.Id()}), ElementsAre("host.enroll"));
  EXPECT_THAT(Actions({"--actor", "local"}), ElementsAre("server.init"));
  EXPECT_THAT(Actions({"--actor", "nobody-at-all"}), IsEmpty());
  EXPECT_THAT(Actions({"--since", "1h", "--action", "token.*"}), ElementsAre("token.create"));
  EXPECT_THAT(Actions({"--until", "1h"}), IsEmpty());
  const Json rows = server_.CtlJson({"audit", "list", "--action", "policy.delete"});
  EXPECT_THAT(Actions({"--since", rows[0]["at"]}),
              ElementsAre("policy.delete", "token.create", "host.enroll"));
  EXPECT_THAT(Actions({"--until", rows[0]["at"]}),
              ElementsAre("server.init", "policy.apply", "policy.apply"));
}

TEST_F(AuditCommands, ListPagesBothWaysAndSaysHowToGoOn) {
  server_.Start();
  server_.Apply(Policy("web"));
  server_.Apply(Policy("db"));
  const Finished newest = server_.Ctl({"audit", "list", "--limit", "2", "-o", "csv"});
  EXPECT_THAT(newest.out, HasSubstr("\n3,"));
  EXPECT_THAT(newest.out, HasSubstr("\n2,"));
  EXPECT_EQ(newest.err, "dumpctl: there may be more; go on with --before 2\n");
  const Finished rest = server_.Ctl({"audit", "list", "--limit", "2", "--before", "2"});
  EXPECT_THAT(rest.out, HasSubstr("server.init"));
  EXPECT_EQ(rest.err, "");
  const Finished oldest = server_.Ctl({"audit", "list", "--limit", "2", "--oldest-first"});
  EXPECT_EQ(oldest.err, "dumpctl: there may be more; go on with --after 2\n");
  EXPECT_EQ(server_.CtlJson({"audit", "list", "--oldest-first", "--after", "2"}).size(), 1u);
}

TEST_F(AuditCommands, ListSaysWhatIsWrongWithATime) {
  const struct {
    std::vector<std::string> options;
    const char* said;
  } cases[] = {
      {{"--since", "yesterday"}, "2026-11-22T17:00:00Z, or 24h"},
      {{"--until", "-1h"}, "not a moment"},
      {{"--since", "2026-13-01T00:00:00Z"}, "not a moment"},
      {{"--since", "1h", "--until", "2h"}, "exchange them"},
  };
  for (const auto& test : cases) {
    std::vector<std::string> command = {"audit", "list"};
    command.insert(command.end(), test.options.begin(), test.options.end());
    const Finished done = server_.Ctl(command);
    EXPECT_EQ(done.exit_code, 64) << test.options[1];
    EXPECT_THAT(done.err, HasSubstr(test.said));
  }
}

TEST_F(AuditCommands, ExportIsTheWholeLogAndWhoMadeIt) {
  server_.Start();
  server_.Apply(Policy("web"));
  server_.Apply(Policy("web"));
  ASSERT_EQ(server_.Ctl({"policy", "delete", "web"}).exit_code, 0);
  const Finished done = Export();
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_EQ(done.out, file_ + ": 4 rows, 1 to 4\n");
  EXPECT_EQ(done.err, "");
  struct stat info {};
  ASSERT_EQ(stat(file_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  EXPECT_THAT(Files(), ElementsAre("audit.jsonl"));
  const std::vector<Json> rows = Exported();
  ASSERT_EQ(rows.size(), 4u);
  EXPECT_EQ(rows[0]["action"], "server.init");
  EXPECT_EQ(rows[1]["action"], "policy.apply");
  EXPECT_EQ(rows[1]["before"], nullptr);
  EXPECT_EQ(rows[1]["after"].get<std::string>().size(), 64u) << "a digest, in hex";
  EXPECT_EQ(rows[2]["before"], rows[1]["after"]) << "deleted is what was applied";
  EXPECT_EQ(rows[2]["actor"], kAdmin);
  EXPECT_THAT(rows[2]["source"].get<std::string>(), HasSubstr("127.0.0.1"));
  EXPECT_EQ(rows[2]["at"].get<std::string>().size(),
            std::string("2026-11-22T17:00:00.000000Z").size());
  EXPECT_EQ(rows[3]["action"], "audit.export");
  EXPECT_EQ(rows[3]["actor"], kAdmin);
  for (std::size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i]["sequence"], i + 1);
}

TEST_F(AuditCommands, ExportOverwritesNothingUnasked) {
  server_.Start();
  WriteAll(file_, "mine");
  const Finished refused = Export();
  EXPECT_EQ(refused.exit_code, 7);
  EXPECT_THAT(refused.err, HasSubstr("is there already"));
  EXPECT_THAT(refused.err, HasSubstr("--force"));
  EXPECT_EQ(ReadAll(file_), "mine");
  EXPECT_THAT(Actions({}), Not(testing::Contains("audit.export"))) << "nothing was exported";
  ASSERT_EQ(Export({"--force"}).exit_code, 0);
  EXPECT_EQ(Exported().size(), 2u);
}

TEST_F(AuditCommands, ExportThatCannotBeWrittenLeavesNothing) {
  AddRows(2'000);
  server_.Start();
  const Finished done =
      RunProgram({"bash", "-c",
                  absl::StrCat("trap '' XFSZ; ulimit -f 64; exec ", Program("dumpctl"),
                               " --config ", server_.folder(),
                               "/operators/admin/dumpctl.yaml audit export --output ", file_)});
  EXPECT_EQ(done.exit_code, 1);
  EXPECT_THAT(done.err, HasSubstr("cannot write " + file_));
  EXPECT_THAT(Files(), IsEmpty());
}

long PeakKilobytes(pid_t pid) {
  const std::string status = ReadAll(absl::StrCat("/proc/", pid, "/status"));
  return std::stol(status.substr(status.find("VmHWM:") + 6));
}

TEST_F(AuditCommands, ExportOfALongLogTakesNoMemoryAndNoTimeout) {
  constexpr int kRows = 40'000;
  AddRows(kRows);
  server_.Start();
  server_.Ctl({"audit", "list"});
  [[maybe_unused]] const long before = PeakKilobytes(server_.pid());
  const Finished done = Export({"--timeout", "2s"});
  ASSERT_EQ(done.exit_code, 0) << done.err;
  EXPECT_THAT(done.out, HasSubstr(absl::StrCat(kRows + 2, " rows")));
  EXPECT_GT(std::filesystem::file_size(file_), 100'000'000u);
#ifndef DUMPWARDEN_SANITIZED
  EXPECT_LT(PeakKilobytes(server_.pid()) - before, 32 * 1024);
#endif
}

TEST_F(AuditCommands, ExportOfASilentServerEndsAndLeavesNothing) {
  AddRows(40'000);
  server_.Start();
  Process process(
      {Program("dumpctl"), "--config", server_.folder() + "/operators/admin/dumpctl.yaml",
       "--timeout", "2s", "audit", "export", "--output", file_},
      folder_.File("log"));
  ASSERT_TRUE(Eventually([&] {
    for (const std::string& name : Files()) {
      if (absl::StartsWith(name, "audit.jsonl.partial") &&
          std::filesystem::file_size(folder_.File(name)) > 0) {
        return true;
      }
    }
    return false;
  }));
  server_.process().Kill(SIGSTOP);
  EXPECT_EQ(process.Wait(), 8) << process.Err();
  server_.process().Kill(SIGCONT);
  EXPECT_THAT(process.Err(), HasSubstr("longer than 2s"));
  EXPECT_THAT(Files(), testing::UnorderedElementsAre("log.out", "log.err"));
}

}  // namespace
}  // namespace dumpwarden
