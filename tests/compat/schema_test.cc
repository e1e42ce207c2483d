// SPDX-License-Identifier: Apache-2.0
// The schema of each earlier version is only ever extended.
#include "tests/compat/schema.h"

#include <gmock/gmock.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/compat/versions.h"

namespace dumpwarden {
namespace {

namespace pb = google::protobuf;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

using SchemaTest = CompatTest;
INSTANTIATE_TEST_SUITE_P(Versions, SchemaTest, testing::ValuesIn(CompatVersions()), VersionName);

TEST_P(SchemaTest, IsOnlyExtended) {
  pb::FileDescriptorSet before;
  ASSERT_TRUE(before.ParseFromString(ReadAll(CompatFile(GetParam(), "schema.pb"))));
  EXPECT_THAT(BrokenPromises(before, PresentSchema()), IsEmpty());
}

// The programs said 0.1.0 long after it was recorded, of another schema and another store.
TEST(CompatVersions, AreNotThePresentOne) {
  EXPECT_THAT(CompatVersions(), Not(Contains(DUMPWARDEN_VERSION)))
      << "raise VERSION in CMakeLists.txt when a version is recorded";
}

pb::FileDescriptorProto& FileOf(pb::FileDescriptorSet& set, const std::string& name) {
  for (pb::FileDescriptorProto& file : *set.mutable_file()) {
    if (file.name() == absl::StrCat("dumpwarden/v1/", name, ".proto")) return file;
  }
  ADD_FAILURE() << name;
  return *set.add_file();
}

pb::DescriptorProto& MessageOf(pb::FileDescriptorProto& file, const std::string& name) {
  for (pb::DescriptorProto& message : *file.mutable_message_type()) {
    if (message.name() == name) return message;
  }
  ADD_FAILURE() << name;
  return *file.add_message_type();
}

// Each break, and the word that says so; nothing is said of what only extends.
TEST(Schema, SaysWhatIsBroken) {
  const struct {
    const char* why;
    std::function<void(pb::FileDescriptorSet&)> edit;
    const char* said;
  } kCases[] = {
      {"a field has another type",
       [](auto& set) {
         MessageOf(FileOf(set, "session"), "Ack")
             .mutable_field(1)
             ->set_type(pb::FieldDescriptorProto::TYPE_SINT64);
       },
       "v1.Ack.sequence was"},
      {"a field is a list now",
       [](auto& set) {
         MessageOf(FileOf(set, "session"), "Ack")
             .mutable_field(1)
             ->set_label(pb::FieldDescriptorProto::LABEL_REPEATED);
       },
       "v1.Ack.sequence was"},
      {"a field has another name",
       [](auto& set) {
         MessageOf(FileOf(set, "session"), "Ack").mutable_field(1)->set_name("number");
       },
       "v1.Ack.sequence was"},
      {"a field is gone",
       [](auto& set) { MessageOf(FileOf(set, "session"), "Ack").mutable_field()->RemoveLast(); },
       "v1.Ack.want_full is gone, and 3 is not reserved"},
      {"a message is gone",
       [](auto& set) { MessageOf(FileOf(set, "session"), "Notice").set_name("Remark"); },
       nullptr},  // and the schema does not hold together any more
      {"an enum value has another number",
       [](auto& set) {
         FileOf(set, "report").mutable_enum_type(0)->mutable_value(10)->set_number(11);
       },
       "v1.Status STATUS_ERROR = 10"},
      {"an rpc streams",
       [](auto& set) {
         FileOf(set, "admin").mutable_service(0)->mutable_method(0)->set_server_streaming(true);
       },
       "v1.Admin.ApplyPolicies was"},
      {"an rpc is gone",
       [](auto& set) { FileOf(set, "admin").mutable_service(0)->mutable_method()->RemoveLast(); },
       "v1.Admin.ListAudit is gone"},
      {"a number is free again",
       [](auto& set) { MessageOf(FileOf(set, "admin"), "PlannedChange").clear_reserved_range(); },
       "v1.PlannedChange reserves 1 no longer"},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.why);
    pb::FileDescriptorSet after = PresentSchema();
    c.edit(after);
    EXPECT_THAT(BrokenPromises(PresentSchema(), after),
                Contains(HasSubstr(c.said == nullptr ? "cannot be read" : c.said)));
  }
}

TEST(Schema, MayBeExtendedAndGiveUpWhatItReserves) {
  pb::FileDescriptorSet after = PresentSchema();
  pb::DescriptorProto& ack = MessageOf(FileOf(after, "session"), "Ack");
  pb::FieldDescriptorProto& added = *ack.add_field();
  added = ack.field(1);
  added.set_name("added");
  added.set_json_name("added");
  added.set_number(4);
  ack.mutable_field()->DeleteSubrange(2, 1);
  auto& range = *ack.add_reserved_range();
  range.set_start(3);
  range.set_end(4);
  auto& value = *FileOf(after, "report").mutable_enum_type(0)->add_value();
  value.set_name("STATUS_NEW");
  value.set_number(11);
  EXPECT_THAT(BrokenPromises(PresentSchema(), after), IsEmpty());
}

}  // namespace
}  // namespace dumpwarden
