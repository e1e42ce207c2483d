// SPDX-License-Identifier: Apache-2.0
// dumpwarden-agent enroll.  The token is read from a file or standard input,
// never from the command line, where every user of the machine could read it.
#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "agent/enroll.h"
#include "agent/grpc_link.h"
#include "agent/service.h"
#include "core/base/failpoint.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/token.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxTokenFile = 4096;

struct EnrollOptions {
  ServiceOptions service;
  std::string server;
  std::string token_file;
  std::string name = HostName();
  bool replace = false;
};

absl::StatusOr<std::string> ReadToken(Vfs& vfs, const std::string& file) {
  std::string text;
  if (file == "-") {
    text.resize(kMaxTokenFile);
    std::cin.read(text.data(), kMaxTokenFile);
    text.resize(static_cast<std::size_t>(std::cin.gcount()));
  } else {
    ASSIGN_OR_RETURN(text, vfs.Read(file, kMaxTokenFile));
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

struct Enrolled {
  Identity identity;
  bool hold = false;
};

absl::StatusOr<Enrolled> Enroll(Vfs& vfs, const Clock& clock, const AgentConfig& config,
                                const EnrollOptions& options) {
  const std::string& data = config.data;
  ASSIGN_OR_RETURN(const bool enrolled, IsEnrolled(vfs, data));
  if (enrolled && !options.replace) {  // before the token is used up
    return absl::AlreadyExistsError(
        absl::StrCat("this host is enrolled already (", data, "/identity); --replace enrols anew"));
  }
  RETURN_IF_ERROR(CheckPrivate(data));
  ASSIGN_OR_RETURN(const std::string text, ReadToken(vfs, options.token_file));
  ASSIGN_OR_RETURN(const EnrollmentToken token, ParseToken(text));
  if (token.expires <= clock.Now()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the token expired on ", absl::FormatTime(token.expires, absl::UTCTimeZone()),
                     "; ask for a new one: dumpctl token create"));
  }
  ASSIGN_OR_RETURN(const EnrollmentKeys keys, MakeEnrollmentKeys());
  ASSIGN_OR_RETURN(const v1::EnrollRequest request, MakeEnrollRequest(keys, text, options.name));
  ASSIGN_OR_RETURN(const v1::EnrollResponse response,
                   CallEnroll(options.server, config.proxy, token.root_pin, clock, request));
  FAILPOINT("enroll.answered");
  absl::StatusOr<Identity> checked =
      CheckEnrollResponse(response, keys, token.root_pin, clock.Now());
  if (!checked.ok()) {
    return absl::Status(checked.status().code(),
                        absl::StrCat(checked.status().message(), ". The token may be used up"));
  }
  Identity identity = *std::move(checked);
  ASSIGN_OR_RETURN(const std::string host_key, PrivateKeyPem(*keys.host));
  RETURN_IF_ERROR(SaveIdentity(vfs, data, identity, host_key, options.replace));
  return Enrolled{std::move(identity), response.hold()};
}

void Say(const Enrolled& enrolled, std::ostream& out) {
  const Identity& identity = enrolled.identity;
  out << "enrolled as " << Printable(identity.host_id) << " in " << Printable(identity.trust_domain)
      << "; server " << Printable(identity.server) << "\n";
  if (!enrolled.hold) return;
  out << "this host is held until an operator lets it in: dumpctl host approve "
      << Printable(identity.host_id) << "\n";
}

}  // namespace

int RunEnroll(Invocation& invocation) {
  EnrollOptions options;
  AddServiceOptions(invocation.app, options.service);
  invocation.app.add_option("--server", options.server, "HOST:PORT of the enrolment service")
      ->required();
  invocation.app
      .add_option("--token-file", options.token_file, "file that holds the token; - is stdin")
      ->required();
  invocation.app
      .add_option("--name", options.name, "what people call this host; a label, not an identity")
      ->capture_default_str();
  invocation.app.add_flag("--replace", options.replace, "enrol anew a host that is enrolled");
  if (const std::optional<int> code = ParseArguments(invocation)) return *code;
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  const std::unique_ptr<Clock> clock = MakeSystemClock();
  const absl::StatusOr<AgentConfig> config = ConfigOf(*vfs, invocation.app, options.service);
  if (!config.ok()) return Fail(invocation, config.status());
  const absl::StatusOr<Enrolled> enrolled = Enroll(*vfs, *clock, *config, options);
  if (!enrolled.ok()) return Fail(invocation, enrolled.status());
  Say(*enrolled, invocation.out);
  return kExitDone;
}

}  // namespace dumpwarden
