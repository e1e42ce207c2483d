// SPDX-License-Identifier: Apache-2.0
#include "tests/simulation/drafts.h"

#include <array>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace dumpwarden::sim {
namespace {

constexpr const char* kRoles[] = {"sql", "web", "file"};

struct Choice {
  const char* setting;
  const char* values[6];
};
constexpr Choice kChoices[] = {
    {"dump.auto-reboot", {"on", "off"}},
    {"dump.dedicated-file", {"'D:\\dedicated.sys'", "unset"}},
    {"dump.dedicated-file-size", {"4096MiB", "16GiB", "unset"}},
    {"dump.file", {"'D:\\Dumps\\MEMORY.DMP'", "'%SystemRoot%\\MEMORY.DMP'", "'E:\\Gone\\M.DMP'"}},
    {"dump.log-event", {"on", "off"}},
    {"dump.minidump-dir", {"'D:\\Mini'", "'%SystemRoot%\\Minidump'"}},
    {"dump.overwrite", {"on", "off", "unset"}},
    {"dump.type", {"none", "small", "kernel", "automatic", "active", "complete"}},
    {"nmi.crash", {"on", "off"}},
    {"pagefile.files",
     {"automatic",
      "[ { path: 'C:\\pagefile.sys', initial: ram + 257MiB, maximum: ram + 257MiB } ]"}},
};

absl::string_view ValueOf(const Choice& choice, Chance& chance) {
  int count = 0;
  while (count < 6 && choice.values[count] != nullptr) ++count;
  return choice.values[chance.Below(count)];
}

std::string Settings(Chance& chance) {
  std::string text;
  for (const Choice& choice : kChoices) {
    if (!chance.Happens(0.25)) continue;
    absl::StrAppend(&text, "    ", choice.setting, ": ", std::string(ValueOf(choice, chance)),
                    "\n");
  }
  return text.empty() ? "    dump.type: kernel\n" : text;
}

std::string Selector(Chance& chance) {
  switch (chance.Below(4)) {
    case 0:
    case 1:
      return "";
    case 2:
      return absl::StrCat("  selector:\n    matchLabels: { role: ", kRoles[chance.Below(3)],
                          " }\n");
    default:
      return "  selector:\n    matchExpressions:\n"
             "      - { key: os.build, operator: Gte, values: [\"14393\"] }\n";
  }
}

void AddVolume(const char* path, bool boot, v1::Facts& facts) {
  v1::Facts::Volume& volume = *facts.add_volumes();
  volume.set_path(path);
  volume.set_kind("fixed");
  volume.set_total(std::uint64_t{200} << 30);
  volume.set_free(std::uint64_t{100} << 30);
  volume.set_boot(boot);
}

}  // namespace

std::string DraftPolicy(Chance& chance) {
  const int name = chance.Below(6);
  const char* mode = chance.Happens(0.8) ? "enforce" : "audit";
  return absl::StrCat("apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata:\n  name: policy-",
                      name, "\n  description: draft ", chance.Below(1000000),
                      "\nspec:\n  priority: ", 10 * chance.Between(1, 3), "\n  mode: ", mode, "\n",
                      Selector(chance), "  settings:\n", Settings(chance));
}

void DraftHost(Machine& machine) {
  Chance& chance = machine.world.chance;
  v1::Facts& facts = machine.facts;
  facts.mutable_os()->set_build(chance.Happens(0.8) ? 20348 : 7601);
  facts.mutable_os()->set_product("server");
  facts.mutable_memory()->set_bytes(std::uint64_t{8} << (30 + chance.Below(3)));
  facts.mutable_boot()->set_id("boot-1");
  (*facts.mutable_labels())["role"] = kRoles[chance.Below(3)];
  AddVolume("C:\\", true, facts);
  AddVolume("D:\\", false, facts);
  facts.set_volumes_known(true);
  machine.folders.AddDrive("C:\\");
  machine.folders.AddDrive("D:\\");
  for (int i = 0; i < 6; ++i) {
    const CellChange change = DraftCellChange(chance);
    if (change.value) machine.registry.Set(change.cell.key, change.cell.name, *change.value);
  }
}

void DraftFactsChange(Chance& chance, v1::Facts& facts) {
  if (chance.Happens(0.5)) {
    (*facts.mutable_labels())["role"] = kRoles[chance.Below(3)];
  } else {
    facts.mutable_memory()->set_bytes(std::uint64_t{8} << (30 + chance.Below(3)));
  }
}

CellChange DraftCellChange(Chance& chance) {
  const std::span<const Setting> settings = AllSettings();
  const Setting& setting =
      settings[static_cast<std::size_t>(chance.Below(static_cast<int>(settings.size())))];
  const auto cell = static_cast<std::size_t>(chance.Below(static_cast<int>(CellCount(setting))));
  CellChange change{{setting.cells[cell].key, setting.cells[cell].name}, std::nullopt};
  if (chance.Happens(0.2)) return change;
  if (setting.cells[cell].type == RegType::kDword || chance.Happens(0.2)) {
    change.value = DwordValue(static_cast<std::uint32_t>(chance.Below(8)));
  } else {
    const std::string text = absl::StrCat("C:\\Other", chance.Below(3), "\\m.dmp");
    change.value = setting.cells[cell].type == RegType::kMultiSz
                       ? MultiSzValue({absl::StrCat(text, " 0 0")})
                   : setting.cells[cell].type == RegType::kExpandSz ? ExpandSzValue(text)
                                                                    : SzValue(text);
  }
  return change;
}

}  // namespace dumpwarden::sim
