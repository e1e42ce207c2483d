// SPDX-License-Identifier: Apache-2.0
// Policies from files, folders and standard input, as bytes and as read.
#ifndef DUMPWARDEN_CLI_POLICY_FILES_H_
#define DUMPWARDEN_CLI_POLICY_FILES_H_

#include <istream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/policy/policy.h"

namespace dumpwarden {

struct PolicyFile {
  std::string name;  // as given; "-" for standard input
  std::string yaml;
  Policy policy;
};

// Every policy of `paths`: a file, a folder (its *.yaml and *.yml, by name), or - for `in`.
// kInvalidArgument with every problem of all of them, a line each.
absl::StatusOr<std::vector<PolicyFile>> ReadPolicyFiles(const std::vector<std::string>& paths,
                                                        std::istream& in);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_POLICY_FILES_H_
