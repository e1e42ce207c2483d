// SPDX-License-Identifier: Apache-2.0
#include "cli/own_identity.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/errors.h"
#include "core/base/status_macros.h"
#include "platform/keys.h"

namespace dumpwarden {
namespace {

constexpr std::size_t kMaxPemBytes = 256 * 1024;

absl::Status NotAuthenticated(absl::string_view why) {
  return Trouble(absl::StatusCode::kUnauthenticated, "you cannot prove who you are to the server",
                 why,
                 "log in with a code from an admin (dumpctl login), or name a good certificate in "
                 "the context");
}

absl::StatusOr<std::string> ReadPem(Vfs& vfs, const std::string& path) {
  absl::StatusOr<std::string> pem = vfs.Read(path, kMaxPemBytes);
  if (!pem.ok()) return NotAuthenticated(absl::StrCat(path, ": ", pem.status().message()));
  return pem;
}

absl::Status CheckKeyFile(const std::string& path) {
  const std::string folder = FolderOf(path);
  const absl::Status found = CheckPrivate(path);
  const absl::Status placed = CheckOnlyOwnerWrites(folder);
  if (found.ok() && placed.ok()) return found;
  return Trouble(
      absl::StatusCode::kUnauthenticated, absl::StrCat("the key ", path, " is not used"),
      found.ok() ? placed.message() : found.message(),
      found.ok() ? absl::StrCat("chmod go-w ", folder) : absl::StrCat("chmod 600 ", path));
}

absl::StatusOr<std::vector<CertificatePtr>> ReadChain(const std::string& pem,
                                                      const std::string& path) {
  absl::StatusOr<std::vector<CertificatePtr>> chain = ReadCertificatesPem(pem);
  if (!chain.ok()) return NotAuthenticated(absl::StrCat(path, ": ", chain.status().message()));
  if (chain->empty()) return NotAuthenticated(absl::StrCat(path, " holds no certificate"));
  return chain;
}

std::string Day(absl::Time time) {
  return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone());
}

std::string WhyNotOurs(ChainVerdict verdict, const CertificateSummary& leaf,
                       const Context& context) {
  switch (verdict) {
    case ChainVerdict::kExpired:
      return absl::StrCat("your certificate ", context.certificate, " expired on ",
                          Day(leaf.not_after));
    case ChainVerdict::kNotYetValid:
      return absl::StrCat("your certificate ", context.certificate, " is not valid before ",
                          Day(leaf.not_before), "; is this machine's clock right?");
    case ChainVerdict::kOtherCa:
      return absl::StrCat("your certificate ", context.certificate, " was not issued by the CA in ",
                          context.ca);
    default:
      return absl::StrCat("your certificate ", context.certificate,
                          " is no good: ", ChainVerdictWord(verdict));
  }
}

absl::Status CheckOwn(const Context& context, const OwnIdentity& identity, absl::Time now) {
  ASSIGN_OR_RETURN(const auto roots, ReadChain(identity.ca, context.ca));
  ASSIGN_OR_RETURN(const auto chain, ReadChain(identity.certificate, context.certificate));
  const absl::StatusOr<KeyPtr> key = ReadPrivateKeyPem(identity.key);
  if (!key.ok()) {
    return NotAuthenticated(absl::StrCat(context.key, ": ", key.status().message()));
  }
  const ChainVerdict verdict = VerifyChain(chain, roots, Purpose::kClient, "", now);
  if (verdict == ChainVerdict::kGood) return absl::OkStatus();
  const absl::StatusOr<CertificateSummary> leaf = Summarize(*chain.front());
  return NotAuthenticated(WhyNotOurs(verdict, leaf.value_or(CertificateSummary()), context));
}

}  // namespace

absl::StatusOr<OwnIdentity> LoadOwnIdentity(Vfs& vfs, const Context& context, absl::Time now) {
  OwnIdentity identity;
  ASSIGN_OR_RETURN(identity.ca, ReadPem(vfs, context.ca));
  ASSIGN_OR_RETURN(identity.certificate, ReadPem(vfs, context.certificate));
  RETURN_IF_ERROR(CheckKeyFile(context.key));
  ASSIGN_OR_RETURN(identity.key, ReadPem(vfs, context.key));
  RETURN_IF_ERROR(CheckOwn(context, identity, now));
  return identity;
}

}  // namespace dumpwarden
