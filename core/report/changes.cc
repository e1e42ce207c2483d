// SPDX-License-Identifier: Apache-2.0
#include "core/report/changes.h"

#include "core/report/registry_data.h"

namespace dumpwarden {
namespace {

Datum TypeOf(const Edit& edit) {
  const std::optional<RegistryValue>& value =
      edit.action == Edit::Action::kDelete ? edit.from : edit.to;
  if (!value) return std::monostate();
  return TypeName(value->type);
}

Datum NameOf(const Edit& edit) {
  if (edit.action == Edit::Action::kMakeFolder) return std::monostate();
  return edit.name;
}

}  // namespace

Table ChangeTable(std::span<const Edit> edits) {
  Table table{{{"setting", "SETTING"},
               {"key", "KEY"},
               {"name", "NAME"},
               {"action", "ACTION"},
               {"type", "TYPE"},
               {"from", "FROM"},
               {"to", "TO"}},
              {}};
  for (const Edit& edit : edits) {
    table.rows.push_back({edit.setting, edit.key, NameOf(edit),
                          std::string(ActionWord(edit.action)), TypeOf(edit),
                          RegistryData(edit.from), RegistryData(edit.to)});
  }
  return table;
}

std::string ValueText(const std::optional<RegistryValue>& value) {
  return value ? ToText(*value) : "absent";
}

}  // namespace dumpwarden
