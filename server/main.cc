// SPDX-License-Identifier: Apache-2.0
// dumpwarden-server: the command line, and nothing else.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "platform/system.h"
#include "server/admit.h"
#include "server/backup.h"
#include "server/init.h"
#include "server/serve.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 64;
constexpr char kDefaultConfig[] = "/etc/dumpwarden/server.yaml";

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "dumpwarden-server: %s\n", std::string(status.message()).c_str());
  return kFailed;
}

int Misused(absl::string_view why) {
  std::fprintf(stderr, "dumpwarden-server: %s\nSee dumpwarden-server --help.\n",
               std::string(why).c_str());
  return kUsage;
}

// What a command did, or why not.
int Tell(const absl::StatusOr<std::string>& done) {
  if (!done.ok()) return Fail(done.status());
  std::fputs(done->c_str(), stdout);
  return 0;
}

int RunInit(const dumpwarden::InitOptions& options) {
  const auto vfs = dumpwarden::MakeSystemVfs();
  const auto clock = dumpwarden::MakeSystemClock();
  const auto random = dumpwarden::MakeSystemRandom();
  const auto done = dumpwarden::Init(options, *vfs, *clock, *random);
  if (absl::IsInvalidArgument(done.status())) return Misused(done.status().message());
  return Tell(done);
}

int RunBackup(const dumpwarden::BackupOptions& options) {
  const auto vfs = dumpwarden::MakeSystemVfs();
  const auto clock = dumpwarden::MakeSystemClock();
  return Tell(dumpwarden::BackUp(options, *vfs, *clock));
}

int RunRestore(const dumpwarden::RestoreOptions& options) {
  const auto vfs = dumpwarden::MakeSystemVfs();
  const auto clock = dumpwarden::MakeSystemClock();
  const auto random = dumpwarden::MakeSystemRandom();
  return Tell(dumpwarden::Restore(options, *vfs, *clock, *random));
}

// The bare code on stdout, so that it can go to a file.
int RunAdmit(const dumpwarden::AdmitOptions& options) {
  const auto vfs = dumpwarden::MakeSystemVfs();
  const auto clock = dumpwarden::MakeSystemClock();
  const auto random = dumpwarden::MakeSystemRandom();
  const auto done = dumpwarden::Admit(options, *vfs, *clock, *random);
  if (!done.ok()) return Fail(done.status());
  std::printf("%s\n", done->code.c_str());
  std::fprintf(stderr,
               "Good for one login of %s as admin within an hour, while the server runs:\n"
               "  dumpctl login --server %s --code-file FILE\n",
               options.name.c_str(), done->server.c_str());
  return 0;
}

int RunServe(const std::string& config) {
  const absl::Status done = dumpwarden::Serve(config);
  return done.ok() ? 0 : Fail(done);
}

CLI::App* AddInit(CLI::App& app, dumpwarden::InitOptions& options) {
  CLI::App* init = app.add_subcommand("init", "Make a new server's folder and its first operator");
  init->add_option("--dir", options.folder, "New or empty folder")->required();
  init->add_option("--trust-domain", options.trust_domain, "As in corp.example")
      ->capture_default_str();
  init->add_option("--name", options.names, "DNS name or address of this server; may be repeated");
  init->add_option("--operator", options.operator_name, "The first operator")
      ->capture_default_str();
  init->add_option("--listen", options.listen, "For agents and operators")->capture_default_str();
  init->add_option("--enroll-listen", options.enroll_listen, "For enrolment, while a token waits")
      ->capture_default_str();
  return init;
}

CLI::App* AddBackup(CLI::App& app, dumpwarden::BackupOptions& options) {
  CLI::App* backup =
      app.add_subcommand("backup", "Save all that a server needs, while it runs or not");
  backup->add_option("--config", options.config, "server.yaml")->capture_default_str();
  backup
      ->add_option("--to", options.to,
                   "An existing folder, which gets a dated one; or the name of the new one")
      ->required();
  return backup;
}

CLI::App* AddRestore(CLI::App& app, dumpwarden::RestoreOptions& options) {
  CLI::App* restore = app.add_subcommand("restore", "Make a server's folder from a backup");
  restore->add_option("--from", options.from, "What backup made")->required();
  restore->add_option("--dir", options.folder, "New or empty folder")->required();
  return restore;
}

CLI::App* AddAdmit(CLI::App& app, dumpwarden::AdmitOptions& options) {
  CLI::App* admit =
      app.add_subcommand("admit", "Make a login code for an admin, when none can log in any more");
  admit->add_option("--config", options.config, "server.yaml")->capture_default_str();
  admit->add_option("--operator", options.name, "Who")->capture_default_str();
  return admit;
}

int RunProgram(int argc, char** argv) {
  CLI::App app("Dumpwarden's server: policies to hosts, drift from them.", "dumpwarden-server");
  app.require_subcommand(0, 1);  // none is told below: CLI11 would not name a wrong word
  app.set_version_flag("--version", "dumpwarden-server " DUMPWARDEN_VERSION);

  dumpwarden::InitOptions init_options;
  CLI::App* init = AddInit(app, init_options);
  std::string config = kDefaultConfig;
  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGTERM or SIGINT");
  serve->add_option("--config", config, "server.yaml")->capture_default_str();
  dumpwarden::BackupOptions backup_options{.config = kDefaultConfig, .to = ""};
  CLI::App* backup = AddBackup(app, backup_options);
  dumpwarden::AdmitOptions admit_options{.config = kDefaultConfig};
  CLI::App* admit = AddAdmit(app, admit_options);
  dumpwarden::RestoreOptions restore_options;
  CLI::App* restore = AddRestore(app, restore_options);

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return Misused(error.what());
  }
  if (init->parsed()) return RunInit(init_options);
  if (admit->parsed()) return RunAdmit(admit_options);
  if (backup->parsed()) return RunBackup(backup_options);
  if (restore->parsed()) return RunRestore(restore_options);
  if (serve->parsed()) return RunServe(config);
  return Misused("a command is missing: init, serve, admit, backup or restore");
}

}  // namespace

int main(int argc, char** argv) {
  dumpwarden::KeepOpenSslToTheEnd();
  try {  // CLI11 throws for more than command lines
    return RunProgram(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "dumpwarden-server: %s\n", error.what());
    return kFailed;
  }
}
