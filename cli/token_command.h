// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CLI_TOKEN_COMMAND_H_
#define DUMPWARDEN_CLI_TOKEN_COMMAND_H_

#include "cli/commands.h"

namespace dumpwarden {

absl::StatusOr<int> RunTokenCreate(Invocation& invocation);
absl::StatusOr<int> RunTokenList(Invocation& invocation);
absl::StatusOr<int> RunTokenRevoke(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_TOKEN_COMMAND_H_
