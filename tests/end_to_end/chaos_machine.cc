// SPDX-License-Identifier: Apache-2.0
#include "tests/end_to_end/chaos_machine.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"

namespace dumpwarden {
namespace {

constexpr char kAuditWants[] = "C:\\Mini";

std::string Expand(const std::string& text) {
  std::string data = "hex(2):";
  for (const char c : text) absl::StrAppend(&data, absl::Hex(c, absl::kZeroPad2), ",00,");
  return data + "00,00";
}

std::string Dword(int number) { return absl::StrCat("dword:", absl::Hex(number, absl::kZeroPad8)); }

std::string DriftFile(int number) { return absl::StrCat("C:\\Drift\\d", number, ".dmp"); }
std::string AuditFolder(int number) { return absl::StrCat("C:\\Audit\\a", number); }
std::string BaseFile(int step) { return absl::StrCat("C:\\Dumps\\v", step, ".dmp"); }
int BaseSize(int step) { return 300001 + 2 * step; }  // odd, so that it reads as MiB
const char* BaseType(int step) {
  constexpr const char* kTypes[] = {"complete", "kernel", "active"};
  return kTypes[step % 3];
}

std::string SetData(const std::string& text, const std::string& value, const std::string& data) {
  const std::string line = absl::StrCat("\"", value, "\"=", data);
  const std::size_t at = text.find(absl::StrCat("\r\n\"", value, "\"="));
  std::string changed = text;
  if (at != std::string::npos) {
    changed.replace(at + 2, text.find("\r\n", at + 2) - at - 2, line);
    return changed;
  }
  const std::string key = "\\CrashControl]\r\n";
  changed.insert(text.find(key) + key.size(), line + "\r\n");
  return changed;
}

// The data of the cells that `base` of that step sets.
std::map<std::string, std::string> CellsOf(int step) {
  const std::string type = BaseType(step);
  return {{"CrashDumpEnabled", Dword(type == "kernel" ? 2 : 1)},
          {"DumpFile", Expand(BaseFile(step))},
          {"DumpFileSize", Dword(BaseSize(step))},
          {"FilterPages", type == "active" ? Dword(1) : ""}};
}

// Without the boot, of which a plan from outside knows nothing.
std::string Facts(bool large, bool ring) {
  const std::string known = kServer2022;
  std::string facts = known.substr(0, known.find("\nboot:") + 1);
  if (large) facts = absl::StrReplaceAll(facts, {{"17179869184", "34359738368"}});
  if (ring) absl::StrAppend(&facts, "labels: { ring: b }\n");
  return facts;
}

}  // namespace

const std::vector<ChaosSetting>& ChaosSettings() {
  static const auto& settings = *new std::vector<ChaosSetting>{
      {"dump.file", "DumpFile", false, [](int n) { return Expand(DriftFile(n)); }, DriftFile},
      {"dump.dedicated-file-size", "DumpFileSize", false, Dword,
       [](int n) { return absl::StrCat(n, "MiB"); }},
      {"dump.type", "CrashDumpEnabled", false, Dword,
       [](int n) { return absl::StrCat("0x", absl::Hex(n)); }},
      {"dump.minidump-dir", "MinidumpDir", true, [](int n) { return Expand(AuditFolder(n)); },
       AuditFolder},
  };
  return settings;
}

std::string BasePolicy(int step) {
  return absl::StrCat(
      "apiVersion: dumpwarden/v1\nkind: DumpPolicy\nmetadata: { name: base }\nspec:\n  settings:\n"
      "    dump.type: ",
      BaseType(step), "\n    dump.overwrite: off\n    dump.file: '", BaseFile(step),
      "'\n    dump.dedicated-file-size: ", BaseSize(step),
      "MiB\n    pagefile.files: [ { path: 'C:\\pagefile.sys', initial: ram + 257MiB, maximum: ram "
      "+ 257MiB } ]\n");
}

std::string BaseValue(const std::string& setting, int step) {
  if (setting == "dump.file") return BaseFile(step);
  if (setting == "dump.type") return BaseType(step);
  if (setting == "dump.dedicated-file-size") return absl::StrCat(BaseSize(step), "MiB");
  return kAuditWants;
}

std::string RegistryData(const std::string& text, const std::string& value) {
  const std::string start = absl::StrCat("\r\n\"", value, "\"=");
  const std::size_t at = text.find(start);
  if (at == std::string::npos) return "";
  return text.substr(at + start.size(), text.find("\r\n", at + 2) - at - start.size());
}

Machine::Machine(int number, int check_seconds)
    : host(absl::StrCat("host-", number), Facts(/*large=*/false, /*ring=*/false)) {
  WriteAll(host.File("agent.yaml"),
           absl::StrCat("registry: reg:host.reg\nfacts: facts.yaml\ndata: data\ncheck-seconds: ",
                        check_seconds, "\n"));
}

std::string Machine::Registry() const {
  return absl::StrReplaceAll(ReadAll(host.File("host.reg")), {{"\\\r\n  ", ""}});
}

bool Machine::BeingWritten() const {
  return std::filesystem::exists(host.File("host.reg.dumpwarden-tmp"));
}

// As a careless program does it, which read the file a moment ago.  What the agent wrote in that
// moment is gone then, and the values that it had replaced are back.
void Machine::Replace(const std::string& found, const std::string& text) {
  const std::string file = host.File("host.reg");
  const std::string other = host.File("another-program");
  NoteAside();
  WriteAll(other, text);
  if (renameat2(AT_FDCWD, other.c_str(), AT_FDCWD, file.c_str(), RENAME_EXCHANGE) != 0) abort();
  if (absl::StrReplaceAll(ReadAll(other), {{"\\\r\n  ", ""}}) == found) return;
  muddled_ = true;
  for (const auto& [id, written] : current_) written->muddled = true;
}

void Machine::Drift(const ChaosSetting& setting, int number) {
  if (setting.audit && up) TrustStatus();
  const std::string found = Registry();
  written_.push_back({&setting, number});
  Written& written = written_.back();
  Replace(found, SetData(found, setting.value, setting.data(number)));
  current_[setting.id] = &written;
  written.stood = !BeingWritten();
}

void Machine::PutBack() {
  if (up) TrustStatus();
  const std::string found = Registry();
  current_.erase("dump.minidump-dir");
  Replace(found, SetData(found, "MinidumpDir", Expand(kAuditWants)));
}

bool Machine::Stands(const Written& written) const {
  return RegistryData(Registry(), written.setting->value) == written.setting->data(written.number);
}

void Machine::TrustStatus() {
  const Finished done = host.Agent({"status", "--config", host.File("agent.yaml"), "-o", "json"});
  const Json status = Json::parse(done.out, nullptr, /*allow_exceptions=*/false);
  if (done.exit_code != 0 || status.is_discarded() || !status.contains("findings")) return;
  for (const Json& finding : status["findings"]) {
    const auto at = current_.find(finding["setting"]);
    if (at == current_.end() || !finding["configured"].is_string()) continue;
    const Written& written = *at->second;
    if (absl::StrContains(finding["configured"].get<std::string>(),
                          written.setting->shown(written.number))) {
      at->second->certain = true;
    }
  }
}

// docs/agent.md: after a kill a replacement is put back, but not over one that came since.
void Machine::NoteAside() {
  if (up || !BeingWritten()) return;
  const std::string beside =
      absl::StrReplaceAll(ReadAll(host.File("host.reg.dumpwarden-tmp")), {{"\\\r\n  ", ""}});
  for (auto& [id, written] : current_) {
    const std::string data = written->setting->data(written->number);
    written->aside = !written->certain && !Stands(*written) &&
                     RegistryData(beside, written->setting->value) == data;
  }
}

std::string Machine::Look() {
  if (BeingWritten()) return "";
  const std::string text = Registry();
  if (BeingWritten()) return "";
  for (auto& [id, written] : current_) {
    const bool there =
        RegistryData(text, written->setting->value) == written->setting->data(written->number);
    if (there) written->stood = true;
    if (!there && written->stood) written->certain = true;
  }
  return IsOfOneStep(text) ? "" : "half-applied:\n" + text + ReadAll(host.File("run.err"));
}

// Every cell that is not ours is of one step of the policy.
bool Machine::IsOfOneStep(const std::string& text) const {
  std::map<std::string, std::string> cells;
  for (const ChaosSetting& setting : ChaosSettings()) {
    const auto at = current_.find(setting.id);
    const std::string data = RegistryData(text, setting.value);
    if (setting.audit || (at != current_.end() && data == setting.data(at->second->number)))
      continue;
    cells[setting.value] = data;
    if (setting.id != "dump.type") continue;
    const std::string filter = RegistryData(text, "FilterPages");
    cells["FilterPages"] = filter == Dword(0) ? "" : filter;
  }
  for (int step = 0; step < kMaxChaosSteps; ++step) {
    const auto wanted = CellsOf(step);
    if (std::all_of(cells.begin(), cells.end(),
                    [&](const auto& cell) { return wanted.at(cell.first) == cell.second; })) {
      return true;
    }
  }
  return false;
}

void Machine::WriteFacts(std::mt19937& random) {
  const bool large = random() % 2 == 0;
  const bool ring = random() % 2 == 0;
  WriteAll(host.File("facts.new"), Facts(large, ring));
  std::filesystem::rename(host.File("facts.new"), host.File("facts.yaml"));
}

}  // namespace dumpwarden
