// SPDX-License-Identifier: Apache-2.0
#include "agent/identity.h"

#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "core/base/failpoint.h"
#include "core/base/problems.h"
#include "core/base/status_macros.h"
#include "core/base/text.h"
#include "core/base/yaml.h"
#include "core/base/yaml_reader.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxIdentityFile = 256 * 1024;
constexpr char kEnrolHint[] =
    "enrol it with a new token: dumpwarden-agent enroll --server HOST:PORT --token-file FILE";

std::string OldFolder(const std::string& data) { return data + "/identity.old"; }
std::string NewFolder(const std::string& data) { return data + "/identity.new"; }

std::string Date(absl::Time time) {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", time, absl::UTCTimeZone());
}

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "''"}}), "'");
}

std::string Render(const Identity& identity) {
  std::string yaml = absl::StrCat("host: ", Quoted(identity.host_id),
                                  "\ntrust-domain: ", Quoted(identity.trust_domain),
                                  "\nserver: ", Quoted(identity.server), "\n");
  if (identity.labels.empty()) return yaml;
  absl::StrAppend(&yaml, "labels:\n");
  for (const auto& [key, value] : identity.labels) {
    absl::StrAppend(&yaml, "  ", Quoted(key), ": ", Quoted(value), "\n");
  }
  return yaml;
}

absl::Status ReadFields(absl::string_view yaml, const std::string& path, Identity& identity) {
  Problems problems(path);
  const std::optional<std::vector<yaml::Node>> documents = yaml::Parse(yaml, {}, problems);
  if (!documents.has_value()) return problems.ToStatus();
  if (documents->empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": is empty"));
  yaml::MapReader reader(documents->front(), "", problems);
  identity.host_id = reader.RequireText("host").value_or("");
  identity.trust_domain = reader.RequireText("trust-domain").value_or("");
  identity.server = reader.RequireText("server").value_or("");
  const yaml::Node* labels = reader.Take("labels");
  reader.Finish();
  if (labels != nullptr) {
    for (const yaml::Entry& entry : labels->entries) {
      identity.labels[entry.key] = entry.value.scalar;
    }
  }
  return problems.ToStatus();
}

absl::StatusOr<std::unique_ptr<FileLock>> LockIdentity(Vfs& vfs, const std::string& data) {
  return vfs.Lock(data + "/enroll.lock");
}

absl::StatusOr<bool> IsHalfReplaced(Vfs& vfs, const std::string& data) {
  ASSIGN_OR_RETURN(const bool there, vfs.Exists(IdentityFolder(data)));
  ASSIGN_OR_RETURN(const bool old, vfs.Exists(OldFolder(data)));
  return old && !there;
}

// A kill between the two renames of a replacement: the old one counts.  The identity is locked: an
// enrolment that is between them now is not to be disturbed.
absl::Status FinishReplacement(Vfs& vfs, const std::string& data) {
  ASSIGN_OR_RETURN(const bool half, IsHalfReplaced(vfs, data));
  if (!half) return absl::OkStatus();
  RETURN_IF_ERROR(vfs.Rename(OldFolder(data), IdentityFolder(data)));
  return vfs.SyncFolder(data);
}

// Keys that no certificate names any more.  The folder itself goes last.
absl::Status RemoveOld(Vfs& vfs, const std::string& data) {
  const std::string old = OldFolder(data);
  ASSIGN_OR_RETURN(const bool there, vfs.Exists(old));
  if (!there) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> names, vfs.List(old));
  for (const std::string& name : names) RETURN_IF_ERROR(vfs.Remove(absl::StrCat(old, "/", name)));
  std::error_code ignored;  // an empty folder does no harm
  std::filesystem::remove(old, ignored);
  return vfs.SyncFolder(data);
}

// A host that lost a file of its identity goes on enforcing; CheckIdentity says what is missing
// before it dials.
absl::StatusOr<std::string> ReadIfThere(Vfs& vfs, const std::string& path) {
  absl::StatusOr<std::string> bytes = vfs.Read(path, kMaxIdentityFile);
  if (absl::IsNotFound(bytes.status())) return std::string();
  return bytes;
}

// The identity is locked.  Until all of the new one is on disk the old one stands.
absl::Status Replace(Vfs& vfs, const std::string& data, const Identity& identity,
                     absl::string_view host_key_pem, bool enrolled) {
  const std::string fresh = NewFolder(data);
  RETURN_IF_ERROR(vfs.MakeFolder(fresh));
  RETURN_IF_ERROR(WriteDurably(vfs, fresh + "/tls.key", identity.key_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, fresh + "/tls.crt", identity.chain_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, fresh + "/ca.crt", identity.ca_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, fresh + "/host.key", host_key_pem));
  RETURN_IF_ERROR(WriteDurably(vfs, fresh + "/identity.yaml", Render(identity)));
  FAILPOINT("identity.written");
  if (enrolled) {
    RETURN_IF_ERROR(RemoveOld(vfs, data));
    RETURN_IF_ERROR(vfs.Rename(IdentityFolder(data), OldFolder(data)));
    FAILPOINT("identity.old-aside");
  }
  RETURN_IF_ERROR(vfs.Rename(fresh, IdentityFolder(data)));
  FAILPOINT("identity.renamed");
  RETURN_IF_ERROR(vfs.SyncFolder(data));
  return RemoveOld(vfs, data);
}

std::string MissingFile(const Identity& identity) {
  if (identity.chain_pem.empty()) return "tls.crt";
  if (identity.key_pem.empty()) return "tls.key";
  return identity.ca_pem.empty() ? "ca.crt" : "";
}

absl::Status Unusable(const Identity& identity, absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat("this host's own certificate ", why, " (",
                                                    DescribeCertificate(identity), "); ",
                                                    kEnrolHint, " --replace"));
}

absl::Status Expired(const Identity& identity, const CertificateSummary& leaf, absl::Time now) {
  const std::string dates =
      absl::StrCat("expired on ", Date(leaf.not_after), ", and it is ", Date(now));
  if (now - leaf.not_after > kLateRenewal) return Unusable(identity, dates);
  return absl::FailedPreconditionError(absl::StrCat(
      "this host's own certificate ", dates, " (", DescribeCertificate(identity),
      "); it asks the server for another one, with which it has to wait until an operator lets it "
      "in: dumpctl host approve ",
      identity.host_id));
}

absl::Status SayVerdict(ChainVerdict verdict, const Identity& identity, const X509& leaf,
                        absl::Time now) {
  const absl::StatusOr<CertificateSummary> summary = Summarize(leaf);
  RETURN_IF_ERROR(summary.status());
  switch (verdict) {
    case ChainVerdict::kGood:
      return absl::OkStatus();
    case ChainVerdict::kExpired:
      return Expired(identity, *summary, now);
    case ChainVerdict::kNotYetValid:
      return absl::FailedPreconditionError(
          absl::StrCat("this host's own certificate is valid from ", Date(summary->not_before),
                       " on, and this host's clock says ", Date(now), "; set the clock right"));
    case ChainVerdict::kOtherCa:
      return Unusable(identity, "was not issued by the CA in identity/ca.crt");
    case ChainVerdict::kWrongPurpose:
      return Unusable(identity, "is not for clients");
    case ChainVerdict::kNoCertificate:
    case ChainVerdict::kWrongName:
    case ChainVerdict::kMalformed:
      break;
  }
  return Unusable(identity, "cannot be used");
}

}  // namespace

std::string SpiffeIdOf(const Identity& identity) {
  return absl::StrCat("spiffe://", identity.trust_domain, "/host/", identity.host_id);
}

std::string IdentityFolder(const std::string& data) { return data + "/identity"; }

absl::StatusOr<bool> IsEnrolled(Vfs& vfs, const std::string& data) {
  ASSIGN_OR_RETURN(const bool half, IsHalfReplaced(vfs, data));
  if (half) {
    ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, LockIdentity(vfs, data));
    RETURN_IF_ERROR(FinishReplacement(vfs, data));
  }
  return vfs.Exists(IdentityFolder(data) + "/identity.yaml");
}

absl::StatusOr<Identity> LoadIdentity(Vfs& vfs, const std::string& data) {
  ASSIGN_OR_RETURN(const bool enrolled, IsEnrolled(vfs, data));
  if (!enrolled) {
    return absl::NotFoundError(absl::StrCat("this host is not enrolled: there is no identity in ",
                                            data, "; ", kEnrolHint));
  }
  // All files are to be of one enrolment.
  ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, LockIdentity(vfs, data));
  RETURN_IF_ERROR(FinishReplacement(vfs, data));
  const std::string folder = IdentityFolder(data);
  RETURN_IF_ERROR(CheckPrivate(data));
  for (const char* key : {"", "/tls.key", "/host.key"}) RETURN_IF_ERROR(CheckPrivate(folder + key));
  Identity identity;
  ASSIGN_OR_RETURN(const std::string yaml, vfs.Read(folder + "/identity.yaml", kMaxIdentityFile));
  RETURN_IF_ERROR(ReadFields(yaml, folder + "/identity.yaml", identity));
  ASSIGN_OR_RETURN(identity.key_pem, ReadIfThere(vfs, folder + "/tls.key"));
  ASSIGN_OR_RETURN(identity.chain_pem, ReadIfThere(vfs, folder + "/tls.crt"));
  ASSIGN_OR_RETURN(identity.ca_pem, ReadIfThere(vfs, folder + "/ca.crt"));
  return identity;
}

absl::StatusOr<std::string> LoadHostKey(Vfs& vfs, const std::string& data) {
  const std::string path = IdentityFolder(data) + "/host.key";
  RETURN_IF_ERROR(CheckPrivate(path));
  return vfs.Read(path, kMaxIdentityFile);
}

absl::Status SaveIdentity(Vfs& vfs, const std::string& data, const Identity& identity,
                          absl::string_view host_key_pem, bool replace) {
  RETURN_IF_ERROR(vfs.MakeFolder(data));
  RETURN_IF_ERROR(CheckPrivate(data));
  ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, LockIdentity(vfs, data));
  RETURN_IF_ERROR(FinishReplacement(vfs, data));
  ASSIGN_OR_RETURN(const bool enrolled, vfs.Exists(IdentityFolder(data) + "/identity.yaml"));
  if (enrolled && !replace) {
    return absl::AlreadyExistsError(absl::StrCat("this host is enrolled already (",
                                                 IdentityFolder(data), "); --replace enrols anew"));
  }
  return Replace(vfs, data, identity, host_key_pem, enrolled);
}

absl::Status SaveRenewed(Vfs& vfs, const std::string& data, const Identity& before,
                         const Identity& renewed) {
  ASSIGN_OR_RETURN(const std::unique_ptr<FileLock> lock, LockIdentity(vfs, data));
  RETURN_IF_ERROR(FinishReplacement(vfs, data));
  const std::string folder = IdentityFolder(data);
  ASSIGN_OR_RETURN(const std::string chain, ReadIfThere(vfs, folder + "/tls.crt"));
  if (chain != before.chain_pem) {
    return absl::AbortedError("the identity was replaced while its certificate was renewed");
  }
  ASSIGN_OR_RETURN(const std::string host_key, vfs.Read(folder + "/host.key", kMaxIdentityFile));
  return Replace(vfs, data, renewed, host_key, /*enrolled=*/true);
}

absl::Status CheckIdentity(const Identity& identity, absl::Time now) {
  if (const std::string file = MissingFile(identity); !file.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "this host's own identity/", file, " is missing or empty; ", kEnrolHint, " --replace"));
  }
  const absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificatesPem(identity.chain_pem);
  if (!chain.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("this host's own certificate is unreadable: ", chain.status().message(), "; ",
                     kEnrolHint, " --replace"));
  }
  ASSIGN_OR_RETURN(const std::vector<CertificatePtr> roots, ReadCertificatesPem(identity.ca_pem));
  ASSIGN_OR_RETURN(const KeyPtr key, ReadPrivateKeyPem(identity.key_pem));
  ASSIGN_OR_RETURN(const std::string ours, PublicKeyDer(*key));
  ASSIGN_OR_RETURN(const std::string certified, CertificateKeyDer(*chain->front()));
  if (ours != certified) return Unusable(identity, "is for another key than identity/tls.key");
  const ChainVerdict verdict = VerifyChain(*chain, roots, Purpose::kClient, "", now);
  return SayVerdict(verdict, identity, *chain->front(), now);
}

std::string DescribeCertificate(const Identity& identity) {
  const absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificatesPem(identity.chain_pem);
  if (!chain.ok()) return "unreadable";
  const absl::StatusOr<CertificateSummary> summary = Summarize(*chain->front());
  if (!summary.ok()) return "unreadable";
  return absl::StrCat(Printable(summary->spiffe_id), ", serial ", summary->serial, ", issued by ",
                      Quote(summary->issuer), ", valid ", Date(summary->not_before), " to ",
                      Date(summary->not_after));
}

absl::Status CheckServerChain(absl::string_view chain_pem, const std::vector<CertificatePtr>& roots,
                              absl::string_view host, absl::Time now) {
  const absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificatesPem(chain_pem);
  if (!chain.ok()) {
    return absl::UnauthenticatedError(
        absl::StrCat("the server's certificate is unreadable: ", chain.status().message()));
  }
  ASSIGN_OR_RETURN(const CertificateSummary leaf, Summarize(*chain->front()));
  switch (VerifyChain(*chain, roots, Purpose::kServer, host, now)) {
    case ChainVerdict::kGood:
      return absl::OkStatus();
    case ChainVerdict::kExpired:
      return absl::UnauthenticatedError(
          absl::StrCat("the server's certificate expired on ", Date(leaf.not_after),
                       ", and this host's clock says ", Date(now), "; renew it on the server"));
    case ChainVerdict::kNotYetValid:
      return absl::UnauthenticatedError(
          absl::StrCat("the server's certificate is valid from ", Date(leaf.not_before),
                       " on, and this host's clock says ", Date(now), "; set the clocks right"));
    case ChainVerdict::kOtherCa:
      return absl::UnauthenticatedError(
          absl::StrCat("the server's certificate was issued by another CA (", Quote(leaf.issuer),
                       ") than this host trusts; is it the right server? If its CA was made "
                       "anew, enrol this host anew"));
    case ChainVerdict::kWrongName:
      return absl::UnauthenticatedError(
          absl::StrCat("the server's certificate does not name ", Quote(host), " but ",
                       absl::StrJoin(leaf.names, ", "),
                       "; dial one of these, or add this one to `names` of the server"));
    case ChainVerdict::kWrongPurpose:
      return absl::UnauthenticatedError("the server shows a certificate that is not for servers");
    case ChainVerdict::kNoCertificate:
    case ChainVerdict::kMalformed:
      break;
  }
  return absl::UnauthenticatedError("the server's certificate is malformed");
}

}  // namespace dumpwarden
