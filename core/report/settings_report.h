// SPDX-License-Identifier: Apache-2.0
// The catalogue for people and programs, from its rows.
#ifndef DUMPWARDEN_CORE_REPORT_SETTINGS_REPORT_H_
#define DUMPWARDEN_CORE_REPORT_SETTINGS_REPORT_H_

#include "core/catalog/setting.h"
#include "core/report/table.h"

namespace dumpwarden {

// A row a setting, as short as a terminal wants it.
Table SettingsTable();
// Everything that a row says.
Sheet SettingSheet(const Setting& setting);

}  // namespace dumpwarden

#endif  // DUMPWARDEN_CORE_REPORT_SETTINGS_REPORT_H_
