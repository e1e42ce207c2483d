// SPDX-License-Identifier: Apache-2.0
// What dumpwarden-agent does for one host without a server.
#ifndef DUMPWARDEN_AGENT_LOCAL_COMMANDS_H_
#define DUMPWARDEN_AGENT_LOCAL_COMMANDS_H_

#include "agent/commands.h"

namespace dumpwarden {

int RunSettings(Invocation& invocation);
int RunObserve(Invocation& invocation);
int RunPlan(Invocation& invocation);
int RunApply(Invocation& invocation);
int RunRestore(Invocation& invocation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_LOCAL_COMMANDS_H_
