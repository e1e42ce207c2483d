// SPDX-License-Identifier: Apache-2.0
// What people may be.  A role is a word in the store; which calls it opens is
// in server/authorize.cc.  TO ADD A ROLE: a row in roles.cc, and its calls there.
#ifndef DUMPWARDEN_SERVER_IDENTITY_ROLES_H_
#define DUMPWARDEN_SERVER_IDENTITY_ROLES_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace dumpwarden {

using RoleSet = std::uint32_t;  // one bit a role
namespace roles {
inline constexpr RoleSet kViewer = 1u << 0;
inline constexpr RoleSet kAuditor = 1u << 1;
inline constexpr RoleSet kAuthor = 1u << 2;
inline constexpr RoleSet kOperator = 1u << 3;
inline constexpr RoleSet kRequester = 1u << 4;
inline constexpr RoleSet kApprover = 1u << 5;
inline constexpr RoleSet kAdmin = 1u << 6;
}  // namespace roles

struct RoleRow {
  RoleSet role;
  absl::string_view word;
  absl::string_view summary;
};
std::span<const RoleRow> AllRoles();

// Sorted, each once.  kInvalidArgument when there is none, or no such role; says which there are.
absl::StatusOr<std::vector<std::string>> CheckRoles(std::vector<std::string> words);
// Words that this program does not know give no right.
RoleSet RolesOf(const std::vector<std::string>& words);
// "author, admin" in the order of the table.
std::string RoleWords(RoleSet roles);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_SERVER_IDENTITY_ROLES_H_
