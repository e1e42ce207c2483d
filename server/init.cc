// SPDX-License-Identifier: Apache-2.0
#include "server/init.h"

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/failpoint.h"
#include "core/base/host_port.h"
#include "core/base/status_macros.h"
#include "platform/keys.h"
#include "server/config.h"
#include "server/identity/authority.h"
#include "server/identity/names.h"
#include "server/identity/server_identity.h"
#include "server/store/sqlite_store.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kOperatorLife = absl::Hours(24 * 365);

absl::Status CheckAddress(absl::string_view option, const std::string& address) {
  const absl::Status parsed = ParseHostPort(address).status();
  if (parsed.ok()) return parsed;
  return absl::Status(parsed.code(), absl::StrCat(option, ": ", parsed.message()));
}

absl::Status CheckOptions(const InitOptions& options) {
  RETURN_IF_ERROR(CheckTrustDomain(options.trust_domain));
  RETURN_IF_ERROR(CheckOperatorName(options.operator_name));
  RETURN_IF_ERROR(CheckAddress("--listen", options.listen));
  RETURN_IF_ERROR(CheckAddress("--enroll-listen", options.enroll_listen));
  for (const std::string& name : options.names) {
    if (IsDnsName(name) || IsAddress(name)) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--name ", name, " is no DNS name and no address"));
  }
  return absl::OkStatus();
}

absl::Status MakeEmptyFolder(Vfs& vfs, const std::string& folder) {
  RETURN_IF_ERROR(vfs.MakeFolder(folder));
  ASSIGN_OR_RETURN(const std::vector<std::string> names, vfs.List(folder));
  if (names.empty()) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(folder, " holds ", names.front(),
                   " already, and nothing is overwritten: give --dir a new or empty folder"));
}

std::vector<std::string> AllNames(const InitOptions& options) {
  std::vector<std::string> names = options.names;
  for (const char* always : {"localhost", "127.0.0.1"}) {
    if (std::find(names.begin(), names.end(), always) == names.end()) names.emplace_back(always);
  }
  return names;
}

ServerConfig ConfigOf(const InitOptions& options) {
  ServerConfig config;
  config.trust_domain = options.trust_domain;
  config.agents_listener = options.listen;
  config.enrollment_listener = options.enroll_listen;
  config.store = "store.db";
  config.tls_chain = "server.crt";
  config.tls_key = "server.key";
  config.ca = "ca";
  config.names = AllNames(options);
  return config;
}

std::string ContextOf(const std::string& name, const std::string& server) {
  return absl::StrCat("# dumpctl --config FILE, or copied to where dumpctl looks.\ncurrent: ", name,
                      "\ncontexts:\n  - name: ", name, "\n    server: '", server,
                      "'\n    ca: ca.crt\n    certificate: tls.crt\n    key: tls.key\n");
}

// The serial of the certificate, for the store.
absl::StatusOr<CertificateRow> MakeOperator(Vfs& vfs, Authority& authority,
                                            const std::string& folder, const std::string& name,
                                            const std::string& server, absl::Time now) {
  RETURN_IF_ERROR(vfs.MakeFolder(absl::StrCat(folder, "/operators")));
  const std::string home = absl::StrCat(folder, "/operators/", name);
  RETURN_IF_ERROR(vfs.MakeFolder(home));
  ASSIGN_OR_RETURN(const KeyPtr key, MakeKey());
  ASSIGN_OR_RETURN(const std::string key_pem, PrivateKeyPem(*key));
  ASSIGN_OR_RETURN(const Issued issued, authority.IssueOperator(*key, name, now, kOperatorLife));
  RETURN_IF_ERROR(WriteDurably(vfs, home + "/tls.key", key_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, home + "/tls.crt", issued.chain_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, home + "/ca.crt", authority.root_pem()));
  RETURN_IF_ERROR(WriteDurably(vfs, home + "/dumpctl.yaml", ContextOf(name, server)));
  ASSIGN_OR_RETURN(const CertificatePtr leaf, ReadCertificateDer(issued.chain.front()));
  ASSIGN_OR_RETURN(const CertificateSummary summary, Summarize(*leaf));
  return CertificateRow{summary.serial, summary.not_after};
}

absl::Status MakeStore(const std::string& path, const Clock& clock, const InitOptions& options,
                       const Authority& authority, const CertificateRow& certificate) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Store> store, MakeSqliteStore(path, clock));
  PersonRow admin;
  admin.name = options.operator_name;
  admin.roles = {kAdminRole};
  admin.certificates = {certificate};
  return store->AddPerson(admin, std::nullopt,
                          {.actor = "local",
                           .source = "",
                           .action = "server.init",
                           .object = options.trust_domain,
                           .detail = absl::StrCat("root sha256:", authority.root_pin(),
                                                  ", operator ", options.operator_name),
                           .before = "",
                           .after = Sha256(authority.root_der())});
}

std::string WhatNext(const InitOptions& options) {
  const std::string& dir = options.folder;
  const std::string context =
      absl::StrCat(dir, "/operators/", options.operator_name, "/dumpctl.yaml");
  return absl::StrCat(
      "Made in ", dir, ":\n", "  ca/           the certificate authority of ", options.trust_domain,
      "; keep it secret\n", "  server.key, server.crt, server.yaml, store.db\n", "  operators/",
      options.operator_name, "/  the first operator's key, certificate and dumpctl context\n\n",
      "Next:\n", "  dumpwarden-server serve --config ", dir, "/server.yaml\n",
      "  dumpctl --config ", context, " token create\n");
}

}  // namespace

absl::StatusOr<std::string> Init(const InitOptions& options, Vfs& vfs, const Clock& clock,
                                 Random& random) {
  RETURN_IF_ERROR(CheckOptions(options));
  RETURN_IF_ERROR(MakeEmptyFolder(vfs, options.folder));
  const ServerConfig config = ConfigOf(options);
  const std::string ca = absl::StrCat(options.folder, "/", config.ca);
  const absl::Time now = clock.Now();
  RETURN_IF_ERROR(Authority::Create(vfs, random, ca, options.trust_domain, now));
  ASSIGN_OR_RETURN(const std::unique_ptr<Authority> authority, Authority::Open(vfs, random, ca));
  RETURN_IF_ERROR(MakeServerIdentity(
      vfs, *authority, {options.folder + "/server.crt", options.folder + "/server.key"},
      config.names, now));
  ASSIGN_OR_RETURN(const HostPort listen, ParseHostPort(options.listen));
  ASSIGN_OR_RETURN(const CertificateRow certificate,
                   MakeOperator(vfs, *authority, options.folder, options.operator_name,
                                JoinHostPort(config.names.front(), listen.port), now));
  FAILPOINT("init.identities-made");
  RETURN_IF_ERROR(MakeStore(options.folder + "/store.db", clock, options, *authority, certificate));
  FAILPOINT("init.store-made");
  // Last: a folder with it is complete.
  RETURN_IF_ERROR(WriteDurably(vfs, options.folder + "/server.yaml", FormatServerConfig(config)));
  return WhatNext(options);
}

}  // namespace dumpwarden
