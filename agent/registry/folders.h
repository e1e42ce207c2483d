// SPDX-License-Identifier: Apache-2.0
// Managed dump folders of a host whose volumes are mounted here: by the `mount`
// of the facts' volumes.  No symbolic link is followed, and nothing outside a
// mount is reached.
#ifndef DUMPWARDEN_AGENT_REGISTRY_FOLDERS_H_
#define DUMPWARDEN_AGENT_REGISTRY_FOLDERS_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/reconcile/folders.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// MountedFolders finds names without case, as Windows does.  %SystemRoot% is the folder Windows
// of the boot volume.
class MountedFolders : public Folders {
 public:
  explicit MountedFolders(v1::Facts facts) : facts_(std::move(facts)) {}

  absl::StatusOr<Presence> Look(const std::string& path) override;
  absl::Status Make(const std::string& path) override;
  absl::Status RemoveIfEmpty(const std::string& path) override;

 private:
  struct Place {
    std::string mount;               // empty: cannot look
    std::vector<std::string> parts;  // below the mount
  };
  absl::StatusOr<Place> Locate(const std::string& path) const;

  v1::Facts facts_;
};

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_REGISTRY_FOLDERS_H_
