// SPDX-License-Identifier: Apache-2.0
// Every cap on what a host may say and on how many may be there: at the limit,
// one above it, and a hundred times.  Above it nothing is kept, the host is told
// what is accepted, and others go on.
#include <functional>

#include "server/fleet/checks.h"
#include "tests/server/fleet/fleet_rig.h"

namespace dumpwarden {
namespace {

using testing::HasSubstr;
using Count = std::size_t;

constexpr Count kWord = 256;
constexpr Count kText = 4200;
constexpr Count kCellData = 16 * 1024;

v1::Finding& AddFinding(v1::Report& report) {
  v1::Finding& finding = *report.add_findings();
  finding.set_setting(absl::StrCat("s", report.findings_size()));
  finding.set_status(v1::STATUS_COMPLIANT);
  finding.set_mode(v1::MODE_ENFORCE);
  return finding;
}

v1::DriftEvent& AddEvent(v1::Report& report) {
  v1::DriftEvent& event = *report.add_events();
  event.set_sequence(static_cast<std::uint64_t>(report.events_size()));
  event.set_kind(v1::DriftEvent::KIND_DRIFTED);
  event.set_mode(v1::MODE_ENFORCE);
  return event;
}

v1::Cell& AddCell(v1::Report& report) {
  v1::Cell& cell = *report.mutable_observation()->add_cells();
  cell.set_name(absl::StrCat("c", report.observation().cells_size()));
  return cell;
}

struct Cap {
  const char* what;  // as the host is told
  Count limit;
  std::function<void(v1::Report&, Count)> fill;
};

std::string X(Count count) { return std::string(count, 'x'); }

const std::vector<Cap>& ReportCaps() {
  static const std::vector<Cap> kCaps = {
      {"findings", kMaxFindings,
       [](auto& r, Count n) {
         while (static_cast<Count>(r.findings_size()) < n) AddFinding(r);
       }},
      {"removed", kMaxFindings,
       [](auto& r, Count n) {
         for (Count i = 0; i < n; ++i) r.add_removed("enforce x");
       }},
      {"events", kMaxEvents,
       [](auto& r, Count n) {
         while (static_cast<Count>(r.events_size()) < n) AddEvent(r);
       }},
      {"cells", kMaxCells,
       [](auto& r, Count n) {
         while (static_cast<Count>(r.observation().cells_size()) < n) AddCell(r);
       }},
      {"folders", kMaxFolders,
       [](auto& r, Count n) {
         for (Count i = 0; i < n; ++i) {
           r.mutable_observation()->add_folders()->set_path(absl::StrCat(i));
         }
       }},
      {"warnings", kMaxFolders,
       [](auto& r, Count n) {
         for (Count i = 0; i < n; ++i) r.mutable_observation()->add_warnings("w");
       }},
      {"bytes of findings.setting", kWord,
       [](auto& r, Count n) { AddFinding(r).set_setting(X(n)); }},
      {"bytes of findings.policy", kWord, [](auto& r, Count n) { AddFinding(r).set_policy(X(n)); }},
      {"bytes of findings.desired", kText,
       [](auto& r, Count n) { AddFinding(r).set_desired(X(n)); }},
      {"bytes of findings.configured", kText,
       [](auto& r, Count n) { AddFinding(r).set_configured(X(n)); }},
      {"bytes of findings.reason", kText, [](auto& r, Count n) { AddFinding(r).set_reason(X(n)); }},
      {"bytes of removed", kWord + 8, [](auto& r, Count n) { r.add_removed(X(n)); }},
      {"bytes of events.setting", kWord, [](auto& r, Count n) { AddEvent(r).set_setting(X(n)); }},
      {"bytes of events.policy", kWord, [](auto& r, Count n) { AddEvent(r).set_policy(X(n)); }},
      {"bytes of events.old_value", kText,
       [](auto& r, Count n) { AddEvent(r).set_old_value(X(n)); }},
      {"bytes of events.new_value", kText,
       [](auto& r, Count n) { AddEvent(r).set_new_value(X(n)); }},
      {"bytes of events.desired", kText, [](auto& r, Count n) { AddEvent(r).set_desired(X(n)); }},
      {"bytes of cells.key", kWord, [](auto& r, Count n) { AddCell(r).set_key(X(n)); }},
      {"bytes of cells.name", kWord, [](auto& r, Count n) { AddCell(r).set_name(X(n)); }},
      {"bytes of cells.data", kCellData, [](auto& r, Count n) { AddCell(r).set_data(X(n)); }},
      {"bytes of cells.error", kText, [](auto& r, Count n) { AddCell(r).set_error(X(n)); }},
      {"bytes of folders.path", kText,
       [](auto& r, Count n) { r.mutable_observation()->add_folders()->set_path(X(n)); }},
      {"bytes of folders.error", kText,
       [](auto& r, Count n) { r.mutable_observation()->add_folders()->set_error(X(n)); }},
      {"bytes of warnings", kText,
       [](auto& r, Count n) { r.mutable_observation()->add_warnings(X(n)); }},
  };
  return kCaps;
}

// What is too much is refused before anybody computes its digest.
v1::AgentMessage FullReport(v1::Report report, bool too_much) {
  report.set_full(true);
  HostState after;
  if (!too_much) ApplyReport(report, after);
  return ReportMessage(std::move(report), 1, after);
}

class Caps : public FleetRig {
 protected:
  void SetUp() override {
    FleetRig::SetUp();
    other_session_ = Join(Enroll(1), other_);
  }
  // Another host, which was there before.
  void ExpectOthersGoOn() {
    clock_.Advance(absl::Seconds(1));
    v1::Report report;
    report.set_full(true);
    ASSERT_TRUE(Tell(other_session_, other_, ReportMessage(report, ++other_reports_, {})));
    EXPECT_EQ(other_.ack().sequence(), other_reports_) << other_.goodbye().message();
  }
  // Of a host that nobody has seen before.
  v1::Goodbye AnswerTo(const v1::AgentMessage& message, bool& acknowledged) {
    host_ = Enroll(++hosts_);
    CountingStream stream;
    const SessionId session = Join(host_, stream);
    EXPECT_TRUE(Tell(session, stream, message));
    fleet_->OnClosed(session);
    acknowledged = stream.ack().sequence() == 1;
    return stream.goodbye();
  }

  CountingStream other_;
  SessionId other_session_ = 0;
  std::uint64_t other_reports_ = 0;
  HostRow host_;
  int hosts_ = 1;
};

TEST_F(Caps, HoldForEverythingInAReport) {
  for (const Cap& cap : ReportCaps()) {
    for (const Count count : {cap.limit, cap.limit + 1, 100 * cap.limit}) {
      SCOPED_TRACE(absl::StrCat(cap.what, ": ", count));
      v1::Report report;
      cap.fill(report, count);
      bool acknowledged = false;
      const v1::Goodbye goodbye =
          AnswerTo(FullReport(std::move(report), count > cap.limit), acknowledged);
      EXPECT_EQ(acknowledged, count == cap.limit) << goodbye.message();
      const HostRow kept = store_->FindHost(host_.uuid).value();
      EXPECT_EQ(kept.sequence, count == cap.limit ? 1u : 0u);
      if (count == cap.limit) continue;
      EXPECT_EQ(goodbye.reason(), v1::Goodbye::REASON_PROTOCOL);
      EXPECT_EQ(goodbye.message(),
                absl::StrCat(cap.what, ": ", count, " is more than the accepted ", cap.limit));
      EXPECT_TRUE(store_->ReadState(host_.id)->findings.empty());
    }
    ExpectOthersGoOn();
  }
}

TEST_F(Caps, HoldForWhatReportsAddUpTo) {
  HostState state;
  v1::Finding& finding = state.findings.emplace_back();
  const auto grow_to = [&](Count bytes) {
    finding.set_desired("");
    finding.set_desired(X(bytes - state.observation.ByteSizeLong() - finding.ByteSizeLong() - 5));
    while (finding.ByteSizeLong() < bytes) finding.mutable_desired()->push_back('x');
    return CheckState(state);
  };
  EXPECT_THAT(grow_to(kMaxStateBytes), IsOk());
  EXPECT_THAT(grow_to(kMaxStateBytes + 1),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes of state in all")));
  EXPECT_THAT(grow_to(100 * kMaxStateBytes),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes of state in all")));
}

// Each is below the size of a message; the one that goes over is not kept.
TEST_F(Caps, HoldForAStateThatGrowsInSmallSteps) {
  const HostRow host = Enroll(++hosts_);
  CountingStream stream;
  const SessionId session = Join(host, stream);
  HostState state;
  std::uint64_t sequence = 0;
  while (stream.goodbye().reason() == v1::Goodbye::REASON_UNSPECIFIED && sequence < 10) {
    const HostState before = state;
    for (int i = 0; i < 70; ++i) {
      v1::Finding& finding = state.findings.emplace_back();
      finding.set_setting(absl::StrFormat("s%06d", state.findings.size()));
      finding.set_status(v1::STATUS_BLOCKED);
      finding.set_mode(v1::MODE_ENFORCE);
      finding.set_desired(X(kText));
      finding.set_configured(X(kText));
      finding.set_reason(X(kText));
    }
    v1::Report report = MakeReport(sequence == 0 ? nullptr : &before, state);
    ASSERT_LT(report.ByteSizeLong(), kMaxAgentMessage);
    ASSERT_TRUE(Tell(session, stream, ReportMessage(std::move(report), ++sequence, state)));
  }
  EXPECT_EQ(sequence, 5u);
  EXPECT_THAT(stream.goodbye().message(), HasSubstr("bytes of state in all"));
  EXPECT_EQ(store_->FindHost(host.uuid)->sequence, 4u);
  ExpectOthersGoOn();
}

TEST_F(Caps, HoldForFactsAndTheSessionGoesOn) {
  const auto volumes = [](Count count) {
    v1::AgentMessage message;
    for (Count i = 0; i < count; ++i) {
      message.mutable_facts()->add_volumes()->set_path(absl::StrCat("v", i));
    }
    return message;
  };
  for (const Count count : {Count{kMaxVolumes}, Count{kMaxVolumes + 1}, Count{100 * kMaxVolumes}}) {
    SCOPED_TRACE(count);
    bool acknowledged = false;
    const v1::Goodbye goodbye = AnswerTo(volumes(count), acknowledged);
    EXPECT_EQ(goodbye.reason(), v1::Goodbye::REASON_UNSPECIFIED) << goodbye.message();
    EXPECT_EQ(store_->FindHost(host_.uuid)->facts_digest.empty(), count > kMaxVolumes);
    ExpectOthersGoOn();
  }
}

TEST_F(Caps, HoldForPoliciesAskedFor) {
  for (const Count count : {Count{1000}, Count{1001}, Count{100'000}}) {
    SCOPED_TRACE(count);
    v1::AgentMessage message;
    for (Count i = 0; i < count; ++i) message.mutable_policy_request()->add_digests("d");
    bool acknowledged = false;
    const v1::Goodbye goodbye = AnswerTo(message, acknowledged);
    EXPECT_EQ(goodbye.reason(),
              count == 1000 ? v1::Goodbye::REASON_UNSPECIFIED : v1::Goodbye::REASON_PROTOCOL);
    ExpectOthersGoOn();
  }
}

TEST_F(Caps, HoldForHello) {
  const struct {
    const char* what;
    Count limit;
    std::function<void(v1::Hello&, std::string)> set;
  } caps[] = {
      {"instance", 64, [](auto& h, auto text) { h.set_instance(std::move(text)); }},
      {"agent_version", kWord, [](auto& h, auto text) { h.set_agent_version(std::move(text)); }},
      {"host_name", kWord, [](auto& h, auto text) { h.set_host_name(std::move(text)); }},
      {"boot.id", kWord, [](auto& h, auto text) { h.mutable_boot()->set_id(std::move(text)); }},
  };
  for (const auto& cap : caps) {
    for (const Count count : {cap.limit, cap.limit + 1, 100 * cap.limit}) {
      SCOPED_TRACE(absl::StrCat(cap.what, ": ", count));
      v1::AgentMessage message;
      message.mutable_hello()->set_protocol_min(1);
      message.mutable_hello()->set_protocol_max(1);
      message.mutable_hello()->set_instance("one");
      cap.set(*message.mutable_hello(), X(count));
      CountingStream stream;
      const HostRow host = Enroll(++hosts_);
      const SessionId session = Open(host, stream);
      fleet_->OnMessage(session, message);
      EXPECT_EQ(fleet_->IsConnected(host.id), count == cap.limit);
      EXPECT_THAT(stream.goodbye().message(), HasSubstr(count > cap.limit ? cap.what : ""));
      fleet_->OnClosed(session);
    }
    ExpectOthersGoOn();
  }
}

// At the limit all are let in; the one above, and four hundred more, are not.
TEST_F(Caps, HoldForTheSessionsOfOneHost) {
  const HostRow host = Enroll(++hosts_);
  std::vector<std::unique_ptr<CountingStream>> streams;
  for (int i = 0; i < 4; ++i) {
    ASSERT_THAT(fleet_->CheckRoom(host), IsOk());
    Open(host, *streams.emplace_back(std::make_unique<CountingStream>()));
    EXPECT_EQ(streams.back()->goodbye().reason(), v1::Goodbye::REASON_UNSPECIFIED);
  }
  for (int i = 4; i < 400; ++i) {
    ASSERT_THAT(fleet_->CheckRoom(host),
                StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("too many open")));
  }
  EXPECT_EQ(fleet_->OpenStreams(), 5u) << "nothing of them is kept";
  ExpectOthersGoOn();
}

TEST_F(Caps, HoldForTheSessionsOfAll) {
  FleetOptions options;
  options.max_sessions = 8;
  fleet_->OnClosed(other_session_);
  Begin(options);
  other_session_ = Join(Enroll(2000), other_);
  std::vector<HostRow> hosts;
  for (int i = 1; i < 40; ++i) hosts.push_back(Enroll(2000 + i));
  std::vector<std::unique_ptr<CountingStream>> streams;
  for (std::size_t i = 0; i < 799; ++i) {
    CountingStream& stream = *streams.emplace_back(std::make_unique<CountingStream>());
    const SessionId session = Open(i < 7 ? hosts[i] : hosts[7 + i % 32], stream);
    if (i < 7) {
      ASSERT_EQ(stream.goodbye().reason(), v1::Goodbye::REASON_UNSPECIFIED);
      continue;
    }
    ASSERT_EQ(stream.goodbye().reason(), v1::Goodbye::REASON_DRAIN);
    ASSERT_THAT(stream.goodbye().message(), HasSubstr("limits.sessions"));
    fleet_->OnClosed(session);
  }
  EXPECT_EQ(fleet_->OpenStreams(), 8u);
  other_reports_ = 0;
  ExpectOthersGoOn();
}

}  // namespace
}  // namespace dumpwarden
