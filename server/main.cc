// SPDX-License-Identifier: Apache-2.0
// dumpwarden-server: the command line, and nothing else.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <string>

#include "platform/system.h"
#include "server/init.h"
#include "server/serve.h"

namespace {

constexpr int kFailed = 1;
constexpr int kUsage = 64;

int Fail(const absl::Status& status) {
  std::fprintf(stderr, "dumpwarden-server: %s\n", std::string(status.message()).c_str());
  return kFailed;
}

int Misused(absl::string_view why) {
  std::fprintf(stderr, "dumpwarden-server: %s\nSee dumpwarden-server --help.\n",
               std::string(why).c_str());
  return kUsage;
}

int RunInit(const dumpwarden::InitOptions& options) {
  const auto vfs = dumpwarden::MakeSystemVfs();
  const auto clock = dumpwarden::MakeSystemClock();
  const auto random = dumpwarden::MakeSystemRandom();
  const auto done = dumpwarden::Init(options, *vfs, *clock, *random);
  if (absl::IsInvalidArgument(done.status())) return Misused(done.status().message());
  if (!done.ok()) return Fail(done.status());
  std::fputs(done->c_str(), stdout);
  return 0;
}

int RunServe(const std::string& config) {
  const absl::Status done = dumpwarden::Serve(config);
  return done.ok() ? 0 : Fail(done);
}

int RunProgram(int argc, char** argv) {
  CLI::App app("Dumpwarden's server: policies to hosts, drift from them.", "dumpwarden-server");
  app.require_subcommand(0, 1);  // none is told below: CLI11 would not name a wrong word
  app.set_version_flag("--version", "dumpwarden-server " DUMPWARDEN_VERSION);

  dumpwarden::InitOptions options;
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

  std::string config = "/etc/dumpwarden/server.yaml";
  CLI::App* serve = app.add_subcommand("serve", "Serve until SIGTERM or SIGINT");
  serve->add_option("--config", config, "server.yaml")->capture_default_str();

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);
    return Misused(error.what());
  }
  if (init->parsed()) return RunInit(options);
  return serve->parsed() ? RunServe(config) : Misused("a command is missing: init or serve");
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
