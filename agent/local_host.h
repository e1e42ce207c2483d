// SPDX-License-Identifier: Apache-2.0
// The host of a command line: --registry and --facts opened and read, and
// policies from files made into what is desired of it.
#ifndef DUMPWARDEN_AGENT_LOCAL_HOST_H_
#define DUMPWARDEN_AGENT_LOCAL_HOST_H_

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/registry/folders.h"
#include "agent/registry/open.h"
#include "core/base/clock.h"
#include "core/base/vfs.h"
#include "core/policy/merge.h"
#include "core/reconcile/apply.h"
#include "core/report/plan_report.h"

namespace dumpwarden {

struct LocalHostOptions {
  std::string registry;  // reg:FILE | hive:FILE[,FILE]
  std::string facts;     // FILE; empty = nothing is known of the host
  bool force_dirty = false;
};

// LocalHost owns what stands for one host.  Opening it writes nothing.
class LocalHost {
 public:
  static absl::StatusOr<std::unique_ptr<LocalHost>> Open(const LocalHostOptions& options);

  v1::Observation Look(const Desired& desired);
  Applier MakeApplier();
  // Whether an interrupted apply waits to be undone.
  absl::StatusOr<bool> IsInterrupted();
  // What is known now: warnings are read from the registry.
  HostContext Context();
  // The same for who writes nothing: with a warning when a kill left something to mend.
  absl::StatusOr<HostContext> ContextBeforeMending();

  Vfs& vfs() { return *vfs_; }
  const v1::Facts& facts() const { return facts_; }

 private:
  LocalHost(const LocalHostOptions& options, std::unique_ptr<Vfs> vfs, v1::Facts facts,
            OpenedRegistry opened);

  std::string spec_;
  std::unique_ptr<Vfs> vfs_;
  std::unique_ptr<Clock> clock_;
  v1::Facts facts_;
  MountedFolders folders_;
  OpenedRegistry opened_;
};

// Reads and merges the policies of `paths` for a host with these facts.  Says on `err` which of
// them are not for it.  kInvalidArgument with every problem of all of them, a line each.
absl::StatusOr<Desired> ReadDesired(Vfs& vfs, const std::vector<std::string>& paths,
                                    const v1::Facts& facts, std::ostream& err);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_AGENT_LOCAL_HOST_H_
