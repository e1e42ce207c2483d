// SPDX-License-Identifier: Apache-2.0
#include "server/fleet/checks.h"

#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/base/status_macros.h"
#include "core/base/timestamp.h"
#include "core/policy/facts.h"
#include "core/policy/policy_set.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kDigestBytes = 32;
constexpr std::size_t kEpochBytes = 16;
constexpr std::size_t kMaxInstanceBytes = 64;
constexpr std::size_t kMaxWord = 256;
constexpr std::size_t kMaxText = 4200;                // an agent cuts at 4096 and adds "..."
constexpr std::size_t kMaxFindingKey = kMaxWord + 8;  // "enforce " in front of the setting
constexpr std::size_t kMaxCellData = 16 * 1024;
constexpr std::uint64_t kMaxSequence = std::uint64_t{1} << 62;  // the store's numbers are signed

absl::Status AtMost(absl::string_view what, std::size_t count, std::size_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", count, " is more than the accepted ", limit));
}

absl::Status Bytes(absl::string_view what, const std::string& value, std::size_t size,
                   bool optional = false) {
  if (value.size() == size || (optional && value.empty())) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": ", value.size(), " bytes; ", size, " are accepted"));
}

absl::Status Time(absl::string_view what, const google::protobuf::Timestamp& at) {
  if (IsSendable(at)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(what, ": a time outside 1970 to 9999 is not accepted"));
}

absl::Status Word(absl::string_view what, const std::string& value) {
  return AtMost(absl::StrCat("bytes of ", what), value.size(), kMaxWord);
}

absl::Status Text(absl::string_view what, const std::string& value) {
  return AtMost(absl::StrCat("bytes of ", what), value.size(), kMaxText);
}

// `known`: is the number one of the enum's words?
absl::Status Known(absl::string_view what, int number, bool known) {
  if (known) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      what, ": ", number, " is none that this server knows; upgrade the server first"));
}

absl::Status CheckCell(const v1::Cell& cell) {
  RETURN_IF_ERROR(Word("cells.key", cell.key()));
  RETURN_IF_ERROR(Word("cells.name", cell.name()));
  RETURN_IF_ERROR(AtMost("bytes of cells.data", cell.data().size(), kMaxCellData));
  return Text("cells.error", cell.error());
}

absl::Status CheckCells(const v1::Observation& observation) {
  RETURN_IF_ERROR(AtMost("cells", static_cast<std::size_t>(observation.cells_size()), kMaxCells));
  std::set<std::pair<absl::string_view, absl::string_view>> seen;
  for (const v1::Cell& cell : observation.cells()) {
    RETURN_IF_ERROR(CheckCell(cell));
    if (!seen.emplace(cell.key(), cell.name()).second) {
      return absl::InvalidArgumentError("cells: one comes twice; each is accepted once");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckObservation(const v1::Observation& observation) {
  RETURN_IF_ERROR(CheckCells(observation));
  RETURN_IF_ERROR(
      AtMost("folders", static_cast<std::size_t>(observation.folders_size()), kMaxFolders));
  for (const v1::Folder& folder : observation.folders()) {
    RETURN_IF_ERROR(Text("folders.path", folder.path()));
    RETURN_IF_ERROR(Text("folders.error", folder.error()));
  }
  RETURN_IF_ERROR(
      AtMost("warnings", static_cast<std::size_t>(observation.warnings_size()), kMaxFolders));
  for (const std::string& warning : observation.warnings()) {
    RETURN_IF_ERROR(Text("warnings", warning));
  }
  return absl::OkStatus();
}

absl::Status CheckFinding(const v1::Finding& finding) {
  RETURN_IF_ERROR(Word("findings.setting", finding.setting()));
  RETURN_IF_ERROR(
      Known("findings.status", finding.status(),
            v1::Status_IsValid(finding.status()) && finding.status() != v1::STATUS_UNSPECIFIED));
  RETURN_IF_ERROR(
      Known("findings.mode", finding.mode(),
            v1::Mode_IsValid(finding.mode()) && finding.mode() != v1::MODE_UNSPECIFIED));
  RETURN_IF_ERROR(Text("findings.desired", finding.desired()));
  RETURN_IF_ERROR(Text("findings.configured", finding.configured()));
  RETURN_IF_ERROR(Word("findings.policy", finding.policy()));
  RETURN_IF_ERROR(AtMost("findings.policy_version", finding.policy_version(), kMaxPolicyVersion));
  return Text("findings.reason", finding.reason());
}

absl::Status CheckFindings(const v1::Report& report) {
  RETURN_IF_ERROR(
      AtMost("findings", static_cast<std::size_t>(report.findings_size()), kMaxFindings));
  std::set<std::pair<v1::Mode, absl::string_view>> seen;
  for (const v1::Finding& finding : report.findings()) {
    RETURN_IF_ERROR(CheckFinding(finding));
    if (!seen.emplace(finding.mode(), finding.setting()).second) {
      return absl::InvalidArgumentError(
          "findings: one of a mode and a setting comes twice; each is accepted once");
    }
  }
  RETURN_IF_ERROR(AtMost("removed", static_cast<std::size_t>(report.removed_size()), kMaxFindings));
  for (const std::string& removed : report.removed()) {
    RETURN_IF_ERROR(AtMost("bytes of removed", removed.size(), kMaxFindingKey));
  }
  return absl::OkStatus();
}

absl::Status CheckEvent(const v1::DriftEvent& event) {
  RETURN_IF_ERROR(Time("events.at", event.at()));
  RETURN_IF_ERROR(AtMost("events.sequence", event.sequence(), kMaxSequence));
  if (event.sequence() == 0) {
    return absl::InvalidArgumentError("events.sequence: 0; events are numbered from 1");
  }
  RETURN_IF_ERROR(AtMost("events.drift_sequence", event.drift_sequence(), kMaxSequence));
  RETURN_IF_ERROR(AtMost("events.count", event.count(), kMaxSequence));
  RETURN_IF_ERROR(Known("events.kind", event.kind(),
                        v1::DriftEvent::Kind_IsValid(event.kind()) &&
                            event.kind() != v1::DriftEvent::KIND_UNSPECIFIED));
  RETURN_IF_ERROR(Known("events.mode", event.mode(), v1::Mode_IsValid(event.mode())));
  RETURN_IF_ERROR(Word("events.setting", event.setting()));
  RETURN_IF_ERROR(Text("events.old_value", event.old_value()));
  RETURN_IF_ERROR(Text("events.new_value", event.new_value()));
  RETURN_IF_ERROR(Text("events.desired", event.desired()));
  return Word("events.policy", event.policy());
}

absl::Status CheckEvents(const v1::Report& report) {
  RETURN_IF_ERROR(AtMost("events", static_cast<std::size_t>(report.events_size()), kMaxEvents));
  for (const v1::DriftEvent& event : report.events()) RETURN_IF_ERROR(CheckEvent(event));
  return absl::OkStatus();
}

absl::Status CheckOpenDrifts(const v1::OpenDrifts& open) {
  RETURN_IF_ERROR(
      AtMost("open_drifts", static_cast<std::size_t>(open.drifts_size()), kMaxFindings));
  for (const v1::OpenDrifts::Drift& drift : open.drifts()) {
    RETURN_IF_ERROR(AtMost("open_drifts.sequence", drift.sequence(), kMaxSequence));
    RETURN_IF_ERROR(Word("open_drifts.setting", drift.setting()));
    RETURN_IF_ERROR(Known("open_drifts.mode", drift.mode(), v1::Mode_IsValid(drift.mode())));
  }
  return absl::OkStatus();
}

absl::Status CheckVolume(const v1::Facts::Volume& volume) {
  RETURN_IF_ERROR(Word("volumes.path", volume.path()));
  RETURN_IF_ERROR(Word("volumes.kind", volume.kind()));
  return Text("volumes.mount", volume.mount());
}

}  // namespace

absl::Status CheckHello(const v1::Hello& hello) {
  if (hello.protocol_min() > kProtocol || hello.protocol_max() < kProtocol) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no common protocol: the agent speaks ", hello.protocol_min(), " to ", hello.protocol_max(),
        ", this server ", kProtocol, "; upgrade the older of the two"));
  }
  RETURN_IF_ERROR(AtMost("agent_version", hello.agent_version().size(), kMaxWord));
  RETURN_IF_ERROR(AtMost("host_name", hello.host_name().size(), kMaxWord));
  RETURN_IF_ERROR(AtMost("instance", hello.instance().size(), kMaxInstanceBytes));
  if (hello.instance().empty()) {
    return absl::InvalidArgumentError("instance: empty; the nonce of the process is needed");
  }
  RETURN_IF_ERROR(Bytes("epoch", hello.epoch(), kEpochBytes, true));
  RETURN_IF_ERROR(Bytes("catalog_digest", hello.catalog_digest(), kDigestBytes, true));
  RETURN_IF_ERROR(Word("boot.id", hello.boot().id()));
  RETURN_IF_ERROR(Time("boot.at", hello.boot().at()));
  RETURN_IF_ERROR(Bytes("facts_digest", hello.facts_digest(), kDigestBytes, true));
  RETURN_IF_ERROR(Bytes("policy_digest", hello.policy_digest(), kDigestBytes, true));
  return Bytes("state_digest", hello.state_digest(), kDigestBytes, true);
}

absl::Status CheckFacts(const v1::Facts& facts) {
  RETURN_IF_ERROR(Word("os.product", facts.os().product()));
  RETURN_IF_ERROR(AtMost("volumes", static_cast<std::size_t>(facts.volumes_size()), kMaxVolumes));
  for (const v1::Facts::Volume& volume : facts.volumes()) RETURN_IF_ERROR(CheckVolume(volume));
  RETURN_IF_ERROR(AtMost("labels", facts.labels().size(), kMaxWord));
  RETURN_IF_ERROR(CheckLabels({facts.labels().begin(), facts.labels().end()}));
  RETURN_IF_ERROR(AtMost("bytes of boot.id", facts.boot().id().size(), kMaxBootIdBytes));
  return Time("boot.at", facts.boot().at());
}

absl::Status CheckReport(const v1::Report& report) {
  RETURN_IF_ERROR(Bytes("epoch", report.epoch(), kEpochBytes));
  RETURN_IF_ERROR(Bytes("state_digest", report.state_digest(), kDigestBytes));
  RETURN_IF_ERROR(Bytes("policy_digest", report.policy_digest(), kDigestBytes, true));
  RETURN_IF_ERROR(Time("at", report.at()));
  RETURN_IF_ERROR(AtMost("sequence", report.sequence(), kMaxSequence));
  if (report.sequence() == 0) {
    return absl::InvalidArgumentError("sequence: 0; reports are numbered from 1");
  }
  RETURN_IF_ERROR(CheckFindings(report));
  RETURN_IF_ERROR(CheckEvents(report));
  RETURN_IF_ERROR(CheckOpenDrifts(report.open_drifts()));
  return CheckObservation(report.observation());
}

absl::Status CheckCheckIn(const v1::CheckIn& check_in) {
  RETURN_IF_ERROR(Bytes("policy_digest", check_in.policy_digest(), kDigestBytes, true));
  return Bytes("state_digest", check_in.state_digest(), kDigestBytes, true);
}

absl::Status CheckPolicyRequest(const v1::PolicyRequest& request) {
  return AtMost("digests", static_cast<std::size_t>(request.digests_size()), kMaxPolicies);
}

absl::Status CheckState(const HostState& state) {
  RETURN_IF_ERROR(AtMost("findings in all", state.findings.size(), kMaxFindings));
  RETURN_IF_ERROR(CheckObservation(state.observation));
  std::size_t bytes = state.observation.ByteSizeLong();
  for (const v1::Finding& finding : state.findings) bytes += finding.ByteSizeLong();
  return AtMost("bytes of state in all", bytes, kMaxStateBytes);
}

}  // namespace dumpwarden
