// SPDX-License-Identifier: Apache-2.0
#include "server/identity/server_identity.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/base/digest.h"
#include "core/base/status_macros.h"
#include "platform/keys.h"

namespace dumpwarden {
namespace {

constexpr absl::Duration kServerLife = absl::Hours(24 * 365);
constexpr std::size_t kMaxPemBytes = 64 * 1024;

absl::StatusOr<std::string> LeafDigest(const std::string& chain_pem) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificatesPem(chain_pem));
  ASSIGN_OR_RETURN(const std::string der, CertificateDer(*chain.front()));
  return Sha256(der);
}

absl::StatusOr<absl::Time> LeafExpires(const std::string& chain_pem) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificatesPem(chain_pem));
  ASSIGN_OR_RETURN(const CertificateSummary leaf, Summarize(*chain.front()));
  return leaf.not_after;
}

absl::StatusOr<Renewal> Describe(const std::string& before, const std::string& after,
                                 const std::vector<std::string>& names) {
  Renewal renewal;
  ASSIGN_OR_RETURN(renewal.before, LeafDigest(before));
  ASSIGN_OR_RETURN(renewal.after, LeafDigest(after));
  ASSIGN_OR_RETURN(const absl::Time expires, LeafExpires(after));
  renewal.detail = absl::StrCat("names ", absl::StrJoin(names, ","), "; expires ",
                                absl::FormatTime(expires, absl::UTCTimeZone()));
  return renewal;
}

// What is most likely to fail, a disk without room, does so before anything is recorded.
absl::Status Renew(Vfs& vfs, const std::string& path, const std::string& chain_pem,
                   const Renewal& renewal, const RecordRenewal& record) {
  const std::string temp = absl::StrCat(path, ".new");
  absl::Status done = vfs.Write(temp, chain_pem);
  if (done.ok()) done = vfs.Sync(temp);
  if (done.ok()) done = record(renewal);
  if (done.ok()) done = vfs.Rename(temp, path);
  if (done.ok()) return vfs.SyncFolder(FolderOf(path));
  vfs.Remove(temp).IgnoreError();  // the first failure is the one to tell
  return done;
}

// Good for every name, now and for a good while.
absl::StatusOr<bool> IsFresh(const std::string& chain_pem, const Authority& authority,
                             const std::vector<std::string>& names, absl::Time now) {
  ASSIGN_OR_RETURN(const auto chain, ReadCertificatesPem(chain_pem));
  ASSIGN_OR_RETURN(const auto roots, ReadCertificatesPem(authority.root_pem()));
  ASSIGN_OR_RETURN(const CertificateSummary leaf, Summarize(*chain.front()));
  if (leaf.not_after - now < kServerLife / 4) return false;
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return VerifyChain(chain, roots, Purpose::kServer, name, now) == ChainVerdict::kGood;
  });
}

}  // namespace

absl::Status MakeServerIdentity(Vfs& vfs, Authority& authority, const ServerIdentityFiles& files,
                                const std::vector<std::string>& names, absl::Time now) {
  ASSIGN_OR_RETURN(const KeyPtr key, MakeKey());
  ASSIGN_OR_RETURN(const std::string pem, PrivateKeyPem(*key));
  RETURN_IF_ERROR(WriteDurably(vfs, files.key, pem));
  ASSIGN_OR_RETURN(const Issued issued, authority.IssueServer(*key, names, now, kServerLife));
  return WriteDurably(vfs, files.chain, issued.chain_pem);
}

absl::StatusOr<absl::Time> RefreshServerIdentity(Vfs& vfs, Authority& authority,
                                                 const ServerIdentityFiles& files,
                                                 const std::vector<std::string>& names,
                                                 absl::Time now, const RecordRenewal& record) {
  RETURN_IF_ERROR(CheckPrivate(FolderOf(files.key)));
  RETURN_IF_ERROR(CheckPrivate(files.key));
  ASSIGN_OR_RETURN(const std::string key_pem, vfs.Read(files.key, kMaxPemBytes));
  ASSIGN_OR_RETURN(const KeyPtr key, ReadPrivateKeyPem(key_pem));
  ASSIGN_OR_RETURN(const std::string chain_pem, vfs.Read(files.chain, kMaxPemBytes));
  ASSIGN_OR_RETURN(const bool fresh, IsFresh(chain_pem, authority, names, now));
  if (fresh) return LeafExpires(chain_pem);
  ASSIGN_OR_RETURN(const Issued issued, authority.IssueServer(*key, names, now, kServerLife));
  ASSIGN_OR_RETURN(const Renewal renewal, Describe(chain_pem, issued.chain_pem, names));
  RETURN_IF_ERROR(Renew(vfs, files.chain, issued.chain_pem, renewal, record));
  return LeafExpires(issued.chain_pem);
}

}  // namespace dumpwarden
