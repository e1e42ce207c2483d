// SPDX-License-Identifier: Apache-2.0
#include "server/identity/roles.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/text.h"
#include "server/store/store.h"

namespace dumpwarden {
namespace {

constexpr RoleRow kRoles[] = {
    {roles::kViewer, "viewer", "Reads hosts, policies, compliance and drift."},
    {roles::kAuditor, "auditor", "Reads, and sees the audit log and the people."},
    {roles::kAuthor, "author", "Reads, and puts policies in force or takes them out."},
    {roles::kOperator, "operator",
     "Reads, and says which hosts are in the fleet: tokens, revocation."},
    {roles::kRequester, "requester", "Reads; is to request crashes of hosts."},
    {roles::kApprover, "approver", "Reads; is to approve them, with a key of the root file."},
    {roles::kAdmin, kAdminRole, "All of that but to sign for crashes, and people and their roles."},
};

const RoleRow* FindRole(absl::string_view word) {
  const auto* at = std::find_if(std::begin(kRoles), std::end(kRoles),
                                [&](const RoleRow& row) { return row.word == word; });
  return at == std::end(kRoles) ? nullptr : at;
}

}  // namespace

std::span<const RoleRow> AllRoles() { return kRoles; }

absl::StatusOr<std::vector<std::string>> CheckRoles(std::vector<std::string> words) {
  constexpr RoleSet kAll = ~RoleSet{0};
  if (words.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a role is missing; there are ", RoleWords(kAll)));
  }
  for (const std::string& word : words) {
    if (FindRole(word) != nullptr) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("there is no role ", Quote(word), "; there are ", RoleWords(kAll)));
  }
  std::sort(words.begin(), words.end());
  words.erase(std::unique(words.begin(), words.end()), words.end());
  return words;
}

RoleSet RolesOf(const std::vector<std::string>& words) {
  RoleSet roles = 0;
  for (const std::string& word : words) {
    const RoleRow* row = FindRole(word);
    if (row != nullptr) roles |= row->role;
  }
  return roles;
}

std::string RoleWords(RoleSet roles) {
  std::vector<absl::string_view> words;
  for (const RoleRow& row : kRoles) {
    if ((roles & row.role) != 0) words.push_back(row.word);
  }
  return absl::StrJoin(words, ", ");
}

}  // namespace dumpwarden
