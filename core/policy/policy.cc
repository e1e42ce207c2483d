// SPDX-License-Identifier: Apache-2.0
#include "core/policy/policy.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "core/base/yaml.h"
#include "core/base/yaml_reader.h"
#include "core/catalog/catalog.h"
#include "core/policy/policy_set.h"

namespace dumpwarden {
namespace {

constexpr std::int64_t kMaxPriority = 1000000;
constexpr std::size_t kMaxName = 63;

bool IsPolicyName(absl::string_view name) {
  const auto is_end = [](char c) {
    return absl::ascii_islower(static_cast<unsigned char>(c)) ||
           absl::ascii_isdigit(static_cast<unsigned char>(c));
  };
  return !name.empty() && name.size() <= kMaxName && is_end(name.front()) && is_end(name.back()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_end(c) || c == '-' || c == '.'; });
}

// A value of an unknown row on one line, so that two of them can be compared.
std::string OneLine(const yaml::Node& node) {
  switch (node.kind) {
    case yaml::Node::Kind::kNull:
      return "null";
    case yaml::Node::Kind::kScalar:
      return Printable(node.scalar);
    case yaml::Node::Kind::kList:
      return absl::StrCat("[",
                          absl::StrJoin(node.items, ", ",
                                        [](std::string* out, const yaml::Node& item) {
                                          out->append(OneLine(item));
                                        }),
                          "]");
    case yaml::Node::Kind::kMap:
      return absl::StrCat("{",
                          absl::StrJoin(node.entries, ", ",
                                        [](std::string* out, const yaml::Entry& entry) {
                                          absl::StrAppend(out, Printable(entry.key), ": ",
                                                          OneLine(entry.value));
                                        }),
                          "}");
  }
  return "";
}

class PolicyReader {
 public:
  PolicyReader(UnknownSettings unknown, Problems& problems)
      : unknown_(unknown), problems_(problems) {}

  Policy Read(const yaml::Node& document);

 private:
  // Whether the document is a DumpPolicy; what is wrong inside another kind is not ours to say.
  bool ReadKind(yaml::MapReader& reader, const yaml::Node& document);
  bool RequireWord(yaml::MapReader& reader, const yaml::Node& document, absl::string_view key,
                   absl::string_view accepted);
  void ReadMetadata(const yaml::Node& node);
  void ReadSpec(const yaml::Node& node);
  void ReadMode(yaml::MapReader& reader, const yaml::Node& node);
  void ReadSettings(const yaml::Node& node, absl::string_view path);
  void ReadSetting(const yaml::Entry& entry, absl::string_view path);

  UnknownSettings unknown_;
  Problems& problems_;
  Policy policy_;
};

Policy PolicyReader::Read(const yaml::Node& document) {
  yaml::MapReader reader(document, "", problems_);
  if (!ReadKind(reader, document)) return {};
  if (const yaml::Node* metadata = reader.Require("metadata")) ReadMetadata(*metadata);
  if (const yaml::Node* spec = reader.Require("spec")) ReadSpec(*spec);
  reader.Finish();
  return std::move(policy_);
}

bool PolicyReader::ReadKind(yaml::MapReader& reader, const yaml::Node& document) {
  const bool version = RequireWord(reader, document, "apiVersion", "dumpwarden/v1");
  const bool kind = RequireWord(reader, document, "kind", "DumpPolicy");
  return version && kind;
}

bool PolicyReader::RequireWord(yaml::MapReader& reader, const yaml::Node& document,
                               absl::string_view key, absl::string_view accepted) {
  const std::optional<std::string> word = reader.RequireText(key);
  if (!word || *word == accepted) return word.has_value();
  const std::string nearest = NearestWord(*word, {std::string(accepted)});
  problems_.Add(
      document.Find(key)->mark, reader.PathOf(key),
      absl::StrCat("unknown ", key, " ", Quote(*word), "; accepted: ", accepted,
                   nearest.empty() ? "" : absl::StrCat("; did you mean `", nearest, "`?")));
  return false;
}

void PolicyReader::ReadMetadata(const yaml::Node& node) {
  yaml::MapReader reader(node, "metadata", problems_);
  if (const std::optional<std::string> name = reader.RequireText("name")) {
    policy_.name = *name;
    if (!IsPolicyName(*name)) {
      problems_.Add(node.Find("name")->mark, reader.PathOf("name"),
                    absl::StrCat(Quote(*name),
                                 " is not a policy name; accepted: at most 63 of a-z 0-9 - . that "
                                 "begin and end with a letter or digit"));
    }
  }
  policy_.description = reader.TakeText("description").value_or("");
  const auto version = reader.TakeInteger("version", 1, std::int64_t{kMaxPolicyVersion});
  if (version) policy_.version = static_cast<std::uint64_t>(*version);
  reader.Finish();
}

void PolicyReader::ReadSpec(const yaml::Node& node) {
  yaml::MapReader reader(node, "spec", problems_);
  const auto priority = reader.TakeInteger("priority", -kMaxPriority, kMaxPriority);
  policy_.priority = static_cast<std::int32_t>(priority.value_or(0));
  ReadMode(reader, node);
  if (const yaml::Node* selector = reader.Take("selector")) {
    policy_.selector = ReadSelector(
        *selector, reader.PathOf("selector"), problems_,
        unknown_ == UnknownSettings::kKeep ? UnknownFacts::kKeep : UnknownFacts::kRefuse);
  }
  if (const yaml::Node* settings = reader.Require("settings")) {
    ReadSettings(*settings, reader.PathOf("settings"));
  }
  reader.Finish();
}

void PolicyReader::ReadMode(yaml::MapReader& reader, const yaml::Node& node) {
  const std::optional<std::string> mode = reader.TakeText("mode");
  if (!mode || *mode == "enforce") return;
  if (*mode == "audit") {
    policy_.mode = v1::MODE_AUDIT;
    return;
  }
  problems_.Add(node.Find("mode")->mark, reader.PathOf("mode"),
                absl::StrCat("unknown mode ", Quote(*mode), "; accepted: enforce, audit"));
}

void PolicyReader::ReadSettings(const yaml::Node& node, absl::string_view path) {
  const yaml::MapReader checks_that_it_is_a_map(node, path, problems_);
  if (node.kind == yaml::Node::Kind::kMap && node.entries.empty()) {
    problems_.Add(node.mark, path, "there is no setting; a policy sets at least one");
  }
  for (const yaml::Entry& entry : node.entries) ReadSetting(entry, path);
  std::sort(policy_.settings.begin(), policy_.settings.end(),
            [](const DesiredValue& a, const DesiredValue& b) { return a.setting < b.setting; });
}

void PolicyReader::ReadSetting(const yaml::Entry& entry, absl::string_view path) {
  const bool keep = unknown_ == UnknownSettings::kKeep;
  const Setting* setting = FindSetting(entry.key);
  if (setting == nullptr && !keep) {
    const std::string nearest = NearestWord(entry.key, SettingIds());
    problems_.Add(
        entry.mark, path,
        absl::StrCat("unknown setting ", Quote(entry.key), "; ",
                     nearest.empty() ? absl::StrCat("accepted: ", absl::StrJoin(SettingIds(), ", "))
                                     : absl::StrCat("did you mean `", nearest, "`?")));
    return;
  }
  std::optional<std::string> value;
  if (setting != nullptr) {
    Problems ignored(problems_.file());
    value = ReadValue(*setting, entry.value, absl::StrCat(path, ".", entry.key),
                      keep ? ignored : problems_);
    if (!value && !keep) return;
  }
  const bool known = value.has_value();
  policy_.settings.push_back({entry.key, known ? *std::move(value) : OneLine(entry.value), known});
}

}  // namespace

absl::StatusOr<Policy> ReadPolicy(absl::string_view yaml, absl::string_view file,
                                  UnknownSettings unknown) {
  Problems problems(file);
  Policy policy;
  yaml::Limits limits;
  limits.bytes = kMaxPolicyBytes;
  if (const auto documents = yaml::Parse(yaml, limits, problems)) {
    policy = PolicyReader(unknown, problems).Read(documents->front());
  }
  if (!problems.empty()) return problems.ToStatus();
  return policy;
}

}  // namespace dumpwarden
