// SPDX-License-Identifier: Apache-2.0
// The catalogue.  TO ADD A SETTING: add a row, in order of id.  Reader, agent,
// plan, reports and reference page follow from it, and the tests walk it.
// `source` names the section of windows-crash-dumps.md and the tag there; what
// is tagged [U] is not a fact and no row rests on it.
#include "core/catalog/catalog.h"
#include "core/catalog/check_rows.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kCrashControl =
    "HKLM\\SYSTEM\\CurrentControlSet\\Control\\CrashControl";
constexpr absl::string_view kMemoryManagement =
    "HKLM\\SYSTEM\\CurrentControlSet\\Control\\Session Manager\\Memory Management";

constexpr std::uint32_t kWindows8 = 9200;    // and Server 2012
constexpr std::uint32_t kWindows10 = 10240;  // Server 2016 is 14393

constexpr Setting kSettings[] = {
    {.id = "dump.auto-reboot",
     .summary = "Whether Windows restarts by itself after a bug check.",
     .shape = Shape::kSwitch,
     .cells = {{{kCrashControl, "AutoReboot"}}},
     .fallback = {{{0, "on"}}},
     .effective = Effect::kNextBoot,  // whether it is read again at the bug check is not known
     .source = "1.2 [SA-rec], 4.1"},

    {.id = "dump.dedicated-file",
     .summary = "The file that takes the raw dump in place of the page file.",
     .shape = Shape::kText,
     .cells = {{{kCrashControl, "DedicatedDumpFile", RegType::kSz}}},
     .min = 4,
     .max = 150,
     .text = TextKind::kDedicatedDumpFile,
     .effective = Effect::kNextBoot,
     .source = "1.2 [WSD-core][CDWP]"},

    {.id = "dump.dedicated-file-size",
     .summary = "The size of the dedicated dump file.",
     .shape = Shape::kSize,
     .cells = {{{kCrashControl, "DumpFileSize"}}},
     .min = 1,
     .max = 16777216,
     .effective = Effect::kNextBoot,
     .source = "1.2 [WSD-core]"},

    {.id = "dump.file",
     .summary = "The file that a kernel, automatic, active or complete dump ends in.",
     .shape = Shape::kText,
     .cells = {{{kCrashControl, "DumpFile", RegType::kExpandSz}}},
     .min = 8,
     .max = 200,
     .text = TextKind::kDumpFile,
     .fallback = {{{0, "%SystemRoot%\\MEMORY.DMP"}}},
     .effective = Effect::kNextBoot,
     .source = "1.2 [SA-opt]"},

    {.id = "dump.log-event",
     .summary = "Whether a bug check leaves an event in the System log.",
     .shape = Shape::kSwitch,
     .cells = {{{kCrashControl, "LogEvent"}}},
     .fallback = {{{0, "on"}}},
     .effective = Effect::kNextBoot,
     .source = "1.2 [SA-rec]"},

    {.id = "dump.minidump-dir",
     .summary = "The folder that small memory dumps end in.",
     .shape = Shape::kText,
     .cells = {{{kCrashControl, "MinidumpDir", RegType::kExpandSz}}},
     .min = 4,
     .max = 200,
     .text = TextKind::kDumpFolder,
     .fallback = {{{0, "%SystemRoot%\\Minidump"}}},
     .effective = Effect::kImmediate,
     .source = "1.2 [SA-opt][CDWP]"},

    {.id = "dump.overwrite",
     .summary = "Whether a new dump replaces the one that an earlier crash left.",
     .shape = Shape::kSwitch,
     .cells = {{{kCrashControl, "Overwrite"}}},
     .fallback = {{{0, "on"}}},
     .effective = Effect::kImmediate,
     .source = "1.2 [SA-rec][CDWP]"},

    {.id = "dump.type",
     .summary = "Which memory dump a bug check writes.",
     .shape = Shape::kOneOf,
     .cells = {{{kCrashControl, "CrashDumpEnabled"}, {kCrashControl, "FilterPages"}}},
     .choices = {{{"none", {Number(0), kCleared}},
                  {"small", {Number(3), kCleared}},
                  {"kernel", {Number(2), kCleared}},
                  {"automatic", {Number(7), kCleared}, kWindows8},
                  {"active", {Number(1), Number(1)}, kWindows10},
                  {"complete", {Number(1), kAbsent}}}},
     .fallback = {{{0, "kernel"}, {kWindows8, "automatic"}}},
     .effective = Effect::kNextBoot,
     .source = "1.1 [SA-rec][SA-opt][WDD-active-memory-dump][WDD-automatic-memory-dump][HIVE]"},

    {.id = "nmi.crash",
     .summary = "Whether a non-maskable interrupt makes Windows bug check.",
     .shape = Shape::kSwitch,
     .cells = {{{kCrashControl, "NMICrashDump"}}},
     .builds = {0, kWindows8,
                "Windows 8, Server 2012 and later always bug check on an NMI and ignore "
                "NMICrashDump"},
     .effective = Effect::kNextBoot,
     .source = "1.2 [SA-gen][SA-nmi]"},

    // No fallback: 3.2 says what an empty list means, and nothing of an absent value.
    {.id = "pagefile.files",
     .summary = "The page files that Windows makes at boot.",
     .shape = Shape::kList,
     .cells = {{{kMemoryManagement, "PagingFiles", RegType::kMultiSz}}},
     .min = 1,
     .max = 16,
     .item = ItemKind::kPageFile,
     .effective = Effect::kNextBoot,
     .source = "3.1, 3.2 [SA-frz][ROS-smss]"},
};
static_assert(CheckRows(kSettings));

}  // namespace

std::span<const Setting> AllSettings() { return kSettings; }

}  // namespace dumpwarden
