// SPDX-License-Identifier: Apache-2.0
#include "core/reconcile/state_digest.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/reconcile/status.h"

namespace dumpwarden {
namespace {

std::string Bytes(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream out(&stream);
    out.SetSerializationDeterministic(true);  // maps by key
    message.SerializeToCodedStream(&out);
  }
  return bytes;
}

// Lengths go in front, so that no two lists add up to the same bytes.
std::string DigestOf(std::vector<std::string> parts) {
  std::sort(parts.begin(), parts.end());
  std::string all;
  for (const std::string& part : parts) absl::StrAppend(&all, part.size(), ":", part);
  return Sha256(all);
}

template <typename Messages>
std::string DigestOfAll(const Messages& messages) {
  std::vector<std::string> parts;
  for (const auto& message : messages) parts.push_back(Bytes(message));
  return DigestOf(std::move(parts));
}

bool InOrder(const v1::Finding& a, const v1::Finding& b) {
  return std::make_tuple(a.mode(), a.setting()) < std::make_tuple(b.mode(), b.setting());
}

using FindingBytes = std::map<std::string, std::string>;  // by FindingKey

FindingBytes BytesOf(const std::vector<v1::Finding>& findings) {
  FindingBytes bytes;
  for (const v1::Finding& finding : findings) bytes[FindingKey(finding)] = Bytes(finding);
  return bytes;
}

std::string CellKey(const v1::Cell& cell) { return absl::StrCat(cell.key(), "\n", cell.name()); }

// A difference can change and not move, add or remove cells: with another table all are sent.
bool SameCells(const v1::Observation& a, const v1::Observation& b) {
  return std::equal(a.cells().begin(), a.cells().end(), b.cells().begin(), b.cells().end(),
                    [](const v1::Cell& x, const v1::Cell& y) { return CellKey(x) == CellKey(y); });
}

v1::Report FullReport(const HostState& state) {
  v1::Report report;
  report.set_full(true);
  for (const v1::Finding& finding : state.findings) *report.add_findings() = finding;
  *report.mutable_observation() = state.observation;
  return report;
}

void AddChangedFindings(const HostState& before, const HostState& after, v1::Report& report) {
  const FindingBytes old_bytes = BytesOf(before.findings);
  const FindingBytes new_bytes = BytesOf(after.findings);
  for (const v1::Finding& finding : after.findings) {
    const auto old = old_bytes.find(FindingKey(finding));
    const bool same = old != old_bytes.end() && old->second == Bytes(finding);
    if (!same) *report.add_findings() = finding;
  }
  for (const auto& entry : old_bytes) {
    if (new_bytes.count(entry.first) == 0) report.add_removed(entry.first);
  }
}

// Folders and warnings are few: whenever an observation is sent, all of them are.
void AddChangedObservation(const v1::Observation& before, const v1::Observation& after,
                           v1::Report& report) {
  if (Bytes(before) == Bytes(after)) return;
  v1::Observation& changed = *report.mutable_observation();
  changed = after;
  changed.clear_cells();
  for (int i = 0; i < after.cells_size(); ++i) {
    if (Bytes(before.cells(i)) != Bytes(after.cells(i))) *changed.add_cells() = after.cells(i);
  }
}

void ApplyFindings(const v1::Report& report, HostState& state) {
  std::set<std::string> replaced(report.removed().begin(), report.removed().end());
  for (const v1::Finding& finding : report.findings()) replaced.insert(FindingKey(finding));
  std::erase_if(state.findings, [&](const v1::Finding& finding) {
    return replaced.count(FindingKey(finding)) != 0;
  });
  state.findings.insert(state.findings.end(), report.findings().begin(), report.findings().end());
  std::sort(state.findings.begin(), state.findings.end(), InOrder);
}

void ApplyObservation(const v1::Observation& changed, v1::Observation& observation) {
  std::map<std::string, const v1::Cell*> cells;
  for (const v1::Cell& cell : changed.cells()) cells[CellKey(cell)] = &cell;
  for (v1::Cell& cell : *observation.mutable_cells()) {
    const auto found = cells.find(CellKey(cell));
    if (found == cells.end()) continue;
    cell = *found->second;
    cells.erase(found);
  }
  for (const v1::Cell& cell : changed.cells()) {
    if (cells.count(CellKey(cell)) != 0) *observation.add_cells() = cell;
  }
  *observation.mutable_folders() = changed.folders();
  *observation.mutable_warnings() = changed.warnings();
}

}  // namespace

std::string FindingKey(const v1::Finding& finding) {
  return absl::StrCat(ModeWord(finding.mode()), " ", finding.setting());
}

std::string StateDigest(const HostState& state) {
  const v1::Observation& observation = state.observation;
  std::vector<std::string> warnings(observation.warnings().begin(), observation.warnings().end());
  return Sha256(absl::StrCat("state/v1\n", DigestOfAll(state.findings),
                             DigestOfAll(observation.cells()), DigestOfAll(observation.folders()),
                             DigestOf(std::move(warnings))));
}

std::string FactsDigest(const v1::Facts& facts) {
  v1::Facts steady = facts;
  for (v1::Facts::Volume& volume : *steady.mutable_volumes()) {
    volume.clear_mount();
    const std::uint64_t step = std::max<std::uint64_t>(1, volume.total() / 16);
    if (volume.has_free()) volume.set_free(volume.free() / step);
  }
  std::sort(steady.mutable_volumes()->begin(), steady.mutable_volumes()->end(),
            [](const auto& a, const auto& b) { return a.path() < b.path(); });
  return Sha256(absl::StrCat("facts/v1\n", Bytes(steady)));
}

v1::Report MakeReport(const HostState* before, const HostState& after) {
  v1::Report report;
  if (before == nullptr || !SameCells(before->observation, after.observation)) {
    report = FullReport(after);
  } else {
    AddChangedFindings(*before, after, report);
    AddChangedObservation(before->observation, after.observation, report);
  }
  report.set_state_digest(StateDigest(after));
  return report;
}

void ApplyReport(const v1::Report& report, HostState& state) {
  if (report.full()) state = HostState{};
  ApplyFindings(report, state);
  if (report.full()) {
    state.observation = report.observation();
  } else if (report.has_observation()) {
    ApplyObservation(report.observation(), state.observation);
  }
}

}  // namespace dumpwarden
