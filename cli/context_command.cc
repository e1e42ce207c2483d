// SPDX-License-Identifier: Apache-2.0
// What dumpctl.yaml holds, without asking any server.
#include "cli/context_command.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "cli/contexts.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "platform/keys.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxPemBytes = 256 * 1024;
constexpr char kOperator[] = "/operator/";

void AddConfig(Invocation& invocation) {
  invocation.app.add_option("--config", invocation.server.config, "dumpctl.yaml to use")
      ->type_name("FILE");
}

// Of the context's certificate; empty when it cannot be read.
CertificateSummary SummaryOf(Vfs& vfs, const Context& context) {
  const auto pem = vfs.Read(context.certificate, kMaxPemBytes);
  if (!pem.ok()) return {};
  const auto chain = ReadCertificatesPem(*pem);
  if (!chain.ok() || chain->empty()) return {};
  return Summarize(*chain->front()).value_or(CertificateSummary());
}

Table ContextTable(Vfs& vfs, const Configuration& configuration) {
  Table table{{{"name", "NAME"},
               {"current", "CURRENT"},
               {"server", "SERVER"},
               {"operator", "OPERATOR"},
               {"certificate_expires", "UNTIL"}},
              {}};
  for (const Context& context : configuration.contexts) {
    const CertificateSummary own = SummaryOf(vfs, context);
    const std::size_t at = own.spiffe_id.find(kOperator);
    const bool known = at != std::string::npos;
    table.rows.push_back(
        {context.name, context.name == configuration.current, context.server,
         Word(known ? own.spiffe_id.substr(at + sizeof kOperator - 1) : ""),
         Word(known ? absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", own.not_after, absl::UTCTimeZone())
                    : "")});
  }
  return table;
}

}  // namespace

absl::StatusOr<int> RunContextList(Invocation& invocation) {
  const OutputOption output(invocation.app);
  AddConfig(invocation);
  if (const auto code = ParseArguments(invocation)) return *code;
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const std::string file = ConfigurationPath(invocation.server.config, invocation.environment);
  ASSIGN_OR_RETURN(const Configuration configuration, LoadConfiguration(*vfs, file));
  invocation.console.out << Render(ContextTable(*vfs, configuration), output.format());
  return kExitDone;
}

absl::StatusOr<int> RunContextUse(Invocation& invocation) {
  std::string name;
  bool dry_run = false;
  AddConfig(invocation);
  invocation.app.add_option("NAME", name, "Of a context in dumpctl.yaml")->required();
  invocation.app.add_flag("--dry-run", dry_run, "Check, and change nothing");
  if (const auto code = ParseArguments(invocation)) return *code;
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const std::string file = ConfigurationPath(invocation.server.config, invocation.environment);
  ASSIGN_OR_RETURN(Configuration configuration, LoadConfiguration(*vfs, file));
  std::vector<std::string> names;
  for (const Context& context : configuration.contexts) names.push_back(context.name);
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    return Trouble(absl::StatusCode::kNotFound, absl::StrCat("there is no context ", Quote(name)),
                   absl::StrCat(file, " has ", names.empty() ? "none" : absl::StrJoin(names, ", ")),
                   "see dumpctl context list; dumpctl login makes one");
  }
  configuration.current = name;
  if (!dry_run) {
    RETURN_IF_ERROR(WriteDurably(*vfs, file, FormatConfiguration(configuration, file)));
  }
  invocation.console.out << "context/" << Printable(name) << " is the current one"
                         << (dry_run ? " (dry run)" : "") << "\n";
  return kExitDone;
}

}  // namespace dumpwarden
