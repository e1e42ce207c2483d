// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/sizes.h"
#include "core/base/text.h"
#include "core/policy/policy.h"
#include "core/reconcile/observe.h"
#include "core/report/observation_report.h"

namespace dumpwarden {
namespace {

constexpr absl::string_view kHead =
    "apiVersion: dumpwarden/v1\n"
    "kind: DumpPolicy\n"
    "metadata:\n"
    "  name: observed\n"
    "spec:\n"
    "  priority: 0\n"
    "  mode: enforce\n"
    "  settings:\n";

std::string InQuotes(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

std::string Scalar(absl::string_view text) {
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-';
  });
  return plain ? std::string(text) : InQuotes(text);
}

std::string PageFileYaml(const PageFile& file) {
  std::string out = absl::StrCat("{ path: ", InQuotes(file.path));
  if (file.initial) absl::StrAppend(&out, ", initial: ", FormatBytes(*file.initial));
  if (file.maximum) absl::StrAppend(&out, ", maximum: ", FormatBytes(*file.maximum));
  return absl::StrCat(out, " }");
}

std::string ValueYaml(const Setting& setting, absl::string_view value) {
  const bool list = setting.shape == Shape::kList;
  const std::vector<PageFile> files = list ? PageFilesOf(value) : std::vector<PageFile>();
  if (files.empty()) return Scalar(value);
  const auto item = [](std::string* out, const PageFile& file) { out->append(PageFileYaml(file)); };
  return absl::StrCat("[ ", absl::StrJoin(files, ", ", item), " ]");
}

std::string Line(const Setting& setting, absl::string_view value) {
  return absl::StrCat("    ", setting.id, ": ", ValueYaml(setting, value), "\n");
}

// Only the reader knows what a policy may ask for, so the reader is asked.
bool ReadsBack(const std::string& line, absl::string_view value) {
  const absl::StatusOr<Policy> policy = ReadPolicy(absl::StrCat(kHead, line), "observed");
  return policy.ok() && policy->settings.size() == 1 && policy->settings[0].value == value;
}

std::string Comment(const Setting& setting, absl::string_view value, absl::string_view why) {
  return absl::StrCat("    # ", setting.id, ": ", Printable(value), " (", Printable(why), ")\n");
}

std::string SettingYaml(const Setting& setting, std::uint32_t build,
                        const v1::Observation& observation) {
  const ObservedCells cells = CellsOf(setting, observation);
  if (!cells.error.empty()) return Comment(setting, "not read", cells.error);
  const std::string value = Describe(setting, cells.values, build);
  const std::string ignored = WhyIgnored(setting, value, build);
  if (!ignored.empty()) return Comment(setting, value, ignored);
  const std::string line = Line(setting, value);
  return ReadsBack(line, value) ? line : Comment(setting, value, "no policy can ask for this");
}

}  // namespace

std::string PolicyYaml(const HostContext& host, const v1::Observation& observation) {
  std::string lines;
  for (const Setting& setting : AllSettings()) {
    lines += SettingYaml(setting, host.facts.os().build(), observation);
  }
  return absl::StrCat("# Written by dumpwarden-agent observe from ", Printable(host.registry),
                      ".  Set name, priority, mode and selector.\n", kHead, lines);
}

}  // namespace dumpwarden
