// SPDX-License-Identifier: Apache-2.0
// The edits of a plan, as agent and server show them alike to programs.
#ifndef DUMPWARDEN_CORE_REPORT_CHANGES_H_
#define DUMPWARDEN_CORE_REPORT_CHANGES_H_

#include <optional>
#include <span>
#include <string>

#include "core/reconcile/plan.h"
#include "core/report/table.h"

namespace dumpwarden {

// Values as JSON has them: registry_data.h.  The type is that of the new value, of the old one
// when it is deleted.
Table ChangeTable(std::span<const Edit> edits);

// For people: "absent" when there is none.
std::string ValueText(const std::optional<RegistryValue>& value);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_CHANGES_H_
