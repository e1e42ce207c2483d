// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_CLI_AUDIT_COMMAND_H_
#define DUMPWARDEN_CLI_AUDIT_COMMAND_H_

#include "cli/commands.h"

namespace dumpwarden {

absl::StatusOr<int> RunAuditList(Invocation& invocation);
absl::StatusOr<int> RunAuditExport(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CLI_AUDIT_COMMAND_H_
