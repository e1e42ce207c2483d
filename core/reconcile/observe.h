// SPDX-License-Identifier: Apache-2.0
// Looking, without touching.  An observation is what the plan is made from and
// what is reported, so that the server can plan for the host.
#ifndef DUMPWARDEN_CORE_RECONCILE_OBSERVE_H_
#define DUMPWARDEN_CORE_RECONCILE_OBSERVE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/catalog/catalog.h"
#include "core/policy/merge.h"
#include "core/reconcile/folders.h"
#include "core/reconcile/registry.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// Reads every cell of every row, and looks for the folders that `desired` names, and above one
// that is absent for those that lead to it.
// A cell that cannot be read carries the error; the others are read all the same.
v1::Observation Observe(Registry& registry, Folders& folders, const Desired& desired,
                        const v1::Facts& facts);

// A row's cells out of an observation, which may be of an older or newer
// table: a cell that it lacks makes `error` say so.
struct ObservedCells {
  std::vector<CellValue> values;  // one a cell of the row
  std::string error;
};
// The folder that must exist for Windows to use `value`, D:\Dumps; "" when there
// is none to look after: no path, the root of a volume, or below %SystemRoot%.
std::string FolderNeededBy(const Setting& setting, absl::string_view value);
// The one above D:\A\B, D:\A; "" above D:\A.
std::string FolderAbove(absl::string_view folder);

ObservedCells CellsOf(const Setting& setting, const v1::Observation& observation);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_OBSERVE_H_
