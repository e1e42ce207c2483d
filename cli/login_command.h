// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CLI_LOGIN_COMMAND_H_
#define DUMPWARDEN_CLI_LOGIN_COMMAND_H_

#include "cli/commands.h"

namespace dumpwarden {

absl::StatusOr<int> RunLogin(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_LOGIN_COMMAND_H_
