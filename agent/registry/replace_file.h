// SPDX-License-Identifier: Apache-2.0
#ifndef DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_
#define DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "core/base/vfs.h"

namespace dumpwarden {

// As WriteDurably, and the new file has the mode and owner of the one it
// replaces: a registry file belongs to whoever made it, not to the agent.
absl::Status ReplaceFile(Vfs& vfs, const std::string& path, absl::string_view bytes);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_REPLACE_FILE_H_
