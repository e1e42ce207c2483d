// SPDX-License-Identifier: Apache-2.0
#include "tests/compat/schema.h"

#include <google/protobuf/descriptor.h>

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "dumpwarden/v1/admin.pb.h"
#include "dumpwarden/v1/enrollment.pb.h"
#include "dumpwarden/v1/session.pb.h"
#include "dumpwarden/v1/undo.pb.h"

namespace dumpwarden {
namespace {

namespace pb = google::protobuf;

void AddFile(const pb::FileDescriptor& file, std::set<std::string>& seen,
             pb::FileDescriptorSet& set) {
  if (!seen.insert(file.name()).second) return;
  for (int i = 0; i < file.dependency_count(); ++i) AddFile(*file.dependency(i), seen, set);
  file.CopyTo(set.add_file());
}

// Looks everything of one schema up in the other.
class Comparison {
 public:
  explicit Comparison(const pb::DescriptorPool& after) : after_(after) {}
  std::vector<std::string> broken;

  void File(const pb::FileDescriptor& file) {
    for (int i = 0; i < file.message_type_count(); ++i) Message(*file.message_type(i));
    for (int i = 0; i < file.enum_type_count(); ++i) Enum(*file.enum_type(i));
    for (int i = 0; i < file.service_count(); ++i) Service(*file.service(i));
  }

 private:
  void Say(const std::string& name, const std::string& what) {
    broken.push_back(absl::StrCat(name, " ", what));
  }

  void Message(const pb::Descriptor& before) {
    const pb::Descriptor* after = after_.FindMessageTypeByName(before.full_name());
    if (after == nullptr) return Say(before.full_name(), "is gone");
    for (int i = 0; i < before.field_count(); ++i) Field(*before.field(i), *after);
    for (int i = 0; i < before.nested_type_count(); ++i) Message(*before.nested_type(i));
    for (int i = 0; i < before.enum_type_count(); ++i) Enum(*before.enum_type(i));
    for (int i = 0; i < before.reserved_range_count(); ++i) {
      const auto& range = *before.reserved_range(i);
      for (int number = range.start; number < range.end; ++number) {
        if (!after->IsReservedNumber(number)) {
          Say(before.full_name(), absl::StrCat("reserves ", number, " no longer"));
        }
      }
    }
  }

  void Field(const pb::FieldDescriptor& before, const pb::Descriptor& message) {
    const pb::FieldDescriptor* after = message.FindFieldByNumber(before.number());
    if (after == nullptr) {
      if (message.IsReservedNumber(before.number())) return;
      return Say(before.full_name(),
                 absl::StrCat("is gone, and ", before.number(), " is not reserved"));
    }
    if (Shape(before) == Shape(*after)) return;
    Say(before.full_name(), absl::StrCat("was ", Shape(before), " and is ", Shape(*after)));
  }

  static std::string Shape(const pb::FieldDescriptor& field) {
    std::string shape =
        absl::StrCat(field.name(), " = ", field.number(), ", ", field.type_name(),
                     field.is_repeated() ? " repeated" : "", field.is_packed() ? " packed" : "",
                     field.has_presence() ? " optional" : "");
    if (field.message_type() != nullptr)
      absl::StrAppend(&shape, " ", field.message_type()->full_name());
    if (field.enum_type() != nullptr) absl::StrAppend(&shape, " ", field.enum_type()->full_name());
    if (field.real_containing_oneof() != nullptr) {
      absl::StrAppend(&shape, " in ", field.real_containing_oneof()->name());
    }
    return shape;
  }

  void Enum(const pb::EnumDescriptor& before) {
    const pb::EnumDescriptor* after = after_.FindEnumTypeByName(before.full_name());
    if (after == nullptr) return Say(before.full_name(), "is gone");
    for (int i = 0; i < before.value_count(); ++i) {
      const pb::EnumValueDescriptor* value = after->FindValueByNumber(before.value(i)->number());
      if (value == nullptr || value->name() != before.value(i)->name()) {
        Say(before.full_name(), absl::StrCat(before.value(i)->name(), " = ",
                                             before.value(i)->number(), " is gone or changed"));
      }
    }
  }

  void Service(const pb::ServiceDescriptor& before) {
    const pb::ServiceDescriptor* after = after_.FindServiceByName(before.full_name());
    if (after == nullptr) return Say(before.full_name(), "is gone");
    for (int i = 0; i < before.method_count(); ++i) {
      const pb::MethodDescriptor& old = *before.method(i);
      const pb::MethodDescriptor* now = after->FindMethodByName(old.name());
      if (now == nullptr) {
        Say(old.full_name(), "is gone");
      } else if (Signature(old) != Signature(*now)) {
        Say(old.full_name(), absl::StrCat("was ", Signature(old), " and is ", Signature(*now)));
      }
    }
  }

  static std::string Signature(const pb::MethodDescriptor& method) {
    return absl::StrCat(
        "(", method.client_streaming() ? "stream " : "", method.input_type()->full_name(), ") -> (",
        method.server_streaming() ? "stream " : "", method.output_type()->full_name(), ")");
  }

  const pb::DescriptorPool& after_;
};

// False when the set does not hold together.
bool Fill(pb::DescriptorPool& pool, const pb::FileDescriptorSet& set) {
  for (const pb::FileDescriptorProto& file : set.file()) {
    if (pool.BuildFile(file) == nullptr) return false;
  }
  return true;
}

}  // namespace

pb::FileDescriptorSet PresentSchema() {
  pb::FileDescriptorSet set;
  std::set<std::string> seen;
  AddFile(*v1::AgentMessage::descriptor()->file(), seen, set);
  AddFile(*v1::EnrollRequest::descriptor()->file(), seen, set);
  AddFile(*v1::ListHostsRequest::descriptor()->file(), seen, set);
  AddFile(*v1::UndoRecord::descriptor()->file(), seen, set);
  return set;
}

std::vector<std::string> BrokenPromises(const pb::FileDescriptorSet& before,
                                        const pb::FileDescriptorSet& after) {
  pb::DescriptorPool old_pool;
  pb::DescriptorPool new_pool;
  if (!Fill(old_pool, before) || !Fill(new_pool, after)) return {"a schema cannot be read"};
  Comparison comparison(new_pool);
  for (const pb::FileDescriptorProto& file : before.file()) {
    comparison.File(*old_pool.FindFileByName(file.name()));
  }
  return comparison.broken;
}

}  // namespace dumpwarden
