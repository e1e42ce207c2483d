// SPDX-License-Identifier: Apache-2.0
#include "core/policy/policy.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr absl::string_view kHead = "apiVersion: dumpwarden/v1\nkind: DumpPolicy\n";

std::string Document(absl::string_view metadata, absl::string_view spec) {
  return absl::StrCat(kHead, "metadata: { ", metadata, " }\nspec: { ", spec, " }\n");
}

std::string Settings(absl::string_view settings) {
  return absl::StrCat(kHead, "metadata: { name: a }\nspec:\n  settings: { ", settings, " }\n");
}

TEST(Policy, ReadsThePolicyOfTheDesign) {
  ASSERT_OK_AND_ASSIGN(const Policy policy, ReadPolicy(R"(apiVersion: dumpwarden/v1
kind: DumpPolicy
metadata:
  name: sql-servers
  description: Kernel dumps on their own volume for SQL Server hosts
  version: 3
spec:
  priority: 100
  mode: enforce
  selector:
    matchLabels: { role: sql }
    matchExpressions: [ { key: os.build, operator: Gte, values: ["17763"] } ]
  settings:
    dump.type: kernel
    dump.file: 'D:\Dumps\MEMORY.DMP'
    pagefile.files: [ { path: 'C:\pagefile.sys', initial: ram + 257MiB, maximum: ram + 257MiB } ]
    nmi.crash: on
)",
                                                       "f"));
  EXPECT_EQ(policy.name, "sql-servers");
  EXPECT_EQ(policy.version, 3u);
  EXPECT_EQ(policy.priority, 100);
  EXPECT_EQ(policy.mode, v1::MODE_ENFORCE);
  EXPECT_EQ(policy.selector.requirements.size(), 2u);
  ASSERT_EQ(policy.settings.size(), 4u);
  EXPECT_EQ(policy.settings[0].setting, "dump.file") << "in order of id";
  EXPECT_EQ(policy.settings[0].value, "D:\\Dumps\\MEMORY.DMP");
  EXPECT_EQ(policy.settings[1].value, "kernel");
  EXPECT_EQ(policy.settings[2].value, "on");
  EXPECT_THAT(policy.settings[3].value, HasSubstr("ram + 257MiB"));
}

TEST(Policy, HasDefaults) {
  ASSERT_OK_AND_ASSIGN(const Policy policy, ReadPolicy(Settings("dump.type: unset"), "f"));
  EXPECT_EQ(policy.version, std::nullopt);
  EXPECT_EQ(policy.priority, 0);
  EXPECT_EQ(policy.mode, v1::MODE_ENFORCE);
  EXPECT_TRUE(policy.selector.requirements.empty());
  EXPECT_EQ(policy.settings[0].value, "unset");
}

TEST(Policy, RefusesWithPlaceAndWhatIsAccepted) {
  const std::string kGood = "settings: { dump.type: kernel }";
  const struct {
    std::string text;
    const char* message;
    const char* why;
  } kCases[] = {
      {"kind: DumpPolicy\n", "f:1:1: `apiVersion` is missing", "required"},
      {"apiVersion: dumpwarden/v2\nkind: DumpPolicy\n", "accepted: dumpwarden/v1", "later version"},
      {"apiVersion: dumpwarden/v1\nkind: DumpPolcy\n",
       "f:2:7: kind: unknown kind \"DumpPolcy\"; accepted: DumpPolicy; did you mean `DumpPolicy`?",
       "unknown kind"},
      {"- a\n", "f:1:1: found a list; a map", "no map"},
      {std::string(kHead), "`metadata` is missing", "required"},
      {Document("name: a", "priority: 1"), "spec: `settings` is missing", "required"},
      {Document("name: a", "settings: {}"), "at least one", "sets nothing"},
      {Document("name: a", "settings: [dump.type]"), "spec.settings: found a list", "no map"},
      {Document("description: x", kGood), "metadata: `name` is missing", "required"},
      {Document("name: SQL", kGood), "f:3:19: metadata.name: \"SQL\" is not a policy name", "case"},
      {Document("name: -a", kGood), "is not a policy name", "begins with -"},
      {Document(absl::StrCat("name: ", std::string(64, 'a')), kGood), "at most 63", "too long"},
      {Document("name: a, version: 0", kGood), "metadata.version", "versions count from 1"},
      {Document("name: a, version: 9007199254740993", kGood), "f:3:31: metadata.version",
       "above what agents, store and JSON readers take"},
      {Document("name: a, labels: {}", kGood), "unknown key \"labels\"", "unknown key"},
      {Document("name: a", "priority: high, " + kGood), "spec.priority", "no number"},
      {Document("name: a", "priority: 0x2, " + kGood), "spec.priority", "hex"},
      {Document("name: a", "priority: 1000001, " + kGood), "to 1000000", "out of range"},
      {Document("name: a", "mode: observe, " + kGood), "accepted: enforce, audit", "unknown mode"},
      {Document("name: a", "selector: , " + kGood), "spec.selector: found nothing",
       "a forgotten selector must not mean every host"},
      {Document("name: a", "setting: {}, " + kGood), "did you mean `settings`?", "unknown key"},
      {Settings("dump.typ: kernel"),
       "f:5:15: spec.settings: unknown setting \"dump.typ\"; did you mean `dump.type`?",
       "unknown setting"},
      {Settings("registry: x"), "accepted: dump.", "unknown setting, nothing near"},
      {Settings("dump.type: kernal"), "f:5:26: spec.settings.dump.type", "unknown word"},
      {Settings("dump.type: 0x2"), "spec.settings.dump.type", "a number for a word"},
      {Settings("nmi.crash: yes"), "spec.settings.nmi.crash", "only on and off"},
      {Settings("dump.type: kernel, dump.type: small"), "stands here again", "duplicate"},
      {Settings("dump.file: '\\\\server\\share\\x.dmp'"), "spec.settings.dump.file", "UNC"},
      {absl::StrCat(Settings("dump.type: kernel"), "---\n", Settings("dump.type: small")),
       "f:6:1: a second document", "one policy a file"},
      {std::string(300000, '#'), "f:1:1: the file has 300000 bytes", "too long"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ReadPolicy(c.text, "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.why;
  }
}

TEST(Policy, SaysEveryProblemAtOnce) {
  const absl::Status status =
      ReadPolicy(
          Document("name: A", "priority: x, mode: y, settings: { dump.typ: a, nmi.crash: b }"), "f")
          .status();
  const std::vector<std::string> lines = absl::StrSplit(status.message(), '\n');
  EXPECT_EQ(lines.size(), 5u) << status;
}

TEST(Policy, OfANewerServerKeepsWhatThisTableLacks) {
  ASSERT_OK_AND_ASSIGN(
      const Policy policy,
      ReadPolicy(Settings("zzz.new: [ { a: 1 }, \"x\\ny\" ], dump.type: quantum, nmi.crash: on"),
                 "f", UnknownSettings::kKeep));
  ASSERT_EQ(policy.settings.size(), 3u);
  EXPECT_FALSE(policy.settings[0].known) << "a word that this table does not have";
  EXPECT_EQ(policy.settings[0].value, "quantum");
  EXPECT_TRUE(policy.settings[1].known);
  EXPECT_FALSE(policy.settings[2].known) << "a row that this table does not have";
  EXPECT_EQ(policy.settings[2].value, "[{a: 1}, x\\ny]");
}

}  // namespace
}  // namespace dumpwarden
