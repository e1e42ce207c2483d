// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CLI_POLICY_COMMAND_H_
#define DUMPWARDEN_CLI_POLICY_COMMAND_H_

#include "cli/commands.h"

namespace dumpwarden {

absl::StatusOr<int> RunPolicyCheck(Invocation& invocation);
absl::StatusOr<int> RunPolicyPlan(Invocation& invocation);
absl::StatusOr<int> RunPolicyApply(Invocation& invocation);
absl::StatusOr<int> RunPolicyDelete(Invocation& invocation);
absl::StatusOr<int> RunPolicyList(Invocation& invocation);
absl::StatusOr<int> RunPolicyShow(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_POLICY_COMMAND_H_
