// SPDX-License-Identifier: Apache-2.0
#include "cli/audit_command.h"

#include "absl/strings/escaping.h"
#include "cli/output.h"
#include "core/base/status_macros.h"

namespace dumpwarden {
namespace {

Table AuditTable(const v1::ListAuditResponse& response) {
  Table table{{{"sequence", "SEQ"},
               {"at", "AT"},
               {"actor", "ACTOR"},
               {"source", "SOURCE"},
               {"action", "ACTION"},
               {"object", "OBJECT"},
               {"detail", "DETAIL"},
               {"before", "BEFORE"},
               {"after", "AFTER"}},
              {}};
  for (const v1::AuditEntry& entry : response.entries()) {
    table.rows.push_back({Number(entry.sequence()), When(entry.has_at(), entry.at()), entry.actor(),
                          Word(entry.source()), entry.action(), Word(entry.object()),
                          Word(entry.detail()), Word(absl::BytesToHexString(entry.before())),
                          Word(absl::BytesToHexString(entry.after()))});
  }
  return table;
}

}  // namespace

absl::StatusOr<int> RunAuditList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::uint32_t limit = kDefaultLimit;
  std::uint64_t before = 0;
  v1::ListAuditRequest request;
  invocation.app.add_option("--limit", limit, "At most this many; 0 is the default")
      ->capture_default_str();
  invocation.app.add_option("--before", before, "Only entries before this SEQ");
  invocation.app
      .add_option("--action", *request.mutable_action(), "Only this action, as policy.apply")
      ->type_name("ACTION");
  if (const auto code = ParseArguments(invocation)) return *code;
  request.set_limit(limit == 0 ? kDefaultLimit : limit);
  request.set_before_sequence(before);
  ASSIGN_OR_RETURN(const auto client, Connect(invocation));
  ASSIGN_OR_RETURN(const v1::ListAuditResponse response, client->Do(request));
  if (response.first_sequence() > 0) {
    invocation.console.err << "dumpctl: the log begins at " << response.first_sequence()
                           << ": what was before went by retention (retention.delete)\n";
  }
  invocation.console.out << Render(AuditTable(response), output.format());
  return kExitDone;
}

}  // namespace dumpwarden
