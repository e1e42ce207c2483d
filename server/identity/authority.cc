// SPDX-License-Identifier: Apache-2.0
#include "server/identity/authority.h"

#include <openssl/x509.h>

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "server/identity/certificate_builder.h"
#include "server/identity/names.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kRootLife = absl::Hours(20 * 365 * 24);
constexpr absl::Duration kIntermediateLife = absl::Hours(10 * 365 * 24);
constexpr absl::Duration kBackdate = absl::Minutes(5);  // hosts' clocks differ
constexpr std::size_t kMaxFile = 64 * 1024;
constexpr absl::string_view kSpiffe = "spiffe://";

std::string KeyFile(const std::string& folder, absl::string_view who) {
  return absl::StrCat(folder, "/", who, "-key.pem");
}

std::string CertificateFile(const std::string& folder, absl::string_view who) {
  return absl::StrCat(folder, "/", who, ".pem");
}

struct Made {
  KeyPtr key;
  CertificatePtr certificate;
};

absl::StatusOr<Made> MakeRoot(Random& random, const std::string& trust_domain, absl::Time now) {
  Made root;
  ASSIGN_OR_RETURN(root.key, MakeKey());
  const CertificateText text{absl::StrCat("Dumpwarden root of ", trust_domain),
                             now - kBackdate,
                             now + kRootLife,
                             {{"basicConstraints", "critical,CA:TRUE,pathlen:1"},
                              {"keyUsage", "critical,keyCertSign,cRLSign"},
                              {"subjectAltName", absl::StrCat("URI:", kSpiffe, trust_domain)}}};
  ASSIGN_OR_RETURN(root.certificate, BuildCertificate(text, *root.key, nullptr, *root.key, random));
  return root;
}

// The extended key usage stands in the intermediate too: OpenSSL and Go hold a leaf against it, so
// the clients' key cannot make a server even when stolen.
absl::StatusOr<Made> MakeIntermediate(Random& random, const Made& root, absl::string_view who,
                                      const char* usage, absl::Time now) {
  Made made;
  ASSIGN_OR_RETURN(made.key, MakeKey());
  const CertificateText text{absl::StrCat("Dumpwarden ", who),
                             now - kBackdate,
                             now + kIntermediateLife,
                             {{"basicConstraints", "critical,CA:TRUE,pathlen:0"},
                              {"keyUsage", "critical,keyCertSign,cRLSign"},
                              {"extendedKeyUsage", usage}}};
  ASSIGN_OR_RETURN(made.certificate,
                   BuildCertificate(text, *made.key, root.certificate.get(), *root.key, random));
  return made;
}

absl::Status Keep(Vfs& vfs, const std::string& folder, absl::string_view who, const Made& made) {
  ASSIGN_OR_RETURN(const std::string key, PrivateKeyPem(*made.key));
  RETURN_IF_ERROR(WriteDurably(vfs, KeyFile(folder, who), key));
  ASSIGN_OR_RETURN(const std::string certificate, CertificatePem(*made.certificate));
  return WriteDurably(vfs, CertificateFile(folder, who), certificate);
}

absl::StatusOr<CertificatePtr> LoadCertificate(Vfs& vfs, const std::string& path) {
  ASSIGN_OR_RETURN(const std::string pem, vfs.Read(path, kMaxFile));
  ASSIGN_OR_RETURN(std::vector<CertificatePtr> certificates, ReadCertificatesPem(pem));
  if (certificates.size() == 1) return std::move(certificates.front());
  return absl::FailedPreconditionError(
      absl::StrCat(path, " holds ", certificates.size(), " certificates; exactly one is expected"));
}

absl::StatusOr<Made> Load(Vfs& vfs, const std::string& folder, absl::string_view who) {
  Made made;
  RETURN_IF_ERROR(CheckPrivate(KeyFile(folder, who)));
  ASSIGN_OR_RETURN(const std::string pem, vfs.Read(KeyFile(folder, who), kMaxFile));
  ASSIGN_OR_RETURN(made.key, ReadPrivateKeyPem(pem));
  ASSIGN_OR_RETURN(made.certificate, LoadCertificate(vfs, CertificateFile(folder, who)));
  if (X509_check_private_key(made.certificate.get(), made.key.get()) == 1) return made;
  return absl::FailedPreconditionError(absl::StrCat(KeyFile(folder, who), " is not the key of ",
                                                    CertificateFile(folder, who),
                                                    ": restore both from the same backup"));
}

// Only for bytes that are a certificate already: made or read by us.
std::string PemOf(const std::string& der) {
  const absl::StatusOr<CertificatePtr> certificate = ReadCertificateDer(der);
  if (!certificate.ok()) return "";
  return CertificatePem(**certificate).value_or("");
}

// An empty subject makes the alternative name critical (RFC 5280 4.2.1.6).
std::vector<Extension> LeafExtensions(bool server, const std::string& subject_names) {
  return {{"basicConstraints", "critical,CA:FALSE"},
          {"keyUsage", "critical,digitalSignature"},
          {"extendedKeyUsage", server ? "serverAuth" : "clientAuth"},
          {"subjectAltName", absl::StrCat("critical,", subject_names)}};
}

absl::StatusOr<std::string> ServerNames(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    const bool address = IsAddress(name);
    if (!address && !IsDnsName(name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the server's name ", Quote(name),
          " is not accepted: a DNS name (web-01.corp.example) or an IP address is expected"));
    }
    absl::StrAppend(&list, list.empty() ? "" : ",", address ? "IP:" : "DNS:", name);
  }
  if (list.empty()) return absl::InvalidArgumentError("a server needs at least one name");
  return list;
}

}  // namespace

absl::Status Authority::Create(Vfs& vfs, Random& random, const std::string& folder,
                               const std::string& trust_domain, absl::Time now) {
  RETURN_IF_ERROR(CheckTrustDomain(trust_domain));
  RETURN_IF_ERROR(vfs.MakeFolder(folder));
  ASSIGN_OR_RETURN(const bool exists, vfs.Exists(CertificateFile(folder, "root")));
  if (exists) {
    return absl::AlreadyExistsError(absl::StrCat(
        "there is a certificate authority in ", folder,
        " already: it is kept, because every host and operator trusts it; to begin anew, move the "
        "folder away first"));
  }
  RETURN_IF_ERROR(CheckPrivate(folder));
  ASSIGN_OR_RETURN(const Made root, MakeRoot(random, trust_domain, now));
  ASSIGN_OR_RETURN(const Made clients,
                   MakeIntermediate(random, root, "clients", "clientAuth", now));
  ASSIGN_OR_RETURN(const Made servers,
                   MakeIntermediate(random, root, "servers", "serverAuth", now));
  RETURN_IF_ERROR(Keep(vfs, folder, "clients", clients));
  RETURN_IF_ERROR(Keep(vfs, folder, "servers", servers));
  // The root's certificate is written last: when it is there, all is there.
  RETURN_IF_ERROR(Keep(vfs, folder, "root", root));
  return vfs.SyncFolder(FolderOf(folder));
}

absl::StatusOr<std::unique_ptr<Authority>> Authority::Open(Vfs& vfs, Random& random,
                                                           const std::string& folder) {
  auto authority = std::unique_ptr<Authority>(new Authority());
  authority->random_ = &random;
  ASSIGN_OR_RETURN(const CertificatePtr root,
                   LoadCertificate(vfs, CertificateFile(folder, "root")));
  RETURN_IF_ERROR(CheckPrivate(folder));
  RETURN_IF_ERROR(CheckPrivate(KeyFile(folder, "root")));
  ASSIGN_OR_RETURN(const CertificateSummary summary, Summarize(*root));
  if (!absl::StartsWith(summary.spiffe_id, kSpiffe)) {
    return absl::FailedPreconditionError(absl::StrCat(CertificateFile(folder, "root"),
                                                      " names no trust domain: it was not made by "
                                                      "`dumpwarden-server init`"));
  }
  authority->trust_domain_ = summary.spiffe_id.substr(kSpiffe.size());
  RETURN_IF_ERROR(CheckTrustDomain(authority->trust_domain_));
  ASSIGN_OR_RETURN(authority->root_der_, CertificateDer(*root));
  ASSIGN_OR_RETURN(Made clients, Load(vfs, folder, "clients"));
  ASSIGN_OR_RETURN(Made servers, Load(vfs, folder, "servers"));
  authority->clients_ = {std::move(clients.key), std::move(clients.certificate)};
  authority->servers_ = {std::move(servers.key), std::move(servers.certificate)};
  return authority;
}

absl::StatusOr<Issued> Authority::IssueHost(EVP_PKEY& key, const std::string& uuid,
                                            absl::Time now) {
  if (!IsUuid(uuid)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the host id ", Quote(uuid), " is not a lower-case UUID"));
  }
  return Issue(clients_, key, absl::StrCat(kSpiffe, trust_domain_, "/host/", uuid), {}, false, now,
               kLeafLife);
}

absl::StatusOr<Issued> Authority::IssueOperator(EVP_PKEY& key, const std::string& name,
                                                absl::Time now, absl::Duration life) {
  RETURN_IF_ERROR(CheckOperatorName(name));
  return Issue(clients_, key, absl::StrCat(kSpiffe, trust_domain_, "/operator/", name), {}, false,
               now, life);
}

absl::StatusOr<Issued> Authority::IssueServer(EVP_PKEY& key, const std::vector<std::string>& names,
                                              absl::Time now, absl::Duration life) {
  ASSIGN_OR_RETURN(Issued issued, Issue(servers_, key, "", names, true, now, life));
  issued.chain.push_back(root_der_);
  absl::StrAppend(&issued.chain_pem, root_pem());
  return issued;
}

absl::StatusOr<Issued> Authority::Issue(const Signer& signer, EVP_PKEY& key,
                                        const std::string& spiffe_id,
                                        const std::vector<std::string>& names, bool server,
                                        absl::Time now, absl::Duration life) {
  std::string subject_names = absl::StrCat("URI:", spiffe_id);
  if (server) {
    ASSIGN_OR_RETURN(subject_names, ServerNames(names));
  }
  ASSIGN_OR_RETURN(const CertificateSummary ca, Summarize(*signer.certificate));
  if (life <= absl::ZeroDuration() || now + life > ca.not_after) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a certificate that lives until ", absl::FormatTime(now + life, absl::UTCTimeZone()),
        " cannot be made: the authority's own ends on ",
        absl::FormatTime(ca.not_after, absl::UTCTimeZone())));
  }
  const CertificateText text{"", now - kBackdate, now + life,
                             LeafExtensions(server, subject_names)};
  ASSIGN_OR_RETURN(const CertificatePtr leaf,
                   BuildCertificate(text, key, signer.certificate.get(), *signer.key, *random_));
  Issued issued;
  for (const X509* certificate : {leaf.get(), signer.certificate.get()}) {
    ASSIGN_OR_RETURN(std::string der, CertificateDer(*certificate));
    ASSIGN_OR_RETURN(const std::string pem, CertificatePem(*certificate));
    issued.chain.push_back(std::move(der));
    absl::StrAppend(&issued.chain_pem, pem);
  }
  return issued;
}

std::string Authority::root_pem() const { return PemOf(root_der_); }

std::string Authority::root_pin() const { return Sha256Hex(root_der_); }

}  // namespace dumpwarden
