// SPDX-License-Identifier: Apache-2.0
#include "core/base/yaml_reader.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"

namespace dumpwarden::yaml {

MapReader::MapReader(const Node& node, absl::string_view path, Problems& problems)
    : node_(node), path_(path), problems_(problems) {
  if (node.kind == Node::Kind::kMap) return;
  problems_.Add(node.mark, path_,
                absl::StrCat("found ", KindName(node.kind), "; a map (key: value) is accepted"));
}

std::string MapReader::PathOf(absl::string_view key) const {
  return absl::StrCat(path_, path_.empty() ? "" : ".", key);
}

const Node* MapReader::Take(absl::string_view key) {
  known_.emplace_back(key);
  return node_.kind == Node::Kind::kMap ? node_.Find(key) : nullptr;
}

const Node* MapReader::Require(absl::string_view key) {
  const Node* value = Take(key);
  if (value == nullptr && node_.kind == Node::Kind::kMap) {
    problems_.Add(node_.mark, path_, absl::StrCat("`", key, "` is missing; it is required"));
  }
  return value;
}

std::optional<std::string> MapReader::TextOf(const Node* value, absl::string_view key) {
  if (value == nullptr) return std::nullopt;
  if (value->kind == Node::Kind::kScalar) return value->scalar;
  problems_.Add(value->mark, PathOf(key),
                absl::StrCat("found ", KindName(value->kind), "; a text is accepted"));
  return std::nullopt;
}

std::optional<std::string> MapReader::TakeText(absl::string_view key) {
  return TextOf(Take(key), key);
}

std::optional<std::string> MapReader::RequireText(absl::string_view key) {
  return TextOf(Require(key), key);
}

std::optional<std::int64_t> MapReader::TakeInteger(absl::string_view key, std::int64_t min,
                                                   std::int64_t max) {
  const Node* value = Take(key);
  if (value == nullptr) return std::nullopt;
  std::int64_t number = 0;
  // Only the canonical spelling: the number printed must be the text read.
  const bool decimal = value->kind == Node::Kind::kScalar && !value->quoted &&
                       absl::SimpleAtoi(value->scalar, &number) &&
                       absl::StrCat(number) == value->scalar;
  if (decimal && number >= min && number <= max) return number;
  problems_.Add(value->mark, PathOf(key),
                absl::StrCat("found ", Found(*value), "; a whole decimal number from ", min, " to ",
                             max, " is accepted, without quotes"));
  return std::nullopt;
}

std::optional<bool> MapReader::TakeBool(absl::string_view key) {
  const Node* value = Take(key);
  if (value == nullptr) return std::nullopt;
  if (value->kind == Node::Kind::kScalar && !value->quoted) {
    if (value->scalar == "true") return true;
    if (value->scalar == "false") return false;
  }
  problems_.Add(value->mark, PathOf(key),
                absl::StrCat("found ", Found(*value), "; true or false is accepted"));
  return std::nullopt;
}

void MapReader::Finish() {
  for (const Entry& entry : node_.entries) {
    if (std::find(known_.begin(), known_.end(), entry.key) != known_.end()) continue;
    const std::string nearest = NearestWord(entry.key, known_);
    problems_.Add(
        entry.mark, path_,
        absl::StrCat("unknown key ", Quote(entry.key), "; accepted: ", absl::StrJoin(known_, ", "),
                     nearest.empty() ? "" : absl::StrCat("; did you mean `", nearest, "`?")));
  }
}

std::string Found(const Node& node) {
  if (node.kind != Node::Kind::kScalar) return KindName(node.kind);
  return node.quoted ? absl::StrCat("the quoted text ", Quote(node.scalar)) : Quote(node.scalar);
}

}  // namespace dumpwarden::yaml
