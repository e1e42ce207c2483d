// SPDX-License-Identifier: Apache-2.0
// The result of a setting and of a host, in words and in order.
#ifndef DUMPWARDEN_CORE_RECONCILE_STATUS_H_
#define DUMPWARDEN_CORE_RECONCILE_STATUS_H_

#include <span>

#include "absl/strings/string_view.h"
#include "dumpwarden/v1/report.pb.h"

namespace dumpwarden {

absl::string_view StatusWord(v1::Status status);    // "pending-reboot"
v1::Status StatusFromWord(absl::string_view word);  // STATUS_UNSPECIFIED when it is none
absl::string_view ModeWord(v1::Mode mode);          // "enforce"

// Worst first: error, blocked, contested, drifted, pending-reboot, unsupported,
// waived, not-applicable, corrected, compliant.
v1::Status Worse(v1::Status a, v1::Status b);
v1::Status WorstOf(std::span<const v1::Finding> findings);  // compliant when there are none

// Counts as 2 with --detailed-exitcode: blocked to pending-reboot.  Error does not: it is a
// failure,
// 1.  Ask it of each finding, because the worst may be such an error.
bool NeedsAttention(v1::Status status);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_RECONCILE_STATUS_H_
