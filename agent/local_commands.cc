// SPDX-License-Identifier: Apache-2.0
#include "agent/local_commands.h"

#include <CLI/Validators.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/local_host.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/catalog/catalog.h"
#include "core/reconcile/status.h"
#include "core/report/observation_report.h"
#include "core/report/plan_report.h"
#include "core/report/settings_report.h"

namespace dumpwarden {
namespace {

Format FormatOf(absl::string_view word) {
  if (word == "json") return Format::kJson;
  return word == "csv" ? Format::kCsv : Format::kTable;
}

void AddOutput(CLI::App& app, std::string& word, const std::vector<std::string>& words,
               const std::string& shown) {
  app.add_option("-o,--output", word, "How to print; table when not said")
      ->check(CLI::IsMember(words).description(""))
      ->type_name(shown);
}

void AddHost(CLI::App& app, LocalHostOptions& options) {
  app.add_option("--registry", options.registry, "reg:FILE or hive:SYSTEM[,SOFTWARE]")
      ->required()
      ->check(CLI::Validator(WhyNoRegistry, ""))
      ->type_name("SPEC");
  app.add_option("--facts", options.facts, "What is known of the host: build, memory, volumes")
      ->type_name("FILE");
}

void AddForce(CLI::App& app, LocalHostOptions& options) {
  app.add_flag("--force-dirty", options.force_dirty,
               "Write a hive whose logs Windows has not replayed; a copy is kept");
}

void SayWarnings(const std::vector<std::string>& warnings, std::ostream& err) {
  for (const std::string& warning : warnings) err << "warning: " << Printable(warning) << "\n";
}

// Commands below return what went wrong; this is where it is said.
int Finish(const Invocation& invocation, const absl::StatusOr<int>& code) {
  return code.ok() ? *code : Fail(invocation, code.status());
}

// --- settings

absl::StatusOr<int> PrintSettings(const std::string& id, Format format, std::ostream& out) {
  if (id.empty()) {
    out << Render(SettingsTable(), format);
    return kExitDone;
  }
  const Setting* setting = FindSetting(id);
  if (setting == nullptr) {
    const std::string nearest = NearestWord(id, SettingIds());
    return absl::NotFoundError(absl::StrCat("there is no setting ", Quote(id),
                                            "\n  why: the catalogue of this program has no such "
                                            "row\n  do:  ",
                                            nearest.empty()
                                                ? "see dumpwarden-agent settings"
                                                : absl::StrCat("did you mean ", nearest, "?")));
  }
  out << Render(SettingSheet(*setting), format);
  return kExitDone;
}

// --- observe

absl::StatusOr<int> PrintObservation(const LocalHostOptions& options, const std::string& output,
                                     const Invocation& invocation) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalHost> host, LocalHost::Open(options));
  const v1::Observation observation = host->Look(Desired());
  ASSIGN_OR_RETURN(const HostContext context, host->ContextBeforeMending());
  SayWarnings(context.warnings, invocation.err);
  invocation.out << (output == "policy" ? PolicyYaml(context, observation)
                                        : Render(context, observation, FormatOf(output)));
  return kExitDone;
}

// --- plan, apply, restore

struct PlanOptions {
  LocalHostOptions host;
  std::vector<std::string> policies;
  std::string output = "table";
  bool detailed = false;
};

void AddPlanOptions(CLI::App& app, PlanOptions& options) {
  app.add_option("-f,--file", options.policies, "Policy file; repeatable, several are merged")
      ->required()
      ->type_name("POLICY");
  AddHost(app, options.host);
  AddOutput(app, options.output, {"table", "json"}, "table|json");
  app.add_flag("--detailed-exitcode", options.detailed,
               "Exit 2 when there are changes, or a status from blocked to pending-reboot");
}

// A setting that could not be read or written is a failure, whatever else is to be said; the
// report has been printed all the same.
int ExitCodeOf(const Plan& plan, bool detailed, const Invocation& invocation) {
  std::vector<std::string> errors;
  bool attention = !plan.edits.empty();
  for (const v1::Finding& finding : plan.findings) {
    if (finding.status() == v1::STATUS_ERROR) errors.push_back(finding.setting());
    attention = attention || NeedsAttention(finding.status());
  }
  if (!errors.empty()) {
    return Fail(invocation, absl::InternalError(absl::StrCat(
                                "could not be read or written: ", absl::StrJoin(errors, ", "),
                                "; the findings above say why")));
  }
  return detailed && attention ? kExitChanges : kExitDone;
}

void Print(const PlanReport& report, const std::string& output, const Invocation& invocation) {
  SayWarnings(report.host.warnings, invocation.err);
  invocation.out << Render(report, FormatOf(output));
}

absl::StatusOr<int> PrintPlan(const PlanOptions& options, const Invocation& invocation) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalHost> host, LocalHost::Open(options.host));
  ASSIGN_OR_RETURN(const Desired desired,
                   ReadDesired(host->vfs(), options.policies, host->facts(), invocation.err));
  PlanReport report;
  ASSIGN_OR_RETURN(report.host, host->ContextBeforeMending());
  ASSIGN_OR_RETURN(const bool interrupted, host->IsInterrupted());
  if (interrupted) {
    report.host.warnings.push_back(
        "an apply was interrupted here; the next apply first puts back what it wrote, so this "
        "plan may change");
  }
  report.plan = MakePlan(desired, host->Look(desired), host->facts());
  Print(report, options.output, invocation);
  return ExitCodeOf(report.plan, options.detailed, invocation);
}

// What is to be said now that the edits of `applied` are read back.
std::vector<v1::Finding> FindingsAfter(const Plan& applied, const Desired& desired,
                                       LocalHost& host) {
  Plan now = MakePlan(desired, host.Look(desired), host.facts());
  MarkCorrected(SettingsOf(applied), now.findings);
  return std::move(now.findings);
}

// Runs `write` with an applier on which nothing unfinished is left, and prints what it did.
template <typename Write>
absl::StatusOr<int> Carry(LocalHost& host, const std::string& output, bool detailed,
                          const Invocation& invocation, const Write& write) {
  Applier applier = host.MakeApplier();
  ASSIGN_OR_RETURN(const bool recovered, applier.Recover());
  if (recovered) invocation.err << "note: what an interrupted apply had written was put back\n";
  for (const std::string& folder : applier.left_folders()) {
    invocation.err << "warning: the folder " << Printable(folder)
                   << " was made by that apply and could not be removed; remove it by hand\n";
  }
  absl::StatusOr<Applied> written = write(applier);
  SayWarnings(applier.TakeMended(), invocation.err);
  ASSIGN_OR_RETURN(Applied applied, std::move(written));
  for (const std::string& folder : applied.unseen) {
    invocation.err
        << "warning: the folder " << Printable(folder)
        << " was made by that apply and cannot be seen or removed from here; pass --facts with "
           "its volume's `mount`, or remove it by hand\n";
  }
  const PlanReport report{host.Context(), std::move(applied.plan), std::move(applied.backup)};
  Print(report, output, invocation);
  return ExitCodeOf(report.plan, detailed, invocation);
}

absl::StatusOr<int> CarryOut(const PlanOptions& options, const Invocation& invocation) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalHost> host, LocalHost::Open(options.host));
  ASSIGN_OR_RETURN(const Desired desired,
                   ReadDesired(host->vfs(), options.policies, host->facts(), invocation.err));
  return Carry(*host, options.output, options.detailed, invocation,
               [&](Applier& applier) -> absl::StatusOr<Applied> {
                 ASSIGN_OR_RETURN(Applied applied, applier.Apply(desired, host->facts()));
                 applied.plan.findings = FindingsAfter(applied.plan, desired, *host);
                 return applied;
               });
}

absl::StatusOr<int> PutBack(const LocalHostOptions& options, const std::string& backup,
                            const std::string& output, const Invocation& invocation) {
  ASSIGN_OR_RETURN(const std::unique_ptr<LocalHost> host, LocalHost::Open(options));
  return Carry(*host, output, /*detailed=*/false, invocation,
               [&](Applier& applier) { return applier.Restore(backup); });
}

}  // namespace

int RunSettings(Invocation& invocation) {
  std::string output = "table";
  std::string id;
  AddOutput(invocation.app, output, {"table", "json", "csv"}, "table|json|csv");
  invocation.app.add_option("ID", id, "Everything about this setting");
  if (const auto code = ParseArguments(invocation)) return *code;
  return Finish(invocation, PrintSettings(id, FormatOf(output), invocation.out));
}

int RunObserve(Invocation& invocation) {
  LocalHostOptions options;
  std::string output = "table";
  AddHost(invocation.app, options);
  AddOutput(invocation.app, output, {"table", "json", "policy"}, "table|json|policy");
  if (const auto code = ParseArguments(invocation)) return *code;
  return Finish(invocation, PrintObservation(options, output, invocation));
}

int RunPlan(Invocation& invocation) {
  PlanOptions options;
  AddPlanOptions(invocation.app, options);
  if (const auto code = ParseArguments(invocation)) return *code;
  return Finish(invocation, PrintPlan(options, invocation));
}

int RunApply(Invocation& invocation) {
  PlanOptions options;
  AddPlanOptions(invocation.app, options);
  AddForce(invocation.app, options.host);
  if (const auto code = ParseArguments(invocation)) return *code;
  return Finish(invocation, CarryOut(options, invocation));
}

int RunRestore(Invocation& invocation) {
  LocalHostOptions options;
  std::string backup;
  std::string output = "table";
  invocation.app.add_option("BACKUP.reg", backup, "The backup that an apply named")->required();
  AddHost(invocation.app, options);
  AddOutput(invocation.app, output, {"table", "json"}, "table|json");
  AddForce(invocation.app, options);
  if (const auto code = ParseArguments(invocation)) return *code;
  return Finish(invocation, PutBack(options, backup, output, invocation));
}

}  // namespace dumpwarden
