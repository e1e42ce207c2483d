// SPDX-License-Identifier: Apache-2.0
// Whether the volumes of a host can take what a setting names.  Without known
// volumes there is nothing to hold a value against, and every value passes.
#ifndef DUMPWARDEN_CORE_RECONCILE_PLACEMENT_H_
#define DUMPWARDEN_CORE_RECONCILE_PLACEMENT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "core/catalog/catalog.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

// What a value replaces: what is in use, which the disk holds now and gives back.
struct InUse {
  std::string value;     // as Describe spells it
  bool at_boot = false;  // as read at this boot; otherwise taken to be what is configured
};

struct Placement {
  std::string blocked;  // why the value cannot be placed; "" when it can
  std::string note;     // what the verdict rests on or leaves open; "" when nothing
};
Placement Place(const Setting& setting, absl::string_view resolved, const InUse& in_use,
                const v1::Facts& facts);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_PLACEMENT_H_
