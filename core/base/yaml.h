// SPDX-License-Identifier: Apache-2.0
// A strict tree of a YAML file.  Anchors, aliases, tags, duplicate keys, keys
// that are not scalars, deep nesting and over-long input are refused before a
// tree is built.  Scalars stay text: what "on" means is for the reader to say.
// yaml.cc is the only file that sees yaml-cpp, and the only one that catches.
#ifndef DUMPWARDEN_CORE_BASE_YAML_H_
#define DUMPWARDEN_CORE_BASE_YAML_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/base/problems.h"

namespace dumpwarden::yaml {

struct Entry;

struct Node {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  Mark mark;
  std::string scalar;          // kScalar
  bool quoted = false;         // kScalar: was in quotes or a block
  std::vector<Node> items;     // kList
  std::vector<Entry> entries;  // kMap, in the order of the file

  const Node* Find(absl::string_view key) const;  // kMap; null when absent
};

struct Entry {
  std::string key;
  Mark mark;  // of the key
  Node value;
};

const char* KindName(Node::Kind kind);  // "nothing", "a word", "a list", "a map"

struct Limits {
  std::size_t bytes = 256 * 1024;  // of one document
  int depth = 16;
  int nodes = 20000;
  int documents = 1;
};

// The documents of the file; nullopt after adding to `problems`.
std::optional<std::vector<Node>> Parse(absl::string_view text, const Limits& limits,
                                       Problems& problems);

}  // namespace dumpwarden::yaml

#endif  // DUMPWARDEN_CORE_BASE_YAML_H_
