// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CLI_HOST_COMMAND_H_
#define DUMPWARDEN_CLI_HOST_COMMAND_H_

#include "cli/commands.h"

namespace dumpwarden {

absl::StatusOr<int> RunHostList(Invocation& invocation);
absl::StatusOr<int> RunHostShow(Invocation& invocation);
absl::StatusOr<int> RunHostExplain(Invocation& invocation);
absl::StatusOr<int> RunHostRevoke(Invocation& invocation);
absl::StatusOr<int> RunHostApprove(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_HOST_COMMAND_H_
