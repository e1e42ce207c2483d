// SPDX-License-Identifier: Apache-2.0
// dumpctl login.  The key is made here and stays here; the code is read from a
// file or standard input, never from the command line, where every user of the
// machine could read it.  What is written is a context of its own files, which
// the configuration names at last: a login that fails changes no context.
#include "cli/login_command.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "cli/client.h"
#include "cli/contexts.h"
#include "cli/errors.h"
#include "cli/output.h"
#include "core/base/digest.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/token.h"
#include "platform/keys.h"
#include "platform/system.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxCodeFile = 4096;
constexpr std::size_t kMaxCaFile = 64 * 1024;
constexpr std::size_t kMaxContextName = 64;
constexpr int kMaxChainLength = 4;
constexpr std::size_t kStemDigits = 16;

absl::Status Refused(absl::string_view why) {
  return Trouble(absl::StatusCode::kFailedPrecondition, "the server's answer is refused", why,
                 "no context was changed; the code is used up: ask an admin for another one");
}

absl::StatusOr<std::string> ReadCode(Vfs& vfs, const std::string& file, std::istream& in) {
  std::string text;
  if (file == "-") {
    text.resize(kMaxCodeFile);
    in.read(text.data(), kMaxCodeFile);
    text.resize(static_cast<std::size_t>(in.gcount()));
  } else {
    ASSIGN_OR_RETURN(text, vfs.Read(file, kMaxCodeFile));
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

absl::StatusOr<LoginCode> CheckCode(const std::string& text) {
  absl::StatusOr<LoginCode> code = ParseLoginCode(text);
  if (!code.ok() || code->expires > absl::Now()) return code;
  return Trouble(
      absl::StatusCode::kUnauthenticated, "the code is not good any more",
      absl::StrCat("it expired on ", absl::FormatTime(code->expires, absl::UTCTimeZone()),
                   "; if that is in the future, this machine's clock is wrong"),
      "ask an admin for another one: dumpctl person code NAME");
}

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || absl::StrContains(".-_@", c);
}

// It becomes the name of a folder.
absl::Status CheckContextName(const std::string& name) {
  const bool good = !name.empty() && name.size() <= kMaxContextName &&
                    absl::ascii_isalnum(static_cast<unsigned char>(name.front())) &&
                    std::all_of(name.begin(), name.end(), IsNameCharacter);
  if (good) return absl::OkStatus();
  return Misuse(absl::StrCat("--context ", Quote(name)), "that is not the name of a new context",
                "use 1 to 64 of a-z A-Z 0-9 . _ - @, beginning with a letter or digit");
}

std::string NameAfter(const std::string& host) {
  std::string name = host.substr(0, kMaxContextName);
  std::replace_if(
      name.begin(), name.end(), [](char c) { return !IsNameCharacter(c); }, '-');
  return absl::ascii_isalnum(static_cast<unsigned char>(name.front())) ? name : "server";
}

// Where everything goes, and what is there.
struct Place {
  std::string file;    // dumpctl.yaml
  std::string folder;  // of the context
  std::string name;
  Configuration configuration;
};

Context* FindContext(Configuration& configuration, const std::string& name) {
  for (Context& context : configuration.contexts) {
    if (context.name == name) return &context;
  }
  return nullptr;
}

// The context is of the authority that made the code, whatever address its server goes by.
bool IsOf(Vfs& vfs, const Context& context, const std::string& root_pin) {
  const auto pem = vfs.Read(context.ca, kMaxCaFile);
  if (!pem.ok()) return false;
  const auto roots = ReadCertificatesPem(*pem);
  if (!roots.ok() || roots->size() != 1) return false;
  const auto der = CertificateDer(*roots->front());
  return der.ok() && Sha256Hex(*der) == root_pin;
}

absl::StatusOr<Place> FindPlace(Vfs& vfs, const Invocation& invocation, const HostPort& server,
                                const std::string& root_pin) {
  Place place;
  place.file = ConfigurationPath(invocation.server.config, invocation.environment);
  const std::string& wanted = invocation.server.context;
  place.name = wanted.empty() ? NameAfter(server.host) : wanted;
  RETURN_IF_ERROR(CheckContextName(place.name));
  place.folder = absl::StrCat(FolderOf(place.file), "/", place.name);
  ASSIGN_OR_RETURN(place.configuration, LoadConfiguration(vfs, place.file));
  const Context* there = FindContext(place.configuration, place.name);
  if (there == nullptr || IsOf(vfs, *there, root_pin)) return place;
  return Trouble(absl::StatusCode::kAlreadyExists,
                 absl::StrCat("the context ", place.name, " is another server's"),
                 absl::StrCat(place.file, ": its server is ", there->server,
                              ", and its CA is not "
                              "the code's"),
                 "give the new one a name with --context");
}

absl::Status MakeFolders(Vfs& vfs, const std::string& folder) {
  ASSIGN_OR_RETURN(const bool there, vfs.Exists(folder));
  if (there) return absl::OkStatus();
  if (folder != FolderOf(folder)) RETURN_IF_ERROR(MakeFolders(vfs, FolderOf(folder)));
  return vfs.MakeFolder(folder);
}

// --- The answer.

absl::StatusOr<std::vector<CertificatePtr>> ChainOf(const v1::LoginResponse& response) {
  if (response.chain_size() == 0 || response.chain_size() > kMaxChainLength) {
    return Refused(absl::StrCat("its chain has ", response.chain_size(), " certificates"));
  }
  std::vector<CertificatePtr> chain;
  for (const std::string& der : response.chain()) {
    ASSIGN_OR_RETURN(CertificatePtr certificate, ReadCertificateDer(der));
    chain.push_back(std::move(certificate));
  }
  return chain;
}

struct Granted {
  std::string chain_pem;
  std::string ca_pem;
  std::string spiffe_id;
  absl::Time expires;
};

absl::Status CheckLeaf(const CertificateSummary& leaf, const v1::LoginResponse& response) {
  const std::string expected =
      absl::StrCat("spiffe://", response.trust_domain(), "/operator/", response.name());
  if (leaf.spiffe_id != expected) {
    return Refused(absl::StrCat("the certificate is for ", Quote(leaf.spiffe_id), ", not for ",
                                Quote(expected)));
  }
  const absl::Status server = ParseServerAddress(response.server()).status();
  return server.ok() ? server : Refused(absl::StrCat("its server: ", server.message()));
}

absl::StatusOr<Granted> CheckAnswer(const v1::LoginResponse& response, const EVP_PKEY& key,
                                    const std::string& root_pin) {
  if (Sha256Hex(response.root()) != root_pin) return Refused("its CA is not the code's");
  std::vector<CertificatePtr> roots;
  ASSIGN_OR_RETURN(CertificatePtr root, ReadCertificateDer(response.root()));
  roots.push_back(std::move(root));
  ASSIGN_OR_RETURN(const std::vector<CertificatePtr> chain, ChainOf(response));
  const ChainVerdict verdict = VerifyChain(chain, roots, Purpose::kClient, "", absl::Now());
  if (verdict != ChainVerdict::kGood) {
    return Refused(absl::StrCat("our certificate does not verify: ", ChainVerdictWord(verdict)));
  }
  ASSIGN_OR_RETURN(const std::string certified, CertificateKeyDer(*chain.front()));
  ASSIGN_OR_RETURN(const std::string ours, PublicKeyDer(key));
  if (certified != ours) return Refused("the certificate is for another key than ours");
  ASSIGN_OR_RETURN(const CertificateSummary leaf, Summarize(*chain.front()));
  RETURN_IF_ERROR(CheckLeaf(leaf, response));
  Granted granted;
  granted.spiffe_id = leaf.spiffe_id;
  granted.expires = leaf.not_after;
  for (const CertificatePtr& certificate : chain) {
    ASSIGN_OR_RETURN(const std::string pem, CertificatePem(*certificate));
    absl::StrAppend(&granted.chain_pem, pem);
  }
  ASSIGN_OR_RETURN(granted.ca_pem, CertificatePem(*roots.front()));
  return granted;
}

// --- Writing it down.

// Whose certificate `context` shows; "" when it cannot be read.
std::string OwnerOf(Vfs& vfs, const Context& context) {
  const auto pem = vfs.Read(context.certificate, kMaxCaFile);
  if (!pem.ok()) return "";
  const auto chain = ReadCertificatesPem(*pem);
  if (!chain.ok() || chain->empty()) return "";
  return Summarize(*chain->front()).value_or(CertificateSummary()).spiffe_id;
}

bool IsNamed(const Configuration& configuration, const std::string& path) {
  return std::any_of(
      configuration.contexts.begin(), configuration.contexts.end(), [&](const Context& context) {
        return path == context.key || path == context.certificate || path == context.ca;
      });
}

// Files that an earlier login of hers wrote, and that no context names any more.  Those of somebody
// else stay; the answer says where.
std::string RemoveOld(Vfs& vfs, const Place& place, const Context& old, const Granted& granted) {
  if (old.key.empty()) return "";
  if (OwnerOf(vfs, old) != granted.spiffe_id) return old.key;
  for (const std::string& path : {old.key, old.certificate, old.ca}) {
    if (FolderOf(path) != place.folder || IsNamed(place.configuration, path)) continue;
    RemoveDurably(vfs, path).IgnoreError();
  }
  return "";
}

// The key of somebody else whose context this was, or "".
absl::StatusOr<std::string> Keep(Vfs& vfs, Place& place, const Context& context,
                                 const Granted& granted) {
  RETURN_IF_ERROR(WriteDurably(vfs, context.certificate, granted.chain_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, context.ca, granted.ca_pem));
  Context old;
  if (Context* there = FindContext(place.configuration, place.name)) {
    old = std::exchange(*there, context);
  } else {
    place.configuration.contexts.push_back(context);
  }
  place.configuration.current = place.name;
  RETURN_IF_ERROR(
      WriteDurably(vfs, place.file, FormatConfiguration(place.configuration, place.file)));
  return RemoveOld(vfs, place, old, granted);
}

struct Done {
  v1::LoginResponse response;
  absl::Time expires;
  std::string other_key;  // of the one whose context this was
};

absl::StatusOr<Done> LogIn(Vfs& vfs, Place& place, const std::string& server,
                           const std::string& text, const LoginCode& code, absl::Duration timeout) {
  // Before the code is used up: that a key can be kept here.
  RETURN_IF_ERROR(MakeFolders(vfs, place.folder));
  RETURN_IF_ERROR(vfs.CheckPrivateFolder(place.folder));
  ASSIGN_OR_RETURN(const KeyPtr key, MakeKey());
  ASSIGN_OR_RETURN(const std::string key_pem, PrivateKeyPem(*key));
  // Names that no other login has, of this code neither.
  ASSIGN_OR_RETURN(const std::string public_der, PublicKeyDer(*key));
  const std::string stem =
      absl::StrCat(place.folder, "/", Sha256Hex(public_der).substr(0, kStemDigits));
  Context context{place.name, "", stem + ".ca.crt", stem + ".crt", stem + ".key"};
  RETURN_IF_ERROR(WriteDurably(vfs, context.key, key_pem));
  v1::LoginRequest request;
  request.set_code(text);
  ASSIGN_OR_RETURN(*request.mutable_csr(), MakeCsrDer(*key));
  const absl::StatusOr<v1::LoginResponse> response =
      CallLogin(server, code.root_pin, timeout, request);
  if (!response.ok()) {
    RemoveDurably(vfs, context.key).IgnoreError();
    return response.status();
  }
  ASSIGN_OR_RETURN(const Granted granted, CheckAnswer(*response, *key, code.root_pin));
  context.server = response->server();
  ASSIGN_OR_RETURN(const std::string other_key, Keep(vfs, place, context, granted));
  return Done{*response, granted.expires, other_key};
}

Table DoneTable(const Done& done, const Place& place) {
  const std::vector<std::string> roles(done.response.roles().begin(), done.response.roles().end());
  return {{{"name", "NAME"},
           {"roles", "ROLES"},
           {"server", "SERVER"},
           {"context", "CONTEXT"},
           {"expires", "EXPIRES"}},
          {{done.response.name(), roles, done.response.server(), place.name,
            absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", done.expires, absl::UTCTimeZone())}}};
}

}  // namespace

absl::StatusOr<int> RunLogin(Invocation& invocation) {
  const OutputOption output(invocation.app);
  std::string server;
  std::string code_file;
  invocation.app.add_option("--server", server, "The enrolment address that came with the code")
      ->required()
      ->type_name("HOST:PORT");
  invocation.app.add_option("--code-file", code_file, "File that holds the code; - is stdin")
      ->required()
      ->type_name("FILE");
  if (const auto code = ParseArguments(invocation)) return *code;
  const auto address = ParseServerAddress(server);
  if (!address.ok()) {
    return Misuse(absl::StrCat("--server ", Quote(server)), address.status().message(),
                  "write it like dw.example:7444");
  }
  ASSIGN_OR_RETURN(
      const absl::Duration timeout,
      ParseTime("--timeout", invocation.server.timeout, {absl::Milliseconds(1), absl::Hours(24)}));
  const std::unique_ptr<Vfs> vfs = MakeSystemVfs();
  ASSIGN_OR_RETURN(const std::string text, ReadCode(*vfs, code_file, invocation.console.in));
  ASSIGN_OR_RETURN(const LoginCode code, CheckCode(text));
  ASSIGN_OR_RETURN(Place place, FindPlace(*vfs, invocation, *address, code.root_pin));
  ASSIGN_OR_RETURN(const Done done, LogIn(*vfs, place, server, text, code, timeout));
  invocation.console.out << Render(DoneTable(done, place), output.format());
  invocation.console.err << "the context " << place.name << " in " << Printable(place.file)
                         << " is the current one now; the certificate cannot be renewed: ask for "
                            "another code before it expires\n";
  if (!done.other_key.empty()) {
    invocation.console.err << "it was somebody else's before: that key and certificate stay in "
                           << Printable(done.other_key)
                           << "; --context gives the next login a context of its own\n";
  }
  return kExitDone;
}

}  // namespace dumpwarden
