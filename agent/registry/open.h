// SPDX-License-Identifier: Apache-2.0
// --registry as text, made into a registry and what belongs to it.
#ifndef DUMPWARDEN_AGENT_REGISTRY_OPEN_H_
#define DUMPWARDEN_AGENT_REGISTRY_OPEN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "core/base/vfs.h"
#include "core/reconcile/apply.h"
#include "core/reconcile/registry.h"

namespace dumpwarden {

struct OpenedRegistry {
  std::unique_ptr<Registry> registry;
  ApplyPlace place;                // FILE.dumpwarden, beside the (first) file
  std::vector<std::string> files;  // to watch; they are replaced, so watch their folders
  bool is_hive = false;
};

// reg:FILE | hive:SYSTEM[,SOFTWARE].  A FILE that is a link stands for what it points to, so that
// the link stays and all its names share one lock.  `vfs` outlives the registry.
// `force_dirty`: a dirty hive may be written (a copy is kept beside it).
// kInvalidArgument for other text, kUnimplemented for win32, which needs Windows.
absl::StatusOr<OpenedRegistry> OpenRegistry(absl::string_view text, Vfs& vfs, bool force_dirty);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_OPEN_H_
