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

// Why `resolved` cannot be placed; "" when it can.  `configured` is what stands there now: the
// fixed page files in it make room for those that replace them.
std::string WhyNotPlaced(const Setting& setting, absl::string_view resolved,
                         absl::string_view configured, const v1::Facts& facts);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_PLACEMENT_H_
