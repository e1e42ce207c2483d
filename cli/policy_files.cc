// SPDX-License-Identifier: Apache-2.0
#include "cli/policy_files.h"

#include <filesystem>
#include <map>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/errors.h"
#include "core/base/status_macros.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

// Above the reader's own limit, so that it is the reader who says what is too large.
constexpr std::size_t kMaxRead = 16 * 1024 * 1024;

absl::Status Unreadable(const std::string& path, absl::string_view why) {
  return Trouble(absl::StatusCode::kInvalidArgument, absl::StrCat("cannot read ", path), why,
                 "name a policy file, a folder of *.yaml files, or - for standard input");
}

std::string ReadStream(std::istream& in) {
  std::string text(kMaxRead, '\0');
  in.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(in.gcount()));
  return text;
}

bool IsFolder(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::is_directory(path, ignored);
}

absl::StatusOr<std::vector<std::string>> FilesOf(Vfs& vfs, const std::string& folder) {
  const absl::StatusOr<std::vector<std::string>> names = vfs.List(folder);
  if (!names.ok()) return Unreadable(folder, names.status().message());
  std::vector<std::string> files;
  const absl::string_view slash = absl::EndsWith(folder, "/") ? "" : "/";
  for (const std::string& name : *names) {
    if (absl::EndsWith(name, ".yaml") || absl::EndsWith(name, ".yml")) {
      files.push_back(absl::StrCat(folder, slash, name));
    }
  }
  if (files.empty()) return Unreadable(folder, "the folder holds no *.yaml file");
  return files;
}

absl::StatusOr<std::vector<std::string>> Expand(Vfs& vfs, const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (path == "-" || !IsFolder(path)) {
      files.push_back(path);
      continue;
    }
    ASSIGN_OR_RETURN(const std::vector<std::string> inside, FilesOf(vfs, path));
    files.insert(files.end(), inside.begin(), inside.end());
  }
  return files;
}

absl::StatusOr<std::string> ReadYaml(Vfs& vfs, const std::string& path, std::istream& in) {
  if (path == "-") return ReadStream(in);
  absl::StatusOr<std::string> yaml = vfs.Read(path, kMaxRead);
  if (!yaml.ok()) return Unreadable(path, yaml.status().message());
  return yaml;
}

std::vector<std::string> SecondsOfAName(const std::vector<PolicyFile>& files) {
  std::vector<std::string> problems;
  std::map<std::string, std::string> seen;  // policy -> file
  for (const PolicyFile& file : files) {
    const auto [first, added] = seen.emplace(file.policy.name, file.name);
    if (added) continue;
    problems.push_back(absl::StrCat(file.name, ":1:1: metadata.name: policy ", file.policy.name,
                                    " is in ", first->second, " too; give one another name"));
  }
  return problems;
}

}  // namespace

absl::StatusOr<std::vector<PolicyFile>> ReadPolicyFiles(const std::vector<std::string>& paths,
                                                        std::istream& in) {
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, Expand(*vfs, paths));
  std::vector<PolicyFile> files;
  std::vector<std::string> problems;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(std::string yaml, ReadYaml(*vfs, name, in));
    absl::StatusOr<Policy> policy = ReadPolicy(yaml, name);
    if (policy.ok()) {
      files.push_back({name, std::move(yaml), *std::move(policy)});
    } else {
      problems.emplace_back(policy.status().message());
    }
  }
  if (problems.empty()) problems = SecondsOfAName(files);
  if (!problems.empty()) return absl::InvalidArgumentError(absl::StrJoin(problems, "\n"));
  return files;
}

}  // namespace dumpwarden
