// SPDX-License-Identifier: Apache-2.0
#include "cli/token_file.h"

#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "core/base/problems.h"
#include "core/base/yaml.h"
#include "core/base/yaml_reader.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxTokens = 1000;
// Above the reader's own limit, so that it is the reader who says what is too large.
constexpr std::size_t kMaxRead = 1024 * 1024;

void ReadLabels(const yaml::Node& node, const std::string& path, Problems& problems,
                v1::CreateTokenRequest& token) {
  if (node.kind != yaml::Node::Kind::kMap) {
    return problems.Add(node.mark, path,
                        absl::StrCat("found ", yaml::Found(node), "; a map is accepted"));
  }
  for (const yaml::Entry& label : node.entries) {
    if (label.value.kind == yaml::Node::Kind::kScalar) {
      (*token.mutable_labels())[label.key] = label.value.scalar;
    } else {
      problems.Add(label.value.mark, absl::StrCat(path, ".", label.key),
                   absl::StrCat("found ", yaml::Found(label.value), "; a word is accepted"));
    }
  }
}

v1::CreateTokenRequest ReadToken(const yaml::Node& node, const std::string& path,
                                 Problems& problems) {
  v1::CreateTokenRequest token;
  const std::size_t before = problems.messages().size();
  yaml::MapReader reader(node, path, problems);
  token.set_expected_name(reader.TakeText("name").value_or(""));
  token.set_hold(reader.TakeBool("hold").value_or(false));
  if (const yaml::Node* labels = reader.Take("labels")) {
    ReadLabels(*labels, reader.PathOf("labels"), problems, token);
  }
  reader.Finish();
  const bool sound = problems.messages().size() == before;
  if (sound && token.expected_name().empty() && token.labels().empty()) {
    problems.Add(node.mark, path, "has neither a name nor labels; one of them is expected");
  }
  return token;
}

}  // namespace

absl::StatusOr<v1::CreateTokensRequest> ParseTokens(absl::string_view yaml,
                                                    const std::string& file) {
  Problems problems(file);
  const std::optional<std::vector<yaml::Node>> documents = yaml::Parse(yaml, {}, problems);
  if (!documents.has_value()) return problems.ToStatus();
  v1::CreateTokensRequest request;
  const yaml::Node nothing;
  const yaml::Node& list = documents->empty() ? nothing : documents->front();
  if (list.kind != yaml::Node::Kind::kList || list.items.empty() ||
      list.items.size() > kMaxTokens) {
    problems.Add(list.mark, "",
                 absl::StrCat("a list of 1 to ", kMaxTokens, " tokens is expected, as in\n",
                              "  - { name: web-01, labels: { role: web } }"));
    return problems.ToStatus();
  }
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    *request.add_tokens() = ReadToken(list.items[i], absl::StrCat("[", i, "]"), problems);
  }
  if (!problems.empty()) return problems.ToStatus();
  return request;
}

absl::StatusOr<v1::CreateTokensRequest> ReadTokenFile(const std::string& path, std::istream& in) {
  if (path == "-") {
    std::string text(kMaxRead, '\0');
    in.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<std::size_t>(in.gcount()));
    return ParseTokens(text, path);
  }
  const absl::StatusOr<std::string> text = MakeSystemVfs()->Read(path, kMaxRead);
  if (text.ok()) return ParseTokens(*text, path);
  return Trouble(absl::StatusCode::kInvalidArgument, absl::StrCat("cannot read ", path),
                 text.status().message(), "name a file with a list of tokens, or - for stdin");
}

}  // namespace dumpwarden
