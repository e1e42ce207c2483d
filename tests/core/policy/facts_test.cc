// SPDX-License-Identifier: Apache-2.0
#include "core/policy/facts.h"

#include "absl/strings/str_cat.h"
#include "tests/support/status_matchers.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;

constexpr char kFacts[] = R"(os: { build: 20348, product: server }
memory: { bytes: 68719476736 }
volumes:
  - { path: 'c:', kind: fixed, total: 107374182400, free: 53687091200, boot: true, mount: /mnt/c }
  - { path: 'D:\' }
labels: { role: sql, team/owner: '' }
boot: { id: b-1, at: 2026-11-22T17:00:00.5Z }
events: System.evtx
)";

TEST(Facts, ReadsTheFileOfTheDesign) {
  ASSERT_OK_AND_ASSIGN(const v1::Facts facts, ReadFacts(kFacts, "f"));
  EXPECT_EQ(facts.os().build(), 20348u);
  EXPECT_EQ(facts.os().product(), "server");
  EXPECT_EQ(RamOf(facts), 68719476736u);
  ASSERT_EQ(facts.volumes_size(), 2);
  EXPECT_TRUE(facts.volumes_known());
  EXPECT_EQ(facts.volumes(0).path(), "C:\\");
  EXPECT_EQ(facts.volumes(0).free(), 53687091200u);
  EXPECT_TRUE(facts.volumes(0).boot());
  EXPECT_EQ(facts.volumes(0).mount(), "/mnt/c");
  EXPECT_EQ(facts.labels().at("role"), "sql");
  EXPECT_EQ(facts.boot().id(), "b-1");
  EXPECT_EQ(facts.boot().at().seconds(), 1795366800);
  EXPECT_EQ(facts.boot().at().nanos(), 500000000);
}

TEST(Facts, DoNotInventWhatIsMissing) {
  ASSERT_OK_AND_ASSIGN(const v1::Facts facts, ReadFacts("labels: {}\n", "f"));
  EXPECT_FALSE(facts.volumes_known());
  EXPECT_EQ(RamOf(facts), std::nullopt);
  for (const char* key : {"os.build", "os.product", "memory.bytes", "boot.id", "role"}) {
    EXPECT_EQ(LookUpFact(facts, key), std::nullopt) << key;
  }
  ASSERT_OK_AND_ASSIGN(const v1::Facts none, ReadFacts("volumes: []\n", "f"));
  EXPECT_TRUE(none.volumes_known());
}

TEST(Facts, RefuseWhatIsWrongWithItsPlace) {
  const struct {
    const char* text;
    const char* message;
    const char* why;
  } kCases[] = {
      {"oss: {}\n", "did you mean `os`?", "unknown key"},
      {"os: { built: 1 }\n", "f:1:7: os: unknown key \"built\"", "unknown key below"},
      {"os: { build: 0x4f7c }\n", "f:1:14: os.build: ", "hex"},
      {"os: { build: 0 }\n", "from 1 to", "0 stands for not known"},
      {"os: { product: desktop }\n", "workstation, domain-controller, server", "other word"},
      {"memory: { bytes: 64GiB }\n", "f:1:18: memory.bytes", "bytes are a number"},
      {"volumes: { path: 'C:\\' }\n", "a list of at most 64", "no list"},
      {"volumes: [ { kind: fixed } ]\n", "volumes[0]: `path` is missing", "required"},
      {"volumes: [ { path: 'C:\\Dumps' } ]\n", "a drive such as", "a folder"},
      {"volumes: [ { path: '1:' } ]\n", "a drive such as", "no letter"},
      {"volumes: [ { path: 'C:', kind: floppy } ]\n", "accepted: fixed", "unknown kind"},
      {"volumes: [ { path: 'C:', total: 1, free: 2 } ]\n", "more is free", "impossible"},
      {"volumes: [ { path: 'C:', boot: yes } ]\n", "true or false", "yes is no bool"},
      {"volumes: [ { path: 'C:', mount: mnt } ]\n", "absolute folder", "relative"},
      {"volumes: [ { path: 'C:' }, { path: 'c:\\' } ]\n", "listed already", "twice"},
      {"volumes: [ { path: 'C:', boot: true }, { path: 'D:', boot: true } ]\n",
       "Windows lies on one", "two boot volumes"},
      {"labels: { Role: sql }\n", "f:1:11: labels: label key \"Role\"", "upper case"},
      {"labels: { os.build: 1 }\n", "does not begin with os.", "reserved"},
      {"labels: { role: ü }\n", "printable ASCII", "not ASCII"},
      {"boot: { at: 2026-11-22T17:00:00Z }\n", "`id` is missing", "required"},
      {"boot: { id: x, at: yesterday }\n", "f:1:20: boot.at", "no time"},
      {"boot: { id: x, at: infinite-future }\n", "f:1:20: boot.at", "no time that can be sent"},
      {"boot: { id: x, at: 1969-12-31T23:59:59Z }\n", "f:1:20: boot.at: found",
       "the server takes no such time, and would cut the host off for ever"},
      {"volumes: [ { path: 'C:', free: 5 } ]\n", "f:1:32: volumes[0].free: `free` says nothing",
       "of what is so much free?"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(ReadFacts(c.text, "f"),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(c.message)))
        << c.why;
  }
}

TEST(Facts, RefuseABootIdThatTheServerWouldRefuse) {
  const auto file = [](std::size_t size) {
    return absl::StrCat("boot: { id: ", std::string(size, 'b'), " }\n");
  };
  EXPECT_THAT(ReadFacts(file(kMaxBootIdBytes), "f"), IsOk());
  EXPECT_THAT(ReadFacts(file(kMaxBootIdBytes + 1), "f"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("f:1:13: boot.id: found 257 bytes; at most 256")));
}

TEST(Facts, TellUnknownFreeSpaceFromNone) {
  ASSERT_OK_AND_ASSIGN(
      const v1::Facts facts,
      ReadFacts("volumes: [ { path: 'C:', total: 9 }, { path: 'D:', total: 9, free: 0 } ]\n", "f"));
  EXPECT_FALSE(facts.volumes(0).has_free());
  EXPECT_TRUE(facts.volumes(1).has_free());
}

TEST(Facts, LabelsHaveLimits) {
  std::map<std::string, std::string> labels;
  for (int i = 0; i < 32; ++i) labels[absl::StrCat("l", i)] = "x";
  EXPECT_THAT(CheckLabels(labels), IsOk());
  labels["one-more"] = "x";
  EXPECT_THAT(CheckLabels(labels),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 32")));
  EXPECT_THAT(CheckLabels({{std::string(63, 'a'), std::string(63, 'b')}}), IsOk());
  for (const std::string& key : {std::string(64, 'a'), std::string(), std::string("-a"),
                                 std::string("a."), std::string("a b"), std::string("boot.id")}) {
    EXPECT_THAT(CheckLabels({{key, ""}}),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("label key")));
  }
  EXPECT_THAT(CheckLabels({{"a", std::string(64, 'b')}}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("at most 63")));
}

TEST(Facts, FindTheVolumeOfAPath) {
  ASSERT_OK_AND_ASSIGN(const v1::Facts facts, ReadFacts(kFacts, "f"));
  const struct {
    const char* path;
    const char* volume;  // "" = none
    const char* why;
  } kCases[] = {
      {"C:\\pagefile.sys", "C:\\", "by letter"},
      {"d:\\Dumps\\MEMORY.DMP", "D:\\", "letters ignore case"},
      {"%SystemRoot%\\MEMORY.DMP", "C:\\", "Windows lies on the boot volume"},
      {"%systemroot%\\Minidump", "C:\\", "variables ignore case"},
      {"E:\\x", "", "not listed"},
      {"\\\\server\\share", "", "no volume of this host"},
      {"C:relative", "", "relative to a folder that nobody knows"},
      {"", "", "nothing"},
  };
  for (const auto& c : kCases) {
    const v1::Facts::Volume* volume = VolumeOf(facts, c.path);
    EXPECT_EQ(volume == nullptr ? "" : volume->path(), c.volume) << c.why;
  }
}

}  // namespace
}  // namespace dumpwarden
