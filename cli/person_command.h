// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CLI_PERSON_COMMAND_H_
#define DUMPWARDEN_CLI_PERSON_COMMAND_H_

#include "cli/commands.h"

namespace dumpwarden {

absl::StatusOr<int> RunPersonList(Invocation& invocation);
absl::StatusOr<int> RunPersonAdd(Invocation& invocation);
absl::StatusOr<int> RunPersonCode(Invocation& invocation);
absl::StatusOr<int> RunPersonRoles(Invocation& invocation);
absl::StatusOr<int> RunPersonRevoke(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_PERSON_COMMAND_H_
