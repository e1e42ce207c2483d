// SPDX-License-Identifier: Apache-2.0
// Registry data in JSON: DWORD and QWORD as numbers, SZ and EXPAND_SZ as a
// string, MULTI_SZ as an array of strings, all else (and data that is not what
// its type says) as lower-case hex; absent is null.
#ifndef DUMPWARDEN_CORE_REPORT_REGISTRY_DATA_H_
#define DUMPWARDEN_CORE_REPORT_REGISTRY_DATA_H_

#include <optional>

#include "core/catalog/registry_value.h"
#include "core/report/table.h"

namespace dumpwarden {

Datum RegistryData(const std::optional<RegistryValue>& value);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_REGISTRY_DATA_H_
